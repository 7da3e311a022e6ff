//! Grelot: the small bell on a shop's door.
//!
//! It rings on the staff's tablets when a premium customer who asked to be recognised walks in,
//! and for no one else. The way of an advertisement, in the order of the folders:
//!
//! ```text
//! sources ──► pipeline ──────────────────────────────► outbox ──► mqtt ──► tablets
//! (radio,      advert ► identity ► presence ► policy    (store)   (broker)  (web)
//!  recordings,  bytes    fields     present?   may we
//!  simulation)  → fields → who                 announce?
//! ```
//!
//! Invariants, each kept by a test:
//! 1. [`pipeline`] is pure: no IO, no clock, no task, no log, no random number.
//! 2. One input, all its effects, then the next input.
//! 3. Monotonic time decides presence; wall time decides tokens, caps and quiet hours, and may
//!    be unset.
//! 4. Radio bytes, MQTT payloads, configuration and registry lines are hostile.
//! 5. An alert is acknowledged by the broker or still in the outbox until it expires, and is
//!    never announced under two visit ids.
//! 6. People who are not enrolled leave no trace.
//! 7. Every queue is bounded; every task has a name, an owner and an end.
//! 8. Wire, disk and domain are different types; only the first two know serde.

pub mod pipeline;

pub mod lines;

pub mod sequential;

pub mod text;

pub mod topics;

pub mod wording;

pub mod clock;

pub mod tasks;

pub mod http;

pub mod http_server;

pub mod files;

pub mod private;

pub mod addresses;

pub mod assets;

pub mod sources;

pub mod state_file;

pub mod certificates;

pub mod store;

pub mod payload;

pub mod outbox;

pub mod webhooks;

pub mod mqtt;

pub mod tablets;

pub mod config;

#[cfg(feature = "head-office")]
pub mod fleet;

pub mod office;

pub mod daemon;

pub mod telemetry;

pub mod commands;
