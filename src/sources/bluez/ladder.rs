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
    /// Begin the scan anew, for a controller that reports each device once in a scan.
    Refresh,
    /// Stop listening and begin again.
    Rescan,
    /// Advertise the shop's wake-up beacon beside the scan; this one is no rung of the ladder.
    Advertise,
    /// Switch it off and on, and listen again.
    PowerCycle,
    /// Ask systemd to restart bluetoothd.
    RestartBluetoothd,
    /// Nothing is left: the process ends, for systemd to start it afresh.
    GiveUp,
}

impl Step {
    /// All of them, in the order of their price.
    pub const ALL: [Self; 8] = [
        Self::PowerOn,
        Self::Scan,
        Self::Refresh,
        Self::Rescan,
        Self::Advertise,
        Self::PowerCycle,
        Self::RestartBluetoothd,
        Self::GiveUp,
    ];

    /// Its word in status, health and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PowerOn => "power_on",
            Self::Scan => "scan",
            Self::Refresh => "refresh",
            Self::Rescan => "rescan",
            Self::Advertise => "advertise",
            Self::PowerCycle => "power_cycle",
            Self::RestartBluetoothd => "restart_bluetoothd",
            Self::GiveUp => "give_up",
        }
    }
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// `BlueZ` did what it was asked.
    Worked,
    /// It said no.
    Refused,
    /// It says that a scan is running, and not for us: one of a bluetoothd that was killed lives
    /// on in the kernel for up to ten seconds, and nobody tells of its end.
    Occupied,
    /// It said nothing.
    Hung,
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

/// The rungs that disturb nobody else.
const CHEAP_RUNGS: usize = 2;
/// A bluetoothd that did not answer this often in a row will not answer cheap steps either.
const MOST_HANGS: u32 = 3;
/// 2^5 times two minutes: at night, once an hour.
const MOST_DOUBLINGS: u32 = 5;

/// Pauses between attempts that fail at once: adapters that are busy, blocked, not ready.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Between attempts to scan where another scan is about to end.
const OCCUPIED_PAUSE: Duration = Duration::from_secs(1);
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
    /// Steps in a row that nobody answered.
    hangs: u32,
    /// Times the whole ladder was climbed in vain: an empty cellar is left in peace.
    rounds: u32,
    /// Somebody was heard here once. Where nobody ever was, the dear steps are not taken.
    heard_once: bool,
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
            hangs: 0,
            rounds: 0,
            heard_once: false,
            taken: [None; RUNGS.len()],
        }
    }

    /// The adapter is back, or the bus is: all begins anew, but what was tried lately still was.
    #[must_use]
    pub fn again(self, now: Tick) -> Self {
        Self {
            rounds: self.rounds,
            heard_once: self.heard_once,
            taken: self.taken,
            ..Self::new(now)
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
            self.heard_once = true;
            (self.next_rung, self.rounds) = (0, 0);
        }
        if now < self.not_before {
            return None;
        }
        if self.hangs >= MOST_HANGS {
            self.hangs = 0;
            self.next_rung = self.next_rung.max(CHEAP_RUNGS);
            if let Some(step) = self.climb(now) {
                return Some(step);
            }
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

    /// A step was taken.
    pub fn took(&mut self, now: Tick, step: Step, outcome: Outcome) {
        let worked = outcome == Outcome::Worked;
        self.hangs = if outcome == Outcome::Hung { self.hangs + 1 } else { 0 };
        if matches!(step, Step::Scan | Step::Refresh | Step::Rescan | Step::PowerCycle) {
            self.scanning = worked;
            self.discovering_at = now;
        }
        if !worked {
            self.not_before = now.plus(self.pause);
            let occupied = outcome == Outcome::Occupied;
            let longest = if occupied { OCCUPIED_PAUSE } else { LONGEST_PAUSE };
            self.pause = (self.pause * 2).min(longest);
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
        let reach = if self.heard_once { RUNGS.len() } else { CHEAP_RUNGS };
        if self.next_rung >= reach {
            return None;
        }
        let doubled = 1 << self.rounds.min(MOST_DOUBLINGS);
        let due = |taken: &Option<Tick>, rung: &Rung| {
            taken.is_none_or(|taken| now.since(taken) >= rung.at_most_every * doubled)
        };
        let rungs = RUNGS.iter().zip(&mut self.taken).take(reach).enumerate();
        let mut above = rungs.skip(self.next_rung);
        let (index, (rung, taken)) = above.find(|(_, (rung, taken))| due(taken, rung))?;
        *taken = Some(now);
        self.not_before = now.plus(rung.patience);
        self.next_rung = (index + 1) % reach;
        self.rounds += u32::from(self.next_rung == 0);
        Some(rung.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Tick {
        Tick::from_micros(secs * 1_000_000)
    }

    fn adapter(powered: bool, discovering: bool) -> Adapter {
        Adapter { powered, discovering, address: String::new() }
    }

    /// A ladder whose adapter scans since second 1.
    fn scanning() -> Ladder {
        let mut ladder = Ladder::new(at(0));
        assert_eq!(ladder.next(at(0), &adapter(true, false), Verdict::Unheard), Some(Step::Scan));
        ladder.took(at(1), Step::Scan, Outcome::Worked);
        ladder
    }

    /// The same, and somebody was heard.
    fn hearing() -> Ladder {
        let mut ladder = scanning();
        climb(&mut ladder, 2, 10, Verdict::Alive);
        ladder
    }

    /// The steps taken from `from` to `to`, one look a second, each of them worked.
    fn climb(ladder: &mut Ladder, from: u64, to: u64, verdict: Verdict) -> Vec<(u64, Step)> {
        let mut steps = Vec::new();
        for second in from..to {
            if let Some(step) = ladder.next(at(second), &adapter(true, true), verdict) {
                ladder.took(at(second), step, Outcome::Worked);
                steps.push((second, step));
            }
        }
        steps
    }

    #[test]
    fn deafness_is_met_with_ever_dearer_steps() {
        let mut ladder = hearing();
        let expected = [
            (10, Step::Rescan),
            (22, Step::PowerCycle),
            (52, Step::RestartBluetoothd),
            (112, Step::GiveUp),
        ];
        assert_eq!(climb(&mut ladder, 10, 200, Verdict::Deaf), expected);
    }

    #[test]
    fn an_empty_cellar_is_left_in_peace() {
        let mut ladder = scanning();
        let steps = climb(&mut ladder, 120, 120 + 86_400, Verdict::Deaf);
        assert!(steps.iter().all(|(_, step)| matches!(step, Step::Rescan | Step::PowerCycle)));
        let cycles = steps.iter().filter(|(_, step)| *step == Step::PowerCycle).count();
        assert!((20..=40).contains(&cycles), "{cycles} in a day");
    }

    #[test]
    fn an_adapter_that_hears_is_left_alone() {
        let mut ladder = scanning();
        assert_eq!(climb(&mut ladder, 10, 5000, Verdict::Alive), []);
    }

    #[test]
    fn whoever_hears_again_starts_at_the_lowest_rung() {
        let mut ladder = scanning();
        climb(&mut ladder, 10, 30, Verdict::Deaf);
        climb(&mut ladder, 30, 60, Verdict::Alive);
        assert_eq!(climb(&mut ladder, 60, 61, Verdict::Deaf), [(60, Step::Rescan)]);
    }

    #[test]
    fn no_step_is_taken_too_often() {
        let mut ladder = scanning();
        let mut cycles = Vec::new();
        for minute in 0..30 {
            // Deaf for most of every minute, hearing in between.
            let second = 100 + minute * 60;
            let steps = climb(&mut ladder, second, second + 50, Verdict::Deaf);
            cycles.extend(steps.iter().filter(|(_, s)| *s == Step::PowerCycle).map(|(t, _)| *t));
            climb(&mut ladder, second + 50, second + 60, Verdict::Alive);
        }
        assert!(cycles.windows(2).all(|pair| pair[1] - pair[0] >= 120), "{cycles:?}");
        assert!(cycles.len() > 5, "{cycles:?}");
    }

    #[test]
    fn a_blocked_adapter_is_tried_again_less_and_less_often_until_something_changes() {
        let mut ladder = Ladder::new(at(0));
        let off = adapter(false, false);
        let mut tries = 0;
        for second in 0..100 {
            if let Some(step) = ladder.next(at(second), &off, Verdict::Unheard) {
                assert_eq!(step, Step::PowerOn);
                ladder.took(at(second), step, Outcome::Refused);
                tries += 1;
            }
        }
        assert!((8..=16).contains(&tries), "{tries}");
        ladder.hurry(at(100));
        assert_eq!(ladder.next(at(100), &off, Verdict::Unheard), Some(Step::PowerOn));
    }

    #[test]
    fn a_bluetoothd_that_hangs_is_restarted_and_not_too_often() {
        let mut ladder = hearing();
        let mut restarts = Vec::new();
        for second in 20..2_000 {
            let asked = ladder.next(at(second), &adapter(true, false), Verdict::Deaf);
            match asked {
                Some(Step::RestartBluetoothd) => {
                    restarts.push(second);
                    ladder.took(at(second), Step::RestartBluetoothd, Outcome::Refused);
                    ladder = ladder.again(at(second));
                }
                Some(Step::GiveUp) => break,
                Some(step) => ladder.took(at(second), step, Outcome::Hung),
                None => {}
            }
        }
        assert!(restarts[0] < 60, "{restarts:?}");
        assert!(restarts.windows(2).all(|pair| pair[1] - pair[0] >= 900), "{restarts:?}");
    }

    #[test]
    fn the_end_of_a_dead_bluetoothd_s_scan_is_not_slept_through() {
        let mut ladder = Ladder::new(at(0));
        let mut tries = 0;
        for second in 0..10 {
            if ladder.next(at(second), &adapter(true, false), Verdict::Unheard).is_some() {
                ladder.took(at(second), Step::Scan, Outcome::Occupied);
                tries += 1;
            }
        }
        assert!(tries >= 9, "{tries}");
    }

    #[test]
    fn power_that_came_back_needs_a_new_scan() {
        let mut ladder = scanning();
        assert_eq!(ladder.next(at(5), &adapter(false, false), Verdict::Alive), Some(Step::PowerOn));
        ladder.took(at(6), Step::PowerOn, Outcome::Worked);
        assert_eq!(ladder.next(at(6), &adapter(true, false), Verdict::Unheard), Some(Step::Scan));
    }
}
