//! A gateway's delivery without a radio: effects go in by hand, on a clock of the test's own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use grelot::clock::Clocks;
use grelot::config::{BrokerUrl, Secret};
use grelot::daemon::delivery::Delivery;
use grelot::mqtt::client::Peer;
use grelot::mqtt::inbound::Inbound;
use grelot::mqtt::topics::{Addressee, Topics};
use grelot::mqtt::{ConnectionState, Identity};
use grelot::payload::{Beacon, DeliveryHealth, GatewayState, Status};
use grelot::pipeline::advert::Beacon as Format;
use grelot::pipeline::advert::ibeacon::IBeacon;
use grelot::pipeline::beacons::OwnBeacon;
use grelot::pipeline::event::{Announcement, Card, GatewayIndex, Restored, Visit};
use grelot::pipeline::units::{Clock, Tick, WallTime};
use grelot::pipeline::{Effect, Gateway, Now, Settings, VisitId};
use grelot::store::Store;
use grelot::webhooks::Receivers;
use tokio::sync::{mpsc, watch};

/// 2026-01-05T09:00:00Z.
pub const OPENING: WallTime = WallTime::from_unix_secs(1_767_603_600);

pub fn settings() -> Settings {
    let gateway =
        |name: &str| Gateway { name: name.to_owned(), place: None, offset_db: 0.0, levels: None };
    Settings {
        store: 42,
        gateways: vec![gateway("door"), gateway("till")],
        zones: [None; 16],
        beacons: Vec::new(),
        presence: grelot::pipeline::presence::Settings::default(),
        policy: grelot::pipeline::policy::Settings::default(),
    }
}

pub fn peer(port: u16) -> Peer {
    let here = Addressee { topics: Topics::of(42), gateway: "door".to_owned(), group: None };
    Peer {
        brokers: vec![BrokerUrl { tls: false, host: "127.0.0.1".to_owned(), port }],
        identity: Identity { client_id: "grelot-42-door".to_owned(), login: None, tls: None },
        here,
    }
}

pub fn with_login(mut peer: Peer, username: &str, password: &str) -> Peer {
    peer.identity.login = Some((username.to_owned(), Secret(password.to_owned())));
    peer
}

pub fn beacon(name: &str) -> OwnBeacon {
    let major = u16::try_from(name.len()).unwrap();
    let beacon = IBeacon { uuid: [7; 16], major, minor: 1, tx_power: -59 };
    let identity = Format::IBeacon(beacon).identity().unwrap();
    OwnBeacon { name: name.into(), identity, missing_after: Duration::from_mins(5) }
}

pub fn beacon_state() -> Beacon {
    Beacon {
        v: 1,
        last_heard: None,
        missing: false,
        moved: false,
        cloned: false,
        rssi_dbm: None,
        battery_mv: None,
        temperature_c: None,
    }
}

/// A clock that moves when the test says so.
#[derive(Clone, Default)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub fn advance(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_micros()).unwrap(), Ordering::SeqCst);
    }

    pub fn now(&self) -> Now {
        let tick = Tick::from_micros(self.0.load(Ordering::SeqCst));
        Now { tick, clock: Clock::Set(OPENING.plus(tick.since(Tick::ZERO))) }
    }
}

/// The delivery part of a gateway alone.
pub struct Shop {
    pub delivery: Delivery,
    pub inbound: mpsc::Receiver<Inbound>,
    pub restored: Restored,
    pub clock: TestClock,
    pub settings: Settings,
}

impl Shop {
    pub fn open(state: &Path, peer: Peer) -> Self {
        Self::open_at(state, peer, TestClock::default())
    }

    pub fn open_at(state: &Path, peer: Peer, clock: TestClock) -> Self {
        Self::open_with(state, peer, clock, settings())
    }

    pub fn open_with(state: &Path, peer: Peer, clock: TestClock, settings: Settings) -> Self {
        Self::with(Store::open(state).unwrap(), peer, clock, settings)
    }

    pub fn with(store: Store, peer: Peer, clock: TestClock, settings: Settings) -> Self {
        Self::calling(store, peer, clock, settings, Receivers::default())
    }

    /// A gateway that sends to webhooks, too.
    pub fn calling(
        store: Store,
        peer: Peer,
        clock: TestClock,
        settings: Settings,
        receivers: Receivers,
    ) -> Self {
        let restored = store.restored(&settings, clock.now().clock.reading()).unwrap();
        let reading = clock.clone();
        let clocks = Clocks::new(move || reading.now());
        let (delivery, inbound) =
            Delivery::start(store, &restored, peer, &settings, online(), receivers, clocks)
                .unwrap();
        Self { delivery, inbound, restored, clock, settings }
    }

    /// The next message of the broker, except states of visits.
    pub async fn next_inbound(&mut self) -> Option<Inbound> {
        loop {
            match self.inbound.recv().await {
                Some(Inbound::Visit { .. }) => {}
                inbound => return inbound,
            }
        }
    }

    pub async fn perform(&self, effects: &[Effect]) {
        self.delivery.perform(&self.settings, self.clock.now(), effects).await;
    }

    /// Waits for a state of the connection.
    pub async fn connection(
        &self,
        wanted: impl FnMut(&ConnectionState) -> bool,
    ) -> ConnectionState {
        reached(self.delivery.connection(), wanted).await
    }

    pub async fn connected(&self) {
        self.connection(|state| matches!(state, ConnectionState::Connected { .. })).await;
    }

    /// Waits until `count` messages are acknowledged and none is left.
    pub async fn delivered(&self, notices: u64) {
        self.health(|health| health.delivered >= notices && health.queued == 0).await;
    }

    /// Waits until the counts are as wanted.
    pub async fn health(&self, wanted: impl Fn(&DeliveryHealth) -> bool) {
        let begun = tokio::time::Instant::now();
        loop {
            let health = self.delivery.health();
            if wanted(&health) {
                return;
            }
            assert!(begun.elapsed() < crate::mosquitto::PATIENCE, "not reached: {health:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub async fn reached<T: Clone>(mut seen: watch::Receiver<T>, wanted: impl FnMut(&T) -> bool) -> T {
    let reached = tokio::time::timeout(crate::mosquitto::PATIENCE, seen.wait_for(wanted)).await;
    reached.expect("the state is reached").unwrap().clone()
}

pub fn online() -> Status {
    Status {
        v: 1,
        label: None,
        state: GatewayState::Online,
        version: "0.1.0".to_owned(),
        config: "cafe".to_owned(),
        since: Some(OPENING.to_string()),
        connected_at: None,
        refused: Vec::new(),
        warnings: Vec::new(),
        group: None,
        documents: Vec::new(),
    }
}

pub fn visit(client: &str, at: WallTime) -> Visit {
    Visit {
        id: VisitId::of(42, client, at, "door"),
        client: client.into(),
        tier: "gold".into(),
        card: None,
        discreet: false,
        gateway: GatewayIndex(0),
        arrived_at: at,
        confidence: 0.97,
        claim: None,
        dismissed: false,
        announced: false,
        escalated: false,
        checked_in_until: None,
        revision: 0,
    }
}

pub fn card() -> Arc<Card> {
    Arc::new(Card {
        name: "Mme Dumoulin".to_owned(),
        language: Some("fr".to_owned()),
        note: Some("Order 1182 is ready to collect".to_owned()),
    })
}

pub fn alert(visit: &Visit) -> Effect {
    let announcement = Announcement::Alert { ttl: Duration::from_mins(2) };
    Effect::Arrived { visit: visit.clone(), announcement }
}
