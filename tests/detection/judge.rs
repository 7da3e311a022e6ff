//! Arrivals in shops that nothing was fitted on: `cargo run --release --example judge -- [SHOPS]`.
//!
//! Every cell is one equipment in one radio world, drawn `SHOPS` times (six by default) by the
//! second generator (`judge/mod.rs`). Prints a row for each cell and, for each equipment, the
//! median and the worst cell.
//!
//! `cargo run --release --example judge -- family [SHOPS]` prints the same of the first family of random
//! shops (`family/mod.rs`), which constants may be fitted on: another radio, other people.

#![expect(clippy::print_stdout, reason = "the tables are what it is for")]
#![allow(dead_code, reason = "the modules are the other table's, which needs more of them")]

mod belief;
mod crew;
#[path = "judge/mod.rs"]
mod elsewhere;
mod family;
mod peers;
mod scenes;
mod search;
mod survey;
mod tape;

use elsewhere::{Equipment, Shop, World};
use grelot::commands::score::Score;

/// Shops of a cell, unless the first argument says otherwise.
const SHOPS: u64 = 6;

/// Seeds of shops for judging.
const FIRST_SEED: u64 = 700_000;

/// The same of the family, whose equipment and places go round.
const FAMILY_SHOPS: u64 = 400;
const FAMILY_SEED: u64 = 300_000;

/// Found within 10 s and 60 s of 100 visits, and false arrivals for 100 visits.
type Figures = [f64; 3];

fn main() {
    let mut words = std::env::args().skip(1);
    if words.next().is_some_and(|word| word == "family") {
        let shops = words.next().and_then(|word| word.parse().ok()).unwrap_or(FAMILY_SHOPS);
        return family::table::print(FAMILY_SEED..FAMILY_SEED + shops);
    }
    let shops = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(SHOPS);
    let only = std::env::args().nth(2);
    println!("| equipment | world | no walk test: 10 s / 60 s / false | one walk test |");
    println!("|---|---|---|---|");
    for equipment in Equipment::ALL {
        if only.as_ref().is_some_and(|only| !equipment.name().contains(only.as_str())) {
            continue;
        }
        let mut rows: Vec<[Figures; 2]> = Vec::new();
        for world in World::ALL {
            let seeds: Vec<u64> = (FIRST_SEED..FIRST_SEED + shops).collect();
            let scores = crew::each(&seeds, |seed| {
                let shop = Shop::draw(equipment, world, *seed);
                let tape = shop.day(0);
                [false, true].map(|walk_test| belief::judge(&tape, &shop.settings(walk_test)))
            });
            let figures =
                [0, 1].map(|nth| figures(&sum(scores.iter().map(|pair| pair[nth].clone()))));
            println!(
                "| {} | {} | {} | {} |",
                equipment.name(),
                world.name(),
                cell(figures[0]),
                cell(figures[1])
            );
            rows.push(figures);
        }
        let of = |pick: fn(Vec<f64>, bool) -> f64| {
            [0, 1].map(|nth| {
                [0, 1, 2].map(|figure| {
                    pick(rows.iter().map(|row| row[nth][figure]).collect(), figure < 2)
                })
            })
        };
        for (name, figures) in [("median", of(|values, _| median(values))), ("worst", of(worst))] {
            println!(
                "| {} | **{name}** | {} | {} |",
                equipment.name(),
                cell(figures[0]),
                cell(figures[1])
            );
        }
    }
}

fn cell([ten, sixty, wrong]: Figures) -> String {
    format!("{ten:.0} / {sixty:.0} / {wrong:.1}")
}

fn figures(score: &Score) -> Figures {
    let of_visits = |count: u32| 100.0 * f64::from(count) / f64::from(score.visits.max(1));
    [
        of_visits(score.found_within(10.0)),
        of_visits(score.found_within(60.0)),
        of_visits(score.false_arrivals.total()),
    ]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn worst(values: Vec<f64>, least: bool) -> f64 {
    let fold = if least { f64::min } else { f64::max };
    values.into_iter().reduce(fold).unwrap_or_default()
}

fn sum(scores: impl IntoIterator<Item = Score>) -> Score {
    scores.into_iter().fold(Score::default(), |mut sum, score| {
        sum.absorb(score);
        sum
    })
}
