//! Runs grelot in two equivalent ways: its pipeline over a replay source, as `replay` runs it, and
//! its presence filter alone over a tape, which is fast enough to search settings.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use grelot::commands::score::{Event, EventKind, Fact, Score};
use grelot::config::registry::Reading as RegistryReading;
use grelot::daemon::playback::{self, PlaybackEvent};
use grelot::pipeline::event::{GatewayIndex, Start};
use grelot::pipeline::identity::{CustomerIndex, Identity, Registry};
use grelot::pipeline::presence::{Loudness, Presence, PresenceChange, PresenceEvent, Survey};
use grelot::pipeline::units::{Clock, Tick, WallTime};
use grelot::pipeline::{Effect, Gateway, Settings, policy, presence};
use grelot::sources::simulated::{Scene, Shop};
use grelot::sources::{GroundTruth, ReplaySource};

use super::scenes::{Layout, STORE, Setup};
use super::survey;
use super::tape::{Tape, Taped, moment};

/// 2026-01-05T09:00:00Z.
pub const STARTED_AT: WallTime = WallTime::from_unix_secs(1_767_603_600);

/// The settings of a shop: defaults, and the levels of its walk test.
pub fn settings(setup: &Setup, layout: &Layout) -> Settings {
    let levels = survey::levels(setup, layout);
    let gateways = setup.gateways.iter().zip(levels).map(|((name, place), levels)| Gateway {
        name: (*name).to_owned(),
        place: Some(*place),
        offset_db: 0.0,
        levels: Some(levels),
    });
    Settings {
        store: STORE,
        gateways: gateways.collect(),
        zones: setup.zones(),
        beacons: Vec::new(),
        presence: presence::Settings::default(),
        policy: policy::Settings::default(),
    }
}

/// Plays a scene through the pipeline, and records the contacts on a tape.
pub fn play_scene(scene: Scene, seed: u64, settings: &Settings) -> anyhow::Result<(Score, Tape)> {
    let shop = Shop::new(scene, seed, STARTED_AT);
    let registries = (registry(&shop)?, registry(&shop)?);
    play(shop, registries, settings)
}

/// Plays a replay source through the pipeline, as `replay` does. One registry is the pipeline's;
/// the tape identifies customers with the other.
pub fn play(
    replay: impl ReplaySource + 'static,
    (registry, of_tape): (Registry, Registry),
    settings: &Settings,
) -> anyhow::Result<(Score, Tape)> {
    let (replay, tape) = taped(replay, of_tape, settings);
    let mut events = Vec::new();
    playback::play(Box::new(replay), settings.clone(), registry, |at, told| {
        let (kind, visit) = match told {
            PlaybackEvent::Effect(Effect::Arrived { visit, .. }) => (EventKind::Arrival, visit),
            PlaybackEvent::Effect(Effect::Departed { visit, .. }) => (EventKind::Departure, visit),
            _ => return,
        };
        events.push(Event { at, kind, client: visit.client.to_string() });
    })?;
    let tape = taken(tape)?;
    Ok((score(&tape, events), tape))
}

fn taped<S: ReplaySource>(
    replay: S,
    registry: Registry,
    settings: &Settings,
) -> (Taped<S>, Arc<Mutex<Tape>>) {
    let now = moment(replay.started_at(), Tick::ZERO);
    let identity = Identity::new(settings.store, registry, now);
    let gateways = settings.gateways.iter().map(|gateway| Arc::from(gateway.name.as_str()));
    Taped::new(replay, identity, gateways.collect())
}

fn taken(tape: Arc<Mutex<Tape>>) -> anyhow::Result<Tape> {
    let tape = Arc::into_inner(tape).context("somebody still plays")?;
    tape.into_inner().ok().context("a player panicked")
}

fn registry(shop: &Shop) -> anyhow::Result<Registry> {
    let lines: Vec<_> = shop.registry_lines(2).collect();
    let reading = RegistryReading::new(STORE, Clock::Set(STARTED_AT));
    let path = std::path::Path::new("made-up");
    Ok(reading.load_from(lines.join("\n").as_bytes(), path)?.0)
}

/// Runs the presence filter over a tape.
pub fn judge(tape: &Tape, settings: &Settings) -> Score {
    judge_knowing(tape, settings, &mut Phones::new())
}

/// RSSI offsets of phones from earlier visits, by their owners' handles.
pub type Phones = BTreeMap<String, Loudness>;

/// As [`judge`], with `phones` known from earlier visits; the tape's visits update them.
pub fn judge_knowing(tape: &Tape, settings: &Settings, phones: &mut Phones) -> Score {
    let mut presence =
        Presence::new(settings.clone(), Survey::default(), Start::Followed, Tick::ZERO);
    for (who, client) in (0..).map(CustomerIndex).zip(&tape.clients) {
        if let Some(phone) = phones.get(client) {
            presence.recall(who, *phone, Tick::ZERO.plus(settings.presence.known_for));
        }
    }
    let mut events = Vec::new();
    let mut say = |at: Tick, event: PresenceEvent| {
        let client = tape.clients.get(event.who.0 as usize).cloned().unwrap_or_default();
        let kind = match event.what {
            PresenceChange::Arrived { .. } => EventKind::Arrival,
            PresenceChange::Departed { learned, .. } => {
                phones.extend(learned.map(|phone| (client.clone(), phone)));
                EventKind::Departure
            }
            _ => return,
        };
        events.push(Event { at: at.since(Tick::ZERO), kind, client });
    };
    let pass = |presence: &mut Presence, until: Tick, say: &mut dyn FnMut(Tick, PresenceEvent)| {
        while let Some(due) = presence.next_deadline().filter(|due| *due < until) {
            while let Some(event) = presence.expire(due) {
                say(due, event);
            }
        }
    };
    for contact in &tape.contacts {
        let now = contact.at();
        pass(&mut presence, now, &mut say);
        let gateway = GatewayIndex(contact.gateway);
        let who = CustomerIndex(contact.customer.into());
        let event = presence.hear(who, now, gateway, contact.rssi(), contact.echo(), false);
        if let Some(event) = event {
            say(now, event);
        }
    }
    let end = Tick::ZERO.plus(tape.ended_at + settings.presence.longest_visit);
    pass(&mut presence, end, &mut say);
    score(tape, events)
}

/// Scores the events of a tape. Departures after its end do not count: the silence there is the
/// tape's.
pub fn score(tape: &Tape, mut events: Vec<Event>) -> Score {
    let left = |client: &str| {
        let last = tape.facts.iter().rev().find(|fact: &&Fact| fact.client == client);
        last.is_some_and(|fact| fact.word == GroundTruth::Leave)
    };
    events.retain(|event| event.at <= tape.ended_at || left(&event.client));
    events.sort_by_key(|event: &Event| event.at);
    Score::of(&tape.facts, &events)
}
