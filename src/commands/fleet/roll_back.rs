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

Serial numbers never go back: the settings of document 17 are pushed again, to all whom it was for,
under the next number, at once and without a ring.")]
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
    let mut store = FleetStore::open(&args.common.state)?;
    let earlier = store.document(args.serial)?;
    let earlier = earlier.with_context(|| format!("there is no document {}", args.serial))?;
    let body = settings(&earlier.text)?;
    let note = format!("document {} again", args.serial);
    let head = Head { ring: None, from: None };
    let document = enter(&mut store, &earlier.topic, &note, &head, &body, &args.signing)?;
    out(global, &document)?;
    tell(global, &document)?;
    Ok(Exit::Done)
}

/// A document's settings, without what it says of itself.
fn settings(text: &str) -> anyhow::Result<String> {
    let mut document: toml_edit::DocumentMut =
        pushed::signable(text).parse().context("the document cannot be read")?;
    document.remove("document");
    Ok(document.to_string().trim_start().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_settings_are_pushed_again() {
        let text = "[document]\nserial = 3\nring = 10\n\n# why\n[presence]\ndwell_secs = 4 # s\n\
                    # untrusted comment: x\n# y\n# trusted comment: z\n# w\n";
        assert_eq!(settings(text).unwrap(), "# why\n[presence]\ndwell_secs = 4 # s\n");
    }
}
