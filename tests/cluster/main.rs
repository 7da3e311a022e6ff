//! Head office, gateways and tablets on a real RabbitMQ cluster of three nodes, which delivers no
//! retained message to a wildcard subscription.
//!
//! What it cannot show: a cluster on machines of its own, and partitions of a network.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that stops here has failed, and says so; it waits on real processes"
)]

#[path = "../common/mod.rs"]
mod common;

#[allow(dead_code, unused_imports, reason = "tests/delivery uses the rest")]
#[path = "../delivery/mosquitto.rs"]
mod mosquitto;

#[allow(dead_code, reason = "tests/delivery uses the rest")]
#[path = "../delivery/cable.rs"]
mod cable;

#[allow(dead_code, reason = "tests/hostile uses the rest")]
#[path = "../hostile/client.rs"]
mod client;

mod consent;
mod fleet;
mod line;
mod office;
mod rabbitmq;
mod rights;
