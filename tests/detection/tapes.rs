//! Tapes of customers for `fit/fit.py` and `fit/trees.py`, a line of JSON each: which setup it was
//! (0 is (a)), the levels of its gateways, when the customer came in, in seconds (`null`: never),
//! and each contact until two minutes after that: milliseconds, gateway, RSSI in dBm (0: not
//! known), the echo's octet.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use grelot::commands::score::Score;
use grelot::pipeline::Settings;
use grelot::sources::GroundTruth;
use serde_json::json;

use super::row::row;
use super::scenes::{Layout, Part, SETUPS, street};
use super::tape::Tape;
use super::{belief, crew};

/// Scenes of each setup in each file.
const SCENES: u64 = 120;
/// Seeds of other shops begin so far after the usual one's.
const OTHERS: u64 = 5000;
/// Scenes in memory at once.
const AT_ONCE: usize = 64;
/// Nobody looks at what was heard so long after somebody came in.
const LATE_S: f64 = 120.0;
/// By then everybody has come in who will: what is left of a scene is not calibrated on.
const LAST_COMES: Duration = Duration::from_mins(15);

/// Writes `calibrating.jsonl` and `tuning.jsonl` of the shop that is laid out so; of the usual one
/// also `calibrating-others.jsonl`, of shops that are laid out otherwise.
pub fn write(folder: &Path, layout: Layout) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let [calibrating, tuning] = [Part::Calibrating, Part::Tuning].map(|part| part.seeds(SCENES));
    let others = calibrating.start + OTHERS..calibrating.end + OTHERS;
    write_file(folder, "calibrating", calibrating, |_| layout)?;
    if layout == Layout::USUAL {
        write_file(folder, "calibrating-others", others, Layout::other)?;
    }
    write_file(folder, "tuning", tuning, |_| layout)
}

/// Each setup in the shops of `seeds`; says how grelot fares on the tuning ones.
#[expect(clippy::print_stderr, reason = "beside what goes to the file")]
fn write_file(
    folder: &Path,
    name: &str,
    seeds: Range<u64>,
    layout: impl Fn(u64) -> Layout + Sync,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(File::create(folder.join(name).with_extension("jsonl"))?);
    let mut scores = SETUPS.map(|_| Score::default());
    let seeds: Vec<u64> = seeds.collect();
    for seeds in seeds.chunks(AT_ONCE) {
        for (nth, (setup, score)) in SETUPS.iter().zip(&mut scores).enumerate() {
            let taped = crew::each(seeds, |seed| {
                let layout = layout(*seed);
                let settings = belief::settings(setup, &layout);
                let mut scene = street(setup, &layout, *seed);
                if name.starts_with("calibrating") {
                    scene.lasts = Some(LAST_COMES);
                }
                belief::tape(scene, *seed, &settings).map(|tape| (settings, tape))
            });
            for taped in taped {
                let (settings, tape) = taped?;
                if name == "tuning" {
                    score.absorb(belief::judge(&tape, &settings));
                }
                write_customers(&mut out, nth, &settings, &tape)?;
            }
        }
        out.flush()?;
    }
    for (setup, score) in SETUPS.iter().zip(&scores).filter(|(_, score)| score.visits > 0) {
        eprintln!("{name} {}: {}", setup.name, row("grelot", score));
    }
    Ok(())
}

fn write_customers(
    out: &mut impl Write,
    setup: usize,
    settings: &Settings,
    tape: &Tape,
) -> anyhow::Result<()> {
    let levels = settings.gateways.iter().filter_map(|gateway| gateway.levels);
    let levels: Vec<_> = levels.map(|levels| [levels.inside_dbm, levels.outside_dbm]).collect();
    for (number, client) in tape.clients.iter().enumerate() {
        let entered = |fact: &&_| {
            let fact: &grelot::commands::score::Fact = fact;
            fact.client == *client && fact.word == GroundTruth::Enter
        };
        let entered = tape.facts.iter().find(entered).map(|fact| fact.at.as_secs_f64());
        let until = entered.map_or(f64::INFINITY, |entered| entered + LATE_S);
        let contacts = tape.contacts.iter().filter(|of| usize::from(of.customer) == number);
        let contacts = contacts.take_while(|of| of.at_s() <= until);
        let contacts: Vec<_> = contacts.map(super::tape::Contact::numbers).collect();
        let line = json!({
            "setup": setup, "levels": levels, "entered_s": entered, "contacts": contacts,
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}
