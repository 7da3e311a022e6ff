//! Supervises bluetoothd itself while no adapter can be asked about: starts one that is not
//! running, restarts one that does not answer. Pure.

use std::time::Duration;

use super::bus::CallError;
use super::recovery::Step;
use crate::pipeline::units::Tick;

/// How long bluetoothd may be absent: systemd restarts one that crashed, where it is configured to.
const ABSENT_FOR: Duration = Duration::from_secs(8);
/// How long bluetoothd may leave calls unanswered. With thousands of devices in its memory it reads
/// them first, and answers nothing for minutes on a slow machine; a restart would begin that again.
const UNANSWERING_FOR: Duration = Duration::from_mins(5);
/// Pause between two starts, doubled by each.
const FIRST_START_PAUSE: Duration = Duration::from_secs(15);
const LONGEST_START_PAUSE: Duration = Duration::from_mins(15);
/// Pause between two restarts.
const RESTART_PAUSE: Duration = Duration::from_mins(15);

/// What is known of bluetoothd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bluetoothd {
    /// It has not been asked yet.
    Unknown,
    /// It said which adapters there are.
    Answers,
    /// It is not on the bus.
    Absent,
    /// It is on the bus, and does not answer.
    Unanswering,
}

/// Decides when bluetoothd is started or restarted.
#[derive(Debug)]
pub struct ServiceSupervisor {
    state: Bluetoothd,
    since: Tick,
    not_before: Tick,
    start_pause: Duration,
    busy: bool,
    problem: Option<String>,
}

impl ServiceSupervisor {
    /// `now` is the time when supervision begins.
    pub fn new(now: Tick) -> Self {
        Self {
            state: Bluetoothd::Unknown,
            since: now,
            not_before: now,
            start_pause: FIRST_START_PAUSE,
            busy: false,
            problem: None,
        }
    }

    /// Takes in whether bluetoothd answers.
    pub fn observed(&mut self, now: Tick, state: Bluetoothd) {
        if self.state != state {
            (self.state, self.since, self.problem) = (state, now, None);
        }
        if state == Bluetoothd::Answers && now.since(self.since) >= LONGEST_START_PAUSE {
            self.start_pause = FIRST_START_PAUSE;
        }
    }

    /// The connection to the bus is lost, and with it a step that was being taken.
    pub fn disconnected(&mut self) {
        self.busy = false;
    }

    /// The step that is due, if any; it counts as taken.
    pub fn next_step(&mut self, now: Tick) -> Option<Step> {
        let lasted = now.since(self.since);
        let (step, pause) = match self.state {
            Bluetoothd::Absent if lasted >= ABSENT_FOR => (Step::StartBluetoothd, self.start_pause),
            Bluetoothd::Unanswering if lasted >= UNANSWERING_FOR => {
                (Step::RestartBluetoothd, RESTART_PAUSE)
            }
            _ => return None,
        };
        if self.busy || now < self.not_before {
            return None;
        }
        if step == Step::StartBluetoothd {
            self.start_pause = (self.start_pause * 2).min(LONGEST_START_PAUSE);
        }
        self.busy = true;
        self.not_before = now.plus(pause);
        Some(step)
    }

    /// The step has ended.
    pub fn ended(&mut self, result: &Result<(), CallError>) {
        self.busy = false;
        self.problem = result.as_ref().err().map(ToString::to_string);
    }

    /// What is wrong with bluetoothd, for people.
    pub fn reason(&self) -> Option<String> {
        let plain = match self.state {
            Bluetoothd::Unknown => "asking bluetoothd for its adapters",
            Bluetoothd::Answers => return None,
            Bluetoothd::Absent => "bluetoothd is not running",
            Bluetoothd::Unanswering => "bluetoothd does not answer",
        };
        Some(match &self.problem {
            Some(problem) => format!("{plain}: {problem}"),
            None => plain.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Tick {
        Tick::from_micros(secs * 1_000_000)
    }

    fn steps(state: Bluetoothd, seconds: u64) -> Vec<(u64, Step)> {
        let mut service = ServiceSupervisor::new(at(0));
        let mut steps = Vec::new();
        for second in 0..seconds {
            service.observed(at(second), state);
            if let Some(step) = service.next_step(at(second)) {
                service.ended(&Ok(()));
                steps.push((second, step));
            }
        }
        steps
    }

    #[test]
    fn a_crashed_bluetoothd_is_started_soon_and_then_less_and_less_often() {
        let started = steps(Bluetoothd::Absent, 3_600);
        assert!(started.iter().all(|(_, step)| *step == Step::StartBluetoothd), "{started:?}");
        assert_eq!(started[..3].iter().map(|(at, _)| *at).collect::<Vec<_>>(), [8, 23, 53]);
        assert!(started.len() < 12, "{started:?}");
    }

    #[test]
    fn a_bluetoothd_that_hangs_before_it_names_an_adapter_is_restarted() {
        let restarted = steps(Bluetoothd::Unanswering, 3_600);
        assert_eq!(restarted[0], (300, Step::RestartBluetoothd));
        assert_eq!(restarted.len(), 4, "{restarted:?}");
    }

    #[test]
    fn a_refused_start_is_named_with_its_reason() {
        let mut service = ServiceSupervisor::new(at(0));
        service.observed(at(0), Bluetoothd::Absent);
        assert_eq!(service.reason().as_deref(), Some("bluetoothd is not running"));
        service.observed(at(9), Bluetoothd::Absent);
        assert_eq!(service.next_step(at(9)), Some(Step::StartBluetoothd));
        service.ended(&Err(CallError::NotAuthorised));
        let reason = service.reason().unwrap_or_default();
        assert!(reason.contains("polkit"), "{reason}");
    }
}
