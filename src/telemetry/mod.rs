//! Logs for the journal, counts and gauges for `status` and MQTT, and redaction of what they must
//! not contain.

pub mod brief;
pub mod health;
pub mod logs;
pub mod measures;
mod one_line;
pub mod redact;
mod repeats;
pub mod spans;
pub mod timings;

pub use health::Health;
pub use timings::Timings;
