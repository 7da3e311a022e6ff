//! Hostile input from the network, by whom it reaches: everything on loopback, bounded in time.
//!
//! What it cannot show: a flood that fills the network itself, and attackers on many machines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests say where they cannot go on, and wait for real programs by the real clock"
)]

mod page;
