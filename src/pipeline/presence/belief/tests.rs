//! What the belief makes of a few readings.

use super::*;
use crate::pipeline::advert::Echo;
use crate::pipeline::gateway::GatewayIndex;
use crate::pipeline::gateway::{Gateway, Place};
use crate::pipeline::policy;
use crate::pipeline::presence::{Premises, Settings};
use crate::pipeline::units::Dbm;

fn gateway(place: Place) -> Gateway {
    Gateway { name: "g".into(), place: Some(place), offset_db: 0.0, levels: None }
}

fn hear(belief: &mut Belief, millis: u64, index: u8, place: Place, rssi: i16) {
    hear_echo(belief, millis, (index, place), rssi, None);
}

fn hear_echo(
    belief: &mut Belief,
    millis: u64,
    (index, place): (u8, Place),
    rssi: i16,
    echo: Option<Echo>,
) {
    let mut zones = [None; 16];
    zones[1] = Some(Place::Door);
    zones[2] = Some(Place::Inside);
    let settings = crate::pipeline::Settings {
        store: 42,
        gateways: vec![gateway(place); usize::from(index) + 1],
        zones,
        beacons: Vec::new(),
        presence: Settings { arrive_rssi_dbm: -70.0, leave_rssi_dbm: -80.0, ..Settings::default() },
        policy: policy::Settings::default(),
    };
    let premises = Premises::new(&settings);
    let reading = premises.reading(GatewayIndex(index), Dbm::measured(rssi), echo);
    belief.hear(Tick::from_micros(millis * 1000), &reading);
}

#[test]
fn loud_readings_are_believed_within_seconds() {
    let mut belief = Belief::new();
    (0..30).for_each(|i| hear(&mut belief, i * 100, 0, Place::Door, -62));
    assert!(belief.whereabouts().confidence() > 0.9, "{}", belief.whereabouts().confidence());
}

#[test]
fn one_loud_reading_is_not_enough() {
    let mut belief = Belief::new();
    hear(&mut belief, 0, 0, Place::Door, -40);
    assert!(belief.whereabouts().confidence() < 0.9, "{}", belief.whereabouts().confidence());
}

#[test]
fn a_burst_within_a_moment_says_little_more_than_one_reading() {
    let mut belief = Belief::new();
    (0..30).for_each(|i| hear(&mut belief, i, 0, Place::Door, -60));
    assert!(belief.whereabouts().confidence() < 0.9, "{}", belief.whereabouts().confidence());
}

#[test]
fn a_loud_phone_outside_is_told_by_the_difference_of_two_gateways() {
    let (mut alone, mut both) = (Belief::new(), Belief::new());
    for i in 0..50 {
        hear(&mut alone, i * 100, 0, Place::Inside, -66);
        hear(&mut both, i * 100, 0, Place::Inside, -66);
        hear(&mut both, i * 100 + 50, 1, Place::Outside, -60);
    }
    assert!(both.whereabouts().confidence() < 0.3, "{}", both.whereabouts().confidence());
    assert!(alone.whereabouts().confidence() > 0.8, "{}", alone.whereabouts().confidence());
}

#[test]
fn an_echo_from_within_convinces_where_the_gateway_alone_cannot() {
    let (mut alone, mut both) = (Belief::new(), Belief::new());
    let echo = Echo { zone: 2, level: 10 };
    for i in 0..40 {
        hear_echo(&mut alone, i * 200, (0, Place::Door), -76, None);
        hear_echo(&mut both, i * 200, (0, Place::Door), -76, Some(echo));
    }
    assert!(alone.whereabouts().confidence() < 0.3, "{}", alone.whereabouts().confidence());
    assert!(both.whereabouts().confidence() > 0.9, "{}", both.whereabouts().confidence());
}

#[test]
fn probabilities_stay_probabilities_whatever_is_heard() {
    let mut belief = Belief::new();
    let mut millis = 0;
    for (gap_ms, rssi) in [(0, -127), (1, 19), (100, -30), (3_600_000, -90), (1_048_576, -1)] {
        for gateway in 0..40 {
            millis += gap_ms;
            hear(&mut belief, millis, gateway, Place::Door, rssi);
            assert!((0.0..=1.0).contains(&belief.whereabouts().confidence()), "{belief:?}");
        }
    }
}

#[test]
fn whoever_was_inside_long_ago_could_be_anywhere() {
    let mut belief = Belief::inside();
    hear(&mut belief, 0, 0, Place::Door, -66);
    let before = belief.whereabouts().confidence();
    let later = Duration::from_hours(1).as_secs() * 1000;
    hear(&mut belief, later, 0, Place::Door, -85);
    assert!(belief.whereabouts().confidence() < before, "{}", belief.whereabouts().confidence());
}
