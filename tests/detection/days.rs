//! How arrivals grow with the days of a shop's own traffic, and recover once a gateway was moved.

use grelot::pipeline::Settings;
use grelot::pipeline::presence::Survey;

use crate::elsewhere::{Equipment, Shop, World};
use crate::tape::Tape;
use crate::trial::Trial;
use crate::{FIRST_SEED, Figures, Score, crew, figures, print_head, print_row, print_summary, sum};

/// What the gateways know of the shop on the day that is judged. The last gateway is moved after
/// the fourth day: "at once" is with what it learned before, "begun again" after `grelot survey
/// reset`, "moved, fourth day" with three days at the new place on top of the former.
const WAYS: [&str; 7] = [
    "first day",
    "second day",
    "fourth day",
    "tenth day",
    "moved, at once",
    "moved, begun again",
    "moved, fourth day",
];

/// Days of traffic before each of the first four.
const LEARNED: [usize; 4] = [0, 1, 3, 9];

/// Days of traffic at the former place, and at the new one.
const BEFORE: usize = 4;
const AFTER: usize = 3;

/// The gateway that is moved, by its name in [`Shop::settings`].
fn moved_gateway(settings: &Settings) -> Option<&str> {
    settings.gateways.last().map(|gateway| gateway.name.as_str())
}

/// Always judges the same day, so that the ways differ in nothing but what is known.
fn play(shop: &Shop) -> [Score; WAYS.len()] {
    let settings = shop.settings(false);
    let judged = shop.day(0);
    let judge = |survey: &Survey| trial(survey).play(&judged, &settings).0;
    let mut known = vec![Survey::default()];
    let longest = LEARNED.into_iter().max().unwrap_or(BEFORE) as u64;
    for day in 1..=longest {
        let last = known.last().cloned().unwrap_or_default();
        known.push(learn(last, &shop.day(day), &settings));
    }
    let [first, second, fourth, tenth] = LEARNED.map(|days| judge(&known[days]));

    let new_place = shop.moved();
    let settings = new_place.settings(false);
    let judged = new_place.day(0);
    let judge = |survey: &Survey| trial(survey).play(&judged, &settings).0;
    let mut reset = known[BEFORE].clone();
    reset.forget(moved_gateway(&settings));
    let mut later = known[BEFORE].clone();
    for day in 1..=AFTER as u64 {
        later = learn(later, &new_place.day(day), &settings);
    }
    [first, second, fourth, tenth, judge(&known[BEFORE]), judge(&reset), judge(&later)]
}

fn trial(survey: &Survey) -> Trial {
    Trial { survey: survey.clone(), ..Trial::default() }
}

/// The survey after one more day.
fn learn(survey: Survey, day: &Tape, settings: &Settings) -> Survey {
    let mut trial = Trial { survey, ..Trial::default() };
    trial.play(day, settings);
    trial.survey
}

/// Prints each cell, and for each equipment the median and the worst one.
pub fn print(shops: u64) {
    print_head("world", &WAYS);
    for equipment in Equipment::ALL {
        let mut rows: Vec<[Figures; WAYS.len()]> = Vec::new();
        for world in World::ALL {
            let seeds: Vec<u64> = (FIRST_SEED..FIRST_SEED + shops).collect();
            let played = crew::each(&seeds, |seed| play(&Shop::draw(equipment, world, *seed)));
            let way = |nth: usize| figures(&sum(played.iter().map(|one| one[nth].clone())));
            let figures = std::array::from_fn(way);
            print_row(equipment.name(), world.name(), figures);
            rows.push(figures);
        }
        print_summary(equipment.name(), &rows);
    }
}
