//! Starts a daemon from a checked configuration, and stops it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::canary::Canary;
use super::contact_rates::ContactRates;
use super::delivery::Delivery;
use super::event_loop::{Ended, EventLoop, Inputs};
use super::guard::GuardWatch;
use super::head_office::HeadOffice;
use super::office_ends::{OfficeEnds, OfficeParts};
use super::playback::{Gateways, with_gateways};
use super::registry::{self, RegistryWatcher};
use super::renewal;
use super::shadow::Shadow;
use super::since::Since;
use super::source_set::{self, SourceSet};
use super::tablet_watch::TabletWatch;
use super::tap::{self, Tap};
use super::trace_recorder::TraceRecorder;
use super::traces::{Exporter, resource};
use super::{labels, measures, socket, status, survey, systemd};
use crate::certificates::Certificates;
use crate::clock::Clocks;
use crate::clock::kernel::Boot;
use crate::config::{Broker, BrokerLocation, Config, Tablets};
use crate::http_server;
use crate::mqtt::broker::{Accounts, EmbeddedBroker};
use crate::mqtt::client::Peer;
use crate::mqtt::login::Login;
use crate::mqtt::tls;
use crate::mqtt::topics::Topics;
use crate::payload::{self, GatewayState, Status};
use crate::pipeline::Pipeline;
use crate::pipeline::event::Hearing;
use crate::pipeline::units::{Now, WallTime};
use crate::private;
use crate::store::{Heartbeat, Store, StoreError};
use crate::tablets::desk::{self, Desk};
use crate::tablets::{
    BridgeAccess, BrokerAccess, PageSettings, Pairing, Running, Server, StoreLabel, TabletsConfig,
    TlsFiles,
};
use crate::tasks::{self, Task};
use crate::telemetry::Timings;
use crate::telemetry::health::Health;
use crate::telemetry::spans::{self, Span, Spans};
use crate::webhooks::{Receivers, Webhook};

/// Time for a task to end after it was cancelled.
const END: Duration = Duration::from_secs(5);

/// A daemon that is ready to run.
pub struct Daemon {
    event_loop: EventLoop,
    inputs: Inputs,
    stop: CancellationToken,
    broker: Option<EmbeddedBroker>,
    tablets: Option<Running>,
    tasks: Vec<Task<()>>,
}

impl Daemon {
    /// Starts everything `config` asks for; `config_file` is where it came from, for people.
    ///
    /// # Errors
    /// Where a source, the store, the broker or the page cannot be started.
    #[expect(clippy::too_many_lines, reason = "the wiring, in the order of the flow")]
    pub async fn start(
        config: Config,
        config_file: String,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        private::enforce(&config.state);
        let mut store = Store::open_or_remember(&config.state)?;
        store.keep_audit(config.bundles.audit);
        let mut tasks = Vec::new();
        let (ask, questions) = mpsc::channel(4);
        let tap = Tap::default();
        tasks.extend(serve_tap(&config, tap.clone(), ask.clone(), &stop)?);
        let (spans, ended_spans) = spans(&config);
        let timings = Timings::default().traced(spans);
        if let Some(address) = config.metrics {
            let listener = http_server::bind(address).await?;
            let served = measures::serve(listener, ask.clone(), timings.clone(), stop.clone());
            tasks.push(tasks::spawn("metrics", served));
        }
        tasks.extend(serve_status(&config, ask, &stop)?);
        let (resetting, surveys) = mpsc::channel(1);
        tasks.extend(serve_survey(&config, resetting, &stop)?);

        let mut source_set = SourceSet::open(&config)?;
        let clocks = match source_set.pace {
            Some(pace) => Clocks::paced(pace.started_at, pace.speed),
            None => Clocks::of_gateway(config.wall_clock, earliest(&store)?),
        };
        tasks.extend(export_traces(&config, ended_spans, &clocks, &stop)?);
        let now = clocks.now();
        let head_office = HeadOffice::new(&config);
        let settings = with_gateways(head_office.settings(&config), &source_set.gateways);
        let restored = store.resume(&settings, &Heartbeat::new(now.clock, clocks.boot()))?;
        let followed = source_set::is_followed(&config, restored.away);

        let broker = embedded_broker(&config).await?;
        let mut peer = Peer::configured(&config)?;
        if let Some(broker) = &broker {
            let login = broker.internal();
            peer = peer.embedded(local(broker.address()), &login.username, &login.password);
        }
        let beside = BrokerAccess::beside(&peer);
        let health = Health::new(now, std::mem::take(&mut source_set.health));
        let status = first_status(&config, &health, &head_office, now);
        let receivers = receivers(&config)?;
        let (office, end) = match config.head_office.clone() {
            Some(line) => {
                let (parts, end) = OfficeParts::new(line, &config.state)?;
                (Some(parts), Some(end))
            }
            None => (None, None),
        };
        let (delivery, inbound) = Delivery::start_beside(
            end,
            timings.clone(),
            store,
            &restored,
            peer,
            &settings,
            status,
            receivers,
            clocks.clone(),
        )?;
        let office = match office {
            Some(parts) => {
                let (mut ends, task) = parts.start(&config, &delivery, now, stop.clone())?;
                ends.forget(restored.withdrawn.iter().cloned(), now.clock.reading());
                tasks.push(task);
                Some(ends)
            }
            None => None,
        };
        let delivery = delivery.beside_broker(broker.as_ref().map(EmbeddedBroker::trouble));

        tasks.extend(serve_labels(&config, &delivery, &stop)?);
        let certificates = Certificates::new(&config.state);
        if config.tls.certificate == Some(certificates.certificate()) {
            let kept = renewal::keep(certificates, clocks.clone(), stop.clone());
            tasks.push(tasks::spawn("certificates", kept));
        }

        let (checking_in, check_ins) = mpsc::channel(desk::MOST_WAITING);
        let tablets = match &config.tablets {
            None => None,
            Some(tablets) => {
                let desk = Desk { requests: Some(checking_in), entrance: tablets.entrance };
                let bridge = bridge_access(&beside, broker.as_ref(), config.store.id);
                let tablets = tablets_config(&config, tablets, (beside, bridge), desk);
                let server =
                    Server::start(tablets, timings.clone(), clocks.clone(), stop.clone()).await?;
                Some(server)
            }
        };

        let (registry, registry_health, watcher) =
            if let Some((simulated, health)) = source_set.registry.take() {
                (simulated, health, None)
            } else {
                let (watcher, registry, health) =
                    RegistryWatcher::begin(&config, &clocks, &restored.withdrawn)?;
                (registry, health, Some(watcher))
            };
        let (pipeline, effects) = Pipeline::new(settings, registry, restored, followed, now);
        delivery.perform(pipeline.settings(), now, &effects).await;
        delivery.heartbeat(pipeline.settings(), now).await;

        let (radio_events, radio) = mpsc::channel(source_set::RADIO_BATCHES);
        tasks.extend(source_set::start_radios(&config, &clocks, &radio_events, &stop));
        drop(radio_events);
        let (found, registries) = mpsc::channel(1);
        let (registry_hints, hints) = mpsc::channel(registry::HINTS);
        let watcher = watcher.map(|watcher| watcher.run(found, hints, stop.clone()));
        tasks.extend(watcher.map(|watcher| tasks::spawn("registry", watcher)));
        let gateways = Gateways::of(pipeline.settings());
        let tablet_watch = tablets.as_ref().map(|running| tablet_watch(&config, running));
        let shadow = head_office.shadow(&config).map(|(serial, settings)| {
            let settings = with_gateways(settings, &source_set.gateways);
            Shadow::start(serial, &pipeline, settings, followed, now)
        });
        let event_loop = EventLoop {
            guard: GuardWatch::new(&config.state),
            shadow,
            trace_recorder: office
                .as_ref()
                .is_some_and(OfficeEnds::takes_traces)
                .then(TraceRecorder::default),
            canary: config.canary_every.map(|every| Canary::new(every, now.tick)),
            config,
            config_file,
            clocks,
            pace: source_set.pace,
            pipeline,
            gateways,
            unlisted_gateways: source_set.gateways,
            peers_heard: BTreeMap::new(),
            delivery,
            head_office,
            office,
            registry_hints,
            tablet_watch,
            health: Health { registry: registry_health, ..health },
            timings,
            tap,
            blind_because: None,
            state_since: Since::new(now),
            moment: now,
            latest: now.tick,
            contact_rates: ContactRates::default(),
        };
        let replays = source_set.replays;
        let inputs = Inputs { replays, radio, inbound, registries, check_ins, questions, surveys };
        Ok(Self { event_loop, inputs, stop, broker, tablets, tasks })
    }

    /// Where tablets open the page, the best address first.
    pub fn pages(&self) -> &[String] {
        self.tablets.as_ref().map_or(&[], Running::urls)
    }

    /// Whether tablets must be paired.
    pub fn pairing(&self) -> Pairing {
        let listen = self.event_loop.config.tablets.as_ref().map(|tablets| tablets.listen);
        listen.map_or(Pairing::NotNeeded, Pairing::for_address)
    }

    pub fn store(&self) -> u16 {
        self.event_loop.config.store.id
    }

    /// Where the embedded broker listens, and how to log in.
    pub fn embedded_broker(&self) -> Option<(SocketAddr, &Login)> {
        self.broker.as_ref().map(|broker| (broker.address(), broker.shared()))
    }

    /// Runs until stopped, then disconnects from the broker and the tablets and closes the store.
    pub async fn run(self) -> Ended {
        systemd::ready("listening");
        // Tens of kilobytes, which every future that waits for this one would hold.
        let running = Box::pin(self.event_loop.run(self.inputs, self.stop.clone()));
        let (ended, delivery) = running.await;
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

/// The earliest that it can be, by the last heartbeat.
fn earliest(store: &Store) -> Result<Option<WallTime>, StoreError> {
    let last = store.last_heartbeat()?;
    Ok(last.zip(Boot::current()).and_then(|(last, boot)| last.earliest(&boot)))
}

/// The way of spans to the collector, where one is configured.
fn spans(config: &Config) -> (Option<Spans>, mpsc::Receiver<Span>) {
    let (spans, ended) = mpsc::channel(spans::WAITING);
    (config.traces.is_some().then_some(Spans(spans)), ended)
}

fn export_traces(
    config: &Config,
    ended: mpsc::Receiver<Span>,
    clocks: &Clocks,
    stop: &CancellationToken,
) -> anyhow::Result<Option<Task<()>>> {
    let Some(url) = config.traces.clone() else { return Ok(None) };
    let tls = if url.tls { Some(tls::of_the_web(&config.tls)?) } else { None };
    let exporter = Exporter { url, tls, resource: resource(config), clocks: clocks.clone() };
    Ok(Some(tasks::spawn("traces", exporter.run(ended, stop.clone()))))
}

fn serve_status(
    config: &Config,
    ask: mpsc::Sender<status::Question>,
    stop: &CancellationToken,
) -> io::Result<Option<Task<()>>> {
    let path = status::socket(&config.state);
    let listener = socket::listen_if_writable(&path, "grelot status")?;
    Ok(listener.map(|listener| tasks::spawn("status", status::serve(listener, ask, stop.clone()))))
}

fn serve_survey(
    config: &Config,
    requests: mpsc::Sender<survey::Request>,
    stop: &CancellationToken,
) -> io::Result<Option<Task<()>>> {
    let path = survey::socket(&config.state);
    let listener = socket::listen_if_writable(&path, "grelot survey")?;
    let serve = |listener| survey::serve(listener, requests, stop.clone());
    Ok(listener.map(|listener| tasks::spawn("survey", serve(listener))))
}

fn serve_tap(
    config: &Config,
    tap: Tap,
    ask: mpsc::Sender<status::Question>,
    stop: &CancellationToken,
) -> io::Result<Option<Task<()>>> {
    let path = tap::socket(&config.state);
    let listener = socket::listen_if_writable(&path, "grelot scan")?;
    Ok(listener.map(|listener| tasks::spawn("tap", tap.serve(listener, ask, stop.clone()))))
}

fn serve_labels(
    config: &Config,
    delivery: &Delivery,
    stop: &CancellationToken,
) -> io::Result<Option<Task<()>>> {
    let path = labels::socket(&config.state);
    let listener = socket::listen_if_writable(&path, "grelot labels")?;
    Ok(listener.map(|listener| {
        tasks::spawn("labels", labels::serve(listener, delivery.store_requests(), stop.clone()))
    }))
}

/// The broker in this process, where the configuration wants one.
async fn embedded_broker(config: &Config) -> anyhow::Result<Option<EmbeddedBroker>> {
    let BrokerLocation::Embedded(listen) = &config.broker.location else { return Ok(None) };
    let Broker { username, password, .. } = &config.broker;
    let chosen = username.as_ref().map(|username| (username.clone(), password.clone()));
    let accounts = Accounts::new(config.store.id, chosen, &config.state)?;
    Ok(Some(EmbeddedBroker::start(*listen, accounts).await?))
}

/// How this machine reaches itself at `address`, which may mean "all addresses".
const fn local(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

fn tablets_config(
    config: &Config,
    tablets: &Tablets,
    brokers: (BrokerAccess, BridgeAccess),
    desk: Desk,
) -> TabletsConfig {
    let (broker, bridge) = brokers;
    let certificates = Certificates::new(&config.state);
    let is_own = config.tls.certificate == Some(certificates.certificate());
    let tls = config.tls.certificate.clone().zip(config.tls.key.clone());
    TabletsConfig {
        listen: tablets.listen,
        address: tablets.address.clone(),
        tls: tls.map(|(certificate, key)| TlsFiles { certificate, key }),
        store: StoreLabel { id: config.store.id, name: config.store.name.clone() },
        crm_url: tablets.crm_url.clone(),
        desk,
        authority: is_own.then(|| certificates.authority()),
        broker,
        bridge,
        state: config.state.clone(),
        rejoin: config.presence.rejoin,
        gateways: config.store.gateways.keys().chain([&config.gateway]).cloned().collect(),
        page: PageSettings {
            repeat: tablets.repeat,
            late: tablets.late,
            idle: tablets.idle,
            shift_end: tablets.shift_end,
            time_zone: config.policy.time_zone.clone(),
        },
        words: tablets.words.clone(),
        pairing: Pairing::for_address(tablets.listen),
    }
}

/// How staff devices reach the broker: as themselves in the embedded one, with the gateway's login
/// elsewhere.
fn bridge_access(
    beside: &BrokerAccess,
    embedded: Option<&EmbeddedBroker>,
    store: u16,
) -> BridgeAccess {
    let own =
        embedded.map(|broker| (broker.bridge().username.clone(), broker.bridge().password.clone()));
    BridgeAccess {
        brokers: beside.brokers.clone(),
        tls: beside.identity.tls.clone(),
        named_devices: own.is_some(),
        login: own.or_else(|| beside.identity.login.clone()),
        topics: Topics::of(store),
    }
}

/// The webhooks, and the TLS settings of those that need some.
fn receivers(config: &Config) -> anyhow::Result<Receivers> {
    let webhooks = Webhook::configured(&config.webhooks);
    let secure = webhooks.iter().any(|webhook| webhook.url.tls);
    let tls = if secure { Some(tls::of_the_web(&config.tls)?) } else { None };
    Ok(Receivers { webhooks, tls })
}

fn tablet_watch(config: &Config, running: &Running) -> TabletWatch {
    let opening_hours = config.tablets.as_ref().and_then(|tablets| tablets.opening_hours);
    let zone = config.policy.time_zone.clone();
    TabletWatch::new(running.viewers(), running.urls().to_vec(), opening_hours, zone)
}

fn first_status(config: &Config, health: &Health, head_office: &HeadOffice, now: Now) -> Status {
    let blind = health.sources.iter().all(|source| source.hearing == Hearing::Blind);
    Status {
        v: payload::VERSION,
        label: config.label.clone(),
        state: if blind { GatewayState::Blind } else { GatewayState::Online },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: head_office.hash().to_owned(),
        since: Some(now.clock.reading().to_string()),
        connected_at: None,
        refused: Vec::new(),
        warnings: Vec::new(),
        group: config.store.group.clone(),
        documents: head_office.documents(),
    }
}
