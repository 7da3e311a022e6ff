//! Supervises one adapter: decides whether it receives, and which step is due. Pure.
//!
//! Whether it receives is decided by advertisements. What BlueZ says (powered, scanning) counts
//! only as long as none come in.

use std::time::Duration;

use super::adapter::Adapter;
use super::bus::CallError;
use super::duplicate_filter::DuplicateFilterDetector;
use super::recovery::{Escalation, Outcome, Step, Trouble};
use crate::pipeline::event::Hearing;
use crate::pipeline::units::Tick;
use crate::sources::activity::ActivitySample;
use crate::sources::capture_path::CapturePath;
use crate::sources::scan_health::{ScanHealth, ScanState};
use crate::sources::status::AdapterStatus;

/// Pause between attempts to switch on or to scan, doubled by each that fails.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The longest pause where the scan of a bluetoothd that was killed is about to end.
const IN_PROGRESS_PAUSE: Duration = Duration::from_secs(1);
/// How long attempts may fail before recovery begins: the kernel ends a dead bluetoothd's scan
/// within eleven seconds.
const FAILING_FOR: Duration = Duration::from_secs(12);
/// After this many calls in a row without an answer, bluetoothd is expected to answer no other step
/// either.
const MOST_UNANSWERED: u32 = 2;
/// BlueZ stops and restarts its own discovery between two kernel scans; a longer gap is a stop.
const DISCOVERY_GAP: Duration = Duration::from_secs(4);
/// How long after an advertisement an adapter without a scan of its own counts as receiving.
const RECEIVED_LATELY: Duration = Duration::from_secs(8);
/// Signals that were on their way when the scan ended are no sign of another scan.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// Pause between attempts to advertise, doubled by each that fails: some adapters never can.
const FIRST_ADVERTISE_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_ADVERTISE_PAUSE: Duration = Duration::from_hours(1);

/// The state of one adapter, from its appearance to its removal.
#[derive(Debug)]
pub struct AdapterSupervisor {
    adapter: Adapter,
    /// BlueZ can be asked about it.
    reachable: bool,
    /// BlueZ accepted our scan, and nothing has ended it since.
    scanning: bool,
    /// When the scan began or ended.
    changed_at: Tick,
    discovering_at: Tick,
    attempts: Attempts,
    escalation: Escalation,
    scan_health: ScanHealth,
    duplicates: DuplicateFilterDetector,
    path: CapturePath,
    advertising: Advertising,
    problem: Option<String>,
    /// The step that is being taken.
    busy: Option<Step>,
}

/// Attempts to switch on and to scan.
#[derive(Debug)]
struct Attempts {
    pause: Duration,
    not_before: Tick,
    failing_since: Option<Tick>,
    /// Number of calls in a row that were not answered.
    unanswered: u32,
}

/// Whether the adapter advertises the wake-up beacon beside the scan.
#[derive(Debug)]
struct Advertising {
    on: bool,
    not_before: Tick,
    pause: Duration,
}

impl AdapterSupervisor {
    /// An adapter that has just appeared. `escalation` is what was tried before it went away.
    pub fn new(now: Tick, escalation: Option<Escalation>) -> Self {
        Self {
            adapter: Adapter::default(),
            reachable: true,
            scanning: false,
            changed_at: now,
            discovering_at: now,
            attempts: Attempts::new(now),
            escalation: escalation.unwrap_or_else(|| Escalation::new(now)),
            scan_health: ScanHealth::new(now),
            duplicates: DuplicateFilterDetector::new(now),
            path: CapturePath::Dbus,
            advertising: Advertising::new(now),
            problem: None,
            busy: None,
        }
    }

    /// Takes the sample since the last call.
    pub fn received(&mut self, now: Tick, (sample, path): (ActivitySample, CapturePath)) {
        self.scan_health.add(now, sample);
        if sample.received > 0 {
            self.escalation.received();
        }
        self.duplicates.received(sample);
        self.path = path;
    }

    /// Takes BlueZ's description of the adapter.
    pub fn described(&mut self, now: Tick, adapter: &Adapter) {
        let switched_on = adapter.powered && !self.adapter.powered;
        if switched_on && self.busy.is_none() {
            self.attempts.retry_at_once(now);
        }
        self.reachable = true;
        self.adapter.clone_from(adapter);
        if adapter.discovering {
            self.discovering_at = now;
        }
        // BlueZ ends every client's scan at power-off, and does not resume it.
        let ended = !adapter.powered || now.since(self.discovering_at) >= DISCOVERY_GAP;
        if self.scanning && ended && (!adapter.powered || !self.receives(now)) {
            self.scan_ended(now);
            self.attempts.failing_since.get_or_insert(now);
        }
        if self.scanning && (adapter.discovering || self.receives(now)) {
            self.attempts.failing_since = None;
        }
    }

    /// The connection to BlueZ is lost, and with it the scan.
    pub fn unreachable(&mut self, now: Tick) {
        if std::mem::replace(&mut self.reachable, false) {
            self.scan_ended(now);
            self.busy = None;
            self.advertising = Advertising::new(now);
            self.attempts = Attempts::new(now);
        }
    }

    /// The scan has ended. What was received before says nothing about what comes, except where
    /// recovery is measured by it.
    fn scan_ended(&mut self, now: Tick) {
        self.scanning = false;
        self.changed_at = now;
        if self.escalation.is_idle() {
            self.scan_health = ScanHealth::new(now);
        }
    }

    /// The step that is due, if any; none while one is being taken. `others_receive` is whether
    /// another adapter receives, `to_advertise` whether this one is to advertise something.
    pub fn next_step(
        &mut self,
        now: Tick,
        others_receive: bool,
        to_advertise: impl FnOnce() -> bool,
    ) -> Option<Step> {
        if self.busy.is_some() || !self.reachable {
            return None;
        }
        self.busy = self.recovery(now, others_receive).or_else(|| self.usual(now)).or_else(|| {
            let may = self.scanning && self.advertising.may_try(now);
            (may && to_advertise()).then_some(Step::Advertise)
        });
        self.busy
    }

    fn recovery(&mut self, now: Tick, others_receive: bool) -> Option<Step> {
        let Some(trouble) = self.trouble(now) else {
            let receives = self.scan_health.state(now) == ScanState::Receiving;
            if receives && self.scanning && self.attempts.failing_since.is_none() {
                self.escalation.reset(now);
            }
            return None;
        };
        if self.attempts.unanswered >= MOST_UNANSWERED {
            self.attempts.unanswered = 0;
            self.escalation.skip_bluetoothd();
        }
        self.escalation.due(now, trouble, others_receive)
    }

    fn trouble(&self, now: Tick) -> Option<Trouble> {
        let failing = |since| now.since(since) >= FAILING_FOR;
        if self.attempts.failing_since.is_some_and(failing) {
            let receives = self.receives(now);
            return Some(if receives { Trouble::FailingButReceiving } else { Trouble::Failing });
        }
        let silent = self.scanning && self.scan_health.state(now) == ScanState::Silent;
        silent.then_some(Trouble::Silent)
    }

    fn usual(&mut self, now: Tick) -> Option<Step> {
        if self.scanning {
            return self.duplicates.is_refresh_due(now).then_some(Step::Refresh);
        }
        let step = if self.adapter.powered { Step::Scan } else { Step::PowerOn };
        (now >= self.attempts.not_before).then_some(step)
    }

    /// A step has ended. One that was cut short by a lost connection does not count.
    pub fn ended(&mut self, now: Tick, step: Step, result: &Result<(), CallError>) {
        if self.busy != Some(step) {
            return;
        }
        self.busy = None;
        if step == Step::Advertise {
            self.advertising.tried(now, result.is_ok());
            return;
        }
        let outcome = outcome(result);
        self.problem = result.as_ref().err().map(ToString::to_string);
        self.escalation.ended(now, step, outcome);
        if step != Step::Refresh {
            // A new bluetoothd does not know the advertisement, and may accept what the last one
            // refused; one that knows it reports so.
            self.advertising = Advertising::new(now);
        }
        match step {
            Step::PowerOn => self.attempts.ended(now, outcome),
            Step::Scan | Step::Refresh | Step::Rescan => {
                self.attempts.ended(now, outcome);
                self.scan_tried(now, step, outcome);
            }
            Step::PowerCycle => {
                self.attempts.ended(now, outcome);
                if outcome == Outcome::Worked {
                    self.scanning = false;
                    self.scan_health.was_reset();
                }
            }
            _ => self.attempts.retry_at_once(now),
        }
    }

    fn scan_tried(&mut self, now: Tick, step: Step, outcome: Outcome) {
        // If the scan is refused, advertisements may still come in: another client may scan.
        self.scanning = outcome == Outcome::Worked;
        if !self.scanning {
            return;
        }
        self.discovering_at = now;
        if step == Step::Scan {
            if self.escalation.is_idle() && !self.receives(now) {
                self.scan_health = ScanHealth::new(now);
            }
            self.changed_at = now;
            self.duplicates = DuplicateFilterDetector::new(now);
        }
    }

    /// What was tried, for the day when the adapter is back.
    pub fn into_escalation(self) -> Escalation {
        self.escalation
    }

    /// The path its advertisements come by.
    pub fn path(&self) -> CapturePath {
        self.path
    }

    /// Whether advertisements come in; BlueZ may report otherwise.
    fn receives(&self, now: Tick) -> bool {
        self.scan_health.last_received().is_some_and(|last| {
            last >= self.changed_at.plus(ON_THE_WAY) && now.since(last) < RECEIVED_LATELY
        })
    }

    /// The adapter's status for IT.
    pub fn status(&self, now: Tick) -> AdapterStatus {
        let reason = self.why_blind(now);
        let hearing = if reason.is_some() { Hearing::Blind } else { Hearing::Listening };
        let hides = self.duplicates.hides();
        let address = self.adapter.address.clone();
        AdapterStatus { address, hearing, path: self.path, hides, reason }
    }

    fn why_blind(&self, now: Tick) -> Option<String> {
        let plain = match self.scan_health.state(now) {
            _ if self.receives(now) => return None,
            _ if !self.reachable => "bluetoothd cannot be reached",
            _ if !self.adapter.powered => "switched off",
            _ if !self.scanning => "not scanning",
            ScanState::Receiving => return None,
            ScanState::NothingYet => "nothing received yet",
            ScanState::Silent => "fell silent",
        };
        Some(match &self.problem {
            Some(problem) if self.reachable => format!("{plain}: {problem}"),
            _ => plain.to_owned(),
        })
    }
}

fn outcome(result: &Result<(), CallError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Worked,
        Err(CallError::TimedOut) => Outcome::Unanswered,
        Err(CallError::InProgress) => Outcome::InProgress,
        Err(CallError::Blocked | CallError::Denied) => Outcome::Prevented,
        Err(_) => Outcome::Refused,
    }
}

impl Attempts {
    fn new(now: Tick) -> Self {
        Self { pause: FIRST_PAUSE, not_before: now, failing_since: None, unanswered: 0 }
    }

    fn retry_at_once(&mut self, now: Tick) {
        (self.pause, self.not_before) = (FIRST_PAUSE, self.not_before.min(now));
    }

    fn ended(&mut self, now: Tick, outcome: Outcome) {
        let unanswered = outcome == Outcome::Unanswered;
        self.unanswered = if unanswered { self.unanswered + 1 } else { 0 };
        match outcome {
            Outcome::Worked => {
                (self.pause, self.not_before) = (FIRST_PAUSE, now);
                return;
            }
            Outcome::Prevented => self.failing_since = None,
            _ => drop(self.failing_since.get_or_insert(now)),
        }
        let lately = self.failing_since.is_some_and(|since| now.since(since) < FAILING_FOR);
        let longest = match outcome {
            Outcome::InProgress if lately => IN_PROGRESS_PAUSE,
            _ => LONGEST_PAUSE,
        };
        self.not_before = now.plus(self.pause);
        self.pause = (self.pause * 2).min(longest);
    }
}

impl Advertising {
    fn new(now: Tick) -> Self {
        Self { on: false, not_before: now, pause: FIRST_ADVERTISE_PAUSE }
    }

    fn may_try(&self, now: Tick) -> bool {
        !self.on && now >= self.not_before
    }

    fn tried(&mut self, now: Tick, worked: bool) {
        self.on = worked;
        self.not_before = if worked { now } else { now.plus(self.pause) };
        let doubled = (self.pause * 2).min(LONGEST_ADVERTISE_PAUSE);
        self.pause = if worked { FIRST_ADVERTISE_PAUSE } else { doubled };
    }
}

#[cfg(test)]
mod tests;
