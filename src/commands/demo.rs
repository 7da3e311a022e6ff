//! `grelot demo`: the whole system on one machine: embedded broker, a simulated shop, the tablet page.

use super::{Exit, Global};

/// Arguments of `grelot demo`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_global: &Global, _args: &Args) -> anyhow::Result<Exit> {
    anyhow::bail!("not built yet")
}
