//! MQTT 5: topics, the client that publishes and subscribes, and the embedded broker.
//!
//! Invariant: an alert is acknowledged by the broker, with a subscriber, or still in the
//! outbox until it expires.

pub(crate) mod backoff;
pub mod broker;
pub mod client;
mod connection_state;
pub mod counts;
pub mod inbound;
pub(crate) mod link;
pub mod login;
pub mod logins;
pub mod packet;
pub mod retained;
mod role;
mod session;
pub mod tls;
pub mod topics;

pub use connection_state::{Abilities, Ability, ConnectionState, ConsentState};
pub use link::Identity;
pub use role::Role;

/// The `AsyncAPI` description of every topic and payload; ships with the program.
pub const ASYNCAPI: &str = include_str!("../../docs/asyncapi.json");
