//! `rssi_door_SAL`: ten receivers on either side of a real door, truth from light barriers.
//!
//! Every 100 ms each receiver gives one level, -100 where it missed the packet. Labels: 0
//! outside, 1 inside, 2 at the test position inside.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use grelot::sources::GroundTruth;

use super::csv::{self, Row, number};
use super::output::{
    Folders, Levels, Moment, Post, Set, write_config, write_recording, write_registry,
};

const TRACES: [&str; 6] = [
    "car_sensor_1_measurement_1",
    "car_sensor_1_measurement_2",
    "car_sensor_1_measurement_3",
    "car_sensor_1_measurement_4",
    "car_sensor_1_measurement_5",
    "walk_sensor_1_measurement_1",
];

/// The traces that levels are taken from, as a walk test would; the others are for judging.
const CALIBRATING: [&str; 2] = ["car_sensor_1_measurement_1", "walk_sensor_1_measurement_1"];

const TEN: [&str; 10] =
    ["O-DR", "O-DL", "O-E", "O-M", "I-DL", "I-DR", "I-E", "I-T1", "I-T2", "I-T3"];

/// The two on either side of the door, on the left.
const TWO: [&str; 2] = ["I-DL", "O-DL"];

const SECONDS_PER_FRAME: f64 = 0.1;

const MISSED: i16 = -100;

/// The carrier leaves for as little as 14 s: a visit must be closed by then, so that the next one
/// is a visit of its own.
const PRESENCE: [(&str, f64); 3] =
    [("leave_after_secs", 5.0), ("rejoin_secs", 0.0), ("dwell_secs", 0.0)];

type Rows = Vec<Row>;

pub fn import(data: &Path, out: &Path) -> anyhow::Result<Vec<Set>> {
    fs::create_dir_all(out)?;
    write_registry(out)?;
    let mut traces = Vec::new();
    let mut levels = Levels::default();
    for name in TRACES {
        let rows = csv::read(&data.join(name).with_extension("csv"))?;
        if CALIBRATING.contains(&name) {
            learn(&mut levels, &rows)?;
        }
        traces.push((name, rows));
    }
    let sets = [("ten", &TEN[..]), ("two", &TWO[..])];
    sets.map(|(set, receivers)| write_set(out, set, receivers, &traces, &levels))
        .into_iter()
        .collect()
}

fn learn(levels: &mut Levels, rows: &Rows) -> anyhow::Result<()> {
    for row in rows {
        let inside = number::<u8>(row, "Label")? > 0;
        for name in TEN {
            let dbm = number(row, name)?;
            if dbm != MISSED {
                levels.measure(&name.into(), inside, dbm);
            }
        }
    }
    Ok(())
}

fn write_set(
    out: &Path,
    set: &str,
    receivers: &[&str],
    traces: &[(&str, Rows)],
    levels: &Levels,
) -> anyhow::Result<Set> {
    let names: Vec<Arc<str>> = receivers.iter().map(|name| Arc::from(*name)).collect();
    let folders = Folders::create(out, set)?;
    for (trace, rows) in traces {
        let path = folders.recording(trace, CALIBRATING.contains(trace));
        write_recording(&path, &names, moments(rows, &names)?)?;
    }
    let post = |name: &Arc<str>| Post {
        name: Arc::clone(name),
        place: if name.starts_with('O') { "outside" } else { "inside" },
        levels: levels.of(name),
    };
    let posts: Vec<_> = names.iter().map(post).collect();
    let config = out.join(format!("{set}.toml"));
    let note = format!("rssi_door_SAL, calibrated on {}", CALIBRATING.join(" and "));
    write_config(&config, &note, &posts, &PRESENCE)?;
    Ok(Set { config, folder: folders.judging })
}

/// One trace's levels and truth.
fn moments(rows: &Rows, receivers: &[Arc<str>]) -> anyhow::Result<Vec<(f64, Moment)>> {
    let mut moments = Vec::new();
    let mut was_inside = None;
    for row in rows {
        let t = number::<f64>(row, "superframe")? * SECONDS_PER_FRAME;
        let inside = number::<u8>(row, "Label")? > 0;
        let truth = match (was_inside.replace(inside), inside) {
            (None, true) => Some(GroundTruth::Inside),
            (Some(false), true) => Some(GroundTruth::Enter),
            (Some(true), false) => Some(GroundTruth::Leave),
            _ => None,
        };
        moments.extend(truth.map(|word| (t, Moment::True(word))));
        for receiver in receivers {
            let dbm = number(row, receiver)?;
            if dbm != MISSED {
                moments.push((t, Moment::Measured(Arc::clone(receiver), dbm)));
            }
        }
    }
    Ok(moments)
}
