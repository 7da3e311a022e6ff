//! Alerts reach staff: through a real mosquitto and the embedded broker, over kills, refusals,
//! a full disk and garbage.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::format_collect,
    clippy::similar_names,
    clippy::cloned_ref_to_slice_refs,
    clippy::ok_expect,
    dead_code,
    reason = "a test that stops here has failed, and says so; it waits on real processes"
)]

#[allow(dead_code, reason = "tests/hostile uses the rest")]
#[path = "../hostile/client.rs"]
mod client;
#[path = "../common/mod.rs"]
mod common;

mod agreement;
mod asyncapi;
mod cable;
mod canary;
mod clock;
mod daemon;
mod disk;
mod embedded;
mod inbound;
mod kills;
mod labels;
mod losses;
mod mosquitto;
mod notices;
mod peers;
mod reports;
mod retained;
mod scene;
mod secure;
mod shop;
mod survey;
mod webhooks;
