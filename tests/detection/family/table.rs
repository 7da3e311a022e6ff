//! The family's table: median and worst cell for each equipment.

use std::collections::BTreeMap;

use grelot::commands::score::Score;

use super::shop::Equipment;
use super::{shop, tape, walk_test};
use crate::{
    DAYS, Played, WAYS, crew, figures, play, print_head, print_reliability, print_summary,
};

/// Customers a day.
const CUSTOMERS: u8 = 60;

/// Visits that a cell must have to count.
const FEWEST_VISITS: u32 = 8;

/// The result of one shop.
struct Row {
    equipment: Equipment,
    cell: (&'static str, &'static str),
    played: Played,
}

fn row(seed: u64) -> Row {
    let shop = shop(seed);
    let days: Vec<_> = (0..=DAYS).rev().map(|day| tape(&shop, seed, day, CUSTOMERS)).collect();
    let walk_test = walk_test(&shop, seed);
    let settings = [None, Some(&walk_test[..])].map(|levels| shop.settings(levels));
    let played = play(&days, &settings);
    Row { equipment: shop.equipment, cell: (shop.spot.name(), shop.world.name), played }
}

/// Prints the table of the shops with these seeds.
pub fn print(seeds: std::ops::Range<u64>) {
    let seeds: Vec<u64> = seeds.collect();
    let rows = crew::each(&seeds, |seed| row(*seed));
    print_head("cell", &WAYS);
    for equipment in Equipment::ALL {
        let mut cells: BTreeMap<(&str, &str), [Score; WAYS.len()]> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.equipment == equipment) {
            let sums = cells.entry(row.cell).or_default();
            for (sum, score) in sums.iter_mut().zip(&row.played.scores) {
                sum.absorb(score.clone());
            }
        }
        let counted = cells.values().filter(|scores| scores[0].visits >= FEWEST_VISITS);
        let counted: Vec<_> = counted.map(|scores| scores.each_ref().map(figures)).collect();
        print_summary(equipment.name(), &counted);
    }
    let announced = rows.into_iter().flat_map(|row| row.played.announced);
    print_reliability(&announced.collect::<Vec<_>>());
}
