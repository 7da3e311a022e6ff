//! PURE: everything that grelot decides. Bytes come in as [`Input`]s, decisions go out as
//! [`Effect`]s.
//!
//! Invariant: no IO, no clock, no task, no log, no random number. Same inputs, same effects,
//! byte for byte, so that `run`, `demo`, `replay` and the tests share one pipeline.

pub mod address;
pub mod advert;
pub mod beacons;
pub mod card;
pub mod check_in;
mod engine;
pub mod event;
pub mod explain;
pub mod forgetful;
pub mod gateway;
pub mod identity;
pub mod peers;
pub mod policy;
pub mod presence;
pub mod restored;
pub mod settings;
pub mod sighting;
pub mod start;
pub mod units;
pub mod visit;
mod visit_id;
mod visits;

pub use engine::Pipeline;
pub use event::{Effect, Input};
pub use gateway::{Gateway, HERE, Levels, Place};
pub use settings::Settings;
pub use units::Now;
pub use visit_id::VisitId;
