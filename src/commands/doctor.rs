//! `grelot doctor`: looks at this machine and says what to mend.

use super::{Exit, Global};

/// Arguments of `grelot doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_global: &Global, _args: &Args) -> anyhow::Result<Exit> {
    anyhow::bail!("not built yet")
}
