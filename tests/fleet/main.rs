//! Head office at its desk: measures in a real Prometheus, and all shops in a real browser.
//!
//! What it cannot show: Grafana's drawing of the dashboard.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::float_cmp,
    reason = "a test that stops here fails, and says so; it waits on real processes; counts are whole"
)]

#[allow(dead_code, reason = "tests/tablets uses the rest")]
#[path = "../tablets/browser.rs"]
mod browser;
#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "tests/tablets uses the rest")]
#[path = "../tablets/http.rs"]
mod http;
#[allow(dead_code, reason = "tests/cluster uses the rest")]
#[path = "../cluster/office.rs"]
mod office;

mod canary;
mod closed_loop;
mod database;
mod measures;
mod page;
mod postgres;
mod prometheus;
mod roll_out;
mod shadow;
mod traces;
mod tuning;
