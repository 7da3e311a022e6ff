//! The life of a registry at a gateway: signed bundles come in as files and over HTTPS, and what is
//! tampered with, cut off, stale or foreign changes nothing; withdrawn consent takes effect within
//! seconds, and stays withdrawn.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and waits for real programs"
)]

#[path = "../common/mod.rs"]
mod common;

mod consent;
mod expiry;
mod future;
mod gateway;
mod https;
mod intake;
mod phones;
mod sealed;
mod withdrawal;
