//! `grelot fleet status`: every gateway.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::{Exit, Global, print};
use super::Common;
use crate::clock::Clocks;
use crate::fleet::{Condition, FleetStore, GatewayOverview};
use crate::payload::DocumentState;
use crate::text::displayable;

/// Arguments of `grelot fleet status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot fleet status
  grelot fleet status --attention --sort seen
  grelot fleet status --condition blind --condition silent --json
  grelot fleet status --watch 5

Shows what `grelot fleet serve` has written into the database. Exit code 1 while a gateway needs
attention: it is offline, silent for three minutes, blind, warns, refuses settings, or has not
acknowledged a withdrawal; and no person has acknowledged exactly that.")]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Of this store alone
    #[arg(long, value_name = "NUMBER")]
    store: Option<u16>,
    /// In this condition alone: offline, silent, blind, warns, well; may be repeated
    #[arg(long)]
    condition: Vec<Condition>,
    /// Only gateways that need attention
    #[arg(long)]
    attention: bool,
    /// How the list is ordered
    #[arg(long, value_enum, default_value_t = Sort::Condition)]
    sort: Sort,
    /// Shows it again, at these intervals, until interrupted
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    /// The worst first
    Condition,
    /// By store and name
    Store,
    /// The longest silent first
    Seen,
}

/// Runs the command.
///
/// # Errors
/// Where the database cannot be read.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let mut store = FleetStore::open(args.common.state.clone())?;
    loop {
        let all = store.overview(Clocks::machine().now().clock.reading())?;
        let shown = shown(args, &all);
        let text = if global.json { json(&shown)? } else { view(&all, &shown) };
        let Some(seconds) = args.watch else {
            print(text.trim_end())?;
            let attention = shown.iter().any(|gateway| gateway.needs_attention());
            return Ok(if attention { Exit::Failed } else { Exit::Done });
        };
        // Clears the terminal, and begins at its top.
        let clear = if global.json { "" } else { "\x1b[H\x1b[2J" };
        print(&format!("{clear}{}", text.trim_end()))?;
        std::thread::sleep(Duration::from_secs(seconds));
    }
}

fn shown<'a>(args: &Args, all: &'a [GatewayOverview]) -> Vec<&'a GatewayOverview> {
    let wanted = |gateway: &&GatewayOverview| {
        args.store.is_none_or(|store| gateway.store == store)
            && (args.condition.is_empty() || args.condition.contains(&gateway.condition))
            && (!args.attention || gateway.needs_attention())
    };
    let mut shown: Vec<&GatewayOverview> = all.iter().filter(wanted).collect();
    match args.sort {
        Sort::Store => {}
        Sort::Condition => shown.sort_by_key(|one| (!one.needs_attention(), one.condition)),
        Sort::Seen => shown.sort_by(|a, b| a.seen_at.cmp(&b.seen_at)),
    }
    shown
}

fn json(shown: &[&GatewayOverview]) -> anyhow::Result<String> {
    let lines: Result<Vec<String>, _> = shown.iter().map(serde_json::to_string).collect();
    Ok(lines?.join("\n"))
}

fn view(all: &[GatewayOverview], shown: &[&GatewayOverview]) -> String {
    let count = |condition| all.iter().filter(|gateway| gateway.condition == condition).count();
    let counts = Condition::ALL.map(|condition| format!("{} {condition}", count(condition)));
    let attention = all.iter().filter(|gateway| gateway.needs_attention()).count();
    let mut text =
        format!("{} gateways: {}; {attention} need attention\n", all.len(), counts.join(", "));
    for gateway in shown {
        let name = format!("{}/{}", gateway.store, displayable(&gateway.gateway));
        let version = gateway.version.as_deref().unwrap_or("-");
        let _ = writeln!(
            text,
            "{name:<20} {:<8} {:<20} {:<9} {}",
            gateway.condition.word(),
            gateway.seen_at.split('.').next().unwrap_or_default().trim_end_matches('Z'),
            displayable(version),
            documents(gateway),
        );
        for trouble in &gateway.troubles {
            let _ = writeln!(text, "{:<20}   {}", "", displayable(trouble));
        }
        if let Some(note) = &gateway.acknowledged {
            let _ = writeln!(text, "{:<20}   known: {}", "", displayable(note));
        }
    }
    text
}

fn documents(gateway: &GatewayOverview) -> String {
    let each = gateway.documents.iter().map(|document| {
        let serial = document.serial.map_or("-".to_owned(), |serial| serial.to_string());
        let state = match document.state {
            DocumentState::InForce => "",
            DocumentState::Waits => " waits",
            DocumentState::OtherStores => " not here",
            DocumentState::FellBack => " taken back",
            DocumentState::Shadow => " in the shadow",
        };
        format!("{} {serial}{state}", displayable(&document.reach))
    });
    each.collect::<Vec<_>>().join(", ")
}
