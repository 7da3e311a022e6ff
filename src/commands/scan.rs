//! `grelot scan`: live table of what is on the air.

use super::{Exit, Global};

/// Arguments of `grelot scan`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_global: &Global, _args: &Args) -> anyhow::Result<Exit> {
    anyhow::bail!("not built yet")
}
