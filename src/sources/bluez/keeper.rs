//! One adapter's keeper: what is known of it, and what is being done about it.

use std::time::Duration;

use super::adapter::Adapter;
use super::bus::CallError;
use super::ears::{Ear, Pulse};
use super::ladder::{Ladder, Outcome, Step};
use super::liveness::{Liveness, Verdict};
use super::repetition::Repetition;
use super::status::AdapterStatus;
use crate::pipeline::event::Hearing;
use crate::pipeline::units::Tick;

/// Between attempts to advertise, doubled by each that fails: some adapters never can.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Keeps one adapter listening.
#[derive(Debug)]
pub struct Keeper {
    adapter: Adapter,
    ladder: Ladder,
    liveness: Liveness,
    repetition: Repetition,
    ear: Ear,
    voice: Voice,
    problem: Option<String>,
    /// A step is being taken.
    busy: bool,
}

/// Whether the adapter says what it is to say, beside the scan.
#[derive(Debug, Clone, Copy)]
struct Voice {
    speaks: bool,
    not_before: Tick,
    pause: Duration,
}

impl Keeper {
    /// Of an adapter that has just appeared, or is back.
    pub fn new(now: Tick, before: Option<Ladder>) -> Self {
        Self {
            adapter: Adapter::default(),
            ladder: before.map_or_else(|| Ladder::new(now), |ladder| ladder.again(now)),
            liveness: Liveness::new(now),
            repetition: Repetition::new(now),
            ear: Ear::Dbus,
            voice: Voice::new(now),
            problem: None,
            busy: false,
        }
    }

    /// Takes in what BlueZ says and what was heard.
    pub fn feel(&mut self, now: Tick, adapter: &Adapter, (pulse, ear): (Pulse, Ear)) {
        self.adapter.clone_from(adapter);
        self.liveness.feel(now, pulse);
        self.repetition.feel(pulse);
        self.ear = ear;
    }

    /// The step that is due, if any; none while one is being taken. `to_say` is whether the
    /// adapter is the one to advertise something.
    pub fn next(&mut self, now: Tick, to_say: impl FnOnce() -> bool) -> Option<Step> {
        if self.busy {
            return None;
        }
        let was_scanning = self.ladder.scanning();
        let step = self.ladder.next(now, &self.adapter, self.liveness.verdict(now));
        if was_scanning && !self.ladder.scanning() {
            // The scan was taken away: what was heard before says nothing about what comes.
            self.liveness = Liveness::new(now);
        }
        let refresh = step.is_none() && self.ladder.scanning() && self.repetition.is_due(now);
        let step = step.or(refresh.then_some(Step::Refresh)).or_else(|| {
            let may = self.ladder.scanning() && !self.voice.speaks && now >= self.voice.not_before;
            (may && to_say()).then_some(Step::Advertise)
        });
        self.busy = step.is_some();
        step
    }

    /// A step was taken.
    pub fn took(&mut self, now: Tick, step: Step, outcome: &Result<(), CallError>) {
        self.busy = false;
        if step == Step::Advertise {
            self.voice.tried(now, outcome.is_ok());
            return;
        }
        let went = match outcome {
            Ok(()) => Outcome::Worked,
            Err(CallError::TimedOut) => Outcome::Hung,
            Err(CallError::InProgress) => Outcome::Occupied,
            Err(_) => Outcome::Refused,
        };
        self.ladder.took(now, step, went);
        self.problem = outcome.as_ref().err().map(ToString::to_string);
        if step != Step::Refresh {
            // A new bluetoothd knows nothing of it, and may do what the last one refused; one
            // that says it already will answer so.
            self.voice = Voice::new(now);
        }
        match step {
            Step::Scan if outcome.is_ok() => {
                self.liveness = Liveness::new(now);
                self.repetition = Repetition::new(now);
            }
            Step::PowerCycle if outcome.is_ok() => self.liveness.was_reset(),
            _ => {}
        }
    }

    /// The circumstances changed: what failed may work now.
    pub fn hurry(&mut self, now: Tick) {
        self.ladder.hurry(now);
    }

    /// What was tried, for the day the adapter is back.
    pub fn retire(self) -> Ladder {
        self.ladder
    }

    /// The ear that hears.
    pub fn ear(&self) -> Ear {
        self.ear
    }

    /// How it fares.
    pub fn status(&self, now: Tick) -> AdapterStatus {
        let reason = self.why_blind(now);
        let hearing = if reason.is_some() { Hearing::Blind } else { Hearing::Listening };
        let hides = self.repetition.hides(now);
        let address = self.adapter.address.clone();
        AdapterStatus { address, hearing, ear: self.ear, hides, reason }
    }

    fn why_blind(&self, now: Tick) -> Option<String> {
        let plain = if !self.adapter.powered {
            "switched off"
        } else if !self.ladder.scanning() {
            "not scanning"
        } else {
            match self.liveness.verdict(now) {
                Verdict::Alive => return None,
                Verdict::Unheard => "nothing heard yet",
                Verdict::Deaf => "fell silent",
            }
        };
        Some(match &self.problem {
            Some(problem) => format!("{plain}: {problem}"),
            None => plain.to_owned(),
        })
    }
}

impl Voice {
    fn new(now: Tick) -> Self {
        Self { speaks: false, not_before: now, pause: FIRST_PAUSE }
    }

    fn tried(&mut self, now: Tick, worked: bool) {
        self.speaks = worked;
        self.not_before = if worked { now } else { now.plus(self.pause) };
        self.pause = if worked { FIRST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Tick {
        Tick::from_micros(secs * 1_000_000)
    }

    /// A keeper that has just begun to scan, and is to advertise.
    fn scanning() -> Keeper {
        let mut keeper = Keeper::new(at(0), None);
        let adapter = Adapter { powered: true, discovering: true, address: String::new() };
        keeper.feel(at(0), &adapter, (Pulse::default(), Ear::Dbus));
        assert_eq!(keeper.next(at(0), || true), Some(Step::Scan));
        keeper.took(at(0), Step::Scan, &Ok(()));
        keeper
    }

    /// The seconds, from 1 to `until`, when it tries to advertise; each attempt goes as `outcome`.
    fn attempts(keeper: &mut Keeper, until: u64, outcome: &Result<(), CallError>) -> Vec<u64> {
        let mut attempts = Vec::new();
        for second in 1..until {
            let adapter = Adapter { powered: true, discovering: true, address: String::new() };
            keeper.feel(at(second), &adapter, (Pulse::default(), Ear::Dbus));
            match keeper.next(at(second), || true) {
                Some(Step::Advertise) => {
                    attempts.push(second);
                    keeper.took(at(second), Step::Advertise, outcome);
                }
                Some(step) => keeper.took(at(second), step, &Ok(())),
                None => {}
            }
        }
        attempts
    }

    #[test]
    fn what_is_to_be_said_is_said_once_beside_the_scan() {
        assert_eq!(attempts(&mut scanning(), 6, &Ok(())), [1]);
    }

    #[test]
    fn who_cannot_speak_tries_again_less_and_less_often() {
        let mut keeper = scanning();
        let tried = attempts(&mut keeper, 40, &Err(CallError::TimedOut));
        assert_eq!(tried[..4], [1, 3, 7, 15], "{tried:?}");
    }

    #[test]
    fn after_a_scan_begun_anew_nothing_has_failed_yet() {
        let mut keeper = scanning();
        let refused = Err(CallError::TimedOut);
        assert_eq!(attempts(&mut keeper, 9, &refused), [1, 3, 7]);
        keeper.took(at(9), Step::Rescan, &Ok(()));
        assert_eq!(keeper.next(at(9), || true), Some(Step::Advertise));
        keeper.took(at(9), Step::Advertise, &refused);
        assert_eq!(keeper.next(at(10), || true), None);
        assert_eq!(keeper.next(at(11), || true), Some(Step::Advertise));
    }

    #[test]
    fn a_scan_begun_anew_says_it_anew() {
        let mut keeper = scanning();
        assert_eq!(attempts(&mut keeper, 3, &Ok(())), [1]);
        keeper.took(at(3), Step::Rescan, &Ok(()));
        assert_eq!(keeper.next(at(3), || false), None);
        assert_eq!(keeper.next(at(3), || true), Some(Step::Advertise));
    }
}
