//! Evaluates a recording of `grelot record`: the number of advertisements, the age of each when it
//! was received, and the customers that `grelot replay` finds.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::listener::GRELOT;
use super::shop;

/// The figures of a recording.
pub struct Recorded {
    /// Number of advertisements.
    pub heard: u64,
    /// Milliseconds from sending to reception, where advertisements were stamped: the median, the
    /// 99th percentile and the maximum.
    pub ages_ms: Option<[u64; 3]>,
    /// The longest time between two advertisements of one device, in milliseconds.
    pub longest_silence_ms: u64,
    /// Of a replay: arrivals, customers who are present at its end, and the time of the first
    /// arrival since the air was opened.
    pub arrivals: u64,
    pub open: u64,
    pub first_arrival_s: Option<f64>,
}

/// Reads the recording of an air that was opened at `opened_at`.
pub fn read(file: &Path, opened_at: SystemTime, stamped: bool) -> Recorded {
    let text = fs::read_to_string(file).expect("a recording was written");
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let header = lines.next().expect("a recording has a header");
    let began = began(&header);
    let opened = opened_at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let heard: Vec<Value> = lines.filter(|line| line["adv"].is_string()).collect();
    let ages = heard.iter().filter_map(|line| age(line, began - opened)).collect::<Vec<_>>();
    let replayed = replay(file);
    let of = |event: &str| replayed.iter().filter(|one| one["event"] == event).count() as u64;
    let first = replayed.iter().find(|one| one["event"] == "arrival");
    Recorded {
        heard: heard.len() as u64,
        longest_silence_ms: longest_silence(&heard),
        ages_ms: stamped.then(|| spread(ages)),
        arrivals: of("arrival"),
        open: of("arrival").saturating_sub(of("departure")),
        first_arrival_s: first.and_then(|one| Some(one["t"].as_f64()? + began - opened)),
    }
}

/// When it was begun, in Unix time.
fn began(header: &Value) -> f64 {
    let began = header["started_at"].as_str().expect("a recording says when it began");
    let began: jiff::Timestamp = began.parse().expect("it is a time");
    Duration::try_from(began.as_duration()).expect("it is after 1970").as_secs_f64()
}

/// Reads the stamp in the last four octets of manufacturer data; the recording began `late` seconds
/// after the stamps' zero.
fn age(line: &Value, late: f64) -> Option<u64> {
    let payload = hex::decode(line["adv"].as_str()?).ok()?;
    let sent = u32::from_le_bytes(*payload.last_chunk()?);
    let heard = (line["t"].as_f64()? + late) * 1000.0;
    // The zeros of the two clocks differ by some milliseconds.
    Some((heard - f64::from(sent)).max(0.0) as u64)
}

fn longest_silence(heard: &[Value]) -> u64 {
    let mut last = HashMap::new();
    let silence = |line: &Value| {
        let at = line["t"].as_f64()?;
        Some(at - last.insert(line["addr"].as_str()?.to_owned(), at)?)
    };
    let longest = heard.iter().filter_map(silence).fold(0.0, f64::max);
    (longest * 1000.0) as u64
}

fn spread(mut ages: Vec<u64>) -> [u64; 3] {
    ages.sort_unstable();
    let at = |share: usize| ages.get((ages.len() * share / 100).min(ages.len().saturating_sub(1)));
    [50, 99, 100].map(|share| at(share).copied().unwrap_or(0))
}

fn replay(file: &Path) -> Vec<Value> {
    let mut command = Command::new(GRELOT);
    command.args(["replay", "--json", "--config", shop::CONFIGURED]).arg(file);
    let said = command.output().expect("grelot replays");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
