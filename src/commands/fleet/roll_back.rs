//! `grelot fleet roll-back`: an earlier document's settings, under a new number.

use anyhow::Context as _;

use super::super::{Exit, Global};
use super::Common;
use super::push::{Head, Signing, enter, out, tell};
use crate::config::pushed;
use crate::fleet::FleetStore;

/// Arguments of `grelot fleet roll-back`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  grelot --config head-office.toml fleet roll-back 17 --key grelot.key

Serial numbers never go back: the settings of document 17 are pushed again to the same
gateways, under the next number, at once and without a ring.")]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// The number of the document, in `fleet history`
    serial: u64,
    #[command(flatten)]
    signing: Signing,
}

/// Runs the command.
///
/// # Errors
/// Where there is no such document, or no broker takes it.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let mut store = FleetStore::open(args.common.state.clone())?;
    let earlier = store.document(args.serial)?;
    let earlier = earlier.with_context(|| format!("there is no document {}", args.serial))?;
    let body = pushed::settings(&earlier.text).context("the document cannot be read")?;
    let note = format!("document {} again", args.serial);
    let head = Head::default();
    let document = enter(&mut store, &earlier.topic, &note, &head, &body, &args.signing)?;
    out(global, &document)?;
    tell(global, std::slice::from_ref(&document))?;
    Ok(Exit::Done)
}
