//! The second line: to head office's cluster, beside the shop's own broker.
//!
//! The gateway sends status, health, and reports that wait on the disk while the line is away; head
//! office sends settings, hints of new registries and withdrawals of consent. Invariants: the lines
//! do not wait for each other; what the gateway sends names no customer.

pub mod line;
mod queue;
pub mod reports;
mod traces;

pub use line::{Line, OfficeLink};
pub use reports::Reports;
