//! What grelot says of itself: logs for the journal, counts and gauges for `status` and MQTT,
//! and what must not be said.

pub mod brief;
pub mod health;
pub mod logs;
mod one_line;
pub mod redact;
mod repeats;

pub use health::Health;
