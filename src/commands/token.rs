//! `grelot token`: what a customer's phone should be saying.

use super::{Exit, Global};

/// Arguments of `grelot token`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_global: &Global, _args: &Args) -> anyhow::Result<Exit> {
    anyhow::bail!("not built yet")
}
