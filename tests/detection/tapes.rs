//! Tapes of customers for `fit/fit.py`, a line of JSON each: which setup it was (0 is (a)), the
//! levels of its gateways, when the customer came in, in seconds (`null`: never), and each
//! contact: milliseconds, gateway, RSSI in dBm (0: not known), the echo's octet.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use grelot::pipeline::Settings;
use grelot::sources::Truth;
use serde_json::json;

use super::scenes::{Layout, Part, SETUPS, street};
use super::tape::Tape;
use super::{belief, crew};

/// Scenes of each setup in each file.
const SCENES: u64 = 120;
/// Seeds of other shops begin so far after the usual one's.
const OTHERS: u64 = 5000;

/// Writes `calibrating.jsonl`, `calibrating-others.jsonl` and `tuning.jsonl`.
pub fn write(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let files = [
        ("calibrating", Part::Calibrating, 0),
        ("calibrating-others", Part::Calibrating, OTHERS),
        ("tuning", Part::Tuning, 0),
    ];
    for (name, part, from) in files {
        let mut out = BufWriter::new(File::create(folder.join(name).with_extension("jsonl"))?);
        let seeds: Vec<u64> = part.seeds(from + SCENES).skip(usize::try_from(from)?).collect();
        for (nth, setup) in SETUPS.iter().enumerate() {
            let played = crew::each(&seeds, |seed| {
                let layout = if from == 0 { Layout::USUAL } else { Layout::other(*seed) };
                let settings = belief::settings(setup, &layout);
                let scene = street(setup, &layout, *seed);
                belief::play_scene(scene, *seed, &settings).map(|(_, tape)| (settings, tape))
            });
            for played in played {
                let (settings, tape) = played?;
                write_customers(&mut out, nth, &settings, &tape)?;
            }
        }
        out.flush()?;
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
            fact.client == *client && fact.word == Truth::Enter
        };
        let entered = tape.facts.iter().find(entered).map(|fact| fact.at.as_secs_f64());
        let contacts = tape.contacts.iter().filter(|of| usize::from(of.customer) == number);
        let contacts: Vec<_> = contacts.map(super::tape::Contact::numbers).collect();
        let line = json!({
            "setup": setup, "levels": levels, "entered_s": entered, "contacts": contacts,
        });
        writeln!(out, "{line}")?;
    }
    Ok(())
}
