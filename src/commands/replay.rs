//! `grelot replay`: runs recordings through the pipeline in virtual time.

use super::{Exit, Global};

/// Arguments of `grelot replay`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_global: &Global, _args: &Args) -> anyhow::Result<Exit> {
    anyhow::bail!("not built yet")
}
