//! `grelot customers forget-bundle`: recovers a gateway whose bundle keeps the right ones out.

use anyhow::Context;

use super::super::{Exit, Global, print};
use crate::config;
use crate::daemon::registry::check::Rules;
use crate::daemon::registry::vault::Vault;

/// Arguments of `grelot customers forget-bundle`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  sudo grelot customers forget-bundle

A gateway takes no bundle that is older than the one in force. Where that one was made by a machine
whose clock was ahead, this command forgets it: the next valid bundle counts. A running gateway
notices within seconds, and recognises the same customers until then.")]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// Where the configuration does not count, or the state folder cannot be written.
pub fn run(global: &Global, _args: &Args) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let folder = config.state.join("registry");
    let keys = &config.bundles.public_keys;
    let rules = Rules::new(config.store.id, keys, folder.clone(), Vault::default());
    if !rules.keeps_accepted() {
        print(&format!("no bundle is kept in {}", folder.display()))?;
        return Ok(Exit::Done);
    }
    rules.forget_accepted().with_context(|| format!("removing it from {}", folder.display()))?;
    print("forgotten: the next valid bundle counts")?;
    Ok(Exit::Done)
}
