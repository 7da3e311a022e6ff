//! Several gateways of one store: with messages late, twice or out of order, and gateways unplugged or killed, one
//! customer is one visit.
//!
//! The pipelines are the real ones; the broker is a model of what MQTT promises and no more:
//! retained messages, last wills, order per publisher and topic only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::needless_for_each,
    clippy::needless_pass_by_value,
    reason = "a test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use grelot::config::registry::Reading;
use grelot::payload;
use grelot::pipeline::event::{
    Address, AddressKind, Announcement, GatewayIndex, Member, PeerState, Restored, RestoredVisit,
    Sighting, StaffAction, Start, Visit,
};
use grelot::pipeline::peers::PeerContact;
use grelot::pipeline::units::{Clock, Dbm, Now, Tick, WallTime};
use grelot::pipeline::{
    Effect, Gateway, HERE, Input, Pipeline, Settings, VisitId, policy, presence,
};
use proptest::prelude::*;

const LEA: &[u8] = b"\x1a\xff\x4c\x00\x02\x15\xe2\xc5\x6d\xb5\xdf\xfb\x48\xd2\xb0\x60\xd0\xf5\xa7\x10\x96\xe0\x00\x01\x00\x02\xc5";
const STEP: Duration = Duration::from_millis(20);
const NAMES: [&str; 3] = ["door", "street", "till"];

/// Numbers that look random, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "few wait at a time")]
enum Message {
    Visit(VisitId, Option<payload::Visit>),
    Status(usize, PeerState),
    Contacts(usize, Vec<PeerContact>),
}

impl Message {
    fn topic(&self) -> String {
        match self {
            Self::Visit(visit, _) => format!("visits/{visit}"),
            Self::Status(node, _) => format!("status/{node}"),
            Self::Contacts(node, _) => format!("contacts/{node}"),
        }
    }
}

/// One gateway: what is in its memory, on its disk, and not yet at the broker.
struct Node {
    pipeline: Option<Pipeline>,
    skew_ms: i64,
    connected: bool,
    disk: BTreeMap<VisitId, RestoredVisit>,
    outbox: Vec<Message>,
}

struct Store {
    tick: Tick,
    dice: Dice,
    nodes: Vec<Node>,
    latency_ms: u64,
    /// Messages on their way: time, recipient, message.
    air: Vec<(Tick, usize, Message)>,
    last: BTreeMap<(usize, usize, String), Tick>,
    retained: BTreeMap<VisitId, payload::Visit>,
    status: BTreeMap<usize, PeerState>,
    alerts: Vec<VisitId>,
    departures: Vec<VisitId>,
}

/// Each gateway has its own order: itself first.
fn index(here: usize, other: usize) -> GatewayIndex {
    let place = if other == here { 0 } else { other + usize::from(other < here) };
    GatewayIndex(u8::try_from(place).unwrap())
}

fn settings(here: usize) -> Settings {
    let mut order: Vec<usize> = (0..NAMES.len()).collect();
    order.sort_by_key(|other| index(here, *other));
    let gateway =
        |n: usize| Gateway { name: NAMES[n].into(), place: None, offset_db: 0.0, levels: None };
    Settings {
        store: 42,
        gateways: order.into_iter().map(gateway).collect(),
        beacons: Vec::new(),
        zones: [None; 16],
        presence: presence::Settings {
            arrive_rssi_dbm: -70.0,
            leave_rssi_dbm: -80.0,
            ..presence::Settings::default()
        },
        policy: policy::Settings { between_alerts: Duration::ZERO, ..policy::Settings::default() },
    }
}

impl Store {
    fn open(seed: u64, latency_ms: u64) -> Self {
        let mut store = Self {
            tick: Tick::ZERO,
            dice: Dice(seed | 1),
            nodes: Vec::new(),
            latency_ms,
            air: Vec::new(),
            last: BTreeMap::new(),
            retained: BTreeMap::new(),
            status: BTreeMap::new(),
            alerts: Vec::new(),
            departures: Vec::new(),
        };
        for here in 0..NAMES.len() {
            let skew_ms = i64::try_from(store.dice.below(10_000)).unwrap() - 5_000;
            let (disk, outbox) = (BTreeMap::new(), Vec::new());
            store.nodes.push(Node { pipeline: None, skew_ms, connected: false, disk, outbox });
            store.start(here);
        }
        store
    }

    fn now(&self, node: usize) -> Now {
        let millis = 1_767_603_600_000 + self.tick.since(Tick::ZERO).as_millis() as i64;
        let wall = WallTime::from_unix_millis(millis + self.nodes[node].skew_ms);
        Now { tick: self.tick, clock: Clock::Set(wall) }
    }

    fn start(&mut self, node: usize) {
        let line = r#"{"client":"c-lea","tier":"gold","scheme":"beacon","ibeacon":{"uuid":"e2c56db5-dffb-48d2-b060-d0f5a71096e0","major":1,"minor":2},"consent":{"given_at":"2025-11-02T10:14:00Z","text":"fr-2025-10","expires_at":"2028-11-02T00:00:00Z","show_name":false},"quiet":null}"#;
        let now = self.now(node);
        let (registry, _) = Reading::new(42, now.clock)
            .load_from(line.as_bytes(), Path::new("customers.jsonl"))
            .unwrap();
        let visits = self.nodes[node].disk.values().cloned().collect();
        let restored = Restored { visits, ..Restored::default() };
        let (pipeline, effects) =
            Pipeline::new(settings(node), registry, restored, Start::Followed, now);
        self.nodes[node].pipeline = Some(pipeline);
        self.perform(node, effects);
        self.connect(node);
    }

    /// SIGKILL: memory and connection are gone, the disk stays.
    fn kill(&mut self, node: usize) {
        self.nodes[node].pipeline = None;
        self.nodes[node].outbox.clear();
        self.disconnect(node);
    }

    fn disconnect(&mut self, node: usize) {
        if std::mem::take(&mut self.nodes[node].connected) {
            self.air.retain(|(_, to, _)| *to != node);
            self.publish_from_broker(node, Message::Status(node, PeerState::Offline));
            self.feed(node, Input::Broker(false));
        }
    }

    fn connect(&mut self, node: usize) {
        if self.nodes[node].connected || self.nodes[node].pipeline.is_none() {
            return;
        }
        self.nodes[node].connected = true;
        self.feed(node, Input::Broker(true));
        for (peer, state) in self.status.clone() {
            self.send(node, node, Message::Status(peer, state));
        }
        for (visit, state) in self.retained.clone() {
            self.send(node, node, Message::Visit(visit, Some(state)));
        }
        self.publish(node, Message::Status(node, PeerState::Online));
        let pipeline = self.nodes[node].pipeline.as_ref().unwrap();
        let mut own: Vec<Message> = pipeline
            .open_visits()
            .filter(|visit| visit.gateway == HERE && !visit.dismissed)
            .map(|visit| {
                Message::Visit(visit.id, Some(payload::Visit::of(visit, NAMES[node], None)))
            })
            .collect();
        own.append(&mut self.nodes[node].outbox);
        own.into_iter().for_each(|message| self.publish(node, message));
    }

    fn publish(&mut self, from: usize, message: Message) {
        if self.nodes[from].connected {
            self.publish_from_broker(from, message);
        } else if !matches!(message, Message::Contacts(..)) {
            self.nodes[from].outbox.push(message);
        }
    }

    fn publish_from_broker(&mut self, from: usize, message: Message) {
        match &message {
            Message::Visit(visit, Some(state)) => {
                self.retained.insert(*visit, state.clone());
            }
            Message::Visit(visit, None) => {
                self.retained.remove(visit);
            }
            Message::Status(node, state) => {
                self.status.insert(*node, *state);
            }
            Message::Contacts(..) => {}
        }
        for to in 0..self.nodes.len() {
            if self.nodes[to].connected {
                self.send(from, to, message.clone());
            }
        }
    }

    /// Late, and now and then twice; in order only per publisher and topic.
    fn send(&mut self, from: usize, to: usize, message: Message) {
        let twice = self.dice.below(10) == 0;
        for _ in 0..=u8::from(twice) {
            let late = Duration::from_millis(1 + self.dice.below(self.latency_ms));
            let last = self.last.entry((from, to, message.topic())).or_insert(Tick::ZERO);
            *last = (*last).max(self.tick.plus(late));
            self.air.push((*last, to, message.clone()));
        }
    }

    fn feed(&mut self, node: usize, input: Input<'_>) {
        let now = self.now(node);
        let Some(pipeline) = &mut self.nodes[node].pipeline else { return };
        let effects = pipeline.handle(now, input);
        self.perform(node, effects);
    }

    fn perform(&mut self, node: usize, effects: Vec<Effect>) {
        let settings = settings(node);
        let state = |visit: &Visit| {
            let name = &settings.gateways[usize::from(visit.gateway.0)].name;
            (!visit.dismissed).then(|| payload::Visit::of(visit, name, None))
        };
        for effect in effects {
            let keep = |visit: &Visit, departed_at| {
                (visit.id, RestoredVisit { visit: visit.clone(), departed_at })
            };
            match effect {
                Effect::Arrived { visit, announcement } => {
                    if matches!(announcement, Announcement::Alert { .. }) {
                        self.alerts.push(visit.id);
                    }
                    self.nodes[node].disk.extend([keep(&visit, None)]);
                    self.publish(node, Message::Visit(visit.id, state(&visit)));
                }
                Effect::Changed(visit) | Effect::Returned(visit) => {
                    self.nodes[node].disk.extend([keep(&visit, None)]);
                    self.publish(node, Message::Visit(visit.id, state(&visit)));
                }
                Effect::Departed { visit, at, .. } => {
                    self.departures.push(visit.id);
                    self.nodes[node].disk.extend([keep(&visit, Some(at))]);
                    self.publish(node, Message::Visit(visit.id, None));
                }
                Effect::Erased { visit } => {
                    self.nodes[node].disk.remove(&visit);
                    self.publish(node, Message::Visit(visit, None));
                }
                Effect::PeerContacts(heard) => self.publish(node, Message::Contacts(node, heard)),
                _ => {}
            }
        }
    }

    fn deliver(&mut self) {
        let tick = self.tick;
        let (due, air) = std::mem::take(&mut self.air).into_iter().partition(|m| m.0 <= tick);
        self.air = air;
        let mut due: Vec<(Tick, usize, Message)> = due;
        due.sort_by_key(|(at, _, _)| *at);
        for (_, to, message) in due {
            match message {
                Message::Visit(visit, None) => self.feed(to, Input::Retained(visit, None)),
                Message::Visit(visit, Some(state)) => {
                    let opener = NAMES.iter().position(|n| *n == state.arrival.gateway).unwrap();
                    let said = state.heard(index(to, opener)).map(Box::new);
                    self.feed(to, Input::Retained(visit, said));
                }
                Message::Status(peer, state) if peer != to => {
                    self.feed(to, Input::Peer(index(to, peer), state));
                }
                Message::Contacts(peer, heard) if peer != to => {
                    for heard in heard {
                        // Over the wire and back.
                        let heard = payload::Contact::from(&heard).into();
                        self.feed(to, Input::PeerContact(index(to, peer), heard));
                    }
                }
                Message::Status(..) | Message::Contacts(..) => {}
            }
        }
    }

    /// Lets time pass; with an `rssi`, the customer is received four times a second.
    fn run(&mut self, secs: u64, rssi: Option<i16>) {
        let end = self.tick.plus(Duration::from_secs(secs));
        while self.tick < end {
            self.tick = self.tick.plus(STEP);
            self.deliver();
            for node in 0..self.nodes.len() {
                let due = |node: &Node| node.pipeline.as_ref()?.next_deadline();
                while due(&self.nodes[node]).is_some_and(|due| due <= self.tick) {
                    self.feed(node, Input::Deadline);
                }
                let heard = self.dice.below(13) == 0;
                if let Some(rssi) = rssi.filter(|_| heard) {
                    let rssi = rssi + i16::try_from(self.dice.below(13)).unwrap() - 6;
                    let address =
                        Address { kind: AddressKind::Random, octets: [0xc0, 1, 2, 3, 4, 5] };
                    let rssi = Dbm::measured(rssi);
                    let sighting = Sighting { gateway: HERE, address, rssi, payload: LEA };
                    self.feed(node, Input::Advertisement(sighting));
                }
            }
        }
    }

    fn repair_everything(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].pipeline.is_none() {
                self.start(node);
            }
            self.connect(node);
        }
    }

    /// The one visit that the broker and every gateway know of.
    fn agreed(&self) -> Result<VisitId, String> {
        let retained: Vec<VisitId> = self.retained.keys().copied().collect();
        let [visit] = retained[..] else { return Err(format!("retained: {retained:?}")) };
        for (node, name) in self.nodes.iter().zip(NAMES) {
            let open = node.pipeline.iter().flat_map(Pipeline::open_visits).map(|v| v.id);
            let open: Vec<VisitId> = open.collect();
            if open != [visit] {
                return Err(format!("{name} knows of {open:?}, the broker of {visit}"));
            }
        }
        Ok(visit)
    }

    fn over(&self) -> bool {
        let open = self.nodes.iter().filter_map(|node| node.pipeline.as_ref());
        self.retained.is_empty() && open.flat_map(Pipeline::open_visits).next().is_none()
    }
}

fn lea() -> Member {
    Member { by: "Léa".into(), tablet: None }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn three_gateways_announce_a_customer_once(seed in any::<u64>(), latency_ms in 5..120_u64) {
        let mut store = Store::open(seed, latency_ms);
        store.run(2, None);
        store.run(40, Some(-60));
        prop_assert_eq!(store.alerts.len(), 1, "alerts: {:?}", store.alerts);
        prop_assert_eq!(store.agreed(), Ok(store.alerts[0]));
        store.run(120, None);
        prop_assert!(store.over());
        prop_assert_eq!(&store.departures, &store.alerts);
        store.run(30, Some(-60));
        prop_assert_eq!(store.agreed(), Ok(store.alerts[0]), "coming back continues the visit");
        prop_assert_eq!(store.alerts.len(), 1);
    }

    #[test]
    fn after_any_faults_there_is_one_visit_in_the_end(
        seed in any::<u64>(),
        faults in prop::collection::vec((0..3_usize, 0..4_u8, 1..20_u64), 1..8),
    ) {
        let mut store = Store::open(seed, 2_000);
        for (node, fault, secs) in faults {
            match fault {
                0 => store.kill(node),
                1 => store.disconnect(node),
                _ => {
                    if store.nodes[node].pipeline.is_none() {
                        store.start(node);
                    }
                    store.connect(node);
                }
            }
            store.run(secs, Some(-60));
        }
        store.repair_everything();
        store.run(60, Some(-60));
        let agreed = store.agreed();
        prop_assert!(agreed.is_ok(), "{:?}", agreed);
        let distinct: BTreeSet<VisitId> = store.alerts.iter().copied().collect();
        prop_assert_eq!(distinct.len(), store.alerts.len(), "no visit was announced twice");
        store.run(20 * 60, None);
        prop_assert!(store.over(), "{:?}", store.retained.keys());
    }
}

#[test]
fn the_next_in_name_order_decides_for_a_gateway_that_died() {
    let mut store = Store::open(7, 50);
    store.run(30, Some(-60));
    let visit = store.agreed().unwrap();
    let opener = NAMES.iter().position(|n| *n == store.retained[&visit].arrival.gateway).unwrap();
    store.kill(opener);
    store.run(5, Some(-60));
    for node in 0..NAMES.len() {
        store.feed(node, Input::Staff { visit, by: &lea(), action: StaffAction::Claim });
    }
    store.run(2, Some(-60));
    let claim = store.retained[&visit].claim.clone().unwrap();
    assert_eq!((claim.by.as_str(), store.retained[&visit].revision), ("Léa", 1), "one decided");
    // The claim outlives the gateway's return.
    store.repair_everything();
    store.run(10, Some(-60));
    assert_eq!(store.agreed(), Ok(visit));
    assert_eq!(store.retained[&visit].claim.clone().unwrap().by, "Léa");
    assert_eq!(store.alerts.len(), 1);
    store.run(120, None);
    assert!(store.over());
    assert_eq!(store.departures, [visit]);
}

#[test]
fn a_visit_outlives_its_gateway_and_ends_with_the_customer() {
    let mut store = Store::open(11, 50);
    store.run(30, Some(-60));
    let visit = store.agreed().unwrap();
    let opener = NAMES.iter().position(|n| *n == store.retained[&visit].arrival.gateway).unwrap();
    store.kill(opener);
    store.run(600, Some(-60));
    assert_eq!(store.retained.keys().copied().collect::<Vec<_>>(), [visit], "still here");
    store.run(20 * 60, None);
    assert!(store.retained.is_empty(), "ended by another gateway");
    assert_eq!((store.alerts.len(), store.departures.len()), (1, 1));
}

#[test]
fn gateways_without_a_broker_decide_alone_and_agree_on_its_return() {
    let mut store = Store::open(13, 50);
    (0..NAMES.len()).for_each(|node| store.disconnect(node));
    store.run(30, Some(-60));
    assert_eq!(store.alerts.len(), 3, "each for itself");
    let first = store.nodes.iter().filter_map(|node| {
        let visit = node.pipeline.as_ref()?.open_visits().next()?;
        Some((visit.arrived_at, visit.id))
    });
    let first = first.min().unwrap().1;
    store.repair_everything();
    store.run(10, Some(-60));
    assert_eq!(store.agreed(), Ok(first), "the smallest (arrived_at, gateway)");
}

#[test]
fn a_forged_claim_at_the_highest_revision_does_not_stay() {
    let mut store = Store::open(17, 50);
    store.run(40, Some(-60));
    let visit = store.agreed().unwrap();
    let claim = payload::Claim {
        by: "stranger".to_owned(),
        tablet: None,
        since: "2026-01-05T09:00:30Z".to_owned(),
    };
    let state = payload::VisitState::Claimed;
    let forged = payload::Visit {
        claim: Some(claim),
        state,
        revision: payload::MAX_REVISION - 1,
        ..store.retained[&visit].clone()
    };
    store.publish_from_broker(0, Message::Visit(visit, Some(forged)));
    store.run(2, Some(-60));

    let own = &store.retained[&visit];
    assert_eq!((own.claim.as_ref(), own.revision), (None, payload::MAX_REVISION));
    for node in 0..NAMES.len() {
        store.feed(node, Input::Staff { visit, by: &lea(), action: StaffAction::Claim });
    }
    store.run(2, Some(-60));
    assert_eq!(store.retained[&visit].claim.clone().unwrap().by, "Léa");
}
