//! Reports of the event loop: for the broker and for `grelot status`.

use super::event_loop::EventLoop;
use super::status::{Broker, Configuration, Snapshot, Source, Tablets, Visit};
use crate::config::BrokerLocation;
use crate::mqtt::payload::{self, Beacon, GatewayState, Status};
use crate::mqtt::{Connection, RetainedDelivery};
use crate::pipeline::beacons::BeaconState;
use crate::pipeline::event::Hearing;
use crate::pipeline::units::{Clock, Now, Tick, WallTime};
use crate::tablets::Pairing;
use crate::telemetry::brief;
use crate::telemetry::health::BrokerState;

/// For `gateways/<gateway>/status`.
pub fn status(daemon: &EventLoop) -> Status {
    Status {
        v: payload::VERSION,
        state: state(daemon),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config: daemon.head_office.hash().to_owned(),
        since: Some(daemon.state_since.reading().to_string()),
        connected_at: None,
        refused: refused(daemon),
        warnings: warnings(daemon),
    }
}

/// Documents of head office that are not in force, and why.
fn refused(daemon: &EventLoop) -> Vec<String> {
    let mut refused = daemon.head_office.refused().to_vec();
    refused.extend(daemon.health.registry.trouble.clone());
    refused
}

/// What does not work as it should although the gateway is online.
fn warnings(daemon: &EventLoop) -> Vec<String> {
    let delivery = daemon.delivery.health();
    let retained = report_retained(daemon.health.delivery.retained);
    let tablets = tablets_alarm(daemon);
    let warnings = retained.into_iter().chain(tablets).map(str::to_owned);
    brief::lines(warnings.chain(delivery.store))
}

/// That no tablet looks on, if one should.
fn tablets_alarm(daemon: &EventLoop) -> Option<&'static str> {
    daemon.tablet_watch.as_ref()?.alarm()
}

/// For people.
fn report_retained(works: Option<bool>) -> Option<&'static str> {
    (works == Some(false)).then_some(
        "the broker does not deliver retained messages to wildcard subscriptions: withdrawals \
         of consent over MQTT are not reliable",
    )
}

/// Whether the broker delivers retained messages to wildcard subscriptions, as far as it is known.
pub fn retained(connection: &Connection) -> Option<bool> {
    match connection {
        Connection::Connected { retained: RetainedDelivery::Works, .. } => Some(true),
        Connection::Connected { retained: RetainedDelivery::Fails, .. } => Some(false),
        _ => None,
    }
}

/// When a state began, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    tick: Tick,
    /// Read from a clock that may not have counted yet.
    at: Clock,
}

impl Since {
    /// It begins now.
    pub const fn new(now: Now) -> Self {
        Self { tick: now.tick, at: now.clock }
    }

    /// Corrects the time once the wall clock counts: what has passed is known.
    pub fn settle(&mut self, now: Now) {
        if let (Clock::Unset(_), Clock::Set(at)) = (self.at, now.clock) {
            self.at = Clock::Set(at.minus(now.tick.since(self.tick)));
        }
    }

    /// In wall time, by the best reading there is.
    pub const fn reading(&self) -> WallTime {
        self.at.reading()
    }
}

fn state(daemon: &EventLoop) -> GatewayState {
    match daemon.hearing() {
        Hearing::Listening => GatewayState::Online,
        Hearing::Blind => GatewayState::Blind,
    }
}

/// The state of the connection to the broker, for the health report.
pub fn broker(connection: &Connection) -> BrokerState {
    match connection {
        Connection::Connected { .. } => BrokerState::Connected,
        Connection::Refused { why, .. } => BrokerState::Refused(why.clone()),
        Connection::Connecting | Connection::Unreachable { .. } | Connection::Closed => {
            BrokerState::Connecting
        }
    }
}

/// For `beacons/<beacon>`.
pub fn beacon(state: &BeaconState) -> Beacon {
    // A tenth of a decibel, or of a degree, is more than is measured.
    let tenth = |value: f32| (f64::from(value) * 10.0).round() / 10.0;
    Beacon {
        v: payload::VERSION,
        last_heard: state.last_heard.map(|at| at.to_string()),
        missing: state.missing,
        moved: state.moved,
        cloned: state.cloned,
        rssi_dbm: state.rssi.map(tenth),
        battery_mv: state.battery_mv,
        temperature_c: state.temperature_c.map(tenth),
    }
}

/// For `grelot status`.
pub fn snapshot(daemon: &EventLoop) -> Snapshot {
    let now = daemon.clocks.now();
    let health = &daemon.health;
    let connection = daemon.delivery.connection().borrow().clone();
    let started = health.started.unwrap_or(now);
    let gateways = &daemon.pipeline.settings().gateways;
    let gateway_name = |index: usize| gateways.get(index).map_or("", |g| g.name.as_str());
    let visits = daemon.pipeline.open_visits().map(|visit| Visit {
        visit: visit.id.to_string(),
        client: visit.client.to_string(),
        tier: visit.tier.to_string(),
        gateway: gateway_name(usize::from(visit.gateway.0)).to_owned(),
        arrived_at: visit.arrived_at.to_string(),
        claimed_by: visit.claim.as_ref().map(|claim| claim.by.to_string()),
    });
    Snapshot {
        v: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        store: daemon.config.store.id,
        store_name: daemon.config.store.name.clone(),
        gateway: daemon.config.gateway.clone(),
        state: state(daemon),
        started_at: started.clock.reading().to_string(),
        uptime_s: health.uptime(now).as_secs(),
        clock_set: now.clock.known().is_some(),
        configuration: Configuration {
            file: daemon.config_file.clone(),
            hash: daemon.head_office.hash().to_owned(),
            refused: daemon.head_office.refused().to_vec(),
        },
        sources: health.sources.iter().map(|source| Source::of(source, now.tick)).collect(),
        contacts: daemon.pipeline.contacts(),
        arrivals: health.arrivals,
        alerts: health.alerts,
        visits: visits.collect(),
        registry: health.registry.clone(),
        broker: Broker {
            place: place(daemon, &connection),
            connected: matches!(connection, Connection::Connected { .. }),
            retained: retained(&connection),
            problem: match connection {
                Connection::Refused { why, .. } | Connection::Unreachable { why, .. } => Some(why),
                _ => None,
            },
        },
        delivery: daemon.delivery.health(),
        tablets: tablets(daemon),
    }
}

fn tablets(daemon: &EventLoop) -> Tablets {
    let Some(watch) = &daemon.tablet_watch else { return Tablets::default() };
    let page = daemon.config.tablets.as_ref();
    let pairing = page.is_some_and(|page| Pairing::for_address(page.listen) == Pairing::Required);
    Tablets {
        urls: watch.urls().to_vec(),
        pairing,
        looking_on: watch.looking_on(),
        alarm: tablets_alarm(daemon).map(str::to_owned),
    }
}

fn place(daemon: &EventLoop, connection: &Connection) -> String {
    match (&daemon.config.broker.location, connection) {
        (BrokerLocation::Embedded(address), _) => format!("embedded, {address}"),
        (
            _,
            Connection::Connected { broker, .. }
            | Connection::Unreachable { broker, .. }
            | Connection::Refused { broker, .. },
        ) => broker.clone(),
        (BrokerLocation::External(urls), _) => {
            urls.first().map(ToString::to_string).unwrap_or_default()
        }
    }
}
