//! Measures arrival detection: grelot beside the published rules of its peers.
//!
//! `cargo run --release --example detection -- [DATA_DIR]`: simulated scenes, and with `DATA_DIR`
//! (which holds `rssi_door_SAL` and `rssi_walk_position_danis`) the measured ones. Prints the
//! tables of `docs/detection.md`.

#![expect(clippy::print_stdout, reason = "the tables are what it is for")]
#![allow(dead_code, reason = "the modules are the other table's, which needs more of them")]
#![allow(clippy::indexing_slicing, reason = "a table that stops here is wrong, and says so")]

mod belief;
mod crew;
mod known;
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

use std::path::PathBuf;

use grelot::commands::score::Score;
use grelot::pipeline::Settings;
use measured::Measured;
use peers::{Name, Peer};
use row::{HEAD, counts, row};
use scenes::{ELSEWHERE, Layout, Part, SETUPS, Setup};
use tape::Tape;

/// Number of scenes of each kind.
const STREETS: u64 = 200;
const CHAIRS: u64 = 100;
const TUNED_ON: u64 = 40;

/// The values of `arrive_confidence` in the trade-off.
const CONFIDENCES: [f32; 5] = [0.8, 0.9, 0.97, 0.98, 0.99];

fn main() -> anyhow::Result<()> {
    let first = std::env::args_os().nth(1).map(PathBuf::from);
    for setup in &SETUPS {
        simulated(setup)?;
    }
    println!("\n### Hung elsewhere\n\n{HEAD}");
    for (setup, layout) in &ELSEWHERE {
        println!("{}", row(setup.name, &in_shops(setup, |_| *layout)?));
    }
    if let Some(data) = first {
        for set in measured::read(&data)? {
            real(&set);
        }
    }
    Ok(())
}

fn simulated(setup: &Setup) -> anyhow::Result<()> {
    let settings = belief::settings(setup, &Layout::USUAL);
    let (_, tuning) = play(setup, Part::Tuning, TUNED_ON, scenes::street, &settings)?;
    let (score, judging) = play(setup, Part::Judging, STREETS, scenes::street, &settings)?;
    println!("\n### {}\n\n{HEAD}", setup.name);
    println!("{}", row("grelot, as delivered", &score));
    let known = known::judge(setup, Part::Judging.seeds(STREETS), &judging, &settings)?;
    println!("{}", row("grelot, customers known from three visits", &known));
    for (name, settings) in variants(&settings) {
        println!("{}", row(&name, &all(&judging, |tape| belief::judge(tape, &settings))));
    }
    for (name, peer) in tuned(&tuning, &settings, false) {
        println!("{}", row(name.word(), &all(&judging, |tape| peer.judge(tape, &settings))));
    }
    println!("{}", row("grelot, in other shops", &in_shops(setup, Layout::other)?));
    let (sitting, _) = play(setup, Part::Judging, CHAIRS, scenes::chair, &settings)?;
    println!("\nSitting still for {CHAIRS} hours:\n\n{HEAD}\n{}", row("grelot", &sitting));
    Ok(())
}

/// grelot with its defaults, with another shop for each scene.
fn in_shops(setup: &Setup, layout: impl Fn(u64) -> Layout + Sync) -> anyhow::Result<Score> {
    let seeds: Vec<u64> = Part::Judging.seeds(STREETS).collect();
    let play = |seed: &u64| {
        let layout = layout(*seed);
        let scene = scenes::street(setup, &layout, *seed);
        belief::play_scene(scene, *seed, &belief::settings(setup, &layout))
    };
    let played = crew::each(&seeds, play).into_iter();
    Ok(sum(played.map(|played| Ok(played?.0)).collect::<anyhow::Result<Vec<_>>>()?))
}

/// grelot with other settings.
fn variants(settings: &Settings) -> Vec<(String, Settings)> {
    let mut variants = Vec::new();
    let mut unsurveyed = settings.clone();
    unsurveyed.gateways.iter_mut().for_each(|gateway| gateway.levels = None);
    variants.push(("grelot without a walk test".to_owned(), unsurveyed));
    for confidence in CONFIDENCES {
        let mut settings = settings.clone();
        settings.presence.arrive_confidence = confidence;
        variants.push((format!("grelot, arrive_confidence {confidence}"), settings));
    }
    variants
}

/// Each peer with the settings that are best on `tapes`.
fn tuned(tapes: &[Tape], settings: &Settings, quick: bool) -> Vec<(Name, Peer)> {
    let seed = Part::Tuning.seeds(1).start;
    let tune = |name: Name| {
        let draw = |random: &mut _| Peer::draw(name, quick, random);
        let judge = |peer: &Peer| sum(tapes.iter().map(|tape| peer.judge(tape, settings)));
        Some((name, search::best(seed, draw, judge)?))
    };
    Name::ALL.into_iter().filter_map(tune).collect()
}

fn real(set: &Measured) {
    println!("\n### {}\n\n{HEAD}\n{}", set.name, counts("grelot", &set.score));
    for (name, peer) in tuned(&set.calibrating, &set.settings, true) {
        println!("{}", counts(name.word(), &all(&set.judging, |t| peer.judge(t, &set.settings))));
    }
}

/// Plays scenes of one kind through the pipeline.
fn play(
    setup: &Setup,
    part: Part,
    count: u64,
    scene: fn(&Setup, &Layout, u64) -> grelot::sources::simulated::Scene,
    settings: &Settings,
) -> anyhow::Result<(Score, Vec<Tape>)> {
    let seeds: Vec<u64> = part.seeds(count).collect();
    let play =
        |seed: &u64| belief::play_scene(scene(setup, &Layout::USUAL, *seed), *seed, settings);
    let (mut score, mut tapes) = (Score::default(), Vec::new());
    for played in crew::each(&seeds, play) {
        let (of_one, tape) = played?;
        score.absorb(of_one);
        tapes.push(tape);
    }
    Ok((score, tapes))
}

fn all(tapes: &[Tape], judge: impl Fn(&Tape) -> Score + Sync) -> Score {
    sum(crew::each(tapes, judge))
}

fn sum(scores: impl IntoIterator<Item = Score>) -> Score {
    scores.into_iter().fold(Score::default(), |mut sum, score| {
        sum.absorb(score);
        sum
    })
}
