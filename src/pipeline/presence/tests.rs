//! Properties that hold in every shop.

use proptest::prelude::*;

use super::site_model::SURELY_DB;
use super::*;
use crate::pipeline::gateway::{Gateway, Levels, Place};
use crate::pipeline::policy;
use crate::pipeline::units::Dbm;

const LEA: CustomerIndex = CustomerIndex(0);

fn store(gateways: Vec<Gateway>) -> StoreSettings {
    StoreSettings {
        store: 42,
        gateways,
        zones: [None; 16],
        beacons: Vec::new(),
        presence: Settings::default(),
        policy: policy::Settings::default(),
    }
}

fn gateway(nth: u8, place: Place, levels: Option<Levels>) -> Gateway {
    Gateway { name: format!("g{nth}"), place: Some(place), offset_db: 0.0, levels }
}

fn fresh(settings: StoreSettings) -> Presence {
    Presence::new(settings, Survey::default(), Start::Followed, Tick::ZERO)
}

/// When the customer arrives, in seconds, given these levels of one phone at the first gateway.
fn arrival(settings: StoreSettings, levels: impl Iterator<Item = (f32, f32)>) -> Option<f32> {
    let mut presence = fresh(settings);
    for (at_s, dbm) in levels {
        let now = Tick::ZERO.plus(Duration::from_secs_f32(at_s));
        #[expect(clippy::cast_possible_truncation, reason = "a level")]
        let rssi = Dbm::measured(dbm.round() as i16);
        let event = presence.hear(LEA, now, GatewayIndex(0), rssi, None, false);
        if event.is_some_and(|event| matches!(event.what, PresenceChange::Arrived { .. })) {
            return Some(at_s);
        }
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The customer comes down the street for a quarter of a minute, then stays at the measured
    /// inside level. Readings scatter evenly around it: where several in a row are low, the level
    /// that was received is a lower one.
    #[test]
    fn a_phone_that_stays_at_the_measured_inside_level_is_announced(
        inside_dbm in -80.0_f32..-45.0,
        apart_db in 6.0_f32..25.0,
        at_the_door: bool,
        every_s in 0.1_f32..2.0,
        scatter in prop::collection::vec(-3.0_f32..3.0, 32),
    ) {
        const COMES_S: f32 = 15.0;
        let levels = Levels { inside_dbm, outside_dbm: inside_dbm - apart_db };
        let place = if at_the_door { Place::Door } else { Place::Inside };
        let settings = store(vec![gateway(0, place, Some(levels))]);
        let level = |at_s: f32, scatter_db: f32| {
            inside_dbm - apart_db * 2.0 * (1.0 - at_s / COMES_S).max(0.0) + scatter_db
        };
        let scatter = scatter.iter().flat_map(|db| [*db, -db]).cycle();
        let readings = (0..).zip(scatter).map(|(nth, db)| {
            #[expect(clippy::cast_precision_loss, reason = "few")]
            let at_s = nth as f32 * every_s;
            (at_s, level(at_s, db))
        });
        let most_s = COMES_S + 15.0 + settings.presence.dwell.as_secs_f32();
        let within = readings.take_while(|(at_s, _)| *at_s <= most_s);
        prop_assert!(arrival(settings, within).is_some());
    }

    /// The same with the default level, which may not be this shop's: at once where the phone is louder, else
    /// after a minute at most.
    #[test]
    fn a_phone_that_stays_at_the_default_inside_level_is_announced(
        above_db in 0.0_f32..20.0,
        place in prop::sample::select(vec![Place::Door, Place::Inside]),
        every_s in 0.1_f32..2.0,
    ) {
        let settings = store(vec![gateway(0, place, None)]);
        let (dwell_s, inside_dbm) =
            (settings.presence.dwell.as_secs_f32(), settings.presence.arrive_rssi_dbm);
        let most_s = dwell_s + if above_db.round() >= SURELY_DB { 15.0 } else { 65.0 };
        let readings = (0_u16..).map(|nth| (f32::from(nth) * every_s, inside_dbm + above_db));
        let within = readings.take_while(|(at_s, _)| *at_s <= most_s);
        prop_assert!(arrival(settings, within).is_some());
    }

    #[test]
    fn who_is_faint_at_a_gateway_outside_is_not_announced(
        dbm in -99.0_f32..-86.0,
        measured: bool,
        every_s in 0.1_f32..2.0,
    ) {
        let levels = measured.then_some(Levels { inside_dbm: -85.0, outside_dbm: -60.0 });
        let settings = store(vec![gateway(0, Place::Outside, levels)]);
        let readings = (0_u16..600).map(|nth| (f32::from(nth) * every_s, dbm));
        prop_assert_eq!(arrival(settings, readings), None);
    }

    /// A gateway at the door measures people on the pavement, too: at the default level of a shop where
    /// nothing was measured, a quarter of a minute says little.
    #[test]
    fn a_phone_at_the_default_inside_level_is_not_announced_at_once(every_s in 0.2_f32..1.0) {
        let settings = store(vec![gateway(0, Place::Door, None)]);
        let inside_dbm = settings.presence.arrive_rssi_dbm;
        let readings = (0_u16..).map(|nth| (f32::from(nth) * every_s, inside_dbm));
        let within = readings.take_while(|(at_s, _)| *at_s <= 30.0);
        prop_assert_eq!(arrival(settings, within), None);
    }

    #[test]
    fn confidence_stays_a_probability(
        heard in prop::collection::vec((0_u8..12, -127_i16..20, 0_u64..100_000), 1..200),
    ) {
        let places = [Place::Outside, Place::Door, Place::Inside];
        let gateways = (0..12).zip(places.into_iter().cycle());
        let settings = store(gateways.map(|(nth, place)| gateway(nth, place, None)).collect());
        let mut presence = fresh(settings);
        let mut now = Tick::ZERO;
        for (gateway, rssi, gap_ms) in heard {
            now = now.plus(Duration::from_millis(gap_ms));
            while presence.expire(now).is_some() {}
            let event = presence.hear(LEA, now, GatewayIndex(gateway), Dbm::measured(rssi), None, false);
            if let Some(PresenceEvent { what: PresenceChange::Arrived { confidence, .. }, .. }) = event {
                prop_assert!((0.0..=1.0).contains(&confidence));
            }
        }
    }
}

#[test]
fn the_silence_of_a_gateway_inside_is_evidence() {
    let settings = store(vec![gateway(0, Place::Door, None), gateway(1, Place::Inside, None)]);
    let inside = |listening: u64| {
        let site = SiteModel::new(&settings, &Survey::default());
        let mut belief = belief::Belief::first();
        let reading = site.reading(GatewayIndex(0), Dbm::measured(-70), None, false);
        let mut at = |nth: u32| {
            let now = Tick::ZERO.plus(Duration::from_millis(500) * nth);
            belief.hear(now, &reading, &site, listening).inside()
        };
        (0..40).map(&mut at).last().expect("there are some")
    };
    let (silent, blind) = (inside(0b11), inside(0b01));
    assert!(silent < blind, "{silent} is not below {blind}");
}

#[test]
fn a_gateway_that_was_moved_is_learned_again() {
    let settings = store(vec![gateway(0, Place::Inside, None)]);
    let mut presence = fresh(settings);
    let mut now = Tick::ZERO;
    let mut visits = |presence: &mut Presence, count: u32, dbm: i16| {
        for _ in 0..count {
            for _ in 0..150 {
                now = now.plus(Duration::from_secs(1));
                presence.hear(LEA, now, GatewayIndex(0), Dbm::measured(dbm), None, false);
            }
            now = now.plus(Duration::from_mins(20));
            while presence.expire(now).is_some() {}
        }
        presence.survey().gateways.get("g0").copied().unwrap_or_default().stays
    };
    let before = visits(&mut presence, 60, -60);
    assert!(before.count >= 50.0 && (before.mean + 60.0).abs() < 1.0, "{before:?}");
    let after = visits(&mut presence, 40, -80);
    assert!((after.mean + 80.0).abs() < 2.0, "{after:?}");
}

#[test]
fn the_survey_is_taken_at_most_every_quarter_of_an_hour() {
    let mut presence = fresh(store(vec![gateway(0, Place::Inside, None)]));
    let mut pass = |from_s: u64| {
        let at = |s: u64| Tick::ZERO.plus(Duration::from_secs(from_s + s));
        (0..10).for_each(|s| {
            presence.hear(LEA, at(s), GatewayIndex(0), Dbm::measured(-80), None, false);
        });
        while presence.expire(at(600)).is_some() {}
        presence.take_survey(at(600)).map(|survey| survey.passes)
    };
    assert_eq!([pass(0), pass(700), pass(1400)], [None, Some(2.0), None]);
    assert_eq!(pass(2100), Some(4.0));
}

/// Customers who are received for some seconds, each followed by half an hour of silence.
struct Shop {
    presence: Presence,
    now: Tick,
}

impl Shop {
    fn open(gateways: Vec<Gateway>) -> Self {
        Self { presence: fresh(store(gateways)), now: Tick::ZERO }
    }

    fn receive(&mut self, gateway: u8, seconds: u32, dbm: i16) {
        for _ in 0..seconds {
            self.now = self.now.plus(Duration::from_secs(1));
            self.presence.hear(
                LEA,
                self.now,
                GatewayIndex(gateway),
                Dbm::measured(dbm),
                None,
                false,
            );
        }
    }

    fn silence(&mut self) {
        self.now = self.now.plus(Duration::from_mins(30));
        while self.presence.expire(self.now).is_some() {}
    }

    /// Customers who stayed and who passed, as the survey counts.
    fn counts(&self) -> (f32, f32) {
        (self.presence.survey().stays, self.presence.survey().passes)
    }
}

/// What staff say of a customer, until it is known.
type Say = fn(&mut Presence);

#[test]
fn what_staff_say_of_a_customer_outweighs_the_time_of_reception() {
    let nothing: Say = |_| ();
    let claimed: Say = |presence| presence.claimed(LEA, true);
    let was_here: Say = |presence| presence.judged(LEA, Some(true));
    let was_not_here: Say = |presence| {
        presence.claimed(LEA, true);
        presence.judged(LEA, Some(false));
    };
    let cases: [(Say, u32, (f32, f32)); 8] = [
        (nothing, 20, (0.0, 0.0)), // Announced.
        (nothing, 70, (0.0, 0.0)),
        (nothing, 150, (1.0, 0.0)),
        (claimed, 20, (1.0, 0.0)),
        (claimed, 70, (1.0, 0.0)),
        (was_here, 70, (1.0, 0.0)),
        (was_not_here, 70, (0.0, 1.0)),
        (was_not_here, 150, (0.0, 1.0)),
    ];
    for (nth, (say, seconds, counts)) in cases.into_iter().enumerate() {
        let mut shop = Shop::open(vec![gateway(0, Place::Inside, None)]);
        shop.receive(0, seconds, -60);
        say(&mut shop.presence);
        shop.silence();
        assert_eq!(shop.counts(), counts, "case {nth}, {seconds} s");
        let traffic = shop.presence.survey().gateways.get("g0").copied().unwrap_or_default();
        assert_eq!((traffic.stays.count, traffic.passes.count), counts, "case {nth}");
    }
}

#[test]
fn what_staff_say_of_a_visit_does_not_count_for_the_next() {
    let mut shop = Shop::open(vec![gateway(0, Place::Inside, None)]);
    shop.receive(0, 20, -60);
    shop.presence.claimed(LEA, true);
    shop.silence();
    shop.receive(0, 20, -80);
    shop.silence();
    assert_eq!(shop.counts(), (1.0, 1.0));
}

#[test]
fn a_gateway_is_forgotten_alone_or_with_everything_else() {
    let gateways = vec![gateway(0, Place::Door, None), gateway(1, Place::Inside, None)];
    let mut shop = Shop::open(gateways);
    let both = |shop: &mut Shop, dbm| {
        shop.receive(0, 60, dbm);
        shop.receive(1, 60, dbm);
    };
    let names = |survey: &Survey| survey.gateways.keys().cloned().collect::<Vec<_>>();
    both(&mut shop, -60);
    shop.silence();
    assert_eq!(names(shop.presence.survey()), ["g0", "g1"]);

    // Someone is inside while the second gateway is moved: what it received before does not count.
    both(&mut shop, -90);
    let left = shop.presence.forget_site(Some("g1"), shop.now);
    assert_eq!((names(&left), left.stays), (vec!["g0".to_owned()], 1.0));
    shop.receive(1, 60, -50);
    shop.silence();
    let survey = shop.presence.survey();
    assert_eq!((survey.gateways["g0"].stays.count, survey.gateways["g1"].stays.count), (2.0, 1.0));
    assert!((survey.gateways["g1"].stays.mean + 50.0).abs() < 1.0, "{survey:?}");

    let known = survey.clone();
    assert_eq!(shop.presence.forget_site(Some("elsewhere"), shop.now), known);
    both(&mut shop, -90);
    assert_eq!(shop.presence.forget_site(None, shop.now), Survey::default());
    shop.silence();
    assert!(shop.presence.survey().gateways.is_empty(), "{:?}", shop.presence.survey());
}

#[test]
fn what_a_restart_or_a_fault_cuts_short_is_no_one_who_passed() {
    let settings = store(vec![gateway(0, Place::Inside, None)]);
    let mut presence = fresh(settings);
    let at = |s: u64| Tick::ZERO.plus(Duration::from_secs(s));
    let receive = |presence: &mut Presence, from_s: u64| {
        for s in 0..10 {
            presence.hear(LEA, at(from_s + s), GatewayIndex(0), Dbm::measured(-80), None, false);
        }
        while presence.expire(at(from_s + 150)).is_some() {}
        format!("{}", presence.survey().passes)
    };
    assert_eq!(receive(&mut presence, 0), "0", "received when grelot started");
    assert_eq!(receive(&mut presence, 400), "1");
    presence.hearing(GatewayIndex(0), Hearing::Blind, at(600));
    presence.hearing(GatewayIndex(0), Hearing::Listening, at(700));
    assert_eq!(receive(&mut presence, 700), "1", "received when the radio came back");
    assert_eq!(receive(&mut presence, 1000), "2");
}
