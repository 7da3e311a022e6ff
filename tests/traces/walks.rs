//! `rssi_walk_position_danis`: five walks past twelve receivers, position known to 4 cm.
//!
//! A virtual shop is drawn round each receiver in turn: a person who comes within [`ENTER_M`] of it
//! enters, one who goes beyond [`LEAVE_M`] leaves, one who does neither passes where they come
//! nearest. Its recording calls the receiver `shop` and
//! the others `other-1` (the nearest) to `other-11`, so that one configuration serves for all.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use grelot::sources::GroundTruth;

use super::csv::{self, Row, number};
use super::output::{
    Folders, Levels, Moment, Post, Set, write_config, write_recording, write_registry,
};

/// The virtual door's hysteresis, in metres from the receiver.
const ENTER_M: f64 = 3.0;
const LEAVE_M: f64 = 5.0;

/// The walks that levels are taken from; the others are for judging.
const CALIBRATING: [&str; 1] = ["rectangular_without_rotation"];

/// Visits last for 4 s and more, and there is one at a time.
const PRESENCE: [(&str, f64); 3] =
    [("leave_after_secs", 5.0), ("rejoin_secs", 0.0), ("dwell_secs", 0.0)];

/// One level, measured by one receiver.
struct Measurement {
    t: f64,
    sensor: Arc<str>,
    dbm: i16,
    distance_m: f64,
}

pub fn import(data: &Path, out: &Path) -> anyhow::Result<Vec<Set>> {
    fs::create_dir_all(out)?;
    write_registry(out)?;
    let sensors = sensors(&data.join("sensors.csv"))?;
    let walks = walks(&data.join("tracks.csv"))?;
    let mut levels = Levels::default();
    let mut visits = Vec::new();
    for (walk, measurements) in &walks {
        for shop in sensors.keys() {
            let names = names_from(shop, &sensors)?;
            let moments = moments(measurements, shop, &names);
            if CALIBRATING.contains(&walk.as_str()) {
                learn(&mut levels, &moments);
            }
            visits.push((format!("{walk}-{shop}"), moments));
        }
    }
    let all: Vec<Arc<str>> = std::iter::once("shop".into())
        .chain((1..sensors.len()).map(|nth| format!("other-{nth}").into()))
        .collect();
    let one: Vec<_> = all.iter().take(1).cloned().collect();
    let sets = [("twelve", all), ("one", one)];
    sets.into_iter().map(|(set, names)| write_set(out, set, &names, &visits, &levels)).collect()
}

/// Where each receiver is.
fn sensors(path: &Path) -> anyhow::Result<BTreeMap<Arc<str>, (f64, f64)>> {
    let rows = csv::read(path)?;
    let sensor = |row: &Row| {
        let name = row.get("sensor").context("no column sensor")?;
        Ok((Arc::from(name.as_str()), (number(row, "x_m")?, number(row, "y_m")?)))
    };
    rows.iter().map(sensor).collect()
}

fn walks(path: &Path) -> anyhow::Result<BTreeMap<String, Vec<Measurement>>> {
    let mut walks: BTreeMap<String, Vec<Measurement>> = BTreeMap::new();
    for row in csv::read(path)? {
        let walk = row.get("track").context("no column track")?;
        let sensor = row.get("sensor").context("no column sensor")?;
        walks.entry(walk.clone()).or_default().push(Measurement {
            t: number(&row, "t_rel_s")?,
            sensor: sensor.as_str().into(),
            dbm: number(&row, "rssi_dbm")?,
            distance_m: number(&row, "distance_to_sensor_m")?,
        });
    }
    for measurements in walks.values_mut() {
        measurements.sort_by(|one, other| one.t.total_cmp(&other.t));
    }
    Ok(walks)
}

/// What each receiver is called in the recording of the shop round `shop`.
fn names_from(
    shop: &str,
    sensors: &BTreeMap<Arc<str>, (f64, f64)>,
) -> anyhow::Result<BTreeMap<Arc<str>, Arc<str>>> {
    let (x, y) = *sensors.get(shop).context("no such sensor")?;
    let square = |(sx, sy): &(f64, f64)| (sx - x) * (sx - x) + (sy - y) * (sy - y);
    let mut by_distance: Vec<_> = sensors.iter().collect();
    by_distance.sort_by(|(_, one), (_, other)| square(one).total_cmp(&square(other)));
    let names = by_distance.into_iter().enumerate().map(|(nth, (sensor, _))| {
        let name = if nth == 0 { "shop".into() } else { format!("other-{nth}").into() };
        (Arc::clone(sensor), name)
    });
    Ok(names.collect())
}

/// One walk's levels, and the truth about the shop round `shop`.
fn moments(
    measurements: &[Measurement],
    shop: &str,
    names: &BTreeMap<Arc<str>, Arc<str>>,
) -> Vec<(f64, Moment)> {
    let mut moments = Vec::new();
    let mut inside = None;
    for Measurement { t, sensor, dbm, distance_m } in measurements {
        if **sensor == *shop {
            let truth = match inside {
                None => (*distance_m < ENTER_M).then_some(GroundTruth::Inside),
                Some(false) => (*distance_m < ENTER_M).then_some(GroundTruth::Enter),
                Some(true) => (*distance_m > LEAVE_M).then_some(GroundTruth::Leave),
            };
            inside = Some(match truth {
                None => inside.unwrap_or(false),
                Some(word) => word != GroundTruth::Leave,
            });
            moments.extend(truth.map(|word| (*t, Moment::True(word))));
        }
        if let Some(name) = names.get(sensor) {
            moments.push((*t, Moment::Measured(Arc::clone(name), *dbm)));
        }
    }
    if moments.iter().all(|(_, moment)| matches!(moment, Moment::Measured(..))) {
        let of_shop = measurements.iter().filter(|measurement| *measurement.sensor == *shop);
        let nearest = of_shop.min_by(|one, other| one.distance_m.total_cmp(&other.distance_m));
        let at = nearest.map_or(0.0, |measurement| measurement.t);
        let place = moments.partition_point(|(t, _)| *t < at);
        moments.insert(place, (at, Moment::True(GroundTruth::Pass)));
    }
    moments
}

fn learn(levels: &mut Levels, moments: &[(f64, Moment)]) {
    let mut inside = false;
    for (_, moment) in moments {
        match moment {
            Moment::True(word) => inside = matches!(word, GroundTruth::Inside | GroundTruth::Enter),
            Moment::Measured(gateway, dbm) => levels.measure(gateway, inside, *dbm),
        }
    }
}

fn write_set(
    out: &Path,
    set: &str,
    names: &[Arc<str>],
    visits: &[(String, Vec<(f64, Moment)>)],
    levels: &Levels,
) -> anyhow::Result<Set> {
    let folders = Folders::create(out, set)?;
    for (visit, moments) in visits {
        let of_set = moments.iter().filter(|(_, moment)| match moment {
            Moment::True(_) => true,
            Moment::Measured(gateway, _) => names.contains(gateway),
        });
        let calibrating = CALIBRATING.iter().any(|walk| visit.starts_with(walk));
        let path = folders.recording(visit, calibrating);
        write_recording(&path, names, of_set.cloned())?;
    }
    let post = |name: &Arc<str>| Post {
        name: Arc::clone(name),
        place: if **name == *"shop" { "inside" } else { "outside" },
        levels: levels.of(name),
    };
    let posts: Vec<_> = names.iter().map(post).collect();
    let config = out.join(format!("{set}.toml"));
    let note = format!(
        "rssi_walk_position_danis, calibrated on {}; in within {ENTER_M} m, out beyond {LEAVE_M} m",
        CALIBRATING.join(" and ")
    );
    write_config(&config, &note, &posts, &PRESENCE)?;
    Ok(Set { config, folder: folders.judging })
}
