use super::*;
use crate::pipeline::units::Dbm;

fn at(secs: u64) -> Tick {
    Tick::from_micros(secs * 1_000_000)
}

fn adapter(powered: bool, discovering: bool) -> Adapter {
    Adapter { powered, discovering, address: String::new() }
}

/// A second of a shop with six devices, received twice each.
fn shop() -> ActivitySample {
    ActivitySample { received: 12, repeated: 10, devices: 0b11_1111, strongest: Dbm::measured(-70) }
}

const SILENCE: ActivitySample =
    ActivitySample { received: 0, repeated: 0, devices: 0, strongest: None };

/// Calls the supervisor once a second: with BlueZ's description, the activity and the result of a
/// step.
struct Bench {
    supervisor: AdapterSupervisor,
    second: u64,
    steps: Vec<(u64, Step)>,
    blind: Vec<u64>,
}

impl Bench {
    fn new() -> Self {
        let supervisor = AdapterSupervisor::new(at(0), None);
        Self { supervisor, second: 0, steps: Vec::new(), blind: Vec::new() }
    }

    /// An adapter that scans and receives since second 1; now is second 20.
    fn receiving() -> Self {
        let mut bench = Self::new();
        bench.run(20, &adapter(true, true), shop(), |_| Ok(()));
        assert_eq!(bench.steps, [(0, Step::Scan)]);
        bench.steps.clear();
        bench.blind.clear();
        bench
    }

    fn run(
        &mut self,
        until: u64,
        adapter: &Adapter,
        received: ActivitySample,
        result: impl Fn(Step) -> Result<(), CallError>,
    ) {
        while self.second < until {
            let now = at(self.second);
            self.supervisor.received(now, (received, CapturePath::Dbus));
            self.supervisor.described(now, adapter);
            if let Some(step) = self.supervisor.next_step(now, false, || false) {
                self.steps.push((self.second, step));
                self.supervisor.ended(now, step, &result(step));
            }
            if self.supervisor.status(now).hearing == Hearing::Blind {
                self.blind.push(self.second);
            }
            self.second += 1;
        }
    }

    fn first(&self, step: Step) -> Option<u64> {
        self.steps.iter().find(|(_, taken)| *taken == step).map(|(second, _)| *second)
    }
}

#[test]
fn a_scan_refused_for_ever_goes_through_every_recovery_step() {
    for refusal in [CallError::InProgress, CallError::NotReady, CallError::NoObject] {
        let mut bench = Bench::new();
        let refuse = |step| match step {
            Step::Scan => Err(refusal.clone()),
            _ => Ok(()),
        };
        bench.run(200, &adapter(true, false), SILENCE, refuse);
        let steps = [Step::Reconnect, Step::PowerCycle, Step::RestartBluetoothd, Step::GiveUp];
        let taken: Vec<_> = steps.iter().filter_map(|step| bench.first(*step)).collect();
        assert!(taken.len() == 4 && taken.is_sorted(), "{refusal}: {:?}", bench.steps);
        let attempts = bench.steps.iter().filter(|(_, step)| *step == Step::Scan).count();
        assert!(attempts < 60, "{refusal}: {attempts}");
    }
}

#[test]
fn an_adapter_that_cannot_be_switched_on_goes_through_every_recovery_step() {
    let mut bench = Bench::new();
    let refuse = |step| match step {
        Step::PowerOn | Step::PowerCycle => Err(CallError::Other("busy".to_owned())),
        _ => Ok(()),
    };
    bench.run(120, &adapter(false, false), SILENCE, refuse);
    assert!(bench.first(Step::RestartBluetoothd).is_some(), "{:?}", bench.steps);
    assert!(bench.first(Step::GiveUp).is_some(), "{:?}", bench.steps);
}

#[test]
fn a_scan_that_bluez_accepts_and_does_not_run_goes_through_the_recovery_steps() {
    let mut bench = Bench::new();
    bench.run(120, &adapter(true, false), SILENCE, |_| Ok(()));
    assert!(bench.first(Step::RestartBluetoothd).is_some(), "{:?}", bench.steps);
}

#[test]
fn rfkill_and_missing_permissions_restart_nothing() {
    for prevented in [CallError::Blocked, CallError::Denied] {
        let mut bench = Bench::new();
        bench.run(600, &adapter(false, false), SILENCE, |_| Err(prevented.clone()));
        assert!(bench.steps.iter().all(|(_, step)| *step == Step::PowerOn), "{:?}", bench.steps);
        assert!(bench.steps.len() < 70, "{}", bench.steps.len());
        bench.steps.clear();
        let unblocked = bench.second;
        bench.run(unblocked + 1, &adapter(true, false), SILENCE, |_| Ok(()));
        assert_eq!(bench.steps, [(unblocked, Step::Scan)]);
    }
}

#[test]
fn the_signals_of_a_power_cycle_do_not_hurry_the_restart_of_bluetoothd() {
    let mut bench = Bench::receiving();
    bench.run(50, &adapter(true, true), SILENCE, |_| Ok(()));
    let cycled = bench.first(Step::PowerCycle).expect("the silence is noticed");
    // Its own signals: off, on, and the scan that is needed again.
    let step = |supervisor: &mut AdapterSupervisor, micros: u64, adapter: &Adapter| {
        let now = at(50).plus(Duration::from_micros(micros));
        supervisor.described(now, adapter);
        let step = supervisor.next_step(now, false, || false);
        step.inspect(|step| supervisor.ended(now, *step, &Ok(())))
    };
    for (n, state) in [(false, false), (true, false), (true, true)].into_iter().enumerate() {
        let adapter = adapter(state.0, state.1);
        let step = step(&mut bench.supervisor, n as u64 * 10_000, &adapter);
        assert!(!matches!(step, Some(Step::RestartBluetoothd)), "{step:?}");
    }
    bench.second = 51;
    bench.run(200, &adapter(true, true), SILENCE, |_| Ok(()));
    let restarted = bench.first(Step::RestartBluetoothd).expect("it goes on");
    assert!(restarted >= cycled + 30, "cycled at {cycled}, restarted at {restarted}");
    let gave_up = bench.first(Step::GiveUp).expect("it goes on");
    assert!(gave_up >= restarted + 60, "restarted at {restarted}, gave up at {gave_up}");
}

#[test]
fn the_state_is_not_blind_while_advertisements_are_received() {
    let mut bench = Bench::new();
    let refuse = |step| match step {
        Step::Scan => Err(CallError::InProgress),
        _ => Ok(()),
    };
    bench.run(300, &adapter(true, true), shop(), refuse);
    assert!(bench.blind.iter().all(|second| *second < 3), "{:?}", bench.blind);
    assert!(bench.first(Step::Reconnect).is_some(), "{:?}", bench.steps);
    assert_eq!(bench.first(Step::PowerCycle), None, "it would end the other client's scan");
}

#[test]
fn a_refused_restart_of_the_scan_does_not_make_the_state_blind() {
    let mut bench = Bench::receiving();
    bench.supervisor.busy = Some(Step::Refresh);
    bench.supervisor.ended(at(20), Step::Refresh, &Err(CallError::InProgress));
    bench.run(60, &adapter(true, true), shop(), |_| Err(CallError::InProgress));
    assert!(bench.blind.is_empty(), "{:?}", bench.blind);
}

#[test]
fn an_adapter_that_is_switched_off_is_blind_at_once() {
    let mut bench = Bench::receiving();
    bench.run(21, &adapter(false, false), SILENCE, |_| Err(CallError::Blocked));
    assert_eq!(bench.blind, [20]);
    let status = bench.supervisor.status(at(20));
    assert_eq!(status.reason.as_deref(), Some("switched off: blocked by rfkill"));
}

#[test]
fn a_bluetoothd_that_hangs_is_restarted_within_a_minute() {
    let mut bench = Bench::receiving();
    bench.run(120, &adapter(true, true), SILENCE, |step| match step {
        Step::RestartBluetoothd => Ok(()),
        _ => Err(CallError::TimedOut),
    });
    let restarted = bench.first(Step::RestartBluetoothd).expect("it is restarted");
    assert!(restarted < 20 + 60, "{:?}", bench.steps);
}

#[test]
fn a_bluetoothd_that_is_back_is_not_reconnected_to_for_old_failures() {
    let mut bench = Bench::new();
    bench.run(20, &adapter(true, false), SILENCE, |_| Err(CallError::TimedOut));
    bench.supervisor.unreachable(at(20));
    bench.steps.clear();
    bench.run(30, &adapter(true, true), shop(), |_| Ok(()));
    assert_eq!(bench.steps, [(20, Step::Scan)]);
}

#[test]
fn an_adapter_that_receives_is_left_alone() {
    let mut bench = Bench::receiving();
    bench.run(5_000, &adapter(true, true), shop(), |_| Ok(()));
    assert_eq!(bench.steps, []);
}

#[test]
fn the_scan_of_a_dead_bluetoothd_is_tried_again_every_second() {
    let mut bench = Bench::new();
    bench.run(10, &adapter(true, false), SILENCE, |_| Err(CallError::InProgress));
    assert!(bench.steps.len() >= 9, "{:?}", bench.steps);
}

/// The seconds, from 1 to `until`, at which it tries to advertise; each attempt ends with `result`.
fn attempts(
    supervisor: &mut AdapterSupervisor,
    until: u64,
    result: &Result<(), CallError>,
) -> Vec<u64> {
    let mut attempts = Vec::new();
    for second in 1..until {
        supervisor.received(at(second), (shop(), CapturePath::Dbus));
        supervisor.described(at(second), &adapter(true, true));
        if let Some(step) = supervisor.next_step(at(second), false, || true) {
            assert_eq!(step, Step::Advertise);
            attempts.push(second);
            supervisor.ended(at(second), step, result);
        }
    }
    attempts
}

#[test]
fn the_wake_up_beacon_is_advertised_once_beside_each_scan() {
    let mut supervisor = Bench::receiving().supervisor;
    assert_eq!(attempts(&mut supervisor, 6, &Ok(())), [1]);
    supervisor.busy = Some(Step::Rescan);
    supervisor.ended(at(6), Step::Rescan, &Ok(()));
    assert_eq!(supervisor.next_step(at(6), false, || false), None);
    assert_eq!(supervisor.next_step(at(6), false, || true), Some(Step::Advertise));
}

#[test]
fn an_adapter_that_cannot_advertise_tries_less_and_less_often() {
    let mut supervisor = Bench::receiving().supervisor;
    let tried = attempts(&mut supervisor, 40, &Err(CallError::TimedOut));
    assert_eq!(tried[..4], [1, 3, 7, 15], "{tried:?}");
}
