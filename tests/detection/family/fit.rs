//! Counts the constants of the presence filter on random shops, and prints them as
//! `src/pipeline/presence/fitted.rs`.

use grelot::pipeline::{Gateway, Place};
use grelot::sources::simulated::Random;

use super::people::{Plan, Way};
use super::radio::Link;
use super::shop::{Device, Point, Shop};
use super::{AT_1_M_DBM, shop, tape, walk_test};
use crate::crew;
use crate::tape::Tape;
use grelot::pipeline::event::GatewayIndex;
use grelot::pipeline::presence::places::{
    BACK, BEACON_OBSERVED, MIDDLE, NEAR, NEXT_DOOR, OBSERVED, PASSING, PLACES, STANDING, STREET,
    THRESHOLD,
};
use grelot::pipeline::presence::survey::{Heard, Survey, kind};

/// Seeds of shops for fitting, and for nothing else.
const SEEDS: std::ops::Range<u64> = 100_000..101_400;
/// Days of traffic, and customers a day.
const DAYS: u64 = 4;
const CUSTOMERS: u8 = 60;
/// Random points that are measured at each place.
const POINTS: u32 = 80;
/// Mean attenuation by carrying the phone, in dB.
const CARRIED_DB: f64 = 3.5;
/// Interval at which a customer's place is counted, in seconds.
const LOOK_S: f64 = 0.25;
/// Stands for the level of a device that received nothing.
const NOTHING_DBM: f64 = -96.0;

/// Levels at the places with their variances, and the measured quantities.
struct Row<const N: usize> {
    kind: usize,
    levels: [f64; N],
    variance: [f64; PLACES],
}

struct Counted {
    gateways: Vec<Row<{ PLACES + OBSERVED }>>,
    beacons: Vec<Row<{ PLACES + BEACON_OBSERVED }>>,
    moves: [[f64; PLACES]; PLACES],
    at: [f64; PLACES],
    stays: f64,
    passes: f64,
}

/// The place in a shop that a point belongs to.
fn place(shop: &Shop, at: Point, moving: bool) -> usize {
    if at.y <= 0.0 {
        let near = (at.x - shop.door_x).abs() < 5.0;
        return match (near, moving) {
            (false, true) => STREET,
            (_, false) => STANDING,
            (true, true) => PASSING,
        };
    }
    if at.x < 0.0 || at.x > shop.width {
        return NEXT_DOOR;
    }
    if at.y < 1.0 && (at.x - shop.door_x).abs() < 1.5 {
        return THRESHOLD;
    }
    match at.y / shop.depth {
        part if part < 1.0 / 3.0 => NEAR,
        part if part < 2.0 / 3.0 => MIDDLE,
        _ => BACK,
    }
}

/// A random point of a place.
fn point(shop: &Shop, place: usize, random: &mut Random) -> Point {
    let z = random.between(0.7, 1.3);
    let lane = |random: &mut Random| -random.between(shop.pavement.0, shop.pavement.1);
    let side = |random: &mut Random| if random.chance(0.5) { 1.0 } else { -1.0 };
    let (x, y) = match place {
        STREET => (shop.door_x + side(random) * random.between(5.0, 18.0), lane(random)),
        PASSING => (shop.door_x + random.between(-5.0, 5.0), lane(random)),
        STANDING => {
            if random.chance(0.6) {
                (random.between(-0.5, shop.width + 0.5), -random.between(0.35, 1.5))
            } else {
                (shop.door_x + random.between(-5.0, 5.0), -random.between(0.5, 3.0))
            }
        }
        NEXT_DOOR => {
            let off = random.between(0.5, 6.0);
            let x = if random.chance(0.5) { -off } else { shop.width + off };
            (x, random.between(0.5, shop.depth))
        }
        THRESHOLD => (shop.door_x + random.between(-0.8, 0.8), random.between(0.0, 1.0)),
        _ => {
            #[expect(clippy::cast_precision_loss, reason = "three")]
            let third = (place - NEAR) as f64;
            let y = shop.depth * (third + random.unit()) / 3.0;
            (random.between(0.3, shop.width - 0.3), y.max(0.6))
        }
    };
    Point { x, y, z }
}

/// Mean and variance of the level between a phone at each place and a device.
fn levels(shop: &Shop, device: &Device, random: &mut Random) -> ([f64; PLACES], [f64; PLACES]) {
    let (mut mean, mut variance) = ([0.0; PLACES], [0.0; PLACES]);
    for at in 0..PLACES {
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..POINTS {
            let from = point(shop, at, random);
            let turn = random.between(0.0, std::f64::consts::TAU);
            let facing = (turn.cos(), turn.sin());
            let mut link = Link::default();
            let gain = link.gain_db(0.0, from, facing, device.at, (shop, &device.shadows), random);
            sum += gain;
            squares += gain * gain;
        }
        let count = f64::from(POINTS);
        mean[at] = AT_1_M_DBM - CARRIED_DB + device.offset_db + sum / count;
        variance[at] = (squares - sum * sum / count) / (count - 1.0);
    }
    (mean, variance)
}

/// The survey of tapes, without a presence filter.
pub fn survey(gateways: &[Gateway], tapes: &[Tape]) -> Survey {
    let mut survey = Survey::default();
    for tape in tapes {
        for customer in 0..tape.clients.len() {
            let mut heard = Heard::nothing();
            for contact in tape.contacts.iter().filter(|one| usize::from(one.customer) == customer)
            {
                let echo = contact.echo().and_then(|echo| {
                    let place = if echo.zone == 1 { Place::Door } else { Place::Inside };
                    Some((kind(place), f32::from(echo.rssi()?)))
                });
                let dbm = contact.rssi().map(f32::from);
                heard.add(contact.at(), GatewayIndex(contact.gateway), dbm, echo);
            }
            if let Some(stays) = heard.stays() {
                survey.add(&heard, stays, gateways);
            }
        }
    }
    survey
}

fn count(seed: u64) -> Counted {
    let shop = shop(seed);
    let mut random = Random::new(seed, &[u64::from(b'f')]);
    let tapes: Vec<_> = (0..DAYS).map(|day| tape(&shop, seed, 100 + day, CUSTOMERS)).collect();
    let survey = survey(&shop.settings(None).gateways, &tapes);
    let walk = walk_test(&shop, seed);
    let mut counted = Counted {
        gateways: Vec::new(),
        beacons: Vec::new(),
        moves: [[0.0; PLACES]; PLACES],
        at: [0.0; PLACES],
        stays: survey.stays.into(),
        passes: survey.passes.into(),
    };
    for ((nth, device), walk) in shop.gateways.iter().enumerate().zip(&walk) {
        let (mean, variance) = levels(&shop, device, &mut random);
        let Some(traffic) = survey.gateways.get(&format!("g{nth}")) else { continue };
        if traffic.stays.count < 3.0 {
            continue;
        }
        let passes =
            if traffic.passes.count == 0.0 { NOTHING_DBM } else { traffic.passes.mean.into() };
        let mut row = [0.0; PLACES + OBSERVED];
        row[..PLACES].copy_from_slice(&mean);
        row[PLACES..].copy_from_slice(&[
            traffic.stays.mean.into(),
            traffic.stay_peaks.mean.into(),
            passes,
            walk.inside_dbm.into(),
            walk.outside_dbm.into(),
        ]);
        counted.gateways.push(Row { kind: kind(device.place), levels: row, variance });
    }
    for device in &shop.beacons {
        let (mut mean, variance) = levels(&shop, device, &mut random);
        for level in &mut mean {
            *level -= 2.0;
        }
        let Some(traffic) = survey.beacons.get(kind(device.place)) else { continue };
        if traffic.stays.count < 3.0 || traffic.passes.count < 1.0 {
            continue;
        }
        let mut row = [0.0; PLACES + BEACON_OBSERVED];
        row[..PLACES].copy_from_slice(&mean);
        row[PLACES..].copy_from_slice(&[
            traffic.stays.mean.into(),
            traffic.stay_share.log_odds().mean.into(),
            traffic.passes.mean.into(),
            traffic.pass_share.log_odds().mean.into(),
        ]);
        counted.beacons.push(Row { kind: kind(device.place), levels: row, variance });
    }
    for _ in 0..60 {
        let plan = Plan::draw(&shop, &mut random);
        let way = Way::draw(&shop, plan, 0.0, &mut random);
        let (mut at_s, mut before, mut last) = (0.0, None::<usize>, None::<Point>);
        while let Some((at, _)) = way.at(at_s).filter(|_| at_s < way.ends_s()) {
            let moving = last.is_none_or(|last| last.distance(at) > 0.25 * LOOK_S);
            let here = place(&shop, at, moving);
            counted.at[here] += 1.0;
            if let Some(before) = before {
                counted.moves[before][here] += 1.0_f64;
            }
            (before, last) = (Some(here), Some(at));
            at_s += LOOK_S;
        }
    }
    counted
}

fn joint<const N: usize>(rows: &[&Row<N>]) -> ([f64; N], [[f64; N]; N], [f64; PLACES]) {
    #[expect(clippy::cast_precision_loss, reason = "hundreds")]
    let count = rows.len().max(2) as f64;
    let mut mean = [0.0; N];
    let mut spread = [0.0; PLACES];
    for row in rows {
        mean.iter_mut().zip(row.levels).for_each(|(mean, level)| *mean += level / count);
        spread.iter_mut().zip(row.variance).for_each(|(sum, one)| *sum += one / count);
    }
    let mut covariance = [[0.0; N]; N];
    for row in rows {
        for one in 0..N {
            for other in 0..N {
                covariance[one][other] +=
                    (row.levels[one] - mean[one]) * (row.levels[other] - mean[other]) / count;
            }
        }
    }
    (0..N).for_each(|nth| covariance[nth][nth] += 0.5);
    (mean, covariance, spread.map(f64::sqrt))
}

fn list(values: &[f64], digits: usize) -> String {
    let words: Vec<_> = values.iter().map(|value| format!("{value:.digits$}")).collect();
    format!("[{}]", words.join(", "))
}

fn print_joint<const N: usize>(name: &str, kind: &str, spread_name: &str, rows: &[Row<N>]) {
    let joints: Vec<_> = [0, 1, 2]
        .map(|kind| {
            let of: Vec<_> = rows.iter().filter(|row| row.kind == kind).collect();
            let of =
                if of.is_empty() { rows.iter().filter(|row| row.kind == 0).collect() } else { of };
            joint(&of)
        })
        .into();
    println!(
        "/// Levels at each place, and what is observed, by the kind of place where a device hangs."
    );
    println!("pub static {name}: [{kind}; 3] = [");
    for (mean, covariance, _) in &joints {
        let rows: Vec<_> = covariance.iter().map(|row| list(row, 1)).collect();
        println!("Joint {{ mean: {}, covariance: [{}] }},", list(mean, 1), rows.join(",\n"));
    }
    println!("];\n");
    println!("/// How readings scatter at each place, in dB.");
    println!("pub static {spread_name}: [ByPlace; 3] = [");
    for (_, _, spread) in &joints {
        println!("{},", list(spread, 1));
    }
    println!("];\n");
}

pub fn print() {
    let seeds: Vec<u64> = SEEDS.collect();
    let counted = crew::each(&seeds, |seed| count(*seed));
    let sum = |of: fn(&Counted) -> f64| counted.iter().map(of).sum::<f64>();
    let mut moves = [[0.0; PLACES]; PLACES];
    let mut at = [0.0; PLACES];
    for one in &counted {
        for from in 0..PLACES {
            at[from] += one.at[from];
            (0..PLACES).for_each(|to| moves[from][to] += one.moves[from][to]);
        }
    }
    for from in 0..PLACES {
        let left: f64 = (0..PLACES).filter(|to| *to != from).map(|to| moves[from][to]).sum();
        for (to, moves) in moves[from].iter_mut().enumerate() {
            let count = if to == from { -left } else { *moves };
            *moves = count / at[from].max(1.0) / LOOK_S;
        }
    }
    let inside: f64 = at[THRESHOLD..].iter().sum();
    let staying: Vec<_> =
        (0..PLACES).map(|nth| if nth < THRESHOLD { 0.0 } else { at[nth] / inside }).collect();
    println!("//! Constants of the presence filter, counted on random shops by");
    println!("//! `cargo run --release --example judge -- fit`; `places.rs` says what is what.\n");
    println!(
        "use super::gaussian::Joint;\nuse super::places::{{BeaconJoint, ByPlace, GatewayJoint}};\n"
    );
    println!("/// Where those are who are inside.");
    println!("pub const STAYING: ByPlace = {};\n", list(&staying, 4));
    println!(
        "/// How often in a second people move from one place (the row) to another; in the diagonal those who"
    );
    println!("/// leave, below zero.");
    println!("pub const MOVES: ByPlace<ByPlace> = [");
    for row in &moves {
        println!("{},", list(row, 5));
    }
    println!("];\n");
    println!("/// Customers of a shop who stayed and who passed, on average.");
    println!(
        "pub const COUNTED: (f32, f32) = ({:.2}, {:.2});\n",
        sum(|one| one.stays) / seeds.len() as f64,
        sum(|one| one.passes) / seeds.len() as f64
    );
    let gateways: Vec<_> = counted.iter().flat_map(|one| &one.gateways).collect();
    let beacons: Vec<_> = counted.iter().flat_map(|one| &one.beacons).collect();
    let gateways: Vec<_> = gateways
        .iter()
        .map(|row| Row { kind: row.kind, levels: row.levels, variance: row.variance })
        .collect();
    let beacons: Vec<_> = beacons
        .iter()
        .map(|row| Row { kind: row.kind, levels: row.levels, variance: row.variance })
        .collect();
    print_joint("GATEWAY_LEVELS", "GatewayJoint", "GATEWAY_SPREAD_DB", &gateways);
    print_joint("BEACON_LEVELS", "BeaconJoint", "BEACON_SPREAD_DB", &beacons);
}
