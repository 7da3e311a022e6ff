//! A walk that was recorded: with marks in the recording, or with spans named.

use std::io::BufRead as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::walk::{Stand, Step};
use crate::config::Config;
use crate::config::registry::Reading;
use crate::daemon::playback::{self, Gateways};
use crate::pipeline::Now;
use crate::pipeline::identity::{Identity, Registry};
use crate::pipeline::units::{Clock, Tick};
use crate::sources::{self, RecordKind, ReplayError};

/// Where the person stood when, in seconds since the recording's start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    pub stand: Stand,
    /// Seconds, inclusive.
    pub from: f64,
    /// Seconds, exclusive.
    pub until: f64,
}

/// `0-20`
///
/// # Errors
/// The text is no span of seconds.
pub fn seconds(text: &str) -> Result<(f64, f64), String> {
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|s| (0.0..1e9).contains(s));
    match text.split_once('-').map(|(from, until)| (number(from), number(until))) {
        Some((Some(from), Some(until))) if from < until => Ok((from, until)),
        _ => Err("seconds of the recording, such as 0-20".to_owned()),
    }
}

/// The marks that a recording of our own has: `{"t":12.3,"walk":"door"}` from then on; any other
/// word ends the stand.
///
/// # Errors
/// The file cannot be read, or has no marks.
pub fn marks(path: &Path) -> anyhow::Result<Vec<Span>> {
    #[derive(Deserialize)]
    struct Mark {
        t: f64,
        walk: String,
    }
    let mut spans: Vec<Span> = Vec::new();
    let reading = || format!("cannot read {}", path.display());
    // Recordings are compressed as registries are.
    for line in crate::config::registry::open(path).with_context(reading)?.split(b'\n') {
        let line = line.with_context(reading)?;
        let Ok(Mark { t, walk }) = serde_json::from_slice(&line) else { continue };
        if let Some(open) = spans.last_mut().filter(|span| span.until.is_infinite()) {
            open.until = t;
        }
        let stand = Stand::of_word(&walk);
        spans.extend(stand.map(|stand| Span { stand, from: t, until: f64::INFINITY }));
    }
    Ok(spans)
}

/// What `gateway` received of the walk in the recording at `path`.
///
/// # Errors
/// The recording cannot be read, or has no such gateway.
pub fn read(
    path: &Path,
    spans: &[Span],
    config: &Config,
    gateway: Option<&str>,
) -> anyhow::Result<(String, Vec<Step>)> {
    let reading = || format!("cannot read {}", path.display());
    let replay = sources::open(path).with_context(reading)?;
    let started_at = replay.started_at();
    let gateway = which(gateway, config, replay.gateways())?;
    let moment =
        |tick: Tick| Now { tick, clock: Clock::Set(started_at.plus(tick.since(Tick::ZERO))) };
    let mut identity = Identity::new(
        config.store.id,
        customers(config, Clock::Set(started_at))?,
        moment(Tick::ZERO),
    );
    let gateways = Gateways::of(&playback::with_gateways(config.settings(), replay.gateways()));
    let mut steps = Vec::new();
    for record in replay {
        let record = match record {
            Err(ReplayError::Line { .. }) => continue,
            other => other.with_context(reading)?,
        };
        let RecordKind::Received(heard) = record.what else { continue };
        let by = heard.gateway.as_deref().unwrap_or(&config.gateway);
        let t = record.at.as_secs_f64();
        let span = spans.iter().find(|span| (span.from..span.until).contains(&t));
        let (Some(span), true) = (span, by == gateway) else { continue };
        let tick = Tick::ZERO.plus(record.at);
        while let Some(due) = identity.next_deadline().filter(|due| *due < tick) {
            identity.advance(moment(due));
        }
        let who = identity.identify(moment(tick), &gateways.sighting(&heard));
        let customer = who.and_then(|who| identity.customer(who.customer));
        let client = customer.map(|customer| customer.client.to_string());
        let echo = who.and_then(|who| who.echo);
        let at = record.at.saturating_sub(Duration::from_secs_f64(span.from));
        steps.push(Step { at, stand: span.stand, heard, client, echo });
    }
    Ok((gateway, steps))
}

/// The customers who can be recognised; none without a registry.
///
/// # Errors
/// The registry cannot be loaded.
pub fn customers(config: &Config, clock: Clock) -> anyhow::Result<Registry> {
    let Some(path) = &config.registry else { return Ok(Registry::default()) };
    let (registry, _) = Reading::new(config.store.id, clock).keeping_every_day().load(path)?;
    Ok(registry)
}

/// The gateway whose levels are measured: named, this one, or the recording's only one.
fn which(
    wanted: Option<&str>,
    config: &Config,
    recorded: &[std::sync::Arc<str>],
) -> anyhow::Result<String> {
    let name = wanted.unwrap_or(&config.gateway);
    let known = recorded.iter().any(|gateway| **gateway == *name);
    match recorded {
        _ if known || recorded.is_empty() => Ok(name.to_owned()),
        [only] if wanted.is_none() => Ok(only.to_string()),
        _ => {
            bail!("{name} is not a gateway of the recording\n  hint: --gateway {}", {
                recorded.join(" or --gateway ")
            })
        }
    }
}
