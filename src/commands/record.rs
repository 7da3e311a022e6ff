//! `grelot record`: writes a recording.

use super::{Exit, Global};

/// Arguments of `grelot record`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_global: &Global, _args: &Args) -> anyhow::Result<Exit> {
    anyhow::bail!("not built yet")
}
