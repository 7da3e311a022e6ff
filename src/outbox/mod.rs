//! The stage between the pipeline and MQTT: it keeps messages for staff until they are delivered.
//!
//! A domain effect becomes a stored message ([`builder`], [`changes`](mod@changes)), the message waits in a
//! queue that is also on disk ([`queue`]), and `mqtt` publishes it as a packet.
//!
//! Invariant: an alert is acknowledged by the broker, with a subscriber, or still in the outbox
//! until it expires. Nothing here knows of topics.

pub mod builder;
pub mod changes;
pub mod queue;

pub use builder::MessageBuilder;
pub use changes::changes;
pub use queue::{Outbox, TICK_EVERY};
