//! `grelot fleet shadow`: settings that run beside those in force, and what they would change.

use std::path::PathBuf;

use anyhow::Context as _;

use super::super::{Exit, Global, print};
use super::Common;
use super::push::{Head, Signing, Target, enter, out, share, tell};
use crate::config::pushed;
use crate::fleet::{Document, FleetStore};
use crate::payload::ShadowKind;
use crate::text::displayable;

/// Arguments of `grelot fleet shadow`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot --config head-office.toml fleet shadow tuned.toml --key grelot.key
  grelot --config head-office.toml fleet shadow tuned.toml --group west --ring 20
  grelot fleet shadow --results

The settings alert no one. Each gateway reports every hour, over its line to head office, what they would have
changed on what it received. The next document of the same topic ends it.")]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// A TOML file with the tables presence and policy
    #[arg(required_unless_present = "results")]
    file: Option<PathBuf>,
    #[command(flatten)]
    target: Target,
    /// The share of stores, in per cent
    #[arg(long, value_name = "PERCENT", value_parser = share, conflicts_with_all = ["store", "gateway"])]
    ring: Option<f64>,
    #[command(flatten)]
    signing: Signing,
    /// Shows what candidates would have changed
    #[arg(long, conflicts_with_all = ["file", "ring", "key"])]
    results: bool,
}

/// Runs the command.
///
/// # Errors
/// Where the settings are wrong, the database cannot be used, or no broker takes them.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let mut store = FleetStore::open(args.common.state.clone())?;
    let Some(file) = &args.file else { return results(global, &mut store) };
    let text =
        std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let targets = std::slice::from_ref(&args.target);
    let opened = enter_all(&mut store, &text, targets, args.ring, &args.signing)?;
    opened.iter().try_for_each(|document| out(global, document))?;
    tell(global, &opened)?;
    Ok(Exit::Done)
}

/// Opens the shadow of settings at all of `targets`.
///
/// # Errors
/// Where the settings are wrong, the database cannot be used, or no broker takes them.
pub(in crate::commands) fn open(
    global: &Global,
    store: &mut FleetStore,
    text: &str,
    targets: &[Target],
    signing: &Signing,
) -> anyhow::Result<Vec<Document>> {
    let opened = enter_all(store, text, targets, None, signing)?;
    tell(global, &opened)?;
    Ok(opened)
}

fn enter_all(
    store: &mut FleetStore,
    text: &str,
    targets: &[Target],
    ring: Option<f64>,
    signing: &Signing,
) -> anyhow::Result<Vec<Document>> {
    let head = Head { ring, shadow: true, ..Head::default() };
    let body = pushed::signable(text);
    let enter = |target: &Target| {
        enter(store, &target.checked(text)?, "in the shadow", &head, &body, signing)
    };
    targets.iter().map(enter).collect()
}

fn results(global: &Global, store: &mut FleetStore) -> anyhow::Result<Exit> {
    for result in store.shadows()? {
        if global.json {
            print(&serde_json::to_string(&result)?)?;
            continue;
        }
        print(&format!(
            "document {}, {} stores: {} arrivals the same, {} more, {} fewer, {} sooner, {} later, \
             {} otherwise",
            result.serial,
            result.stores,
            result.same,
            result.more,
            result.fewer,
            result.sooner,
            result.later,
            result.otherwise,
        ))?;
        for change in &result.changes {
            let by = change.by_s.abs();
            let how = match change.kind {
                ShadowKind::More => "more".to_owned(),
                ShadowKind::Fewer => "fewer".to_owned(),
                ShadowKind::Sooner => format!("{by} s sooner"),
                ShadowKind::Later => format!("{by} s later"),
                ShadowKind::Otherwise => "otherwise".to_owned(),
            };
            print(&format!("  {how:<14} {}", displayable(&change.because)))?;
        }
    }
    Ok(Exit::Done)
}
