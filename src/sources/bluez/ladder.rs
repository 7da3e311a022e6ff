//! What to do about an adapter that does not hear. Pure: what is seen in, the next step out.
//!
//! Each rung is dearer than the one before (a scan restarted costs a moment, a bluetoothd
//! restarted costs every other Bluetooth service of the machine), so each has its patience and
//! its least distance from the last time it was taken.

use std::time::Duration;

use super::adapter::Adapter;
use super::liveness::Verdict;
use crate::pipeline::units::Tick;

/// Something to be done about an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Switch it on.
    PowerOn,
    /// Begin to listen.
    Scan,
    /// Stop listening and begin again.
    Rescan,
    /// Switch it off and on, and listen again.
    PowerCycle,
    /// Ask systemd to restart bluetoothd.
    RestartBluetoothd,
    /// Nothing is left: the process ends, for systemd to start it afresh.
    GiveUp,
}

impl Step {
    /// All of them, in the order of their price.
    pub const ALL: [Self; 6] = [
        Self::PowerOn,
        Self::Scan,
        Self::Rescan,
        Self::PowerCycle,
        Self::RestartBluetoothd,
        Self::GiveUp,
    ];

    /// Its word in status, health and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PowerOn => "power_on",
            Self::Scan => "scan",
            Self::Rescan => "rescan",
            Self::PowerCycle => "power_cycle",
            Self::RestartBluetoothd => "restart_bluetoothd",
            Self::GiveUp => "give_up",
        }
    }
}

/// A rung: the step, how long to wait for what it does, and how often it may be taken at most.
struct Rung {
    step: Step,
    patience: Duration,
    at_most_every: Duration,
}

const fn rung(step: Step, patience_secs: u64, at_most_every_secs: u64) -> Rung {
    let patience = Duration::from_secs(patience_secs);
    Rung { step, patience, at_most_every: Duration::from_secs(at_most_every_secs) }
}

const RUNGS: [Rung; 4] = [
    rung(Step::Rescan, 12, 15),
    rung(Step::PowerCycle, 30, 120),
    rung(Step::RestartBluetoothd, 60, 900),
    rung(Step::GiveUp, 600, 3600),
];

/// Pauses between attempts that fail at once: adapters that are busy, blocked, not ready.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// BlueZ stops and restarts its own discovery between two kernel scans; longer is a stop.
const DISCOVERY_GAP: Duration = Duration::from_secs(4);

/// Where one adapter stands on the ladder.
#[derive(Debug, Clone)]
pub struct Ladder {
    scanning: bool,
    discovering_at: Tick,
    pause: Duration,
    not_before: Tick,
    next_rung: usize,
    taken: [Option<Tick>; RUNGS.len()],
}

impl Ladder {
    /// Nothing was tried yet.
    pub fn new(now: Tick) -> Self {
        Self {
            scanning: false,
            discovering_at: now,
            pause: FIRST_PAUSE,
            not_before: now,
            next_rung: 0,
            taken: [None; RUNGS.len()],
        }
    }

    /// Whether BlueZ was asked to scan and said yes, and no fault since took the scan away.
    pub fn scanning(&self) -> bool {
        self.scanning
    }

    /// What is to be done now, if anything.
    pub fn next(&mut self, now: Tick, adapter: &Adapter, verdict: Verdict) -> Option<Step> {
        if adapter.discovering {
            self.discovering_at = now;
        }
        if !adapter.powered {
            // BlueZ ends every client's discovery with the power, and does not take it up again.
            self.scanning = false;
        }
        if verdict == Verdict::Alive {
            self.next_rung = 0;
        }
        if now < self.not_before {
            return None;
        }
        if !adapter.powered {
            Some(Step::PowerOn)
        } else if !self.scanning {
            Some(Step::Scan)
        } else if now.since(self.discovering_at) >= DISCOVERY_GAP {
            Some(Step::Rescan)
        } else if verdict == Verdict::Deaf {
            self.climb(now)
        } else {
            None
        }
    }

    /// A step was taken; `worked` if BlueZ did what it was asked.
    pub fn took(&mut self, now: Tick, step: Step, worked: bool) {
        if matches!(step, Step::Scan | Step::Rescan | Step::PowerCycle) {
            self.scanning = worked;
            self.discovering_at = now;
        }
        if !worked {
            self.not_before = now.plus(self.pause);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            return;
        }
        self.pause = FIRST_PAUSE;
        if let Some((rung, taken)) =
            RUNGS.iter().zip(&self.taken).find(|(rung, _)| rung.step == step)
            && taken.is_some()
        {
            self.not_before = now.plus(rung.patience);
        }
    }

    /// The circumstances changed (an adapter came, power came back): try again at once.
    pub fn hurry(&mut self, now: Tick) {
        self.pause = FIRST_PAUSE;
        self.not_before = self.not_before.min(now);
    }

    /// The first rung from where we stand that has not been taken too recently.
    fn climb(&mut self, now: Tick) -> Option<Step> {
        let due = |taken: &Option<Tick>, rung: &Rung| {
            taken.is_none_or(|taken| now.since(taken) >= rung.at_most_every)
        };
        let mut rungs = RUNGS.iter().zip(&mut self.taken).enumerate().skip(self.next_rung);
        let (index, (rung, taken)) = rungs.find(|(_, (rung, taken))| due(taken, rung))?;
        *taken = Some(now);
        self.next_rung = (index + 1) % RUNGS.len();
        self.not_before = now.plus(rung.patience);
        Some(rung.step)
    }
}
