//! The walks: the simulated radio follows the same paths.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use grelot::sources::simulated::Random;
use grelot::sources::simulated::floor_plan::Point;
use grelot::sources::simulated::radio::{Carried, Phone, RadioPath};

use super::csv::{self, number};
use super::spread;

/// Simulations of each walk.
const SEEDS: u64 = 20;

/// One measurement of one receiver on one walk.
#[derive(Clone)]
struct Measurement {
    t: f64,
    place: Point,
    distance_m: f64,
    dbm: f64,
}

/// A receiver's measurements on one walk.
struct Trace {
    sensor: String,
    at: Point,
    measurements: Vec<Measurement>,
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
pub fn compare(data: &Path) -> anyhow::Result<()> {
    let traces = read(data)?;
    let measured = statistics(&traces);
    let simulated: Vec<_> = (0..SEEDS).map(|seed| statistics(&simulate(&traces, seed))).collect();
    println!(
        "{:<44} {:>9} {:>10} {:>7}",
        "walks (level against log-distance)", "measured", "simulated", "+/-"
    );
    for (row, (name, value)) in measured.iter().enumerate() {
        let of_seeds: Vec<_> = simulated.iter().filter_map(|all| Some(all.get(row)?.1)).collect();
        let (mean, deviation) = spread(&of_seeds);
        println!("{name:<44} {value:>9.2} {mean:>10.2} {deviation:>7.2}");
    }
    Ok(())
}

fn read(data: &Path) -> anyhow::Result<Vec<Trace>> {
    let mut sensors = BTreeMap::new();
    for row in csv::read(&data.join("sensors.csv"))? {
        let name = row.get("sensor").context("no column sensor")?;
        sensors.insert(name.clone(), Point::at(number(&row, "x_m")?, number(&row, "y_m")?));
    }
    let mut traces: BTreeMap<(String, String), Vec<Measurement>> = BTreeMap::new();
    for row in csv::read(&data.join("tracks.csv"))? {
        let walk = row.get("track").context("no column track")?;
        let sensor = row.get("sensor").context("no column sensor")?;
        traces.entry((walk.clone(), sensor.clone())).or_default().push(Measurement {
            t: number(&row, "t_rel_s")?,
            place: Point::at(number(&row, "x_m")?, number(&row, "y_m")?),
            distance_m: number(&row, "distance_to_sensor_m")?,
            dbm: number(&row, "rssi_dbm")?,
        });
    }
    let trace = |((_, sensor), measurements): ((String, String), Vec<Measurement>)| {
        let at = *sensors.get(&sensor).context("a sensor without a place")?;
        Ok(Trace { sensor, at, measurements })
    };
    traces.into_iter().map(trace).collect()
}

/// The same traces with levels of the radio model.
fn simulate(traces: &[Trace], seed: u64) -> Vec<Trace> {
    let trace = |(number, trace): (u64, &Trace)| {
        let mut link = RadioPath::in_the_open(trace.at, Random::new(seed, &[number]));
        let level = |measurement: &Measurement| {
            let phone = Phone {
                at_s: measurement.t,
                place: measurement.place,
                facing: Point::at(0.0, 1.0),
                carried: Carried::Apart,
                at_1_m_dbm: -60.0,
            };
            Measurement { dbm: link.level_dbm(&phone).round(), ..measurement.clone() }
        };
        let measurements = trace.measurements.iter().map(level).collect();
        Trace { sensor: trace.sensor.clone(), at: trace.at, measurements }
    };
    (0..).zip(traces).map(trace).collect()
}

/// Slope and residuals of a regression on log-distance with an intercept for each receiver, the
/// residuals' spread by distance, and their correlation by time and by way.
fn statistics(traces: &[Trace]) -> Vec<(String, f64)> {
    let mut by_sensor: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for trace in traces {
        let points = trace.measurements.iter().map(|m| (m.distance_m.log10(), m.dbm));
        by_sensor.entry(&trace.sensor).or_default().extend(points);
    }
    let mean = |points: &Vec<(f64, f64)>| {
        let (x, y): (Vec<_>, Vec<_>) = points.iter().copied().unzip();
        (spread(&x).0, spread(&y).0)
    };
    let means: BTreeMap<_, _> = by_sensor.iter().map(|(sensor, p)| (*sensor, mean(p))).collect();
    let centred = |sensor: &str, (x, y): (f64, f64)| {
        let (mx, my) = means.get(sensor).copied().unwrap_or_default();
        (x - mx, y - my)
    };
    let (mut xy, mut xx) = (0.0, 0.0);
    for (sensor, points) in &by_sensor {
        for (x, y) in points.iter().map(|point| centred(sensor, *point)) {
            xy += x * y;
            xx += x * x;
        }
    }
    let slope = xy / xx;
    let residuals: Vec<Vec<f64>> = traces
        .iter()
        .map(|trace| {
            let residual = |m: &Measurement| {
                let (x, y) = centred(&trace.sensor, (m.distance_m.log10(), m.dbm));
                y - slope * x
            };
            trace.measurements.iter().map(residual).collect()
        })
        .collect();
    let mut rows = vec![
        ("slope, dB a decade".to_owned(), slope),
        ("spread round it, dB".to_owned(), spread(&residuals.concat()).1),
    ];
    rows.extend(by_distance(traces, &residuals));
    rows.extend(correlations(traces, &residuals));
    rows
}

fn by_distance(traces: &[Trace], residuals: &[Vec<f64>]) -> Vec<(String, f64)> {
    let row = |(near, far): (f64, f64)| {
        let pairs = traces.iter().zip(residuals);
        let of_bin = pairs.flat_map(|(trace, residuals)| {
            let both = trace.measurements.iter().zip(residuals);
            both.filter(|(m, _)| m.distance_m >= near && m.distance_m < far).map(|(_, r)| *r)
        });
        (format!("  from {near} to {far} m, dB"), spread(&of_bin.collect::<Vec<_>>()).1)
    };
    [(0.0, 3.0), (3.0, 6.0), (6.0, 10.0), (10.0, 20.0)].map(row).to_vec()
}

fn correlations(traces: &[Trace], residuals: &[Vec<f64>]) -> Vec<(String, f64)> {
    let variance = spread(&residuals.concat()).1.powi(2);
    let seconds = |one: &Measurement, other: &Measurement| other.t - one.t;
    let metres = |one: &Measurement, other: &Measurement| one.place.distance(other.place);
    let mut rows = Vec::new();
    for lag in [0.5, 1.0, 2.0, 3.0, 5.0, 8.0] {
        let products = products(traces, residuals, &seconds, lag);
        rows.push((format!("correlation after {lag} s"), spread(&products).0 / variance));
    }
    for lag in [0.0, 0.5, 1.0, 1.5, 2.0, 3.0] {
        let products = products(traces, residuals, &metres, lag);
        rows.push((format!("correlation after {lag} m"), spread(&products).0 / variance));
    }
    rows
}

/// Products of residuals that are `lag`, give or take a quarter, apart; within ten seconds.
fn products(
    traces: &[Trace],
    residuals: &[Vec<f64>],
    apart: &dyn Fn(&Measurement, &Measurement) -> f64,
    lag: f64,
) -> Vec<f64> {
    let mut products = Vec::new();
    for (trace, residuals) in traces.iter().zip(residuals) {
        let points: Vec<_> = trace.measurements.iter().zip(residuals).collect();
        for (nth, (one, first)) in points.iter().enumerate() {
            for (other, second) in points.iter().skip(nth + 1) {
                if other.t - one.t > 10.0 {
                    break;
                }
                if (apart(one, other) - lag).abs() <= 0.25 {
                    products.push(*first * *second);
                }
            }
        }
    }
    products
}
