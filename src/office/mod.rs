//! The second line: to head office's cluster, beside the shop's own broker.
//!
//! Up go the gateway's status and health, and reports that wait on the disk while the line is away;
//! down come settings, hints of new registries and withdrawals of consent. Invariant: neither line
//! waits for the other; what goes up names no customer.

pub mod line;
mod queue;
pub mod reports;

pub use line::{Line, OfficeLink};
pub use reports::Reports;
