//! `grelot replay`: recordings through the same pipeline, in virtual time.

mod difference;
mod events;
mod reading;
mod score_input;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::score::{Delays, Line, Score};
use super::{Exit, Global, print};
use crate::config::registry::Reading;
use crate::config::{self, Config};
use crate::daemon::playback::{self, PlaybackEvent};
use crate::pipeline::Settings;
use crate::pipeline::identity::Registry;
use crate::pipeline::units::Clock;
use crate::sources;
use events::Event;
pub use score_input::ScoreInput;

/// Arguments of `grelot replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    grelot --config shop.toml replay monday.jsonl.zst\n  \
    grelot --config shop.toml replay --score *.jsonl\n  \
    grelot --config shop.toml replay monday.jsonl --diff quieter.toml\n\n\
    Reads recordings (.jsonl, .jsonl.zst), btsnoop (btmon -w), pcap and pcapng.\n\
    The same input always prints the same output. Standard error says how much was read, and\n    \
    what was skipped and why; the exit code is 1 where a line could not be read, or nothing was.")]
pub struct Args {
    /// Recordings or captures
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Registry, instead of the configuration's
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
    /// Prints a last line that compares with the recordings' truth
    #[arg(long)]
    score: bool,
    /// Prints only what another configuration would change
    #[arg(long, value_name = "CONFIG", conflicts_with = "score")]
    diff: Option<PathBuf>,
    /// Explains why a customer was, or was not, announced
    #[arg(long)]
    explain: bool,
}

/// Runs the command.
///
/// # Errors
/// A configuration is wrong, or a recording or its registry cannot be read.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let config = config::load_for_replay(&global.config)?;
    if let Some(other) = &args.diff {
        let other = config::load_for_replay(other)?;
        return difference::run(global, args, &config, &other);
    }
    let mut score = Score::default();
    let mut exit = Exit::Done;
    for file in &args.files {
        let mut printed = Ok(());
        let mut score_input = ScoreInput::default();
        let outcome = play(file, &config, args, |at, settings, played| {
            if let PlaybackEvent::Unreadable(fault) = &played {
                super::complain(&format!("{}: {fault}", file.display()));
            }
            score_input.note(at, &played);
            let event = match &played {
                PlaybackEvent::Effect(effect) => Event::of(at, effect, settings, args.explain),
                PlaybackEvent::GroundTruth(..) | PlaybackEvent::Unreadable(_) => None,
            };
            if let (Some(event), Ok(())) = (event, &printed) {
                printed = print(&if global.json { event.json() } else { event.line() });
            }
        })?;
        printed?;
        score.absorb(score_input.score(outcome.ended_at));
        exit = exit.max(reading::report(global, file, &outcome));
    }
    if args.score {
        let line = score.line();
        print(&if global.json {
            serde_json::json!({ "score": line }).to_string()
        } else {
            table(&line)
        })?;
    }
    Ok(exit)
}

/// Plays one file with the customers of `config` or of `--registry`.
fn play(
    file: &Path,
    config: &Config,
    args: &Args,
    mut report: impl FnMut(Duration, &Settings, PlaybackEvent),
) -> anyhow::Result<playback::PlaybackSummary> {
    let name = || format!("cannot replay {}", file.display());
    let replay = sources::open(file).with_context(name)?;
    if let Some(store) = replay.store().filter(|store| *store != config.store.id) {
        let here = config.store.id;
        super::complain(&format!(
            "{}: recorded in store {store}, replayed as store {here}: its tokens are not valid here",
            file.display()
        ));
    }
    let path = args.registry.as_deref().or(config.registry.as_deref());
    let registry = match path {
        None => Registry::default(),
        Some(path) => {
            let clock = Clock::Set(replay.started_at());
            let reading = Reading::new(config.store.id, clock).keeping_every_day();
            let (registry, report) = reading.load(path)?;
            for refusal in &report.refusals {
                super::complain(&format!("{}: {refusal}", path.display()));
            }
            registry
        }
    };
    let settings = playback::with_gateways(config.settings(), replay.gateways());
    let report = |at, played| report(at, &settings, played);
    playback::play(replay, settings.clone(), registry, report).with_context(name)
}

fn table(score: &Line) -> String {
    let seconds =
        |delay: Option<f64>| delay.map_or("–".to_owned(), |delay| format!("{delay:.1} s"));
    let delays = |delays: &Delays| {
        format!("median {}, 95th percentile {}", seconds(delays.p50), seconds(delays.p95))
    };
    let kinds = &score.false_by_kind;
    format!(
        "\nvisits              {}\nfound               {}  ({} within 10 s, {} within 60 s)\n\
        false arrivals      {}  (passing by {}, again {}, inside already {}, too early {}, other {})\n\
        false departures    {}\narrival delay       {}\ndeparture delay     {}",
        score.visits,
        score.found,
        score.found_within_s.ten,
        score.found_within_s.sixty,
        score.false_arrivals,
        kinds.pass,
        kinds.flap,
        kinds.restart,
        kinds.early,
        kinds.other,
        score.false_departures,
        delays(&score.arrival_delay_s),
        delays(&score.departure_delay_s),
    )
}
