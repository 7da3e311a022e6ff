//! A family of random shops, for fitting, tuning and a first evaluation: each seed is a shop with
//! its radio, its people and its equipment, in three dimensions. Contacts are made directly, not
//! from advertisements, so thousands of shops take minutes.

pub mod fit;
pub mod people;
pub mod radio;
pub mod rows;
pub mod shop;
pub mod table;

use std::time::Duration;

use grelot::commands::score::Fact;
use grelot::pipeline::Levels;
use grelot::pipeline::advert::Echo;
use grelot::pipeline::units::Dbm;
use grelot::sources::GroundTruth;
use grelot::sources::simulated::Random;

use super::tape::{Contact, Tape, of_model};
use people::{Plan, Way};
use radio::Link;
use shop::{Equipment, Point, Shop, Spot};

/// RSSI at 1 m between an average phone and receiver, in dBm.
const AT_1_M_DBM: f64 = -57.0;
/// Weaker packets are lost with increasing probability.
const FAINT_DBM: f64 = -93.0;
/// Length of a tape, in seconds.
const TAPE_S: f64 = 3000.0;

/// The shop of a seed; equipment and spot take turns.
pub fn shop(seed: u64) -> Shop {
    let nth = usize::try_from(seed).unwrap_or(0);
    let equipment = Equipment::ALL[nth % Equipment::ALL.len()];
    let spot = Spot::ALL[(nth / Equipment::ALL.len()) % Spot::ALL.len()];
    Shop::draw(equipment, spot, &mut Random::new(seed, &[u64::from(b's')]))
}

struct Phone {
    sends_db: f64,
    hears_db: f64,
    every_s: (f64, f64),
    echoes: bool,
    carried_db: f64,
    stale_s: f64,
}

impl Phone {
    fn draw(random: &mut Random) -> Self {
        let (low, high) = match random.unit() {
            x if x < 0.2 => (0.1, 0.11),
            x if x < 0.6 => (0.25, 0.27),
            x if x < 0.8 => (1.0, 1.05),
            _ => (1.5, 5.0),
        };
        let carried = [0.0, 0.0, 2.0, 4.0, 6.0, 9.0];
        Self {
            sends_db: (random.normal() * 7.4).clamp(-15.0, 15.0),
            hears_db: (random.normal() * 4.4).clamp(-10.0, 10.0),
            every_s: (low, high),
            echoes: random.chance(0.88),
            carried_db: random.pick(&carried).unwrap_or(0.0),
            stale_s: if random.chance(0.5) { 1.0 } else { random.between(0.3, 3.0) },
        }
    }
}

/// The contacts of `customers` who come by on day `day` of the shop of `seed`.
pub fn tape(shop: &Shop, seed: u64, day: u64, customers: u8) -> Tape {
    let mut tape = Tape::default();
    for nth in 0..customers {
        let mut random = Random::new(seed, &[u64::from(b'c'), day, nth.into()]);
        let client = format!("c-{day}-{nth}");
        let plan = Plan::draw(shop, &mut random);
        let starts_s = random.between(0.0, TAPE_S - 900.0);
        let way = Way::draw(shop, plan, starts_s, &mut random);
        record_truth(&mut tape, &way, &client, starts_s);
        let phone = follow(shop, &way, nth, &mut tape.contacts, &mut random);
        let mut models = Random::new(seed, &[u64::from(b'm'), day, nth.into()]);
        tape.phones.push(of_model(phone.sends_db, phone.hears_db, &mut models));
        tape.clients.push(client);
    }
    tape.contacts.sort_by_key(|contact| contact.at());
    tape.facts.sort_by_key(|fact| fact.at);
    tape.ended_at = Duration::from_secs_f64(TAPE_S);
    tape
}

fn record_truth(tape: &mut Tape, way: &Way, client: &str, starts_s: f64) {
    let mut fact = |at_s: f64, word: GroundTruth| {
        let at = Duration::from_secs_f64(at_s);
        tape.facts.push(Fact { at, word, client: client.to_owned() });
    };
    match (way.enters_s, way.leaves_s) {
        (Some(enters_s), Some(leaves_s)) => {
            fact(enters_s, GroundTruth::Enter);
            fact(leaves_s, GroundTruth::Leave);
        }
        _ => fact(starts_s, GroundTruth::Pass),
    }
}

/// The contacts of one customer; returns their phone.
fn follow(
    shop: &Shop,
    way: &Way,
    nth: u8,
    contacts: &mut Vec<Contact>,
    random: &mut Random,
) -> Phone {
    let phone = Phone::draw(random);
    let mut links = vec![Link::default(); shop.gateways.len()];
    let mut heard = vec![Link::default(); shop.beacons.len()];
    let (mut echoes, mut measured_s) = (Vec::<(f64, u8)>::new(), f64::MIN);
    let mut at_s = way.corners[0].0 + random.between(0.0, phone.every_s.1);
    while let Some((place, facing)) = way.at(at_s).filter(|_| at_s < way.ends_s()) {
        if phone.echoes && !shop.beacons.is_empty() && at_s - measured_s >= 1.0 {
            measured_s = at_s;
            let echo = hear_beacons(shop, &phone, &mut heard, at_s, (place, facing), random);
            echoes.push((at_s + phone.stale_s, echo));
        }
        let ready = echoes.partition_point(|(ready_s, _)| *ready_s <= at_s);
        let echo = ready.checked_sub(1).and_then(|last| echoes.get(last)).map_or(0, |last| last.1);
        for ((gateway, device), link) in (0_u8..).zip(&shop.gateways).zip(&mut links) {
            let gain =
                link.gain_db(at_s, place, facing, device.at, (shop, &device.shadows), random);
            let dbm = AT_1_M_DBM + phone.sends_db - phone.carried_db + device.offset_db + gain;
            let received = 1.0 / (1.0 + ((FAINT_DBM - dbm) / 1.5).exp());
            if random.chance(received * (1.0 - shop.lost)) {
                contacts.push(contact(at_s, nth, gateway, dbm, echo));
            }
        }
        at_s += random.between(phone.every_s.0, phone.every_s.1) + random.between(0.0, 0.01);
    }
    phone
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the casts saturate")]
fn contact(at_s: f64, customer: u8, gateway: u8, dbm: f64, echo: u8) -> Contact {
    Contact::new((at_s * 1e6) as u32, customer, gateway, (dbm.round() as i8).min(-1), echo)
}

/// The echo's octet of the beacon that a phone receives best over a second.
fn hear_beacons(
    shop: &Shop,
    phone: &Phone,
    links: &mut [Link],
    at_s: f64,
    (place, facing): (Point, (f64, f64)),
    random: &mut Random,
) -> u8 {
    let mut best: Option<(f64, u8)> = None;
    for ((zone, beacon), link) in (1_u8..).zip(&shop.beacons).zip(links) {
        let (mut sum, mut count) = (0.0, 0.0);
        for packet in 0..3 {
            let at_s = at_s + 0.3 * f64::from(packet);
            let gain =
                link.gain_db(at_s, place, facing, beacon.at, (shop, &beacon.shadows), random);
            let dbm =
                AT_1_M_DBM - 2.0 + beacon.offset_db + phone.hears_db - phone.carried_db + gain;
            if random.chance(0.7 / (1.0 + ((FAINT_DBM - dbm) / 1.5).exp())) {
                (sum, count) = (sum + dbm, count + 1.0);
            }
        }
        if count > 0.0 && best.is_none_or(|(dbm, _)| sum / count > dbm) {
            best = Some((sum / count, zone));
        }
    }
    best.map_or(0, |(dbm, zone)| {
        #[expect(clippy::cast_possible_truncation, reason = "far from the ends")]
        let dbm = Dbm::measured(dbm.round() as i16);
        dbm.map_or(0, |dbm| Echo::hearing(zone, dbm).to_byte())
    })
}

/// The levels that one phone gives in 20 s at each of three places in front of the door and a few
/// steps inside.
pub fn walk_test(shop: &Shop, seed: u64) -> Vec<Levels> {
    let mut random = Random::new(seed, &[u64::from(b'w')]);
    let phone = random.normal() * 4.0;
    let (x, inner) = (shop.door_x, (shop.depth * 0.35).min(4.0));
    let outside = [(x - 1.5, -1.0), (x, -1.2), (x + 1.5, -1.0)];
    let inside = [(x, inner * 0.5), (x - 1.0, inner), (x + 1.0, inner)];
    let mut levels = Vec::new();
    for device in &shop.gateways {
        let mut mean = |places: &[(f64, f64)]| {
            let (mut link, mut sum, mut count) = (Link::default(), 0.0, 0.0);
            for (x, y) in places {
                for packet in 0..40 {
                    let turn = f64::from(packet) / 40.0 * std::f64::consts::TAU;
                    let place = Point { x: *x, y: *y, z: 1.1 };
                    let at_s = f64::from(packet) * 0.5;
                    let around = (turn.cos(), turn.sin());
                    let with = (shop, &device.shadows);
                    let gain = link.gain_db(at_s, place, around, device.at, with, &mut random);
                    let dbm = AT_1_M_DBM + phone + device.offset_db + gain;
                    if dbm > FAINT_DBM {
                        (sum, count) = (sum + dbm, count + 1.0);
                    }
                }
            }
            #[expect(clippy::cast_possible_truncation, reason = "decibels")]
            let mean = if count > 0.0 { (sum / count) as f32 } else { -96.0 };
            mean
        };
        levels.push(Levels { inside_dbm: mean(&inside), outside_dbm: mean(&outside) });
    }
    levels
}
