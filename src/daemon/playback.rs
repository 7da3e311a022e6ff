//! A replay source through the pipeline in virtual time: as fast as the machine can, and the same effects
//! every time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::pipeline::event::{GatewayIndex, Restored, Sighting, Start};
use crate::pipeline::identity::Registry;
use crate::pipeline::units::{Clock, Now, Tick, WallTime};
use crate::pipeline::{Effect, Gateway, Input, Pipeline, Settings};
use crate::sources::skipped::Skipped;
use crate::sources::{Advertisement, GroundTruth, RecordKind, ReplayError, ReplaySource};

/// Longer than the silence after which a customer who never came in is forgotten.
const UNTIL_FORGOTTEN: Duration = Duration::from_mins(3);

/// What happens in a playback, in the order of virtual time.
#[derive(Debug)]
pub enum PlaybackEvent {
    /// An effect of the pipeline.
    Effect(Effect),
    /// The ground truth about a customer.
    GroundTruth(GroundTruth, String),
    /// A line or frame of the replay source could not be read.
    Unreadable(ReplayError),
}

/// How a playback ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlaybackSummary {
    /// Advertisements that went through the pipeline.
    pub advertisements: u64,
    /// Lines or frames that could not be read.
    pub unreadable: u64,
    /// What was passed over without an error.
    pub skipped: Skipped,
    /// When the replay source ended.
    pub ended_at: Duration,
}

/// Plays `replay source` to its end, then lets time pass until the last open visit is closed and those
/// who never came in are forgotten. `settings`
/// name the replay source's gateways ([`with_gateways`]).
///
/// # Errors
/// The source cannot be read on; unreadable lines and frames are reported and passed over.
pub fn play(
    mut replay: Box<dyn ReplaySource>,
    settings: Settings,
    registry: Registry,
    mut tell: impl FnMut(Duration, PlaybackEvent),
) -> Result<PlaybackSummary, ReplayError> {
    let started_at = replay.started_at();
    let gateways = Gateways::of(&settings);
    let start = moment(started_at, Tick::ZERO);
    let (mut pipeline, effects) =
        Pipeline::new(settings, registry, Restored::default(), Start::Followed, start);
    for effect in effects {
        tell(Duration::ZERO, PlaybackEvent::Effect(effect));
    }
    let mut played = PlaybackSummary::default();
    for record in replay.by_ref() {
        let record = match record {
            Ok(record) => record,
            Err(fault @ ReplayError::Line { .. }) => {
                played.unreadable += 1;
                tell(played.ended_at, PlaybackEvent::Unreadable(fault));
                continue;
            }
            Err(fault) => return Err(fault),
        };
        played.ended_at = record.at;
        let tick = Tick::ZERO.plus(record.at);
        pass_time(&mut pipeline, started_at, |due| due < tick, &mut tell);
        match record.what {
            RecordKind::GroundTruth { word, client } => {
                tell(record.at, PlaybackEvent::GroundTruth(word, client));
            }
            RecordKind::Received(heard) => {
                played.advertisements += 1;
                let sighting = gateways.sighting(&heard);
                let now = moment(started_at, tick);
                for effect in pipeline.handle(now, Input::Advertisement(sighting)) {
                    tell(record.at, PlaybackEvent::Effect(effect));
                }
            }
        }
    }
    played.skipped = replay.skipped();
    let mut last = Tick::ZERO.plus(played.ended_at);
    while pipeline.open_visits().next().is_some() {
        let Some(next) = pipeline.next_deadline() else { break };
        last = last.max(next);
        pass_time(&mut pipeline, started_at, |due| due <= next, &mut tell);
    }
    // Only then is it known why a customer who never came in was not announced.
    let end = last.plus(UNTIL_FORGOTTEN);
    while pipeline.followed() > 0 {
        let Some(next) = pipeline.next_deadline().filter(|next| *next <= end) else { break };
        pass_time(&mut pipeline, started_at, |due| due <= next, &mut tell);
    }
    Ok(played)
}

fn pass_time(
    pipeline: &mut Pipeline,
    started_at: WallTime,
    is_due: impl Fn(Tick) -> bool,
    tell: &mut impl FnMut(Duration, PlaybackEvent),
) {
    while let Some(due) = pipeline.next_deadline().filter(|due| is_due(*due)) {
        for effect in pipeline.handle(moment(started_at, due), Input::Deadline) {
            tell(due.since(Tick::ZERO), PlaybackEvent::Effect(effect));
        }
    }
}

fn moment(started_at: WallTime, tick: Tick) -> Now {
    Now { tick, clock: Clock::Set(started_at.plus(tick.since(Tick::ZERO))) }
}

/// `settings` with the gateways a replay source names and the configuration does not.
pub fn with_gateways(mut settings: Settings, named: &[Arc<str>]) -> Settings {
    for name in named {
        let known = settings.gateways.iter().any(|gateway| gateway.name == **name);
        if !known && settings.gateways.len() < usize::from(u8::MAX) {
            settings.gateways.push(Gateway {
                name: name.to_string(),
                place: None,
                offset_db: 0.0,
                levels: None,
            });
        }
    }
    settings
}

/// From a gateway's name to its place in [`Settings::gateways`].
#[derive(Debug)]
pub struct Gateways {
    by_name: BTreeMap<Arc<str>, GatewayIndex>,
}

impl Gateways {
    pub fn of(settings: &Settings) -> Self {
        let by_name = settings
            .gateways
            .iter()
            .zip(0..=u8::MAX)
            .map(|(gateway, index)| (Arc::from(gateway.name.as_str()), GatewayIndex(index)))
            .collect();
        Self { by_name }
    }

    /// The place of the gateway of this name.
    pub fn index(&self, name: &str) -> Option<GatewayIndex> {
        self.by_name.get(name).copied()
    }

    /// The pipeline's input for an advertisement; an unknown gateway counts as this one.
    pub fn sighting<'a>(&self, heard: &'a Advertisement) -> Sighting<'a> {
        let named = heard.gateway.as_ref().and_then(|name| self.by_name.get(name));
        Sighting {
            gateway: named.copied().unwrap_or(GatewayIndex(0)),
            address: heard.address,
            rssi: heard.rssi,
            payload: &heard.payload,
        }
    }
}
