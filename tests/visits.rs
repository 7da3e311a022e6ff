//! What staff, head office and customers expect of presence and policy, through the pipeline's
//! public interface: inputs in, effects out, no clock and no sleeping.
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
    clippy::unchecked_time_subtraction,
    clippy::needless_for_each,
    reason = "a test that stops here has failed, and says so; it waits for real programs"
)]

use std::path::Path;
use std::time::Duration;

use grelot::config::registry::Reading;
use grelot::pipeline::VisitId;
use grelot::pipeline::event::{
    Address, AddressKind, Announcement, Away, CheckIn, CheckedIn, GatewayIndex, Hearing,
    KnownPhone, Member, Restored, RestoredVisit, Sighting, SilentBecause, StaffAction, Start,
    Visit,
};
use grelot::pipeline::identity::Registry;
use grelot::pipeline::presence::Loudness;
use grelot::pipeline::units::{Clock, Dbm, Now, Tick, WallTime};
use grelot::pipeline::{Effect, Gateway, Input, Pipeline, Place, Settings, policy, presence};

/// iBeacon `e2c56db5-…`, major 1, minor 2 or 3, 0 dBm at a metre.
const LEA: &[u8] = b"\x1a\xff\x4c\x00\x02\x15\xe2\xc5\x6d\xb5\xdf\xfb\x48\xd2\xb0\x60\xd0\xf5\xa7\x10\x96\xe0\x00\x01\x00\x02\xc5";
const MAX: &[u8] = b"\x1a\xff\x4c\x00\x02\x15\xe2\xc5\x6d\xb5\xdf\xfb\x48\xd2\xb0\x60\xd0\xf5\xa7\x10\x96\xe0\x00\x01\x00\x03\xc5";
const STRANGER: &[u8] = b"\x1a\xff\x4c\x00\x02\x15\xe2\xc5\x6d\xb5\xdf\xfb\x48\xd2\xb0\x60\xd0\xf5\xa7\x10\x96\xe0\x00\x09\x00\x09\xc5";

/// One shop, its pipeline and all that it said.
struct Shop {
    pipeline: Pipeline,
    tick: Tick,
    said: Vec<(f64, Effect)>,
    /// The wall clock that counts, and so far behind it runs until then.
    unset: Option<Duration>,
}

impl Shop {
    fn open() -> Self {
        Self::with(settings(), Restored::default(), Start::Followed)
    }

    fn with(settings: Settings, restored: Restored, start: Start) -> Self {
        Self::by(None, settings, restored, start)
    }

    /// With a wall clock that does not count and runs behind.
    fn by(behind: Option<Duration>, settings: Settings, restored: Restored, start: Start) -> Self {
        let now = at_by(Tick::ZERO, behind);
        let (pipeline, effects) = Pipeline::new(settings, registry(), restored, start, now);
        let mut shop = Self { pipeline, tick: Tick::ZERO, said: Vec::new(), unset: behind };
        shop.note(effects);
        shop
    }

    fn note(&mut self, effects: Vec<Effect>) {
        let t = self.tick.since(Tick::ZERO).as_secs_f64();
        self.said.extend(effects.into_iter().map(|effect| (t, effect)));
    }

    fn feed(&mut self, input: Input<'_>) {
        let effects = self.pipeline.handle(at_by(self.tick, self.unset), input);
        self.note(effects);
    }

    /// Lets time pass, as the daemon does: every deadline at its own time.
    fn wait(&mut self, secs: f64) {
        let end = self.tick.plus(Duration::from_secs_f64(secs));
        while let Some(due) = self.pipeline.next_deadline().filter(|due| *due <= end) {
            self.tick = self.tick.max(due);
            self.feed(Input::Deadline);
        }
        self.tick = end;
    }

    /// One advertisement every `every` seconds for `secs`, its RSSI from `first` to `last`.
    fn heard(&mut self, who: &[u8], every: f64, secs: f64, first: f64, last: f64) {
        let steps = (secs / every) as u32;
        for step in 0..steps {
            let rssi = first + (last - first) * f64::from(step) / f64::from(steps);
            self.feed(Input::Advertisement(sighting(who, rssi as i16)));
            self.wait(every);
        }
    }

    fn arrivals(&self) -> Vec<(f64, Visit, Announcement)> {
        let arrival = |(t, effect): &(f64, Effect)| match effect {
            Effect::Arrived { visit, announcement } => Some((*t, visit.clone(), *announcement)),
            _ => None,
        };
        self.said.iter().filter_map(arrival).collect()
    }

    fn departures(&self) -> Vec<f64> {
        let departure = |(t, e): &(f64, Effect)| matches!(e, Effect::Departed { .. }).then_some(*t);
        self.said.iter().filter_map(departure).collect()
    }

    fn returns(&self) -> usize {
        self.said.iter().filter(|(_, effect)| matches!(effect, Effect::Returned(_))).count()
    }
}

fn settings() -> Settings {
    Settings {
        store: 42,
        gateways: vec![Gateway { name: "door".into(), place: None, offset_db: 0.0, levels: None }],
        zones: [None; 16],
        beacons: Vec::new(),
        presence: presence::Settings {
            arrive_rssi_dbm: -70.0,
            leave_rssi_dbm: -80.0,
            leave_after: Duration::from_mins(1),
            rejoin: Duration::from_mins(10),
            ..presence::Settings::default()
        },
        policy: policy::Settings { between_alerts: Duration::ZERO, ..policy::Settings::default() },
    }
}

fn registry() -> Registry {
    let line = |client: &str, minor: u16| {
        format!(
            r#"{{"client":"{client}","tier":"gold","scheme":"beacon","ibeacon":{{"uuid":"e2c56db5-dffb-48d2-b060-d0f5a71096e0","major":1,"minor":{minor}}},"consent":{{"given_at":"2025-11-02T10:14:00Z","text":"fr-2025-10","expires_at":"2028-11-02T00:00:00Z","show_name":false}},"quiet":null}}"#
        )
    };
    let lines = format!("{}\n{}\n", line("c-lea", 2), line("c-max", 3));
    let reading = Reading::new(42, at(Tick::ZERO).clock);
    let (registry, report) =
        reading.load_from(lines.as_bytes(), Path::new("customers.jsonl")).unwrap();
    assert_eq!(report.refused, 0, "{:?}", report.refusals);
    registry
}

fn at(tick: Tick) -> Now {
    let opening = WallTime::parse("2026-01-05T09:00:00Z").unwrap();
    Now { tick, clock: Clock::Set(opening.plus(tick.since(Tick::ZERO))) }
}

fn at_by(tick: Tick, behind: Option<Duration>) -> Now {
    let now = at(tick);
    let unset = |behind| Clock::Unset(now.clock.reading().minus(behind));
    Now { clock: behind.map_or(now.clock, unset), ..now }
}

fn sighting(payload: &[u8], rssi: i16) -> Sighting<'_> {
    let address = Address { kind: AddressKind::Random, octets: [0xc0, 1, 2, 3, 4, 5] };
    Sighting { gateway: GatewayIndex(0), address, rssi: Dbm::measured(rssi), payload }
}

/// The door's gateway, and one in the street.
fn with_one_outside() -> Settings {
    let mut settings = settings();
    settings.gateways[0].place = Some(Place::Door);
    let street = Gateway {
        name: "street".into(),
        place: Some(Place::Outside),
        offset_db: 0.0,
        levels: None,
    };
    settings.gateways.push(street);
    settings
}

fn in_the_street(rssi: i16) -> Sighting<'static> {
    Sighting { gateway: GatewayIndex(1), ..sighting(LEA, rssi) }
}

#[test]
fn a_phone_far_down_the_street_is_not_announced_by_the_outside_gateway_alone() {
    let mut shop = Shop::with(with_one_outside(), Restored::default(), Start::Followed);
    for _ in 0..600 {
        shop.feed(Input::Advertisement(in_the_street(-90)));
        shop.wait(0.5);
    }
    assert!(shop.arrivals().is_empty(), "{:?}", shop.arrivals());
}

#[test]
fn a_customer_who_waits_in_the_street_afterwards_has_left() {
    let mut shop = Shop::with(with_one_outside(), Restored::default(), Start::Followed);
    shop.heard(LEA, 0.25, 60.0, -60.0, -60.0);
    assert_eq!(shop.arrivals().len(), 1);
    for _ in 0..400 {
        shop.feed(Input::Advertisement(in_the_street(-70)));
        shop.wait(0.5);
    }
    assert_eq!(shop.departures().len(), 1, "it is silent inside");
}

#[test]
fn a_card_received_without_signal_strength_is_announced_once_it_stays() {
    const NOT_AVAILABLE: f64 = 127.0;
    let mut shop = Shop::open();
    shop.heard(LEA, 0.5, 50.0, NOT_AVAILABLE, NOT_AVAILABLE);
    assert!(shop.arrivals().is_empty(), "it may only pass by");
    shop.heard(LEA, 0.5, 30.0, NOT_AVAILABLE, NOT_AVAILABLE);
    assert_eq!(shop.arrivals().len(), 1);
    shop.heard(LEA, 0.5, 300.0, NOT_AVAILABLE, NOT_AVAILABLE);
    assert_eq!((shop.arrivals().len(), shop.departures().len()), (1, 0), "it stays");
    shop.wait(180.0);
    assert_eq!(shop.departures().len(), 1, "it is silent");
}

#[test]
fn a_customer_who_walks_in_is_announced_once_and_soon() {
    let mut shop = Shop::open();
    shop.heard(LEA, 0.25, 10.0, -90.0, -78.0);
    assert!(shop.arrivals().is_empty(), "still in the street");
    shop.heard(LEA, 0.25, 120.0, -62.0, -60.0);
    let arrivals = shop.arrivals();
    assert_eq!(arrivals.len(), 1);
    let (t, visit, announcement) = &arrivals[0];
    assert!((10.0..16.0).contains(t), "announced at {t} s");
    assert_eq!(&*visit.client, "c-lea");
    // On a gateway's first day no more is certain of a phone that stays loud.
    assert!(visit.confidence >= 0.6);
    assert!(matches!(announcement, Announcement::Alert { .. }));
    assert!(shop.departures().is_empty());
}

#[test]
fn somebody_who_walks_past_the_window_is_not_announced() {
    let mut shop = Shop::open();
    shop.heard(LEA, 0.25, 6.0, -95.0, -76.0);
    shop.heard(LEA, 0.25, 6.0, -76.0, -95.0);
    shop.wait(300.0);
    assert!(shop.arrivals().is_empty());
    let why = shop.said.iter().find_map(|(_, effect)| match effect {
        Effect::Explained(why) => Some(why.why.to_string()),
        _ => None,
    });
    assert!(why.is_some_and(|why| why.contains("not announced")), "explained");
}

#[test]
fn a_stranger_makes_no_effect_at_all() {
    let mut shop = Shop::open();
    shop.heard(STRANGER, 0.1, 60.0, -40.0, -40.0);
    shop.wait(3600.0);
    assert!(shop.said.is_empty());
    assert_eq!(shop.pipeline.followed(), 0);
}

#[test]
fn a_phone_in_a_pocket_does_not_leave_and_return() {
    let mut shop = Shop::open();
    shop.heard(LEA, 0.25, 20.0, -62.0, -62.0);
    for _ in 0..20 {
        shop.heard(LEA, 1.0, 40.0, -84.0, -84.0);
        shop.heard(LEA, 1.0, 20.0, -72.0, -68.0);
    }
    assert_eq!(shop.arrivals().len(), 1);
    assert!(shop.departures().is_empty());
}

#[test]
fn a_silent_customer_departs_by_the_clock_and_not_by_other_traffic() {
    let mut shop = Shop::open();
    shop.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    shop.wait(600.0);
    let departures = shop.departures();
    assert_eq!(departures.len(), 1);
    assert!((departures[0] - 89.5).abs() < 0.01, "60 s after 29.5 s, not {}", departures[0]);
}

#[test]
fn coming_back_from_a_cigarette_is_the_same_visit() {
    let mut shop = Shop::open();
    shop.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    shop.wait(300.0);
    shop.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    assert_eq!((shop.arrivals().len(), shop.departures().len(), shop.returns()), (1, 1, 1));
    shop.wait(3600.0);
    shop.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    assert_eq!(shop.arrivals().len(), 2, "an hour later is a new visit");
}

#[test]
fn two_customers_do_not_disturb_each_other() {
    let mut shop = Shop::open();
    for _ in 0..60 {
        shop.heard(LEA, 0.25, 0.5, -60.0, -60.0);
        shop.heard(MAX, 0.25, 0.5, -92.0, -92.0);
    }
    let clients: Vec<String> =
        shop.arrivals().iter().map(|(_, visit, _)| visit.client.to_string()).collect();
    assert_eq!(clients, ["c-lea"]);
}

#[test]
fn blindness_never_makes_a_departure() {
    let mut shop = Shop::open();
    shop.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    shop.feed(Input::Hearing(GatewayIndex(0), Hearing::Blind));
    shop.wait(3600.0);
    assert!(shop.departures().is_empty());
    shop.feed(Input::Hearing(GatewayIndex(0), Hearing::Listening));
    shop.wait(30.0);
    assert!(shop.departures().is_empty(), "silence counts from the moment we listen again");
    shop.wait(60.0);
    assert_eq!(shop.departures().len(), 1);
}

#[test]
fn after_a_restart_no_customer_has_just_arrived() {
    let mut before = Shop::open();
    before.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    let visit = before.arrivals()[0].1.clone();
    let restored = Restored {
        visits: vec![RestoredVisit { visit: visit.clone(), departed_at: None }],
        ..Restored::default()
    };
    let mut after = Shop::with(settings(), restored, Start::Unfollowed);
    after.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    assert!(after.arrivals().is_empty(), "the visit goes on");
    after.heard(MAX, 0.5, 60.0, -60.0, -60.0);
    after.wait(3600.0);
    assert_eq!(after.departures().len(), 2);
    let first = after.said.iter().find_map(|(_, effect)| match effect {
        Effect::Departed { visit, .. } => Some(visit.id),
        _ => None,
    });
    assert_eq!(first, Some(visit.id));
}

#[test]
fn a_customer_received_first_after_an_unfollowed_start_is_not_announced() {
    let mut shop = Shop::with(settings(), Restored::default(), Start::Unfollowed);
    shop.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    shop.heard(MAX, 0.5, 30.0, -60.0, -60.0);
    let announced: Vec<Announcement> = shop.arrivals().into_iter().map(|(_, _, a)| a).collect();
    assert_eq!(announced[0], Announcement::Silent(SilentBecause::WarmUp));
    assert!(matches!(announced[1], Announcement::Alert { .. }));
}

#[test]
fn a_withdrawal_erases_the_visit_and_is_final() {
    let mut shop = Shop::open();
    shop.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    let id = shop.arrivals()[0].1.id;
    shop.feed(Input::Withdrawn("c-lea"));
    shop.heard(LEA, 0.5, 300.0, -50.0, -50.0);
    shop.feed(Input::Registry(Box::new(registry())));
    shop.heard(LEA, 0.5, 300.0, -50.0, -50.0);
    let erased = shop.said.iter().any(|(_, e)| *e == Effect::Erased { visit: id });
    let forgotten = shop
        .said
        .iter()
        .any(|(_, e)| matches!(e, Effect::Forget { client } if &**client == "c-lea"));
    assert!(erased && forgotten);
    assert_eq!(shop.arrivals().len(), 1, "an older registry does not bring the customer back");
    assert!(shop.departures().is_empty(), "no departure of a customer who is forgotten");
}

#[test]
fn a_new_registry_does_not_disturb_an_open_visit() {
    let mut shop = Shop::open();
    shop.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    shop.feed(Input::Registry(Box::new(registry())));
    shop.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    assert_eq!((shop.arrivals().len(), shop.departures().len()), (1, 0));
}

#[test]
fn a_customer_who_is_no_longer_enrolled_vanishes_from_the_tablets() {
    let mut shop = Shop::open();
    shop.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    let id = shop.arrivals()[0].1.id;
    shop.feed(Input::Registry(Box::default()));
    assert!(shop.said.iter().any(|(_, e)| *e == Effect::Erased { visit: id }));
    assert_eq!(shop.pipeline.open_visits().count(), 0);
}

#[test]
fn the_first_claim_stands_until_it_is_released() {
    let mut shop = Shop::open();
    shop.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    let id = shop.arrivals()[0].1.id;
    let holder = |shop: &Shop| {
        let visit = shop.pipeline.open_visits().next().cloned();
        visit.and_then(|visit| visit.claim).map(|claim| claim.by.to_string())
    };
    let act = |shop: &mut Shop, by: &str, action: StaffAction| {
        let by = Member { by: by.into(), tablet: None };
        shop.feed(Input::Staff { visit: id, by: &by, action });
    };
    act(&mut shop, "Léa", StaffAction::Claim);
    act(&mut shop, "Tom", StaffAction::Claim);
    assert_eq!(holder(&shop).as_deref(), Some("Léa"));
    act(&mut shop, "Tom", StaffAction::Release);
    assert_eq!(holder(&shop).as_deref(), Some("Léa"));
    act(&mut shop, "Léa", StaffAction::Release);
    act(&mut shop, "Tom", StaffAction::Claim);
    assert_eq!(holder(&shop).as_deref(), Some("Tom"));
    let answers = shop.said.iter().filter(|(_, e)| matches!(e, Effect::Changed(_))).count();
    assert_eq!(answers, 5, "every action is answered with the visit as it is");
}

/// A shop with one open visit, and what staff do with it.
struct Desk {
    shop: Shop,
    visit: VisitId,
}

impl Desk {
    fn open() -> Self {
        let mut shop = Shop::open();
        shop.heard(LEA, 0.5, 30.0, -60.0, -60.0);
        let visit = shop.arrivals()[0].1.id;
        Self { shop, visit }
    }

    fn act(&mut self, by: &Member, action: StaffAction) {
        self.shop.feed(Input::Staff { visit: self.visit, by, action });
    }

    /// The gateway is killed, and begins again with what its store holds.
    fn restart(&mut self, visit: Visit) {
        let visits = vec![RestoredVisit { visit, departed_at: None }];
        let away = Away::Known(Duration::from_secs(5));
        let restored = Restored { visits, away, ..Restored::default() };
        self.shop = Shop::with(settings(), restored, Start::Followed);
    }

    fn visit(&self) -> Visit {
        self.shop.pipeline.open_visits().next().cloned().unwrap()
    }

    fn holder(&self) -> Option<(String, String)> {
        let claim = self.visit().claim?;
        Some((claim.by.to_string(), claim.tablet.unwrap_or_default().to_string()))
    }
}

fn at_tablet(by: &str, tablet: &str) -> Member {
    Member { by: by.into(), tablet: Some(tablet.into()) }
}

#[test]
fn two_people_of_one_name_are_two() {
    let mut desk = Desk::open();
    let (one, two) = (at_tablet("Léa", "a1"), at_tablet("Léa", "b2"));
    desk.act(&one, StaffAction::Claim);
    desk.act(&two, StaffAction::Claim);
    desk.act(&two, StaffAction::Release);
    assert_eq!(desk.holder(), Some(("Léa".into(), "a1".into())));
    desk.act(&Member { by: "Léa".into(), tablet: None }, StaffAction::Release);
    assert_eq!(desk.holder(), None, "a client that has no tablet's id is known by name");
}

#[test]
fn a_customer_is_taken_over_and_handed_back() {
    let mut desk = Desk::open();
    let (lea, tom) = (at_tablet("Léa", "a1"), at_tablet("Tom", "b2"));
    desk.act(&lea, StaffAction::Claim);
    desk.act(&tom, StaffAction::TakeOver);
    assert_eq!(desk.holder(), Some(("Tom".into(), "b2".into())));
    desk.act(&lea, StaffAction::HandOver(lea.clone()));
    assert_eq!(desk.holder().unwrap().0, "Tom", "only the holder hands over");
    desk.act(&tom, StaffAction::HandOver(lea));
    assert_eq!(desk.holder().unwrap().0, "Léa");
}

#[test]
fn a_hidden_visit_comes_back_as_it_was() {
    let mut desk = Desk::open();
    let lea = at_tablet("Léa", "a1");
    desk.act(&lea, StaffAction::Claim);
    desk.act(&lea, StaffAction::Dismiss);
    assert!(desk.visit().dismissed);
    desk.act(&at_tablet("Tom", "b2"), StaffAction::Recall);
    assert!(!desk.visit().dismissed);
    assert_eq!(desk.holder().unwrap().0, "Léa");
}

/// Five tablets tap at random on what each of them shows, which is late, and the gateway restarts at
/// random. An owner changes only by an action that may change it, and in the end all tablets show the
/// gateway's: of two states the one with the higher revision, in any order.
#[test]
fn a_thousand_random_interleavings_of_taps_end_in_one_owner_on_all_tablets() {
    const NAMES: [&str; 5] = ["Léa", "Tom", "Léa", "Ada", "Max"];
    let people: Vec<_> = (0..5).map(|n| at_tablet(NAMES[n], &format!("t{n}"))).collect();
    let mut desk = Desk::open();
    let opened = desk.visit();
    for seed in 1..=1_000 {
        let mut random = Random(seed);
        desk.restart(opened.clone());
        let mut published = vec![opened.clone()];
        let mut shown = vec![opened.clone(); people.len()];
        for _ in 0..30 {
            let who = random.below(people.len());
            learn(&mut shown[who], &published[random.below(published.len())]);
            let action = match (random.below(7), &shown[who].claim) {
                (0, _) => StaffAction::Dismiss,
                (1, _) => StaffAction::Recall,
                (2, _) => StaffAction::TakeOver,
                (3, _) => StaffAction::HandOver(people[random.below(people.len())].clone()),
                (_, Some(_)) => StaffAction::Release,
                (_, None) => StaffAction::Claim,
            };
            let before = desk.visit();
            desk.act(&people[who], action.clone());
            let after = desk.visit();
            let own = before.claim.as_ref().is_none_or(|claim| claim.is_of(&people[who]));
            let may = own || action == StaffAction::TakeOver;
            assert!(may || before.claim == after.claim, "seed {seed}: {action:?} by another");
            assert!(before == after || before.revision < after.revision, "seed {seed}");
            published.push(after.clone());
            if random.below(20) == 0 {
                desk.restart(after);
            }
        }
        let owner = desk.visit();
        for shown in &mut shown {
            for _ in 0..published.len() {
                learn(shown, &published[random.below(published.len())]);
            }
            published.iter().for_each(|state| learn(shown, state));
            assert_eq!((&shown.claim, shown.dismissed), (&owner.claim, owner.dismissed));
        }
    }
}

/// As every tablet does with a state that it receives.
fn learn(shown: &mut Visit, received: &Visit) {
    if received.revision >= shown.revision {
        *shown = received.clone();
    }
}

/// A `SplitMix64` generator.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }
}

#[test]
fn an_unanswered_alert_is_escalated_once() {
    let escalations = |claimed: bool| {
        let mut shop = Shop::open();
        let policy =
            policy::Settings { escalate_after: Some(Duration::from_mins(2)), ..settings().policy };
        shop.feed(Input::Settings(Box::new(Settings { policy, ..settings() })));
        shop.heard(LEA, 0.5, 30.0, -60.0, -60.0);
        let (arrived, visit, _) = shop.arrivals()[0].clone();
        if claimed {
            let (by, action) = (at_tablet("Léa", "a1"), StaffAction::Claim);
            shop.feed(Input::Staff { visit: visit.id, by: &by, action });
        }
        shop.heard(LEA, 0.5, 300.0, -60.0, -60.0);
        let at = shop.said.iter().filter(|(_, effect)| matches!(effect, Effect::Escalated(_)));
        at.map(|(at, _)| (*at - arrived).round()).collect::<Vec<_>>()
    };
    assert_eq!(escalations(false), [120.0]);
    assert!(escalations(true).is_empty());
}

#[test]
fn the_same_inputs_give_the_same_effects() {
    let run = || {
        let mut shop = Shop::open();
        for round in 0..5 {
            shop.heard(LEA, 0.3, 20.0, -90.0, -60.0);
            shop.heard(MAX, 0.7, 50.0, -60.0, -80.0 - f64::from(round));
            shop.wait(200.0);
        }
        format!("{:?}", shop.said)
    };
    assert_eq!(run(), run());
}

/// Customers who stayed and who passed, as the survey counts, once the visit is over.
fn surveyed(shop: &mut Shop) -> (f32, f32) {
    shop.wait(1800.0);
    (shop.pipeline.survey().stays, shop.pipeline.survey().passes)
}

#[test]
fn the_survey_counts_what_staff_say_of_a_visit() {
    let lea = at_tablet("Léa", "a1");
    let counts = |acts: &dyn Fn(&mut Desk)| {
        let mut desk = Desk::open();
        acts(&mut desk);
        surveyed(&mut desk.shop)
    };
    let said = |desk: &mut Desk, was_here| {
        let visit = desk.visit;
        desk.shop.feed(Input::Feedback { visit, was_here });
    };
    let stays_on = |desk: &mut Desk| desk.shop.heard(LEA, 0.5, 120.0, -60.0, -60.0);
    assert_eq!(counts(&|_| ()), (0.0, 0.0), "announced, and received for half a minute");
    assert_eq!(counts(&stays_on), (1.0, 0.0));
    assert_eq!(counts(&|desk| desk.act(&lea, StaffAction::Claim)), (1.0, 0.0));
    let given_back = |desk: &mut Desk| {
        desk.act(&lea, StaffAction::Claim);
        desk.act(&lea, StaffAction::Release);
    };
    assert_eq!(counts(&given_back), (0.0, 0.0));
    let not_found = |desk: &mut Desk| {
        desk.act(&lea, StaffAction::Claim);
        said(desk, Some(false));
        stays_on(desk);
    };
    assert_eq!(counts(&not_found), (0.0, 1.0));
    let mistaken = |desk: &mut Desk| {
        said(desk, Some(false));
        said(desk, None);
        stays_on(desk);
    };
    assert_eq!(counts(&mistaken), (1.0, 0.0));
    let restarted = |desk: &mut Desk| {
        desk.act(&lea, StaffAction::Claim);
        desk.restart(desk.visit());
        desk.shop.heard(LEA, 0.5, 10.0, -60.0, -60.0);
    };
    assert_eq!(counts(&restarted), (1.0, 0.0));
    let too_late = |desk: &mut Desk| {
        stays_on(desk);
        desk.shop.wait(300.0);
        said(desk, Some(false));
    };
    assert_eq!(counts(&too_late), (1.0, 0.0), "what is counted stays counted");
}

#[test]
fn a_survey_that_is_begun_again_is_kept_at_once() {
    let mut desk = Desk::open();
    desk.shop.heard(LEA, 0.5, 120.0, -60.0, -60.0);
    desk.shop.wait(1800.0);
    assert!(desk.shop.pipeline.survey().gateways.contains_key("door"));
    let kept = |shop: &Shop| match shop.said.last() {
        Some((_, Effect::Surveyed(survey))) => Some((survey.stays, survey.gateways.len())),
        _ => None,
    };
    desk.shop.feed(Input::ForgetSite(Some("door")));
    assert_eq!(kept(&desk.shop), Some((1.0, 0)));
    desk.shop.feed(Input::ForgetSite(None));
    assert_eq!(kept(&desk.shop), Some((0.0, 0)));
}

/// A visit of a minute or two at the usual level of the shop's inside and `above_db` more, and the
/// way out; then half an hour passes.
fn visit(shop: &mut Shop, above_db: f64) {
    shop.heard(LEA, 0.25, 5.0, -88.0 + above_db, -64.0 + above_db);
    shop.heard(LEA, 0.25, 90.0, -72.0 + above_db, -75.0 + above_db);
    shop.heard(LEA, 0.25, 5.0, -64.0 + above_db, -88.0 + above_db);
    shop.wait(1800.0);
}

/// Stands before the window for a while, and goes.
fn look_in(shop: &mut Shop, above_db: f64) {
    shop.heard(LEA, 0.25, 5.0, -88.0 + above_db, -78.0 + above_db);
    shop.heard(LEA, 0.25, 25.0, -78.0 + above_db, -78.0 + above_db);
    shop.heard(LEA, 0.25, 5.0, -78.0 + above_db, -88.0 + above_db);
    shop.wait(1800.0);
}

fn learned(shop: &Shop) -> Vec<KnownPhone> {
    let learned = |(_, effect): &(f64, Effect)| match effect {
        Effect::Learned(phone) => Some(phone.clone()),
        _ => None,
    };
    shop.said.iter().filter_map(learned).collect()
}

#[test]
fn a_loud_phone_before_the_window_rings_no_more_once_it_is_known() {
    let mut stranger = Shop::open();
    look_in(&mut stranger, 12.0);
    assert_eq!(stranger.arrivals().len(), 1, "as loud as somebody inside");
    let mut known = Shop::open();
    (0..4).for_each(|_| visit(&mut known, 12.0));
    let learned = learned(&known);
    assert_eq!(learned.len(), 4);
    assert!(learned[3].loudness.above_usual_db > 3.0, "{learned:?}");
    assert_eq!((&*learned[3].client, learned[3].loudness.visits), ("c-lea", 3));
    look_in(&mut known, 12.0);
    assert_eq!(known.arrivals().len(), 4, "it is known to be loud");
    let why = known.said.iter().rev().find_map(|(_, effect)| match effect {
        Effect::Explained(why) => Some(why.why.to_string()),
        _ => None,
    });
    let decibels = learned[3].loudness.above_usual_db.round();
    let sentence = format!("its phone is usually {decibels} dB louder than most");
    assert!(why.is_some_and(|why| why.contains("not announced") && why.contains(&sentence)));
}

#[test]
fn a_quiet_phone_inside_is_found_sooner_once_it_is_known() {
    let loudness = Loudness { above_usual_db: -6.0, visits: 3 };
    let phone = KnownPhone { client: "c-lea".into(), loudness, at: at(Tick::ZERO).clock.reading() };
    let restored = Restored { phones: vec![phone], ..Restored::default() };
    let found_after = |restored| {
        let mut shop = Shop::with(settings(), restored, Start::Followed);
        visit(&mut shop, 0.0);
        shop.arrivals().first().map(|(t, _, _)| *t)
    };
    let (unknown, known) = (found_after(Restored::default()), found_after(restored));
    let unknown = unknown.unwrap_or(100.0);
    assert!(known.is_some_and(|known| known < unknown - 1.0), "{known:?}, not {unknown}");
}

#[test]
fn what_visits_taught_of_a_phone_goes_with_its_customer() {
    let mut shop = Shop::open();
    visit(&mut shop, 6.0);
    let phones = learned(&shop);
    assert_eq!(phones.len(), 1);
    let unlearned = |shop: &Shop| {
        let gone = |(_, e): &(f64, Effect)| matches!(e, Effect::Unlearned { client } if &**client == "c-lea");
        shop.said.iter().filter(|said| gone(said)).count()
    };
    shop.feed(Input::Registry(Box::new(registry())));
    assert_eq!(unlearned(&shop), 0, "still enrolled");
    shop.feed(Input::Registry(Box::default()));
    assert_eq!(unlearned(&shop), 1, "no longer enrolled");
    let restored = Restored { phones, withdrawn: vec!["c-lea".into()], ..Restored::default() };
    let restarted = Shop::with(settings(), restored, Start::Followed);
    assert_eq!(unlearned(&restarted), 1, "withdrawn meanwhile");
}

#[test]
fn who_keeps_no_record_of_visits_learns_nothing() {
    let mut settings = settings();
    settings.presence.known_for = Duration::ZERO;
    let mut shop = Shop::with(settings, Restored::default(), Start::Followed);
    visit(&mut shop, 6.0);
    assert_eq!((shop.departures().len(), learned(&shop).len()), (1, 0));
}

const NIGHT: Duration = Duration::from_hours(14);

fn four_hours_between_alerts() -> Settings {
    let policy =
        policy::Settings { between_alerts: Duration::from_hours(4), ..policy::Settings::default() };
    Settings { policy, ..settings() }
}

/// Lea's visit of the evening before, and when staff were alerted.
fn last_evening() -> (Visit, WallTime) {
    let mut before = Shop::open();
    before.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    let evening = at(Tick::ZERO).clock.reading().minus(NIGHT);
    (Visit { arrived_at: evening, ..before.arrivals()[0].1.clone() }, evening)
}

#[test]
fn a_customer_of_yesterday_is_announced_at_opening_although_the_machine_booted_into_yesterday() {
    let (visit, evening) = last_evening();
    for departed_at in [None, Some(evening.plus(Duration::from_secs(30)))] {
        let restored = Restored {
            visits: vec![RestoredVisit { visit: visit.clone(), departed_at }],
            last_alerts: vec![("c-lea".into(), evening)],
            away: Away::Unknown,
            ..Restored::default()
        };
        let behind = Some(NIGHT - Duration::from_mins(2));
        let settings = four_hours_between_alerts();
        let mut morning = Shop::by(behind, settings, restored, Start::Followed);
        morning.heard(LEA, 0.5, 30.0, -60.0, -60.0);
        let arrivals = morning.arrivals();
        assert_eq!(arrivals.len(), 1, "{departed_at:?}: {:?}", morning.said);
        assert!(matches!(arrivals[0].2, Announcement::Alert { .. }), "{:?}", arrivals[0].2);
        assert_ne!(arrivals[0].1.id, visit.id);
    }
}

#[test]
fn a_visit_does_not_go_on_after_two_hours_without_power() {
    let (visit, _) = last_evening();
    let restored = Restored {
        visits: vec![RestoredVisit { visit: visit.clone(), departed_at: None }],
        away: Away::Known(Duration::from_hours(2)),
        ..Restored::default()
    };
    let mut shop = Shop::with(settings(), restored, Start::Followed);
    assert_eq!(shop.departures(), [0.0], "it ended with the power");
    shop.heard(LEA, 0.5, 30.0, -60.0, -60.0);
    assert_eq!(shop.arrivals().len(), 1);
}

#[test]
fn a_visit_that_began_before_the_clock_was_set_keeps_its_age_and_its_cap() {
    let settings = four_hours_between_alerts();
    let mut shop = Shop::by(Some(NIGHT), settings, Restored::default(), Start::Followed);
    shop.heard(LEA, 0.5, 60.0, -60.0, -60.0);
    let opened = shop.arrivals()[0].clone();
    shop.unset = None;
    shop.heard(LEA, 0.5, 10.0, -60.0, -60.0);
    let arrived = at(Tick::ZERO.plus(Duration::from_secs_f64(opened.0))).clock.reading();
    let corrected = shop.said.iter().find_map(|(_, effect)| match effect {
        Effect::Changed(visit) if visit.id == opened.1.id => Some(visit.arrived_at),
        _ => None,
    });
    assert_eq!(corrected, Some(arrived));
    shop.wait(3600.0);
    assert_eq!(shop.departures().len(), 1);
    shop.heard(LEA, 0.5, 60.0, -60.0, -60.0);
    assert_eq!(shop.arrivals()[1].2, Announcement::Silent(SilentBecause::Cap));
}

#[test]
fn a_cap_ends_after_its_time_on_a_machine_without_any_time_server() {
    let settings = four_hours_between_alerts();
    let mut shop = Shop::by(Some(NIGHT), settings, Restored::default(), Start::Followed);
    for hours in [0.0, 2.0, 5.0] {
        shop.wait(hours * 3600.0 - shop.tick.since(Tick::ZERO).as_secs_f64());
        shop.heard(LEA, 0.5, 60.0, -60.0, -60.0);
    }
    let alerts: Vec<bool> =
        shop.arrivals().iter().map(|it| matches!(it.2, Announcement::Alert { .. })).collect();
    assert_eq!(alerts, [true, false, true]);
}

#[test]
fn a_faint_copy_of_a_loyalty_card_does_not_keep_the_originals_alert_away() {
    let copies = |shop: &Shop| {
        let copied = |(_, effect): &(f64, Effect)| match effect {
            Effect::CardCopied { client } => Some(client.to_string()),
            _ => None,
        };
        shop.said.iter().filter_map(copied).collect::<Vec<_>>()
    };
    let mut alone = Shop::open();
    alone.heard(LEA, 0.5, 60.0, -60.0, -60.0);
    assert!(copies(&alone).is_empty());

    let mut shop = Shop::open();
    let copy = Address { kind: AddressKind::Random, octets: [0xc0, 9, 9, 9, 9, 9] };
    for _ in 0..240 {
        shop.feed(Input::Advertisement(Sighting { address: copy, ..sighting(LEA, -94) }));
        shop.wait(0.1);
        shop.feed(Input::Advertisement(Sighting { address: copy, ..sighting(LEA, -95) }));
        shop.wait(0.1);
        shop.feed(Input::Advertisement(sighting(LEA, -60)));
        shop.wait(0.3);
    }
    let (t, _, announcement) = shop.arrivals()[0].clone();
    assert!(matches!(announcement, Announcement::Alert { .. }));
    let without = alone.arrivals()[0].0;
    assert!(t < without + 5.0, "{t} s, without the copy {without} s");
    assert_eq!(copies(&shop), ["c-lea"], "said once");
    assert!(shop.departures().is_empty());
}

const STAY: Duration = Duration::from_mins(30);

fn by_hand(client: &str) -> Input<'_> {
    Input::CheckIn(CheckIn { who: CheckedIn::Client(client), stay: STAY })
}

#[test]
fn a_customer_who_is_checked_in_by_hand_rings_and_stays_for_half_an_hour() {
    let mut shop = Shop::open();
    shop.feed(by_hand("c-lea"));
    let arrivals = shop.arrivals();
    assert_eq!(arrivals.len(), 1);
    assert!(matches!(arrivals[0].2, Announcement::Alert { .. }));
    shop.feed(by_hand("c-lea"));
    assert_eq!(shop.arrivals().len(), 1, "once");
    shop.wait(STAY.as_secs_f64() - 1.0);
    assert_eq!(shop.departures(), [0.0; 0]);
    shop.wait(300.0);
    assert_eq!(shop.departures().len(), 1);
}

/// The gateway stops ten minutes after a check-in, for so long.
fn checked_in_before_a_restart(away: Duration) -> Shop {
    let mut before = Shop::open();
    before.feed(by_hand("c-lea"));
    let mut visit = before.arrivals()[0].1.clone();
    let passed = Duration::from_mins(10) + away;
    visit.arrived_at = visit.arrived_at.minus(passed);
    visit.checked_in_until = visit.checked_in_until.map(|until| until.minus(passed));
    let visits = vec![RestoredVisit { visit, departed_at: None }];
    let restored = Restored { visits, away: Away::Known(away), ..Restored::default() };
    Shop::with(settings(), restored, Start::Followed)
}

#[test]
fn a_restart_neither_shortens_nor_prolongs_the_stay_of_who_is_checked_in() {
    for away in [Duration::from_secs(2), Duration::from_mins(8)] {
        let mut after = checked_in_before_a_restart(away);
        let left = (STAY - Duration::from_mins(10) - away).as_secs_f64();
        after.wait(left - 1.0);
        assert_eq!(after.departures(), [0.0; 0], "away for {away:?}");
        after.wait(300.0);
        assert_eq!(after.departures().len(), 1, "away for {away:?}");
    }
    let too_long = checked_in_before_a_restart(STAY);
    assert_eq!(too_long.departures(), [0.0], "it ended while the gateway was away");
}

#[test]
fn a_customer_who_is_checked_in_and_then_received_leaves_as_others_do() {
    let mut shop = Shop::open();
    shop.feed(by_hand("c-lea"));
    shop.heard(LEA, 1.0, 60.0, -55.0, -55.0);
    shop.heard(LEA, 1.0, 30.0, -60.0, -95.0);
    shop.wait(300.0);
    assert_eq!((shop.arrivals().len(), shop.departures().len()), (1, 1));
}

#[test]
fn a_check_in_passes_consent_quiet_hours_and_caps_as_an_arrival_does() {
    let mut shop = Shop::open();
    shop.feed(by_hand("c-unknown"));
    shop.feed(Input::CheckIn(CheckIn { who: CheckedIn::Token(&[7; 11]), stay: STAY }));
    assert_eq!(shop.arrivals().len(), 0, "not enrolled");
    shop.feed(Input::Withdrawn("c-max"));
    shop.feed(by_hand("c-max"));
    assert_eq!(shop.arrivals().len(), 0, "withdrawn");

    let mut capped = settings();
    capped.policy.between_alerts = Duration::from_hours(4);
    let mut shop = Shop::with(capped, Restored::default(), Start::Followed);
    shop.feed(by_hand("c-lea"));
    shop.wait(2.0 * STAY.as_secs_f64());
    shop.feed(by_hand("c-lea"));
    let arrivals = shop.arrivals();
    assert_eq!(arrivals.len(), 2);
    assert_eq!(arrivals[1].2, Announcement::Silent(SilentBecause::Cap));
}

#[test]
fn a_customer_who_has_just_left_and_checks_in_continues_the_visit() {
    let mut shop = Shop::open();
    shop.heard(LEA, 1.0, 60.0, -55.0, -55.0);
    shop.wait(200.0);
    assert_eq!(shop.departures().len(), 1);
    shop.feed(by_hand("c-lea"));
    assert_eq!((shop.arrivals().len(), shop.returns()), (1, 1));
}
