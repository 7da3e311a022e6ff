//! Head office: the state of all gateways, and messages that are repeated until each gateway acknowledges them.
//!
//! One database, an SQLite file or PostgreSQL, holds the list of withdrawals with their numbers and
//! what gateways reported; [`keeper`] answers gateways that ask and repeats what they missed.
//! Invariant: a number of a store's list is given once, and no number is left out.

mod database;
mod desk;
pub mod documents;
pub mod figures;
mod inbox;
pub mod keeper;
pub mod layouts;
mod measures;
pub mod overview;
pub mod page;
mod picture;
pub mod proposals;
mod responder;
pub mod roll_out;
pub mod shadow;
mod shadow_sums;
pub mod statistics;
pub mod store;
pub mod stores;
mod trace_rows;
pub mod traces;
mod tuning;

pub use database::{FleetError, Location};
pub use documents::Document;
pub use keeper::Keeper;
pub use layouts::layout;
pub use overview::{Condition, GatewayOverview};
pub use proposals::Proposal;
pub use responder::KeepDays;
pub use store::FleetStore;
pub use stores::StoreOverview;
pub use traces::StoredTrace;
