//! What an attacker on the shop's network can try, against a real `grelot run` on loopback. Every
//! attempt is bounded in time, number and octets, so that anyone can run them:
//!
//! ```sh
//! cargo nextest run --locked --test hostile
//! ```
//!
//! It needs mosquitto's tools and util-linux (`prlimit`). What it cannot show: a flood that fills the
//! network itself, and attackers on many machines.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::large_stack_arrays,
    dead_code,
    reason = "a test that stops here has failed, and says so; it waits on real processes, and uses a part of the modules that it shares with tests/delivery"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../delivery/mosquitto.rs"]
mod mosquitto;
#[path = "../delivery/scene.rs"]
mod scene;

mod broker;
mod client;
mod page;
mod replay;
