//! What needs data that is not in the repository: published vectors, measured traces, captures of the
//! field, with what other tools read in them.
//!
//! `GRELOT_SHARED=… cargo nextest run --bench data`; without the data every test fails and says where
//! it looked. The suite does not need them: it has vectors and captures of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test that stops here has failed, and says so; it waits for real programs"
)]

mod captures;
#[path = "../../common/mod.rs"]
mod common;
#[path = "../../traces/csv.rs"]
mod csv;
#[path = "../../decode/binary.rs"]
mod decode;
#[path = "../../traces/door.rs"]
mod door;
#[path = "../../traces/output.rs"]
mod output;
mod traces;
mod vectors;
#[path = "../../traces/walks.rs"]
mod walks;
