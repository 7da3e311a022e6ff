//! Captures as tools of the field write them, against what those tools say is in them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "a test that stops here has failed, and says so"
)]

mod containers;
mod extended;
mod reading;
