//! What carrying and turning do, 6 ft (1.83 m) from the receiver.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::path::Path;

use anyhow::Context;
use grelot::sources::simulated::Random;
use grelot::sources::simulated::floor_plan::Point;
use grelot::sources::simulated::radio::{Carried, Phone, RadioPath};

use super::csv::{self, number};
use super::spread;

const METRES: f64 = 1.83;

/// Simulations of each position.
const SEEDS: u64 = 40;

/// Measured places, and how the table calls them. Ubertooth's levels are not calibrated.
const PLACES: [(&str, &[&str]); 2] = [
    ("rooms", &["5-May Conference Room", "5-May Conference Room Wall", "1-May Screen Room"]),
    ("open", &["5-May Courtyard", "1-May Anechoic Chamber"]),
];
const RECEIVERS: [&str; 2] = ["nRF52", "iPhone"];

const CARRIED: [(&str, Carried); 4] = [
    ("front pants pocket (left)", Carried::FrontPocket),
    ("back pants pocket", Carried::BackPocket),
    ("purse (right)", Carried::Purse),
    ("held to left ear", Carried::Ear),
];

/// A whole turn: how far the level swings (twice the first harmonic), where it is loudest,
/// and how far it spreads while the person does not turn.
#[derive(Clone, Copy)]
struct Turn {
    swing_db: f64,
    loudest_deg: f64,
    spread_db: f64,
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub fn compare(data: &Path) -> anyhow::Result<()> {
    println!(
        "\n{:<28} {:>10} {:>12} {:>14} {:>12}",
        "body, 1.83 m", "", "swing, dB", "loudest, deg", "spread, dB"
    );
    let rows = csv::read(&data.join("by_position.csv"))?;
    for (name, carried) in CARRIED {
        for (place, environments) in PLACES {
            print(name, place, &measured(&rows, name, environments)?);
        }
        print(
            name,
            "simulated",
            &(0..SEEDS).map(|seed| simulated(carried, seed)).collect::<Vec<_>>(),
        );
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
fn print(name: &str, place: &str, turns: &[Turn]) {
    let mean = |of: &dyn Fn(&Turn) -> f64| spread(&turns.iter().map(of).collect::<Vec<_>>()).0;
    let east = mean(&|turn| turn.loudest_deg.to_radians().cos());
    let north = mean(&|turn| turn.loudest_deg.to_radians().sin());
    println!(
        "{name:<28} {place:>10} {:>12.1} {:>14.0} {:>12.1}",
        mean(&|turn| turn.swing_db),
        north.atan2(east).to_degrees(),
        mean(&|turn| turn.spread_db),
    );
}

/// One turn for each receiver and environment that was measured all round.
fn measured(rows: &[csv::Row], name: &str, environments: &[&str]) -> anyhow::Result<Vec<Turn>> {
    let mut turns = BTreeMap::<_, Vec<_>>::new();
    for row in rows {
        let cell = |column| row.get(column).map(String::as_str).context("a column is missing");
        let (environment, receiver) = (cell("environment")?, cell("receiver")?);
        let wanted = cell("on_body")? == name
            && environments.contains(&environment)
            && RECEIVERS.contains(&receiver);
        if wanted {
            let of_turn = turns.entry((environment.to_owned(), receiver.to_owned())).or_default();
            let degrees = number(row, "user_rotation_deg")?;
            of_turn.push((degrees, number(row, "mean")?, number(row, "sd")?));
        }
    }
    let all_round = turns.into_values().filter(|turn| turn.len() >= 7);
    Ok(all_round.map(|turn| harmonic(&turn)).collect())
}

/// Eight directions, 30 s in each.
fn simulated(carried: Carried, seed: u64) -> Turn {
    let turn = (0..8_u32).map(|eighth| {
        let degrees = f64::from(eighth) * 45.0;
        let (sine, cosine) = (f64::from(eighth) * TAU / 8.0).sin_cos();
        let random = Random::new(seed, &[u64::from(eighth)]);
        let mut link = RadioPath::in_the_open(Point::at(METRES, 0.0), random);
        // At 0 degrees one faces the receiver, at 90 it is on one's left: one turned right.
        let level = |step: u32| {
            let phone = Phone {
                at_s: f64::from(step) / 15.0,
                place: Point::at(0.0, 0.0),
                facing: Point::at(cosine, -sine),
                carried,
                at_1_m_dbm: -60.0,
            };
            link.level_dbm(&phone).round()
        };
        let (mean, deviation) = spread(&(0..450).map(level).collect::<Vec<_>>());
        (degrees, mean, deviation)
    });
    harmonic(&turn.collect::<Vec<_>>())
}

/// Fits level = mean + a cos + b sin over directions that are nearly evenly spread.
fn harmonic(turn: &[(f64, f64, f64)]) -> Turn {
    let part = |of: &dyn Fn(f64) -> f64| {
        let products = turn.iter().map(|(degrees, mean, _)| mean * of(degrees.to_radians()));
        2.0 * spread(&products.collect::<Vec<_>>()).0
    };
    let mean = spread(&turn.iter().map(|(_, mean, _)| *mean).collect::<Vec<_>>()).0;
    let lean = |of: &dyn Fn(f64) -> f64| {
        2.0 * mean * spread(&turn.iter().map(|(d, _, _)| of(d.to_radians())).collect::<Vec<_>>()).0
    };
    let (a, b) = (part(&f64::cos) - lean(&f64::cos), part(&f64::sin) - lean(&f64::sin));
    Turn {
        swing_db: 2.0 * a.hypot(b),
        loudest_deg: b.atan2(a).to_degrees(),
        spread_db: spread(&turn.iter().map(|(_, _, sd)| *sd).collect::<Vec<_>>()).0,
    }
}
