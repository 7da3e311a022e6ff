//! How far the simulated radio is from measured ones, in two tables.
//!
//! `cargo run --release --example realism -- DATA_DIR`, where `DATA_DIR` holds
//! `rssi_walk_position_danis` and `rssi_body_position_mitll`.

mod body;
#[path = "../traces/csv.rs"]
mod csv;
mod walks;

use std::path::PathBuf;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let data = std::env::args_os().nth(1).map(PathBuf::from).context("usage: realism DATA_DIR")?;
    walks::compare(&data.join("rssi_walk_position_danis"))?;
    body::compare(&data.join("rssi_body_position_mitll"))
}

/// Mean and standard deviation.
fn spread(values: &[f64]) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
    (mean, (squares / count).sqrt())
}
