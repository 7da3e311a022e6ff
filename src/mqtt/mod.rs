//! Notices out, wishes in: topics, payloads, the client with its outbox, the embedded broker.
//!
//! Invariant: an alert is acknowledged by the broker, with somebody listening, or still in the
//! outbox until it expires.

pub mod inbound;
pub mod notice;
pub mod payload;
pub mod topics;

/// The `AsyncAPI` description of every topic and payload; ships with the program.
pub const ASYNCAPI: &str = include_str!("../../docs/asyncapi.json");
