//! What was on the air against what was heard: a scenario's result, as figures and failures.

use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use serde_json::Value;

use super::agreement;
use super::controller::Counts;
use super::listener::Report;
use super::recording;
use super::scenario::{Listener, Scenario};

/// What happened while a scenario was played.
pub struct Lived {
    /// When the air was opened, and closed.
    pub opened: Instant,
    pub opened_at: SystemTime,
    pub closed: Instant,
    pub counts: Vec<Counts>,
    pub reports: Vec<Report>,
    /// When each fault struck, and when it was mended.
    pub mended: Vec<(Instant, Instant)>,
    pub services: Services,
}

/// What bluetoothd and dbus-daemon did meanwhile.
#[derive(Debug)]
pub struct Services {
    pub bluetoothd_kib: u64,
    /// Of bluetoothd and of dbus-daemon.
    pub processor: [Duration; 2],
    /// Signals that told of an advertisement, where a witness counted them.
    pub said: Option<u64>,
}

/// A scenario's result.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub scenario: String,
    pub what: String,
    pub listeners: Vec<Heard>,
    pub bluetoothd_kib: u64,
    pub bluetoothd_ms: u128,
    pub dbus_daemon_ms: u128,
    /// Signals of bluetoothd that told of an advertisement.
    pub said: Option<u64>,
    pub failures: Vec<String>,
}

/// What one listener heard.
#[derive(Debug, Serialize)]
pub struct Heard {
    pub name: String,
    /// On the air, for the adapters it listens to.
    pub on_air: u64,
    /// Of them, what the controllers passed on.
    pub passed_on: u64,
    pub heard: u64,
    /// Of what was on the air.
    pub share: f64,
    /// Shed by its own queue.
    pub shed: u64,
    pub inquiries: u64,
    pub scans: u64,
    pub longest_scan_hole_ms: u128,
    pub longest_gap_ms: u64,
    pub late: u64,
    pub processor_ms: u128,
    pub first_kib: u64,
    pub last_kib: u64,
    /// For each fault: seconds from its strike to the word "blind".
    pub blind_after_s: Vec<Option<f64>>,
    /// For each fault: seconds from its mending to the next advertisement.
    pub back_after_s: Vec<Option<f64>>,
    /// What the host's advertising is, as hex.
    pub advertises: Option<String>,
    pub connections: u64,
    /// Of `grelot run`: customers who arrived, who are there, and when the first was recognised.
    pub arrivals: Option<u64>,
    pub open: Option<u64>,
    pub first_contact_s: Option<f64>,
    pub first_arrival_s: Option<f64>,
    /// From the last fault to its last word, where it ended by itself.
    pub gave_up_after_s: Option<f64>,
    /// Of a recording: the longest time between two advertisements of one device.
    pub longest_silence_ms: Option<u64>,
    /// Of a recording: from being sent to being heard; half of all, 99 of 100, all.
    pub ages_ms: Option<[u64; 3]>,
}

/// A gateway must be known to be blind within this.
const BLIND_WITHIN: f64 = 10.0;

/// Judges.
pub fn judge(name: &str, scenario: &Scenario, lived: Lived) -> Outcome {
    let mut failures = Vec::new();
    let mut listeners = Vec::new();
    let stamped = scenario.air.iter().all(|group| group.stamped);
    for (described, report) in scenario.listeners.iter().zip(&lived.reports) {
        let heard = heard(described, report, &lived, stamped);
        let passed_on = heard.passed_on as f64 / heard.on_air.max(1) as f64;
        if passed_on < described.passed_on {
            let least = described.passed_on;
            failures.push(format!("{}: {passed_on:.3} passed on, not {least}", described.name));
        }
        let share = heard.heard as f64 / heard.passed_on.max(1) as f64;
        if share < described.hears {
            let least = described.hears;
            failures.push(format!("{}: {share:.3} heard, not {least}", described.name));
        }
        if let (Some(other), Some(file)) = (&described.agrees_with, &report.recording) {
            let differences = agreement::differences(file, other.as_ref());
            failures
                .extend(differences.into_iter().map(|one| format!("{}: {one}", described.name)));
        }
        if let Some(expected) = described.arrivals
            && (heard.arrivals, heard.open) != (Some(expected), Some(expected))
        {
            let (arrivals, open) = (heard.arrivals, heard.open);
            failures.push(format!("{}: {arrivals:?} arrived, {open:?} are there", described.name));
        }
        if let Some(by) = described.contact_by
            && heard.first_contact_s.is_none_or(|after| after > by)
        {
            let after = heard.first_contact_s;
            failures.push(format!("{}: first recognised after {after:?} s", described.name));
        }
        // Flags, which the kernel puts before it, are its own business.
        let advertised = heard.advertises.as_deref().unwrap_or_default();
        if described.advertises.as_ref().is_some_and(|wanted| !advertised.ends_with(wanted)) {
            failures.push(format!("{}: advertises {:?}", described.name, heard.advertises));
        }
        if let Some(within) = described.gives_up_within
            && heard.gave_up_after_s.is_none_or(|after| after > within)
        {
            let after = heard.gave_up_after_s;
            failures.push(format!("{}: gave up after {after:?} s", described.name));
        }
        if let Some(within) = described.back_within {
            for (fault, back) in scenario.faults.iter().zip(&heard.back_after_s) {
                if back.is_none_or(|seconds| seconds > within) {
                    let kind = fault.kind;
                    failures.push(format!("{}: {kind:?}: back after {back:?} s", described.name));
                }
            }
            for (fault, blind) in scenario.faults.iter().zip(&heard.blind_after_s) {
                let silent_for = fault.lasts as f64;
                if silent_for > BLIND_WITHIN && blind.is_none_or(|after| after > BLIND_WITHIN) {
                    let kind = fault.kind;
                    failures.push(format!("{}: {kind:?}: blind after {blind:?} s", described.name));
                }
            }
        }
        listeners.push(heard);
    }
    let Services { bluetoothd_kib, processor: [bluetoothd, dbus_daemon], said } = lived.services;
    Outcome {
        scenario: name.to_owned(),
        what: scenario.what.clone(),
        listeners,
        bluetoothd_kib,
        bluetoothd_ms: bluetoothd.as_millis(),
        dbus_daemon_ms: dbus_daemon.as_millis(),
        said,
        failures,
    }
}

fn heard(described: &Listener, report: &Report, lived: &Lived, stamped: bool) -> Heard {
    let through: Vec<&Counts> = match described.adapter {
        Some(adapter) => vec![&lived.counts[adapter]],
        None => lived.counts.iter().collect(),
    };
    let sum = |count: fn(&Counts) -> u64| through.iter().map(|counts| count(counts)).sum::<u64>();
    let last = |key: &str| report.lines.iter().rev().find_map(|(_, said)| said[key].as_u64());
    let recorded = report.recording.as_deref();
    let recorded = recorded.map(|file| recording::read(file, lived.opened_at, stamped));
    let heard = recorded.as_ref().map(|one| one.heard).or_else(|| last("heard")).unwrap_or(0);
    let on_air = sum(|c| c.on_air);
    let first = |key: &str| {
        let (at, _) = report.lines.iter().find(|(_, said)| said[key].as_u64() > Some(0))?;
        Some(at.saturating_duration_since(lived.opened).as_secs_f64())
    };
    let on_the_air = report.lines.partition_point(|(at, _)| *at <= lived.closed);
    let faults: Vec<_> = faults(&lived.mended, &report.lines[..on_the_air]).collect();
    Heard {
        name: described.name.clone(),
        on_air,
        passed_on: sum(|c| c.passed_on),
        heard,
        share: heard as f64 / on_air.max(1) as f64,
        shed: last("shed").unwrap_or(0),
        inquiries: sum(|c| c.inquiries),
        scans: sum(|c| c.scans),
        longest_scan_hole_ms: longest_hole(&through).as_millis(),
        longest_gap_ms: longest_gap(&report.lines, lived.opened),
        late: sum(|c| c.late),
        processor_ms: report.processor.as_millis(),
        first_kib: report.memory.0,
        last_kib: report.memory.1,
        blind_after_s: faults.iter().map(blind_after).collect(),
        back_after_s: faults.iter().map(back_after).collect(),
        advertises: through.iter().find_map(|c| c.advertises.as_ref()).map(hex::encode),
        connections: sum(|c| c.connections),
        arrivals: recorded.as_ref().map(|one| one.arrivals).or_else(|| last("arrivals")),
        open: recorded.as_ref().map(|one| one.open).or_else(|| last("open")),
        first_contact_s: first("contacts"),
        first_arrival_s: match &recorded {
            Some(recorded) => recorded.first_arrival_s,
            None => first("arrivals"),
        },
        gave_up_after_s: report.gave_up.then(|| gave_up_after(report, lived)).flatten(),
        longest_silence_ms: recorded.as_ref().map(|one| one.longest_silence_ms),
        ages_ms: recorded.and_then(|one| one.ages_ms),
    }
}

/// The longest time without a scan through any of these adapters.
fn longest_hole(through: &[&Counts]) -> Duration {
    let Some((first, others)) = through.split_first() else { return Duration::ZERO };
    let everywhere = others.iter().fold(first.holes.clone(), |holes, other| {
        let common = |(from, to): &(Instant, Instant)| {
            let within = other.holes.iter().map(|(f, t)| (*f.max(from), *t.min(to)));
            within.filter(|(from, to)| from < to).collect::<Vec<_>>()
        };
        holes.iter().flat_map(common).collect()
    });
    everywhere.iter().map(|(from, to)| to.duration_since(*from)).max().unwrap_or_default()
}

/// The longest time without an advertisement, to the fineness of the listener's lines.
fn longest_gap(lines: &[(Instant, Value)], opened: Instant) -> u64 {
    let (mut last, mut count, mut longest) = (opened, 0, Duration::ZERO);
    for (at, said) in lines.iter().filter(|(at, _)| *at >= opened) {
        let Some(heard) = said["heard"].as_u64() else { continue };
        if heard > count {
            longest = longest.max(at.saturating_duration_since(last));
            (last, count) = (*at, heard);
        }
    }
    u64::try_from(longest.as_millis()).unwrap_or(u64::MAX)
}

/// A fault: when it struck, when it was mended, and what was said before the next one struck.
struct Struck<'l> {
    at: Instant,
    mended: Instant,
    lines: &'l [(Instant, Value)],
}

fn faults<'l>(
    mended: &'l [(Instant, Instant)],
    lines: &'l [(Instant, Value)],
) -> impl Iterator<Item = Struck<'l>> {
    mended.iter().enumerate().map(move |(n, &(at, whole))| {
        let end = match mended.get(n + 1) {
            Some((next, _)) => lines.partition_point(|(at, _)| at < next),
            None => lines.len(),
        };
        Struck { at, mended: whole, lines: &lines[..end] }
    })
}

fn gave_up_after(report: &Report, lived: &Lived) -> Option<f64> {
    let ((struck, _), (said, _)) = (lived.mended.last()?, report.lines.last()?);
    Some(said.saturating_duration_since(*struck).as_secs_f64())
}

fn blind_after(fault: &Struck) -> Option<f64> {
    let blind = |(at, said): &&(Instant, Value)| *at >= fault.at && said["hearing"] == "blind";
    let (at, _) = fault.lines.iter().find(blind)?;
    Some(at.duration_since(fault.at).as_secs_f64())
}

/// From the mending to the first line that says more was heard, where there was silence before
/// it; 0 where the fault made none worth the name.
fn back_after(fault: &Struck) -> Option<f64> {
    const SILENCE: Duration = Duration::from_millis(1500);
    let mut last: Option<(Instant, u64)> = None;
    let mut back = None;
    for (at, said) in fault.lines {
        let Some(heard) = said["heard"].as_u64() else { continue };
        if last.is_some_and(|(_, count)| count == heard) {
            continue;
        }
        let silent = last.is_some_and(|(since, _)| at.duration_since(since) >= SILENCE);
        if silent && *at > fault.at && *at >= fault.mended && back.is_none() {
            back = Some(at.duration_since(fault.mended).as_secs_f64());
        }
        last = Some((*at, heard));
    }
    let heard_at_the_end = last.is_some_and(|(at, _)| {
        let end = fault.lines.last().map_or(at, |(end, _)| *end);
        at >= fault.mended && end.duration_since(at) < SILENCE
    });
    back.or_else(|| heard_at_the_end.then_some(0.0))
}
