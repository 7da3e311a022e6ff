//! The sources of a configuration: replay sources with their pace, and live sources.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::registry;
use super::replay_sources::{Pace, ReplaySources};
use crate::clock::Clocks;
use crate::config::registry::Reading;
use crate::config::{Config, Source};
use crate::payload::RegistryHealth;
use crate::pipeline::event::{Away, Hearing, Start};
use crate::pipeline::identity::Registry;
use crate::pipeline::units::Clock;
use crate::sources::live::{self, SourceEvent};
use crate::sources::simulated::{Scene, Shop};
use crate::sources::{self, ReplaySource};
use crate::tasks::{self, Task};
use crate::telemetry::health::SourceHealth;

/// After a shorter break no arrival was missed: a customer who is received and was not here has
/// just arrived.
const SHORT_BREAK: Duration = Duration::from_mins(3);
/// Batches that the event loop has not taken yet; a radio's own queue drops the oldest.
pub const RADIO_BATCHES: usize = 4;
/// A simulated shop, sped up, can run for this many days.
const SIMULATED_DAYS: u32 = 60;

/// All sources of the configuration, opened.
pub struct SourceSet {
    /// Recordings and simulated shops.
    pub replays: ReplaySources,
    /// The clock that replay sources bring along.
    pub pace: Option<Pace>,
    /// One for each `[[source]]`.
    pub health: Vec<SourceHealth>,
    /// Gateways that replay sources name.
    pub gateways: Vec<Arc<str>>,
    /// Customers that a simulated shop brings along.
    pub registry: Option<(Registry, RegistryHealth)>,
}

impl SourceSet {
    /// Opens recordings and simulated shops, and names all sources.
    ///
    /// # Errors
    /// A recording cannot be opened.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let mut source_set = Self {
            replays: ReplaySources::default(),
            pace: None,
            health: Vec::new(),
            gateways: Vec::new(),
            registry: None,
        };
        for (place, source) in config.sources.iter().enumerate() {
            let name = source_name(source);
            let mut health = SourceHealth::new(name.clone());
            let opened: Option<(Box<dyn ReplaySource>, f64)> = match source {
                Source::Recording { path, speed } => {
                    let replay =
                        sources::open(path).with_context(|| format!("cannot open {name}"))?;
                    Some((replay, *speed))
                }
                Source::Simulated { seed, speed } => {
                    let shop = simulated_shop(config, *seed);
                    if config.registry.is_none() {
                        source_set.registry = Some(made_up_customers(&shop, config.store.id)?);
                    }
                    Some((Box::new(shop), *speed))
                }
                Source::Live(_) => None,
                Source::Mqtt => {
                    health.note = Some("no other gateway is there".to_owned());
                    None
                }
            };
            if let Some((replay, speed)) = opened {
                health.hearing = Hearing::Listening;
                let started_at = replay.started_at();
                source_set.pace.get_or_insert(Pace { started_at, speed });
                source_set.gateways.extend(replay.gateways().iter().cloned());
                source_set.replays.add(place, replay);
            }
            source_set.health.push(health);
        }
        Ok(source_set)
    }
}

/// A shop whose gateways and beacons stand where the configuration says, opened now.
fn simulated_shop(config: &Config, seed: u64) -> Shop {
    let own = (config.gateway.as_str(), config.store.gateways.get(&config.gateway).copied());
    let others = config.store.gateways.iter().filter(|(name, _)| **name != config.gateway);
    let others = others.map(|(name, place)| (name.as_str(), Some(*place)));
    let gateways: Vec<_> = std::iter::once(own).chain(others).collect();
    let scene = Scene::daily(config.store.id, &gateways, &config.store.zones);
    Shop::new(scene, seed, Clocks::machine().now().clock.reading())
}

/// The registry of a simulated shop, loaded as every registry is.
fn made_up_customers(shop: &Shop, store: u16) -> anyhow::Result<(Registry, RegistryHealth)> {
    let lines = shop.registry_lines(SIMULATED_DAYS).collect::<Vec<_>>().join("\n");
    let reading = Reading::new(store, Clock::Set(shop.started_at())).keeping_every_day();
    let (registry, report) = reading.load_from(lines.as_bytes(), Path::new("simulated shop"))?;
    Ok((registry, registry::health(&report, None)))
}

fn source_name(source: &Source) -> String {
    match source {
        Source::Live(settings) => settings.name(),
        Source::Recording { path, .. } => format!("recording {}", path.display()),
        Source::Simulated { seed, .. } => format!("simulated shop {seed}"),
        Source::Mqtt => "mqtt".to_owned(),
    }
}

/// A replay source begins at its beginning; the live radio begins while customers are in the shop,
/// unless grelot was away for a moment only.
pub fn is_followed(config: &Config, away: Away) -> Start {
    let live =
        |source: &Source| !matches!(source, Source::Recording { .. } | Source::Simulated { .. });
    if !config.sources.iter().any(live) {
        return Start::Followed;
    }
    if away.is_within(SHORT_BREAK) { Start::Followed } else { Start::Unfollowed }
}

/// Two tasks for every live source: one receives, one adds which source it was.
pub fn start_radios(
    config: &Config,
    clocks: &Clocks,
    events: &mpsc::Sender<(usize, SourceEvent)>,
    stop: &CancellationToken,
) -> Vec<Task<()>> {
    let mut started = Vec::new();
    for (place, source) in config.sources.iter().enumerate() {
        let (sender, mut received) = mpsc::channel(RADIO_BATCHES);
        let Source::Live(settings) = source else { continue };
        let settings = live::Settings { wake_up: config.wake_up, ..settings.clone() };
        let receiving = settings.open(clocks).run(sender, stop.clone());
        started.push(tasks::spawn(settings.kind.word, receiving));
        let events = events.clone();
        started.push(tasks::spawn("radio-source", async move {
            while let Some(event) = received.recv().await {
                if events.send((place, event)).await.is_err() {
                    break;
                }
            }
        }));
    }
    started
}
