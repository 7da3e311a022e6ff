//! `grelot open-monitor`: the helper that `grelot-monitor.socket` starts, see
//! [`crate::sources::monitor::handover`].

use anyhow::Context as _;

use super::Exit;
use crate::sources::monitor::handover;

/// Runs the command: its standard input is the connection of the client.
pub fn run() -> anyhow::Result<Exit> {
    handover::open_for(std::io::stdin()).context("the HCI monitor was not passed on")?;
    Ok(Exit::Done)
}
