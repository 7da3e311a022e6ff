//! The family's table: median and worst cell for each equipment.

use std::collections::BTreeMap;

use grelot::commands::score::Score;

use super::shop::Equipment;
use super::{shop, tape, walk_test};
use crate::{belief, cell, crew, figures, median, worst};

/// Customers of each day.
const CUSTOMERS: u8 = 60;

/// Visits that a cell needs to count.
const FEWEST_VISITS: u32 = 8;

/// One shop's scores, without a walk test and with one.
struct Row {
    equipment: Equipment,
    cell: (&'static str, &'static str),
    scores: [Score; 2],
}

fn play(seed: u64) -> Row {
    let shop = shop(seed);
    let tape = tape(&shop, seed, 0, CUSTOMERS);
    let walk_test = walk_test(&shop, seed);
    let scores =
        [None, Some(&walk_test[..])].map(|levels| belief::judge(&tape, &shop.settings(levels)));
    Row { equipment: shop.equipment, cell: (shop.spot.name(), shop.world.name), scores }
}

/// Prints the table of the shops of these seeds.
pub fn print(seeds: std::ops::Range<u64>) {
    let seeds: Vec<u64> = seeds.collect();
    let rows = crew::each(&seeds, |seed| play(*seed));
    println!("| equipment | cells | no walk test: 10 s / 60 s / false | one walk test |");
    println!("|---|---|---|---|");
    for equipment in Equipment::ALL {
        let mut cells: BTreeMap<(&str, &str), [Score; 2]> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.equipment == equipment) {
            let sums = cells.entry(row.cell).or_default();
            for (sum, score) in sums.iter_mut().zip(&row.scores) {
                sum.absorb(score.clone());
            }
        }
        let counted: Vec<_> =
            cells.values().filter(|scores| scores[0].visits >= FEWEST_VISITS).collect();
        let of = |pick: fn(Vec<f64>, bool) -> f64, nth: usize| {
            let column = |figure: usize| counted.iter().map(|s| figures(&s[nth])[figure]).collect();
            cell([0, 1, 2].map(|figure| pick(column(figure), figure < 2)))
        };
        let name = equipment.name();
        for (word, pick) in [("median", middle as fn(_, _) -> _), ("worst", worst)] {
            println!(
                "| {name} | {word} of {} | {} | {} |",
                counted.len(),
                of(pick, 0),
                of(pick, 1)
            );
        }
    }
}

fn middle(values: Vec<f64>, _least: bool) -> f64 {
    median(values)
}
