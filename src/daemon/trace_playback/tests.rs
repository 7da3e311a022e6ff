//! Shops whose traces are played again.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times and levels are small"
)]

use super::*;
use crate::daemon::trace_recorder::{Finished, TraceRecorder};
use crate::payload::trace::{TraceCut, TraceEvent};
use crate::pipeline::event::{PeerState, Visit};
use crate::pipeline::peers::PeerContact;
use crate::pipeline::{Place, VisitId};
use crate::sources::simulated::Random;

const CUSTOMERS: u32 = 24;

/// The daemon had been running for hours.
const OPENED: Duration = Duration::from_secs(17_321);

struct Shop {
    pipeline: Pipeline,
    recorder: TraceRecorder,
    finished: Vec<Finished>,
    /// When each visit was opened, as the pipeline's effects say.
    arrived: Vec<(Arc<str>, Tick)>,
    began: std::collections::BTreeMap<Arc<str>, Tick>,
}

fn detection() -> Detection {
    let mut detection = Detection::default();
    detection.gateway_offset_db.insert("till".to_owned(), -2.0);
    detection
}

impl Shop {
    fn open() -> Self {
        let place = |name: &str, place| crate::payload::trace::TraceGateway {
            name: name.to_owned(),
            place: Some(Place::into(place)),
        };
        let layout = Trace {
            gateways: vec![place("door", Place::Door), place("till", Place::Inside)],
            zones: vec![crate::payload::trace::TraceZone { zone: 1, place: Place::Door.into() }],
            ..Trace::default()
        };
        let line = |n: u32| {
            format!(
                r#"{{"client":"c-{n}","tier":"gold","scheme":"beacon","ibeacon":{{"uuid":"00000000-0000-0000-0000-000000000000","major":1,"minor":{n}}},"consent":{{"expires_at":"9999-01-01T00:00:00Z"}}}}"#
            ) + "\n"
        };
        let reading = Reading::new(1, Clock::Set(NOON)).keeping_every_day();
        let lines: String = (0..CUSTOMERS).map(line).collect();
        let registry = reading.load_from(lines.as_bytes(), "customers".as_ref()).unwrap().0;
        let now = moment(Tick::ZERO.plus(OPENED));
        let settings = settings(&layout, detection());
        let restored = Restored::default();
        let (pipeline, _) = Pipeline::new(settings, registry, restored, Start::Followed, now);
        Self {
            pipeline,
            recorder: TraceRecorder::default(),
            finished: Vec::new(),
            arrived: Vec::new(),
            began: std::collections::BTreeMap::new(),
        }
    }

    fn handle(&mut self, tick: Tick, input: Input<'_>) {
        if let Input::Contact(contact) = &input {
            self.began.entry(Arc::clone(&contact.client)).or_insert(tick);
        }
        self.recorder.precede(&input);
        let now = moment(tick);
        let effects = self.pipeline.handle(now, input);
        for effect in &effects {
            if let Effect::Arrived { visit, .. } = effect {
                self.arrived.push((Arc::clone(&visit.client), tick));
            }
        }
        self.finished.extend(self.recorder.follow(now, &self.pipeline, &effects));
    }

    fn pass_time(&mut self, until: Tick) {
        while let Some(due) = self.pipeline.next_deadline().filter(|due| *due < until) {
            self.handle(due, Input::Deadline);
        }
    }
}

/// A day in which customers come, stay or pass, three or four at a time, each three times: after
/// the first their phones are known. The till's gateway fails for a while.
fn day(shop: &mut Shop, seed: u64) -> Tick {
    let mut random = Random::new(seed, &[]);
    let mut contacts = Vec::new();
    for n in 0..3 * CUSTOMERS {
        let began = OPENED.as_micros() as u64 + u64::from(n) * 90_000_000;
        let (phone, stays) = (random.unit() * 12.0 - 6.0, random.unit() < 0.6);
        let lasts = if stays { 110.0 + random.unit() * 300.0 } else { 20.0 + random.unit() * 15.0 };
        let mut at = 0.0;
        while at < lasts {
            at += 0.05 + random.unit() * 0.6;
            let walk = (at.min(lasts - at) * 3.0).min(if stays { 30.0 } else { 12.0 });
            let noise = (random.unit() + random.unit() + random.unit() - 1.5) * 12.0;
            let gateway = u8::from(random.unit() < 0.4);
            let level = -92.0 + walk + phone + noise - f64::from(gateway) * 4.0;
            let rssi = Dbm::measured(level as i16);
            let echo = (random.unit() < 0.1)
                .then(|| Echo::hearing(1, Dbm::measured((level as i16 - 4).max(-99)).unwrap()));
            let micros = began + (at * 1e6) as u64;
            let client: Arc<str> = format!("c-{}", n % CUSTOMERS).into();
            contacts.push((
                micros,
                CustomerContact { client, gateway: GatewayIndex(gateway), rssi, echo },
            ));
        }
    }
    contacts.sort_by_key(|(at, _)| *at);
    let fails = contacts[contacts.len() / 2].0;
    for (at, contact) in contacts {
        let tick = Tick::from_micros(at);
        shop.pass_time(tick);
        if at == fails {
            shop.handle(tick, Input::Hearing(GatewayIndex(1), Hearing::Blind));
        }
        shop.handle(tick, Input::Contact(contact));
    }
    let mut last = Tick::ZERO;
    while let Some(due) = shop.pipeline.next_deadline().filter(|_| shop.pipeline.followed() > 0) {
        shop.handle(due, Input::Deadline);
        last = due;
    }
    last
}

#[test]
fn a_trace_replays_to_the_tick_of_its_arrival() {
    let mut shop = Shop::open();
    day(&mut shop, 1);
    let registry = registry().unwrap();
    let (mut arrived, mut passed, mut known, mut resurveyed) = (0, 0, 0, 0);
    for Finished { trace, .. } in &shop.finished {
        let trace = Trace { trace: "0123456789abcdef".to_owned(), ..trace.clone() };
        assert_eq!(trace.check(), Ok(()), "{trace:?}");
        // As head office gets it.
        let text = serde_json::to_string(&trace).unwrap();
        let trace: Trace = serde_json::from_str(&text).unwrap();
        let again = arrivals(&trace, detection(), registry.without_credentials());
        assert_eq!(again.first().copied(), trace.arrived(), "{text}");
        assert_eq!(again.len(), usize::from(trace.arrived().is_some()), "{text}");
        arrived += u32::from(trace.arrived().is_some());
        passed += u32::from(trace.arrived().is_none());
        known += u32::from(trace.phone_db != 0);
        resurveyed += u32::from(trace.surveys.len() > 1);
    }
    println!("{arrived} arrived, {passed} passed, {known} known, {resurveyed} resurveyed");
    assert!(arrived > 15 && passed > 10 && known > 3 && resurveyed > 20);
    // Nothing is left out, and the traces say what the shop did.
    let arrivals: Vec<_> = shop.arrived.iter().map(|(client, _)| Arc::clone(client)).collect();
    let visits = shop.finished.iter().filter(|one| one.visit.is_some());
    assert_eq!(visits.count(), arrivals.len());
    let (client, at) = &shop.arrived[0];
    let first = shop.finished.iter().find(|one| one.client == *client).unwrap();
    assert_eq!(first.trace.arrived(), Some(at.since(shop.began[client])));
}

#[test]
fn other_settings_decide_otherwise_on_a_trace() {
    let mut shop = Shop::open();
    day(&mut shop, 2);
    let mut strict = detection();
    strict.presence.dwell = Duration::from_mins(10);
    let visits: Vec<_> = shop.finished.iter().filter(|one| one.trace.arrived().is_some()).collect();
    let found = |detection: &Detection| {
        let registry = registry().unwrap();
        let arrives = |one: &&&Finished| {
            let registry = registry.without_credentials();
            !arrivals(&one.trace, detection.clone(), registry).is_empty()
        };
        visits.iter().filter(arrives).count()
    };
    assert_eq!(found(&detection()), visits.len());
    assert!(found(&strict) < visits.len() / 2, "{} of {}", found(&strict), visits.len());
}

#[test]
fn a_customer_who_stays_for_hours_is_thinned_out_and_cut() {
    let mut shop = Shop::open();
    let contact = |at: u64| {
        let client: Arc<str> = "c-1".into();
        let (gateway, rssi) =
            (GatewayIndex(1), Dbm::measured(-50 - i16::try_from(at % 5).unwrap()));
        (
            OPENED.as_micros() as u64 + at * 200_000,
            CustomerContact { client, gateway, rssi, echo: None },
        )
    };
    for (at, contact) in (0..5 * 7200).map(contact) {
        let tick = Tick::from_micros(at);
        shop.pass_time(tick);
        shop.handle(tick, Input::Contact(contact));
    }
    shop.pass_time(Tick::from_micros(u64::MAX / 2));
    let [Finished { trace, .. }] = &shop.finished[..] else { panic!("{:?}", shop.finished) };
    assert_eq!(trace.cut, Some(TraceCut::Full));
    let minutes = trace.ended_us / 60_000_000;
    assert!((20..60).contains(&minutes), "{minutes}");
    assert!(serde_json::to_string(trace).unwrap().len() < 48 * 1024);
    assert_eq!(arrivals(trace, detection(), registry().unwrap()).first().copied(), trace.arrived());
    assert!(trace.decisions.iter().all(|one| one.what == TraceEvent::Arrived));
}

#[test]
fn a_withdrawal_new_settings_and_a_check_in_end_a_trace_without_a_report() {
    use crate::pipeline::event::{CheckIn, CheckedIn};
    type Ending<'a> = &'a dyn Fn(&mut Shop, Tick);
    let endings: [Ending<'_>; 3] = [
        &|shop, tick| shop.handle(tick, Input::Withdrawn("c-1")),
        &|shop, tick| {
            let settings = Box::new(shop.pipeline.settings().clone());
            shop.handle(tick, Input::Settings(settings));
        },
        &|shop, tick| {
            let stay = Duration::from_mins(5);
            let who = CheckedIn::Client("c-1");
            shop.handle(tick, Input::CheckIn(CheckIn { who, stay }));
        },
    ];
    for (nth, ending) in endings.iter().enumerate() {
        let mut shop = Shop::open();
        let mut tick = Tick::ZERO.plus(OPENED);
        for _ in 0..3 {
            tick = tick.plus(Duration::from_millis(500));
            let (client, rssi) = ("c-1".into(), Dbm::measured(-90));
            let gateway = GatewayIndex(0);
            shop.handle(
                tick,
                Input::Contact(CustomerContact { client, gateway, rssi, echo: None }),
            );
        }
        ending(&mut shop, tick);
        shop.pass_time(tick.plus(Duration::from_hours(24)));
        assert!(shop.finished.is_empty(), "{nth}: {:?}", shop.finished);
        assert_eq!(shop.pipeline.followed(), 0, "{nth}");
    }
}

/// A customer at the door, where this gateway hangs, for a minute; the till's gateway, a peer, receives
/// them at `peer_dbm`.
fn beside_a_peer(own_dbm: i16, peer_dbm: i16, lasts_s: u64) -> Shop {
    let mut shop = Shop::open();
    let mut tick = Tick::ZERO.plus(OPENED);
    shop.handle(tick, Input::Broker(true));
    shop.handle(tick, Input::Peer(GatewayIndex(1), PeerState::Online));
    for step in 0..lasts_s * 4 {
        tick = tick.plus(Duration::from_millis(250));
        shop.pass_time(tick);
        let (client, echo): (Arc<str>, _) = ("c-1".into(), None);
        let (gateway, rssi) = (GatewayIndex(0), Dbm::measured(own_dbm - (step % 3) as i16));
        shop.began.entry(Arc::clone(&client)).or_insert(tick);
        let own = CustomerContact { client: Arc::clone(&client), gateway, rssi, echo };
        shop.handle(tick, Input::Contact(own));
        let rssi = Dbm::measured(peer_dbm - (step % 2) as i16);
        let contact = PeerContact { client, rssi, count: 1, echo, arriving_at: None };
        shop.handle(tick, Input::PeerContact(GatewayIndex(1), contact));
    }
    shop
}

#[test]
fn a_stay_that_gateways_decide_together_is_recorded_where_it_rings() {
    let mut shop = beside_a_peer(-50, -48, 90);
    shop.pass_time(Tick::ZERO.plus(OPENED * 2));
    let [Finished { trace, visit: Some(_), .. }] = &shop.finished[..] else {
        panic!("{:?}", shop.finished)
    };
    let (client, rang) = &shop.arrived[0];
    let decided = trace.arrived().unwrap();
    assert!(decided < rang.since(shop.began[client]), "it waited for the other gateway");
    let again = arrivals(trace, detection(), registry().unwrap());
    assert_eq!(again, [decided], "and would not have waited alone");
}

#[test]
fn a_stay_of_another_gateway_is_left_to_it() {
    let ended = |mut shop: Shop| {
        shop.pass_time(Tick::ZERO.plus(OPENED * 2));
        (shop.finished.len(), shop.arrived.len())
    };
    assert_eq!(ended(beside_a_peer(-90, -95, 10)), (1, 0), "a passer-by who is louder here");
    assert_eq!(ended(beside_a_peer(-95, -90, 10)), (0, 0), "a passer-by who is louder there");

    let mut shop = beside_a_peer(-90, -90, 5);
    let now = Tick::ZERO.plus(OPENED).plus(Duration::from_secs(6));
    let arrived_at = moment(now).clock.reading();
    let theirs = Visit {
        id: VisitId::of(1, "c-1", arrived_at, "till"),
        client: "c-1".into(),
        tier: "gold".into(),
        card: None,
        discreet: false,
        gateway: GatewayIndex(1),
        arrived_at,
        confidence: 0.99,
        claim: None,
        dismissed: false,
        announced: true,
        escalated: false,
        checked_in_until: None,
        revision: 0,
    };
    shop.handle(now, Input::Retained(theirs.id, Some(Box::new(theirs))));
    assert_eq!(ended(shop), (0, 0), "a visit that the other gateway opened");
}
