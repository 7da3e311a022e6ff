//! One adapter's keeper: what is known of it, and what is being done about it.

use super::adapter::Adapter;
use super::bus::CallError;
use super::ears::{Ear, Pulse};
use super::ladder::{Ladder, Outcome, Step};
use super::liveness::{Liveness, Verdict};
use super::repetition::Repetition;
use super::status::AdapterStatus;
use crate::pipeline::event::Hearing;
use crate::pipeline::units::Tick;

/// Keeps one adapter listening.
#[derive(Debug)]
pub struct Keeper {
    adapter: Adapter,
    ladder: Ladder,
    liveness: Liveness,
    repetition: Repetition,
    ear: Ear,
    problem: Option<String>,
    /// A step is being taken.
    busy: bool,
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

    /// The step that is due, if any; none while one is being taken.
    pub fn next(&mut self, now: Tick) -> Option<Step> {
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
        let step = step.or(refresh.then_some(Step::Refresh));
        self.busy = step.is_some();
        step
    }

    /// A step was taken.
    pub fn took(&mut self, now: Tick, step: Step, outcome: &Result<(), CallError>) {
        self.busy = false;
        let went = match outcome {
            Ok(()) => Outcome::Worked,
            Err(CallError::TimedOut) => Outcome::Hung,
            Err(CallError::InProgress) => Outcome::Occupied,
            Err(_) => Outcome::Refused,
        };
        self.ladder.took(now, step, went);
        self.problem = outcome.as_ref().err().map(ToString::to_string);
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
