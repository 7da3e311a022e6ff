//! Recordings, captures and simulated shops of the configuration, recorded in their own time: a
//! capture becomes a recording, and a raw recording one without strangers.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::{Args, Recorder, Started};
use crate::commands::scan::Who;
use crate::commands::{Exit, complain};
use crate::config::{Config, Source};
use crate::daemon::source_set::SourceSet;
use crate::pipeline::Now;
use crate::pipeline::units::{Clock, Tick};

/// Whether `config` has nothing to receive live, but something to replay.
pub fn is_meant(config: &Config) -> bool {
    let replayed =
        |source: &Source| matches!(source, Source::Recording { .. } | Source::Simulated { .. });
    let other = |source: &Source| !replayed(source) && !matches!(source, Source::Mqtt);
    config.sources.iter().any(replayed) && !config.sources.iter().any(other)
}

/// Writes the recording.
///
/// # Errors
/// A source cannot be opened, a simulated shop has no end, or the recording cannot be written.
pub fn record(config: &Config, args: &Args) -> anyhow::Result<Exit> {
    let length = args.radio.length();
    for source in &config.sources {
        match source {
            Source::Simulated { .. } => {
                ensure!(length.is_some(), "a simulated shop has no end\n  hint: --for SECONDS");
            }
            Source::Recording { path, .. } => {
                let same = fs::canonicalize(path).ok().zip(fs::canonicalize(&args.file).ok());
                if same.is_some_and(|(from, to)| from == to) {
                    bail!("{} is what is to be recorded", path.display());
                }
            }
            Source::Live(_) | Source::Mqtt => {}
        }
    }
    let mut sources = SourceSet::open(config)?;
    let started_at = sources.pace.context("nothing to record")?.started_at;
    let moment =
        |at: Duration| Now { tick: Tick::ZERO.plus(at), clock: Clock::Set(started_at.plus(at)) };
    let began = moment(Duration::ZERO);
    let who = match sources.registry.take() {
        Some((registry, _)) => Who::with(config.store.id, registry, began),
        None => Who::of(Some(config), began),
    };
    let gateways = sources.gateways.clone();
    let mut recorder = Recorder::create(Some(config), args, Started { began, who, gateways })?;
    let until = length.unwrap_or(Duration::MAX);
    while let Some((at, _, what)) = sources.replays.pop(until) {
        recorder.write(moment(at), what)?;
    }
    let unreadable = sources.replays.unreadable();
    if unreadable > 0 {
        complain(&format!("grelot: {unreadable} lines or frames could not be read"));
    }
    let exit = recorder.finish(args)?;
    Ok(if unreadable > 0 { Exit::Failed } else { exit })
}
