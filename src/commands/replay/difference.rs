//! `grelot replay --diff`: what another configuration would change.

use std::path::Path;

use super::events::{Event, Word};
use super::{Args, play, reading};
use crate::commands::{Exit, Global, print};
use crate::config::Config;
use crate::daemon::differences::{Arrival, Difference, Differences};
use crate::daemon::playback::{PlaybackEvent, PlaybackSummary};

impl Arrival for Event {
    fn client(&self) -> &str {
        &self.client
    }

    fn seconds(&self) -> f64 {
        self.t
    }
}

/// Prints arrivals that only one of the two configurations announces, and those whose moment or
/// alert differs.
///
/// # Errors
/// A file cannot be replayed.
pub fn run(global: &Global, args: &Args, now: &Config, other: &Config) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    for file in &args.files {
        let (before, played) = arrivals(file, now, args)?;
        exit = exit.max(reading::report(global, file, &played));
        let (after, _) = arrivals(file, other, args)?;
        let mut differences = Differences::default();
        for was in before {
            differences.add_before(was);
        }
        for is in after {
            differences.add_after(is);
        }
        for difference in differences.settled(f64::INFINITY) {
            match difference {
                Difference::Same => {}
                Difference::Lost(was) => show(global, "lost", &was, None)?,
                Difference::Changed { was, is } => show(global, "changed", &was, Some(&is))?,
                Difference::New(is) => show(global, "new", &is, None)?,
            }
        }
    }
    Ok(exit)
}

fn arrivals(
    file: &Path,
    config: &Config,
    args: &Args,
) -> anyhow::Result<(Vec<Event>, PlaybackSummary)> {
    let mut arrivals = Vec::new();
    let played = play(file, config, args, |at, settings, event| {
        if let PlaybackEvent::Effect(effect) = &event {
            let event = Event::of(at, effect, settings, false);
            arrivals.extend(event.filter(|event| event.event == Word::Arrival));
        }
    })?;
    Ok((arrivals, played))
}

fn show(global: &Global, what: &str, event: &Event, becomes: Option<&Event>) -> anyhow::Result<()> {
    if global.json {
        let line = serde_json::json!({ "diff": what, "was": event, "is": becomes });
        return print(&line.to_string());
    }
    let mut line = format!("{what:<8}{}", event.line());
    if let Some(becomes) = becomes {
        line += &format!("\n     now{}", becomes.line());
    }
    print(&line)
}
