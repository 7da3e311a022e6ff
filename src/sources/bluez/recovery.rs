//! The recovery steps for an adapter that does not receive, and when each is due. Pure.
//!
//! Each step costs more than the one before (a restarted scan costs a moment, a restarted
//! bluetoothd every other Bluetooth service of the machine). So each step waits for the effect of
//! the one before (its patience), and has a minimum interval from the last time it was taken.

use std::time::Duration;

use crate::pipeline::units::Tick;
pub use crate::sources::status::Step;

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// `BlueZ` did what it was asked to do.
    Worked,
    /// `BlueZ` refused, for a reason that another step may change.
    Refused,
    /// `BlueZ` reports the same operation in progress. The scan of a bluetoothd that was killed
    /// continues in the kernel for up to ten seconds, and no signal reports its end.
    InProgress,
    /// Refused for a reason that no step changes: rfkill, permissions.
    Prevented,
    /// No answer in time.
    Unanswered,
}

/// What is wrong with an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The scan runs and nothing is received.
    Silent,
    /// The adapter cannot be switched on, or its scan cannot be started.
    Failing,
    /// As [`Self::Failing`], but advertisements come in: another client scans.
    FailingButReceiving,
}

/// When a recovery step may be taken: how long to wait for its effect, and how often at most.
struct StepRule {
    step: Step,
    patience: Duration,
    at_most_every: Duration,
}

const fn rule(step: Step, patience_secs: u64, at_most_every_secs: u64) -> StepRule {
    let patience = Duration::from_secs(patience_secs);
    StepRule { step, patience, at_most_every: Duration::from_secs(at_most_every_secs) }
}

const RULES: [StepRule; 5] = [
    rule(Step::Rescan, 12, 15),
    rule(Step::Reconnect, 12, 60),
    rule(Step::PowerCycle, 30, 120),
    rule(Step::RestartBluetoothd, 60, 900),
    rule(Step::GiveUp, 600, 3600),
];

/// Whether a step takes the scan from every adapter for more than a moment.
const fn interrupts_others(step: Step) -> bool {
    matches!(step, Step::RestartBluetoothd | Step::GiveUp)
}

/// After a step that was refused or not answered: there is nothing to wait for.
const PATIENCE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// 2^5 times two minutes: at night, once an hour.
const MOST_DOUBLINGS: u32 = 5;

impl Trouble {
    /// Whether `step` is taken against it, at an adapter that has `received` something or not.
    const fn is_met_by(self, step: Step, received: bool) -> bool {
        match self {
            Self::Silent if received => !matches!(step, Step::Reconnect),
            // There may be nothing to receive.
            Self::Silent => matches!(step, Step::Rescan | Step::PowerCycle),
            // Starting the scan, and stopping it before, is what fails.
            Self::Failing => !matches!(step, Step::Rescan),
            Self::FailingButReceiving => matches!(step, Step::Reconnect),
        }
    }
}

/// How far recovery has gone for one adapter.
#[derive(Debug, Clone)]
pub struct Escalation {
    /// Index of the next step.
    next: usize,
    /// The last step has time for its effect until then.
    not_before: Tick,
    /// Rounds in which all steps failed; the minimum intervals double with each.
    rounds: u32,
    /// Whether anything was ever received through this adapter.
    received: bool,
    taken: [Option<Tick>; RULES.len()],
}

impl Escalation {
    pub fn new(now: Tick) -> Self {
        Self { next: 0, not_before: now, rounds: 0, received: false, taken: [None; RULES.len()] }
    }

    pub fn received(&mut self) {
        self.received = true;
    }

    /// Whether no step was taken since the last trouble.
    pub fn is_idle(&self) -> bool {
        self.next == 0 && self.rounds == 0
    }

    /// The trouble is over: the next one begins with the cheapest step.
    pub fn reset(&mut self, now: Tick) {
        (self.next, self.rounds, self.not_before) = (0, 0, now);
    }

    /// bluetoothd does not answer: skips the steps that need it.
    pub fn skip_bluetoothd(&mut self) {
        self.next = self.next.max(RULES.len() - 2);
    }

    /// The step that is due at `now`, if any; it counts as taken. While other adapters receive, no
    /// step is due that would interrupt them.
    pub fn due(&mut self, now: Tick, trouble: Trouble, others_receive: bool) -> Option<Step> {
        if now < self.not_before {
            return None;
        }
        let received = self.received;
        let allowed = |step| !others_receive || !interrupts_others(step);
        let meets = |rule: &StepRule| trouble.is_met_by(rule.step, received) && allowed(rule.step);
        if !RULES.iter().skip(self.next).any(meets) {
            self.next = 0;
        }
        let factor = 1 << self.rounds.min(MOST_DOUBLINGS);
        let mut steps = RULES.iter().zip(&mut self.taken).enumerate().skip(self.next);
        let (index, (rule, taken)) = steps.find(|(_, (rule, taken))| {
            let rested = |taken: Tick| now.since(taken) >= rule.at_most_every * factor;
            meets(rule) && taken.is_none_or(rested)
        })?;
        *taken = Some(now);
        self.not_before = now.plus(rule.patience);
        self.next = index + 1;
        if !RULES.iter().skip(self.next).any(meets) {
            self.next = 0;
            self.rounds += 1;
        }
        Some(rule.step)
    }

    /// A step has ended. Its patience begins here.
    pub fn ended(&mut self, now: Tick, step: Step, outcome: Outcome) {
        if let Some(rule) = RULES.iter().find(|rule| rule.step == step) {
            let worked = outcome == Outcome::Worked;
            let patience = if worked { rule.patience } else { PATIENCE_AFTER_FAILURE };
            self.not_before = now.plus(patience);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Tick {
        Tick::from_micros(secs * 1_000_000)
    }

    /// The escalation of an adapter that has received something.
    fn escalation() -> Escalation {
        let mut escalation = Escalation::new(at(0));
        escalation.received();
        escalation
    }

    /// The steps taken from `from` to `to`, with one call a second.
    fn taken(
        escalation: &mut Escalation,
        (from, to): (u64, u64),
        trouble: Trouble,
        outcome: Outcome,
    ) -> Vec<(u64, Step)> {
        let mut steps = Vec::new();
        for second in from..to {
            if let Some(step) = escalation.due(at(second), trouble, false) {
                escalation.ended(at(second), step, outcome);
                steps.push((second, step));
            }
        }
        steps
    }

    #[test]
    fn silence_is_met_with_ever_dearer_steps_and_each_is_given_its_time() {
        let mut escalation = escalation();
        let expected = [
            (10, Step::Rescan),
            (22, Step::PowerCycle),
            (52, Step::RestartBluetoothd),
            (112, Step::GiveUp),
        ];
        let steps = taken(&mut escalation, (10, 200), Trouble::Silent, Outcome::Worked);
        assert_eq!(steps, expected);
    }

    #[test]
    fn an_empty_cellar_does_not_restart_bluetoothd() {
        let mut escalation = Escalation::new(at(0));
        let day = (120, 120 + 86_400);
        let steps = taken(&mut escalation, day, Trouble::Silent, Outcome::Worked);
        assert!(steps.iter().all(|(_, step)| matches!(step, Step::Rescan | Step::PowerCycle)));
        let cycles = steps.iter().filter(|(_, step)| *step == Step::PowerCycle).count();
        assert!((20..=40).contains(&cycles), "{cycles} in a day");
    }

    #[test]
    fn an_adapter_whose_scan_is_refused_goes_through_every_step() {
        let mut escalation = escalation();
        let steps = taken(&mut escalation, (0, 200), Trouble::Failing, Outcome::Worked);
        let steps: Vec<_> = steps.into_iter().map(|(_, step)| step).collect();
        let all = [Step::Reconnect, Step::PowerCycle, Step::RestartBluetoothd, Step::GiveUp];
        assert_eq!(steps, all);
    }

    #[test]
    fn after_a_refused_step_the_next_follows_with_a_delay() {
        let mut escalation = escalation();
        let steps = taken(&mut escalation, (0, 20), Trouble::Silent, Outcome::Refused);
        let seconds: Vec<_> = steps.into_iter().map(|(second, _)| second).collect();
        assert_eq!(seconds, [0, 5, 10, 15]);
    }

    #[test]
    fn a_dead_adapter_does_not_interrupt_one_that_receives() {
        let mut escalation = escalation();
        for second in 0..86_400 {
            if let Some(step) = escalation.due(at(second), Trouble::Failing, true) {
                assert!(matches!(step, Step::Reconnect | Step::PowerCycle), "{step:?}");
                escalation.ended(at(second), step, Outcome::Refused);
            }
        }
    }

    #[test]
    fn a_second_client_that_keeps_the_scan_is_left_alone() {
        let mut escalation = escalation();
        let hour = (0, 3_600);
        let steps = taken(&mut escalation, hour, Trouble::FailingButReceiving, Outcome::Worked);
        assert!(steps.iter().all(|(_, step)| *step == Step::Reconnect), "{steps:?}");
        assert!((3..=8).contains(&steps.len()), "{steps:?}");
    }

    #[test]
    fn no_step_is_taken_more_often_than_documented() {
        let mut escalation = escalation();
        let mut cycles = Vec::new();
        for minute in 0..30 {
            // Silent for most of every minute, with reception in between.
            let from = 100 + minute * 60;
            let span = (from, from + 50);
            let steps = taken(&mut escalation, span, Trouble::Silent, Outcome::Worked);
            cycles.extend(steps.iter().filter(|(_, s)| *s == Step::PowerCycle).map(|(t, _)| *t));
            escalation.reset(at(from + 50));
        }
        assert!(cycles.windows(2).all(|pair| pair[1] - pair[0] >= 120), "{cycles:?}");
        assert!(cycles.len() > 5, "{cycles:?}");
    }

    #[test]
    fn a_bluetoothd_that_does_not_answer_is_restarted_and_not_too_often() {
        let mut escalation = escalation();
        escalation.skip_bluetoothd();
        let steps = taken(&mut escalation, (20, 2_000), Trouble::Failing, Outcome::Refused);
        assert_eq!(steps[0], (20, Step::RestartBluetoothd));
        let restarts = steps.iter().filter(|(_, step)| *step == Step::RestartBluetoothd);
        let restarts: Vec<_> = restarts.map(|(second, _)| *second).collect();
        assert!(restarts.windows(2).all(|pair| pair[1] - pair[0] >= 900), "{restarts:?}");
    }
}
