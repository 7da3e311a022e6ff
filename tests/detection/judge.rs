//! Arrivals in shops that nothing was fitted on: `cargo run --release --example judge -- [SHOPS
//! [EQUIPMENT [CONFIDENCE]]]`, the last for another `presence.arrive_confidence`.
//!
//! Every cell is one equipment in one radio world, drawn `SHOPS` times (six by default) by the
//! second generator (`judge/mod.rs`). Prints a row for each cell and, for each equipment, the
//! median and the worst cell, on the first day and once the gateway has learned from three days of
//! traffic; and how often an announcement was right, by its confidence.
//!
//! `cargo run --release --example judge -- days [SHOPS]` prints how the figures grow with the days,
//! and recover after a gateway was moved.
//!
//! `cargo run --release --example judge -- family [SHOPS]` prints the same of the first family of
//! random shops (`family/mod.rs`), which constants are fitted on: another radio, other people. `--
//! measured DATA` plays the measured doors and walks, `-- fit` counts the constants of
//! `pipeline::presence::fitted`, `-- rows FILE [SHOPS]` writes what `fit/recurrent.py` fits the
//! network on, `-- bound FILE [SHOPS]` the same of the second generator, for an upper bound.

#![expect(clippy::print_stdout, reason = "the tables are what it is for")]
#![allow(dead_code, reason = "the modules are the other table's, which needs more of them")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a table that stops here is wrong, and says so; it counts no more than millions"
)]

mod belief;
mod crew;
mod days;
#[path = "judge/mod.rs"]
mod elsewhere;
mod family;
mod measured;
mod peers;
mod row;
mod scenes;
mod search;
mod survey;
mod tape;
#[path = "../traces"]
mod traces {
    pub mod csv;
    pub mod door;
    pub mod output;
    pub mod walks;
}
mod trial;

use elsewhere::{Equipment, Shop, World};
use grelot::commands::score::Score;
use grelot::pipeline::Settings;
use tape::Tape;
use trial::{Announced, Trial};

/// Shops of a cell, unless the first argument gives another number.
const SHOPS: u64 = 6;

/// First seed of the shops for evaluation.
const FIRST_SEED: u64 = 770_000;

/// The same for shops that the upper bound is fitted on.
const BOUND_SEED: u64 = 710_000;

/// The same for the family, where equipment and places take turns.
const FAMILY_SHOPS: u64 = 400;
const FAMILY_SEED: u64 = 300_000;

/// Days of traffic before the day that is evaluated.
const DAYS: u64 = 3;

/// What the gateway knows of the shop.
const WAYS: [&str; 6] = [
    "first day",
    "first day, walk test",
    "fourth day",
    "fourth day, walk test",
    "first day, phones known",
    "fourth day, phones known",
];

/// Limits of the confidence classes of the reliability table.
const SURE: [f32; 6] = [0.5, 0.8, 0.9, 0.95, 0.98, 1.01];

/// Visits found within 10 s, within 60 s, and false arrivals, each for 100 visits.
type Figures = [f64; 3];

/// The result of one shop in each way, and who was announced.
struct Played {
    scores: [Score; WAYS.len()],
    announced: Vec<Announced>,
}

/// Plays the last of a shop's days, with and without the days before it.
fn play(days: &[Tape], settings: &[Settings; 2]) -> Played {
    let [no_walk_test, walk_test] = settings;
    let mut announced = Vec::new();
    let mut trial = |days: &[Tape], settings: &Settings, knows_phones| {
        let (mut trial, mut last) = (Trial { knows_phones, ..Trial::default() }, Score::default());
        for day in days {
            let (score, sure) = trial.play(day, settings);
            announced.extend(sure);
            last = score;
        }
        last
    };
    let today = &days[days.len().saturating_sub(1)..];
    let scores = [
        trial(today, no_walk_test, false),
        trial(today, walk_test, false),
        trial(days, no_walk_test, false),
        trial(days, walk_test, false),
        trial(today, no_walk_test, true),
        trial(days, no_walk_test, true),
    ];
    Played { scores, announced }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |nth: usize| words.get(nth).map(String::as_str);
    let number = |nth, or| word(nth).and_then(|word| word.parse().ok()).unwrap_or(or);
    match word(0) {
        Some("fit") => family::fit::print(),
        Some("rows") => family::rows::write_family(word(1).unwrap_or("rows"), number(2, 2160)),
        Some("days") => days::print(number(1, SHOPS)),
        Some("bound") => {
            write_bound(word(1).unwrap_or("rows"), number(2, 12), number(3, BOUND_SEED));
        }
        Some("measured") => print_measured(word(1).unwrap_or(".")),
        Some("family") => {
            let shops = FAMILY_SEED..FAMILY_SEED + number(1, FAMILY_SHOPS);
            family::table::print(shops);
        }
        _ => print_cells(number(0, SHOPS), word(1), word(2).and_then(|word| word.parse().ok())),
    }
}

/// The same of shops of the second generator, which nothing is fitted on but an upper bound; not
/// those that the tables are of.
fn write_bound(path: &str, shops: u64, first_seed: u64) {
    let cells: Vec<_> =
        Equipment::ALL.iter().flat_map(|of| World::ALL.map(|world| (*of, world))).collect();
    let all = cells.len() as u64;
    let nth: Vec<u64> = (0..shops * all).collect();
    family::rows::write(path, &nth, |nth| {
        let cell = usize::try_from(nth % all).expect("there are few cells");
        let shop = Shop::draw(cells[cell].0, cells[cell].1, first_seed + nth / all);
        family::rows::Shop {
            settings: shop.settings(false),
            before: (1..=DAYS).rev().map(|day| shop.day(day)).collect(),
            today: shop.day(0),
            woken: 0.0,
        }
    });
}

/// With `sure`, customers are announced from that confidence on.
fn print_cells(shops: u64, only: Option<&str>, sure: Option<f32>) {
    print_head("world", &WAYS);
    let mut announced = Vec::new();
    for equipment in Equipment::ALL {
        if only.is_some_and(|only| !equipment.name().contains(only)) {
            continue;
        }
        let mut rows: Vec<[Figures; WAYS.len()]> = Vec::new();
        for world in World::ALL {
            let seeds: Vec<u64> = (FIRST_SEED..FIRST_SEED + shops).collect();
            let played = crew::each(&seeds, |seed| {
                let shop = Shop::draw(equipment, world, *seed);
                let days: Vec<_> = (0..=DAYS).rev().map(|day| shop.day(day)).collect();
                let settings = |walk_test| {
                    let mut settings = shop.settings(walk_test);
                    let usual = settings.presence.arrive_confidence;
                    settings.presence.arrive_confidence = sure.unwrap_or(usual);
                    settings
                };
                play(&days, &[false, true].map(settings))
            });
            let way = |nth: usize| figures(&sum(played.iter().map(|one| one.scores[nth].clone())));
            let figures = std::array::from_fn(way);
            print_row(equipment.name(), world.name(), figures);
            rows.push(figures);
            announced.extend(played.into_iter().flat_map(|one| one.announced));
        }
        print_summary(equipment.name(), &rows);
    }
    print_reliability(&announced);
}

/// The measured doors and walks, with their measured levels and without.
fn print_measured(data: &str) {
    println!("{}", row::HEAD);
    for set in measured::read(data.as_ref()).expect("the data can be read") {
        let mut unmeasured = set.settings.clone();
        unmeasured.gateways.iter_mut().for_each(|gateway| gateway.levels = None);
        for (how, settings) in [("walk test", &set.settings), ("no walk test", &unmeasured)] {
            let play = |tape| Trial::default().play(tape, settings).0;
            let score = sum(set.judging.iter().map(play));
            println!("{}", row::counts(&format!("{}, {how}", set.name), &score));
        }
    }
}

fn print_head(cells: &str, ways: &[&str]) {
    println!("Within 10 s / within 60 s / false, for 100 visits.\n");
    println!("| equipment | {cells} | {} |", ways.join(" | "));
    println!("|---|---|{}", "---|".repeat(ways.len()));
}

fn print_row<const N: usize>(equipment: &str, cell: &str, figures: [Figures; N]) {
    let cells = figures.map(|[ten, sixty, wrong]| format!("{ten:.0} / {sixty:.0} / {wrong:.1}"));
    println!("| {equipment} | {cell} | {} |", cells.join(" | "));
}

/// The median cell and the worst one, for each figure.
fn print_summary<const N: usize>(equipment: &str, rows: &[[Figures; N]]) {
    let of = |pick: fn(Vec<f64>, bool) -> f64| {
        std::array::from_fn::<_, N, _>(|way| {
            let column = |figure: usize| rows.iter().map(|row| row[way][figure]).collect();
            [0, 1, 2].map(|figure| pick(column(figure), figure < 2))
        })
    };
    print_row(equipment, "**median**", of(|values, _| median(values)));
    print_row(equipment, "**worst**", of(worst));
}

/// For each class of confidence, the fraction of announced customers who were inside; and the
/// expected calibration error.
fn print_reliability(announced: &[Announced]) {
    for knew_phone in [false, true] {
        println!("\nPhones' models {}:", if knew_phone { "known" } else { "not known" });
        let some = announced.iter().filter(|one| one.knew_phone == knew_phone);
        print_classes(&some.collect::<Vec<_>>());
    }
}

fn print_classes(announced: &[&Announced]) {
    println!(
        "\n| confidence | announced | mean confidence | were inside | or came in within 5 s |"
    );
    println!("|---|---|---|---|---|");
    let mut errors = [0.0; 2];
    for bounds in SURE.windows(2) {
        let within = |one: &&&Announced| (bounds[0]..bounds[1]).contains(&one.confidence);
        let some: Vec<_> = announced.iter().filter(within).collect();
        if some.is_empty() {
            continue;
        }
        let (all, count) = (announced.len() as f64, some.len() as f64);
        let sure = some.iter().map(|one| f64::from(one.confidence)).sum::<f64>() / count;
        let right: [fn(&Announced) -> bool; 2] = [|one| one.inside, |one| one.found];
        let right = right.map(|right| some.iter().filter(|one| right(one)).count() as f64 / count);
        for (error, right) in errors.iter_mut().zip(right) {
            *error += count / all * (sure - right).abs();
        }
        let [inside, found] = right;
        let (from, to) = (bounds[0], bounds[1]);
        println!("| {from:.2} to {to:.2} | {count} | {sure:.3} | {inside:.3} | {found:.3} |");
    }
    let [inside, found] = errors;
    println!("\nExpected calibration error: {inside:.3}, as the score counts {found:.3}");
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
