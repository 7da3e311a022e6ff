//! From a checked configuration to a running daemon, and back to nothing.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::clock::Clocks;
use super::delivery::Delivery;
use super::event_loop::{Ears, Ended, EventLoop};
use super::head_office::HeadOffice;
use super::playback::{Gateways, with_gateways};
use super::registry::{self, Intake};
use super::scripts::{Pace, Scripts};
use super::tasks::{self, Task};
use super::{labels, status, systemd};
use crate::config::registry::Reading;
use crate::config::{BrokerLocation, BrokerUrl, Config, Secret, Source};
use crate::mqtt::broker::EmbeddedBroker;
use crate::mqtt::client::Peer;
use crate::mqtt::login::Login;
use crate::mqtt::payload::{self, GatewayState, RegistryHealth, Status};
use crate::mqtt::topics::{Addressee, Topics};
use crate::mqtt::{Identity, tls};
use crate::pipeline::Pipeline;
use crate::pipeline::event::{Hearing, Start};
use crate::pipeline::identity::Registry;
use crate::pipeline::units::{Clock, Now};
use crate::sources::bluez::{self, Hci, Radio, RadioEvent};
use crate::sources::h4;
use crate::sources::simulated::{Scene, Shop};
use crate::sources::{self, Script};
use crate::store::Store;
use crate::tablets::{BrokerAccess, Pairing, Running, Server, StoreLabel, TabletsConfig, TlsFiles};
use crate::telemetry::health::{Health, SourceHealth};

/// After a shorter break nobody was missed: whoever is heard and was not here has just arrived.
const SHORT_BREAK: Duration = Duration::from_secs(180);
/// Batches of the radio that the event loop has not taken yet; the radio's own queue sheds.
const RADIO_BATCHES: usize = 4;
/// A simulated shop can run on, sped up, for so many days.
const SIMULATED_DAYS: u32 = 60;
/// Tasks end on their own once they are told to.
const END: Duration = Duration::from_secs(5);

/// A daemon that is ready to run.
pub struct Daemon {
    event_loop: EventLoop,
    ears: Ears,
    stop: CancellationToken,
    broker: Option<EmbeddedBroker>,
    tablets: Option<Running>,
    login: Option<Login>,
    tasks: Vec<Task<()>>,
}

/// What is heard and at which pace.
struct Sounds {
    scripts: Scripts,
    pace: Option<Pace>,
    health: Vec<SourceHealth>,
    /// Gateways that scripts name.
    gateways: Vec<Arc<str>>,
    /// Customers that a simulated shop brings along.
    registry: Option<(Registry, RegistryHealth)>,
}

impl Daemon {
    /// Starts everything `config` asks for; `config_file` is where it came from, for people.
    pub async fn start(
        config: Config,
        config_file: String,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let mut store = Store::open(&config.state)?;
        store.keep_audit(config.bundles.audit);
        let mut tasks = Vec::new();
        let (ask, questions) = mpsc::channel(4);
        tasks.push(serve_status(&config, ask, &stop)?);

        let mut sounds = open_sources(&config)?;
        let clocks = match sounds.pace {
            Some(pace) => Clocks::paced(pace.started_at, pace.speed),
            None => Clocks::machine(),
        };
        let now = clocks.now();
        let settings = with_gateways(config.settings(), &sounds.gateways);
        let restored = store.restored(&settings, now.clock.reading())?;
        let followed = is_followed(&config, &store, now)?;

        let (broker, login, urls) = open_broker(&config).await?;
        let secure = urls.iter().any(|url| url.tls);
        let tls = if secure { Some(tls::client(&config.tls)?) } else { None };
        let here = Addressee {
            topics: Topics::of(config.store.id),
            gateway: config.gateway.clone(),
            group: config.store.group.clone(),
        };
        let identity = Identity {
            client_id: format!("grelot-{}-{}", config.store.id, config.gateway),
            login: login.clone().map(|login| (login.username, login.password)),
            tls,
        };
        let peer = Peer { brokers: urls, identity, here };
        let beside = BrokerAccess::beside(&peer);
        let head_office = HeadOffice::new(&config);
        let health = Health::new(now, std::mem::take(&mut sounds.health));
        let status = first_status(&health, &head_office, now);
        let (delivery, inbound) =
            Delivery::start(store, &restored, peer, &settings, status, clocks.clone())?;

        tasks.push(serve_labels(&config, &delivery, &stop)?);

        let tablets = match &config.tablets {
            None => None,
            Some(tablets) => {
                let tablets = tablets_config(&config, tablets.listen, beside);
                Some(Server::start(tablets, clocks.clone(), stop.clone()).await?)
            }
        };

        let (registry, registry_health, intake) = match sounds.registry.take() {
            Some((simulated, health)) => (simulated, health, None),
            None => {
                let (intake, registry, health) =
                    Intake::begin(&config, &clocks, &restored.withdrawn)?;
                (registry, health, Some(intake))
            }
        };
        let (pipeline, effects) = Pipeline::new(settings, registry, restored, followed, now);
        delivery.perform(pipeline.settings(), now, &effects).await;
        delivery.heartbeat(pipeline.settings(), now).await;

        let (radio_events, radio) = mpsc::channel(RADIO_BATCHES);
        tasks.extend(start_radios(&config, &clocks, &radio_events, &stop));
        drop(radio_events);
        let (found, registries) = mpsc::channel(1);
        let (intake_hints, hints) = mpsc::channel(registry::HINTS);
        let intake = intake.map(|intake| intake.run(found, hints, stop.clone()));
        tasks.extend(intake.map(|intake| tasks::spawn("registry", intake)));
        let gateways = Gateways::of(pipeline.settings());
        let event_loop = EventLoop {
            config,
            config_file,
            clocks,
            pace: sounds.pace,
            pipeline,
            gateways,
            named: sounds.gateways,
            delivery,
            head_office,
            intake_hints,
            health: Health { registry: registry_health, ..health },
            blind_because: None,
            state_since: now,
            latest: now.tick,
        };
        let ears = Ears { scripts: sounds.scripts, radio, inbound, registries, questions };
        Ok(Self { event_loop, ears, stop, broker, tablets, login, tasks })
    }

    /// Where the tablets' page is served.
    pub fn page(&self) -> Option<&str> {
        self.tablets.as_ref().map(Running::url)
    }

    /// The store's number.
    pub fn store(&self) -> u16 {
        self.event_loop.config.store.id
    }

    /// Where the embedded broker listens, and how to log in.
    pub fn embedded_broker(&self) -> Option<(SocketAddr, &Login)> {
        Some((self.broker.as_ref()?.address(), self.login.as_ref()?))
    }

    /// Runs until stopped, then takes leave: of the broker, of the tablets, of the disk.
    pub async fn run(self) -> Ended {
        systemd::ready("listening");
        let (ended, delivery) = self.event_loop.run(self.ears, self.stop.clone()).await;
        self.stop.cancel();
        delivery.stop().await;
        if let Some(tablets) = self.tablets {
            tablets.ended().await;
        }
        if let Some(broker) = self.broker {
            broker.stop().await;
        }
        for task in self.tasks {
            task.ended(END).await;
        }
        ended
    }
}

fn serve_status(
    config: &Config,
    ask: mpsc::Sender<status::Question>,
    stop: &CancellationToken,
) -> anyhow::Result<Task<()>> {
    let path = status::socket(&config.state);
    let listener = status::listen(&path)
        .with_context(|| format!("cannot answer `grelot status` on {}", path.display()))?;
    Ok(tasks::spawn("status", status::serve(listener, ask, stop.clone())))
}

fn serve_labels(
    config: &Config,
    delivery: &Delivery,
    stop: &CancellationToken,
) -> anyhow::Result<Task<()>> {
    let path = labels::socket(&config.state);
    let listener = status::listen(&path)
        .with_context(|| format!("cannot answer `grelot labels` on {}", path.display()))?;
    Ok(tasks::spawn("labels", labels::serve(listener, delivery.keeper(), stop.clone())))
}

/// Opens recordings and simulated shops, and names all sources.
fn open_sources(config: &Config) -> anyhow::Result<Sounds> {
    let mut sounds = Sounds {
        scripts: Scripts::default(),
        pace: None,
        health: Vec::new(),
        gateways: Vec::new(),
        registry: None,
    };
    for (place, source) in config.sources.iter().enumerate() {
        let name = source_name(source);
        let mut health = SourceHealth::new(name.clone());
        let opened: Option<(Box<dyn Script>, f64)> = match source {
            Source::Recording { path, speed } => {
                let script = sources::open(path).with_context(|| format!("cannot open {name}"))?;
                Some((script, *speed))
            }
            Source::Simulated { seed, speed } => {
                let shop = simulated_shop(config, *seed);
                if config.registry.is_none() {
                    sounds.registry = Some(made_up_customers(&shop, config.store.id)?);
                }
                Some((Box::new(shop), *speed))
            }
            Source::Bluez { .. } => None,
            Source::Mqtt => {
                health.note = Some("no other gateway is there".to_owned());
                None
            }
            Source::H4 { .. } => {
                let note = "this version does not listen to it yet";
                tracing::warn!(source = name, note, "a source stays silent");
                health.note = Some(note.to_owned());
                None
            }
        };
        if let Some((script, speed)) = opened {
            health.hearing = Hearing::Listening;
            let started_at = script.started_at();
            sounds.pace.get_or_insert(Pace { started_at, speed });
            sounds.gateways.extend(script.gateways().iter().cloned());
            sounds.scripts.add(place, script);
        }
        sounds.health.push(health);
    }
    Ok(sounds)
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

/// The registry that goes with a simulated shop, by the way every registry comes in.
fn made_up_customers(shop: &Shop, store: u16) -> anyhow::Result<(Registry, RegistryHealth)> {
    let lines = shop.registry_lines(SIMULATED_DAYS).collect::<Vec<_>>().join("\n");
    let reading = Reading::new(store, Clock::Set(shop.started_at())).keeping_every_day();
    let (registry, report) = reading.load_from(lines.as_bytes(), Path::new("simulated shop"))?;
    Ok((registry, registry::health(&report, None)))
}

fn source_name(source: &Source) -> String {
    match source {
        Source::Bluez { adapter: Some(adapter), .. } => format!("bluez {adapter}"),
        Source::Bluez { adapter: None, .. } => "bluez".to_owned(),
        Source::Recording { path, .. } => format!("recording {}", path.display()),
        Source::Simulated { seed, .. } => format!("simulated shop {seed}"),
        Source::H4 { path } => format!("h4 {}", path.display()),
        Source::Mqtt => "mqtt".to_owned(),
    }
}

/// A script begins at its beginning; the live radio begins in the middle of the shop's life,
/// unless grelot was away for a moment only.
fn is_followed(config: &Config, store: &Store, now: Now) -> anyhow::Result<Start> {
    let live =
        |source: &Source| !matches!(source, Source::Recording { .. } | Source::Simulated { .. });
    if !config.sources.iter().any(live) {
        return Ok(Start::Followed);
    }
    let alive = store.last_alive()?;
    let short = alive.zip(now.clock.known()).is_some_and(|(alive, now)| {
        let away = now.unix_millis().saturating_sub(alive.unix_millis());
        u64::try_from(away).is_ok_and(|away| away < SHORT_BREAK.as_millis() as u64)
    });
    Ok(if short { Start::Followed } else { Start::Unfollowed })
}

/// The broker's addresses and how to log in; starts the embedded one.
async fn open_broker(
    config: &Config,
) -> anyhow::Result<(Option<EmbeddedBroker>, Option<Login>, Vec<BrokerUrl>)> {
    let configured = config.broker.username.clone().map(|username| Login {
        username,
        password: config.broker.password.clone().unwrap_or_else(|| Secret(String::new())),
    });
    match &config.broker.location {
        BrokerLocation::External(urls) => Ok((None, configured, urls.clone())),
        BrokerLocation::Embedded(listen) => {
            let login = match configured {
                Some(login) => login,
                None => Login::kept_in(&config.state)?,
            };
            let storage = config.state.join("broker");
            let broker = EmbeddedBroker::start(*listen, &login, &storage).await?;
            let address = broker.address();
            let url = BrokerUrl {
                tls: false,
                host: local(address).ip().to_string(),
                port: address.port(),
            };
            Ok((Some(broker), Some(login), vec![url]))
        }
    }
}

/// How this machine reaches itself at `address`, which may mean "all addresses".
fn local(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], address.port()))
    } else {
        address
    }
}

fn tablets_config(config: &Config, listen: SocketAddr, broker: BrokerAccess) -> TabletsConfig {
    let tls = config.tls.certificate.clone().zip(config.tls.key.clone());
    TabletsConfig {
        listen,
        tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
        store: StoreLabel { id: config.store.id, name: config.store.name.clone() },
        broker,
        state: config.state.clone(),
        rejoin: config.presence.rejoin,
        pairing: Pairing::for_address(listen),
    }
}

fn first_status(health: &Health, head_office: &HeadOffice, now: Now) -> Status {
    let blind = health.sources.iter().all(|source| source.hearing == Hearing::Blind);
    Status {
        v: payload::VERSION,
        state: if blind { GatewayState::Blind } else { GatewayState::Online },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: head_office.hash().to_owned(),
        since: Some(now.clock.reading().to_string()),
        refused: Vec::new(),
    }
}

/// One task that listens for every live source, and one that says which source it was.
fn start_radios(
    config: &Config,
    clocks: &Clocks,
    events: &mpsc::Sender<(usize, RadioEvent)>,
    stop: &CancellationToken,
) -> Vec<Task<()>> {
    let mut started = Vec::new();
    for (place, source) in config.sources.iter().enumerate() {
        let (heard, mut hearing) = mpsc::channel(RADIO_BATCHES);
        let listening = match source {
            Source::Bluez { adapter, ask } => {
                let settings = bluez::Settings {
                    adapter: adapter.as_deref().and_then(Hci::named),
                    ear: None,
                    ask: *ask,
                    wake_up: config.wake_up,
                };
                let radio = Radio::new(settings, clocks.clone());
                tasks::spawn("radio", radio.run(heard, stop.clone()))
            }
            Source::H4 { path } => {
                let stream = h4::Stream::new(path.clone(), clocks.clone());
                tasks::spawn("h4", stream.run(heard, stop.clone()))
            }
            Source::Recording { .. } | Source::Simulated { .. } | Source::Mqtt => continue,
        };
        started.push(listening);
        let events = events.clone();
        started.push(tasks::spawn("radio-source", async move {
            while let Some(event) = hearing.recv().await {
                if events.send((place, event)).await.is_err() {
                    break;
                }
            }
        }));
    }
    started
}
