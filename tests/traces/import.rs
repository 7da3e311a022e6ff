//! Turns published measurements of others into recordings with truth, a registry
//! and the configurations to replay them with.
//!
//! `cargo run --release --example traces -- DATA_DIR OUT_DIR`, where `DATA_DIR` holds
//! `rssi_door_SAL` and `rssi_walk_position_danis`. The transmitter of each trace is made one
//! enrolled customer with a loyalty card; each receiver is a gateway.

mod csv;
mod door;
mod output;
mod walks;

use std::path::PathBuf;

use anyhow::Context;

#[expect(clippy::print_stdout, reason = "says what was written")]
fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(data), Some(out)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: traces DATA_DIR OUT_DIR");
    };
    let door = door::import(&data.join("rssi_door_SAL"), &out.join("door"))
        .context("the door data set")?;
    let walks = walks::import(&data.join("rssi_walk_position_danis"), &out.join("walks"))
        .context("the walks")?;
    for set in door.iter().chain(&walks) {
        println!(
            "grelot --config {} replay --score {}/*.zst",
            set.config.display(),
            set.folder.display()
        );
    }
    Ok(())
}
