//! Compares what was on the air with what was received: the result of a scenario, as figures and
//! failures.

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use serde_json::Value;

use super::agreement;
use super::controller::Counts;
use super::listener::Report;
use super::recording;
use super::scenario::{Listener, Scenario};

/// The events of a scenario.
pub struct Run {
    /// When the devices began to advertise.
    pub opened: Instant,
    pub opened_at: SystemTime,
    /// When every listener received; figures count from then.
    pub measured: Instant,
    pub closed: Instant,
    /// What the controllers had counted by then, and at the end.
    pub before: Vec<Counts>,
    pub after: Vec<Counts>,
    /// What each listener had received by then.
    pub heard_before: Vec<u64>,
    pub reports: Vec<Report>,
    /// When each fault struck, and when it was ended.
    pub ended: Vec<(Instant, Instant)>,
    pub services: Services,
}

/// What bluetoothd and dbus-daemon did meanwhile.
#[derive(Debug)]
pub struct Services {
    pub bluetoothd_kib: u64,
    /// Of bluetoothd and of dbus-daemon.
    pub processor: [Duration; 2],
    /// Signals of bluetoothd for advertisements, where they were counted.
    pub signals: Option<u64>,
}

#[derive(Debug, Serialize)]
pub struct Outcome {
    pub scenario: String,
    pub what: String,
    pub listeners: Vec<Measurements>,
    pub bluetoothd_kib: u64,
    pub bluetoothd_ms: u128,
    pub dbus_daemon_ms: u128,
    /// Signals of bluetoothd for advertisements.
    pub signals: Option<u64>,
    pub failures: Vec<String>,
}

/// What one listener received.
#[derive(Debug, Serialize)]
pub struct Measurements {
    pub name: String,
    /// Advertisements on the air, for the adapters that it listens to.
    pub on_air: u64,
    /// Of these, the ones that the controllers passed on.
    pub passed_on: u64,
    pub heard: u64,
    /// Fraction of what was on the air that it received.
    pub share: f64,
    /// Advertisements that its own queue dropped.
    pub shed: u64,
    pub inquiries: u64,
    pub scans: u64,
    pub longest_scan_hole_ms: u128,
    /// Number of successive lines that report `blind`, each with more received than the one before.
    pub blind_while_receiving: usize,
    pub longest_gap_ms: u64,
    pub late: u64,
    pub processor_ms: u128,
    pub first_kib: u64,
    pub last_kib: u64,
    /// For each fault: seconds from its start to the word "blind".
    pub blind_after_s: Vec<Option<f64>>,
    /// For each fault: seconds from its end to the next advertisement.
    pub back_after_s: Vec<Option<f64>>,
    /// The host's advertising data, as hex.
    pub advertises: Option<String>,
    pub connections: u64,
    /// Of `grelot run`: customers who arrived, who are there, and when the first was recognised.
    pub arrivals: Option<u64>,
    pub open: Option<u64>,
    pub first_contact_s: Option<f64>,
    pub first_arrival_s: Option<f64>,
    /// Seconds from the last fault to its last line, where it ended by itself.
    pub gave_up_after_s: Option<f64>,
    /// Of a recording: the longest time between two advertisements of one device.
    pub longest_silence_ms: Option<u64>,
    /// Of a recording: from sending to reception; the median, the 99th percentile and the maximum.
    pub ages_ms: Option<[u64; 3]>,
}

/// Number of successive lines that may report `blind` although each has received more; beyond it
/// the state is wrong. Lines come four times a second, and the state follows within a second or
/// two.
const MOST_WRONG_LINES: usize = 12;

/// Checks what each listener received and reported.
pub fn check(name: &str, scenario: &Scenario, run: Run) -> Outcome {
    let mut failures = Vec::new();
    let mut listeners = Vec::new();
    let stamped = scenario.air.iter().all(|group| group.stamped);
    for (number, (described, report)) in scenario.listeners.iter().zip(&run.reports).enumerate() {
        let measured = measure(described, report, &run, number, stamped);
        let name = &described.name;
        failures.extend(shares(described, &measured).map(|failure| format!("{name}: {failure}")));
        failures
            .extend(customers(described, &measured).map(|failure| format!("{name}: {failure}")));
        failures
            .extend(differences(scenario, described, report).map(|one| format!("{name}: {one}")));
        failures
            .extend(state(scenario, described, report, &measured).map(|f| format!("{name}: {f}")));
        listeners.push(measured);
    }
    let Services { bluetoothd_kib, processor: [bluetoothd, dbus_daemon], signals } = run.services;
    Outcome {
        scenario: name.to_owned(),
        what: scenario.what.clone(),
        listeners,
        bluetoothd_kib,
        bluetoothd_ms: bluetoothd.as_millis(),
        dbus_daemon_ms: dbus_daemon.as_millis(),
        signals,
        failures,
    }
}

/// Checks that enough was passed on, and that enough of it was received.
fn shares(described: &Listener, measured: &Measurements) -> impl Iterator<Item = String> + use<> {
    let passed_on = measured.passed_on as f64 / measured.on_air.max(1) as f64;
    let share = measured.heard as f64 / measured.passed_on.max(1) as f64;
    let (least_passed_on, least) = (described.passed_on, described.receives);
    let first = (passed_on < least_passed_on)
        .then(|| format!("{passed_on:.3} passed on, not {least_passed_on}"));
    let second = (share < least).then(|| format!("{share:.3} received, not {least}"));
    first.into_iter().chain(second)
}

/// Checks that the customers arrived, and that the beacon advertises.
fn customers(
    described: &Listener,
    measured: &Measurements,
) -> impl Iterator<Item = String> + use<> {
    let here = (measured.arrivals, measured.open);
    let arrived = described.arrivals.is_none_or(|wanted| here == (Some(wanted), Some(wanted)));
    let first = (!arrived).then(|| format!("{:?} arrived, {:?} are there", here.0, here.1));
    // The kernel adds the Flags before it; they are not compared.
    let advertised = measured.advertises.as_deref().unwrap_or_default();
    let wrong = described.advertises.as_ref().is_some_and(|wanted| !advertised.ends_with(wanted));
    let second = wrong.then(|| format!("advertises {:?}", measured.advertises));
    first.into_iter().chain(second)
}

/// Checks that its recording agrees with the other one.
fn differences(
    scenario: &Scenario,
    described: &Listener,
    report: &Report,
) -> impl Iterator<Item = String> + use<> {
    let both = described.agrees_with.as_ref().zip(report.recording.as_ref());
    both.map(|(other, file)| agreement::differences(file, other.as_ref(), &scenario.bonded))
        .into_iter()
        .flatten()
}

/// Checks that it recovered from every fault, and that its state was always right.
fn state(
    scenario: &Scenario,
    described: &Listener,
    report: &Report,
    measured: &Measurements,
) -> impl Iterator<Item = String> + use<> {
    let mut failures = Vec::new();
    if described.gives_up && !report.gave_up {
        failures.push("did not give up".to_owned());
    }
    if described.recovers {
        for (fault, back) in scenario.faults.iter().zip(&measured.back_after_s) {
            if back.is_none() {
                failures.push(format!("{:?}: does not receive again", fault.kind));
            }
        }
        for (fault, blind) in scenario.faults.iter().zip(&measured.blind_after_s) {
            if fault.until_blind && blind.is_none() {
                failures.push(format!("{:?}: not known to be blind", fault.kind));
            }
        }
    }
    for word in &described.never_reports {
        let reasons = report.lines.iter().filter_map(|(_, line)| line["reason"].as_str());
        if let Some(reason) = reasons.into_iter().find(|reason| reason.contains(word)) {
            failures.push(format!("reports {reason:?}"));
        }
    }
    let wrong = measured.blind_while_receiving;
    if wrong > MOST_WRONG_LINES {
        failures.push(format!("reports blind on {wrong} lines in a row while it receives"));
    }
    failures.into_iter()
}

/// The longest run of lines that report `blind`, each with more received than the line before.
fn blind_while_receiving(lines: &[(Instant, Value)]) -> usize {
    let (mut longest, mut row, mut last) = (0, 0, None);
    for (_, line) in lines {
        let heard = line["heard"].as_u64();
        let more = last.is_some() && heard > last;
        row = if line["hearing"] == "blind" && more { row + 1 } else { 0 };
        longest = longest.max(row);
        last = heard;
    }
    longest
}

/// What the controllers of a listener passed on.
pub fn passed_on(described: &Listener, counts: &[Counts]) -> u64 {
    through(described, counts).iter().map(|counts| counts.passed_on).sum()
}

fn through<'c>(described: &Listener, counts: &'c [Counts]) -> Vec<&'c Counts> {
    match described.adapter {
        Some(adapter) => vec![&counts[adapter]],
        None => counts.iter().collect(),
    }
}

fn measure(
    described: &Listener,
    report: &Report,
    run: &Run,
    number: usize,
    stamped: bool,
) -> Measurements {
    let through_now = through(described, &run.after);
    // A recording holds everything from its beginning.
    let nothing = vec![Counts::default(); run.before.len()];
    let records = report.recording.is_some();
    let before = through(described, if records { &nothing } else { &run.before });
    let heard_before = if records { 0 } else { run.heard_before[number] };
    let sum = |count: fn(&Counts) -> u64| {
        let of = |counts: &[&Counts]| counts.iter().map(|counts| count(counts)).sum::<u64>();
        of(&through_now).saturating_sub(of(&before))
    };
    let last = |key: &str| report.lines.iter().rev().find_map(|(_, line)| line[key].as_u64());
    let recorded = report.recording.as_deref();
    let recorded = recorded.map(|file| recording::read(file, run.opened_at, stamped));
    let heard = recorded.as_ref().map(|one| one.heard).or_else(|| last("heard"));
    let heard = heard.unwrap_or(0).saturating_sub(heard_before);
    let on_air = sum(|c| c.on_air);
    let first = |key: &str| {
        let (at, _) = report.lines.iter().find(|(_, line)| line[key].as_u64() > Some(0))?;
        Some(at.saturating_duration_since(run.opened).as_secs_f64())
    };
    let on_the_air = report.lines.partition_point(|(at, _)| *at <= run.closed);
    let faults: Vec<_> = faults(&run.ended, &report.lines[..on_the_air]).collect();
    Measurements {
        name: described.name.clone(),
        on_air,
        passed_on: sum(|c| c.passed_on),
        heard,
        share: heard as f64 / on_air.max(1) as f64,
        shed: last("shed").unwrap_or(0),
        inquiries: sum(|c| c.inquiries),
        scans: sum(|c| c.scans),
        longest_scan_hole_ms: longest_hole(&through_now, run.measured).as_millis(),
        blind_while_receiving: blind_while_receiving(&report.lines),
        longest_gap_ms: longest_gap(&report.lines, run.measured),
        late: sum(|c| c.late),
        processor_ms: report.processor.as_millis(),
        first_kib: report.memory.0,
        last_kib: report.memory.1,
        blind_after_s: faults.iter().map(blind_after).collect(),
        back_after_s: faults.iter().map(back_after).collect(),
        advertises: through_now.iter().find_map(|c| c.advertises.as_ref()).map(hex::encode),
        connections: sum(|c| c.connections),
        arrivals: recorded.as_ref().map(|one| one.arrivals).or_else(|| last("arrivals")),
        open: recorded.as_ref().map(|one| one.open).or_else(|| last("open")),
        first_contact_s: first("contacts"),
        first_arrival_s: match &recorded {
            Some(recorded) => recorded.first_arrival_s,
            None => first("arrivals"),
        },
        gave_up_after_s: report.gave_up.then(|| gave_up_after(report, run)).flatten(),
        longest_silence_ms: recorded.as_ref().map(|one| one.longest_silence_ms),
        ages_ms: recorded.and_then(|one| one.ages_ms),
    }
}

/// The longest time without a scan on any of these adapters.
fn longest_hole(through: &[&Counts], since: Instant) -> Duration {
    let Some((first, others)) = through.split_first() else { return Duration::ZERO };
    let everywhere = others.iter().fold(first.holes.clone(), |holes, other| {
        let common = |(from, to): &(Instant, Instant)| {
            let within = other.holes.iter().map(|(f, t)| (*f.max(from), *t.min(to)));
            within.filter(|(from, to)| from < to).collect::<Vec<_>>()
        };
        holes.iter().flat_map(common).collect()
    });
    let measured = everywhere.iter().filter(|(from, _)| *from >= since);
    measured.map(|(from, to)| to.duration_since(*from)).max().unwrap_or_default()
}

/// The longest time without an advertisement, in milliseconds, to the resolution of the listener's
/// lines.
fn longest_gap(lines: &[(Instant, Value)], opened: Instant) -> u64 {
    let (mut last, mut count, mut longest) = (opened, 0, Duration::ZERO);
    for (at, line) in lines.iter().filter(|(at, _)| *at >= opened) {
        let Some(heard) = line["heard"].as_u64() else { continue };
        if heard > count {
            longest = longest.max(at.saturating_duration_since(last));
            (last, count) = (*at, heard);
        }
    }
    u64::try_from(longest.as_millis()).unwrap_or(u64::MAX)
}

/// A fault: its start, its end, and the lines until the next one.
struct Struck<'l> {
    at: Instant,
    ended: Instant,
    lines: &'l [(Instant, Value)],
}

fn faults<'l>(
    ended: &'l [(Instant, Instant)],
    lines: &'l [(Instant, Value)],
) -> impl Iterator<Item = Struck<'l>> {
    ended.iter().enumerate().map(move |(n, &(at, whole))| {
        let end = match ended.get(n + 1) {
            Some((next, _)) => lines.partition_point(|(at, _)| at < next),
            None => lines.len(),
        };
        Struck { at, ended: whole, lines: &lines[..end] }
    })
}

fn gave_up_after(report: &Report, run: &Run) -> Option<f64> {
    let ((struck, _), (last, _)) = (run.ended.last()?, report.lines.last()?);
    Some(last.saturating_duration_since(*struck).as_secs_f64())
}

fn blind_after(fault: &Struck) -> Option<f64> {
    let blind = |(at, line): &&(Instant, Value)| *at >= fault.at && line["hearing"] == "blind";
    let (at, _) = fault.lines.iter().find(blind)?;
    Some(at.duration_since(fault.at).as_secs_f64())
}

/// Seconds from its end to the first line with more received, where there was silence before; 0
/// where the fault caused no silence worth mentioning.
fn back_after(fault: &Struck) -> Option<f64> {
    const SILENCE: Duration = Duration::from_millis(1500);
    let mut last: Option<(Instant, u64)> = None;
    let mut back = None;
    for (at, line) in fault.lines {
        let Some(heard) = line["heard"].as_u64() else { continue };
        if last.is_some_and(|(_, count)| count == heard) {
            continue;
        }
        let silent = last.is_some_and(|(since, _)| at.duration_since(since) >= SILENCE);
        if silent && *at > fault.at && *at >= fault.ended && back.is_none() {
            back = Some(at.duration_since(fault.ended).as_secs_f64());
        }
        last = Some((*at, heard));
    }
    let heard_at_the_end = last.is_some_and(|(at, _)| {
        let end = fault.lines.last().map_or(at, |(end, _)| *end);
        at >= fault.ended && end.duration_since(at) < SILENCE
    });
    back.or_else(|| heard_at_the_end.then_some(0.0))
}
