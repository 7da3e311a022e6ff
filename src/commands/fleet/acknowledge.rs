//! `grelot fleet acknowledge`: a person knows of a gateway's troubles.

use super::super::{Exit, Global, complain, print};
use super::Common;
use crate::clock::Clocks;
use crate::fleet::FleetStore;

/// Arguments of `grelot fleet acknowledge`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  grelot fleet acknowledge 42 door --note 'a new adapter arrives on Monday'

The gateway no longer makes `fleet status` exit with 1, until its troubles are others.")]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// The store's number
    store: u16,
    /// The gateway's name
    gateway: String,
    /// What is known of it
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
}

/// Runs the command.
///
/// # Errors
/// Where the database cannot be written.
pub fn run(_global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let mut store = FleetStore::open(args.common.state.clone())?;
    let Args { store: number, gateway, note, .. } = args;
    let now = Clocks::machine().now().clock.reading();
    if store.acknowledge(*number, gateway, note, now)? {
        print(&format!("the troubles of {number}/{gateway} are acknowledged"))?;
        return Ok(Exit::Done);
    }
    complain(&format!("grelot: {number}/{gateway} has no trouble, or never said anything"));
    Ok(Exit::Failed)
}
