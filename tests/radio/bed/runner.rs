//! Runs scenarios, one after the other, in the order of their files' names.
//!
//! A scenario continues when its conditions hold, however slow the machine is: times in a scenario
//! are minimum times.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::assertions::{self, Run, Services};
use super::controller::{Controller, Counts, Order};
use super::listener::{self, Listener};
use super::machine::{self, Machine, PATIENCE, wait_for};
use super::scenario::{ControllerKind, Fault, FaultKind, Listener as Described, Scenario};
use super::shop;
use super::signal_counter::SignalCounter;

/// The kernel switches a new controller off again two seconds after its set-up when no program
/// claims it; the driver's quirks can be set while it is off.
const LEFT_ALONE: Duration = Duration::from_secs(4);
/// Interval at which conditions are checked.
const LOOK: Duration = Duration::from_millis(50);
/// The least that a listener must have received before figures count.
const WARMED_UP: u64 = 5;

/// Runs every scenario of a folder.
pub fn run(folder: &Path) {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the folder is there").flatten().map(|f| f.path()).collect();
    files.sort();
    listener::install();
    let mut machine = Machine::new();
    let mut results = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("a scenario can be read");
        let scenario: Scenario =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        println!("{name}: {}", scenario.what);
        let run = run_one(&name, &scenario, &mut machine);
        results.push(assertions::check(&name, &scenario, run));
        // Written after each scenario, so that a machine that fails later has reported these
        // results.
        let json = serde_json::to_string_pretty(&results).expect("results are JSON");
        fs::write("results.json", json).expect("results can be written");
        machine::save_journal();
    }
}

fn run_one(name: &str, scenario: &Scenario, machine: &mut Machine) -> Run {
    let mut controllers: Vec<_> =
        (0..).zip(&scenario.controllers).map(|(number, kind)| plug(*kind, number)).collect();
    set_quirks(scenario, &controllers);
    machine.start(scenario);
    let keys = scenario.air.iter().filter_map(|group| group.gatt_key.as_deref());
    let source = format!("kind = \"{}\"\n{}", scenario.kind, scenario.source);
    shop::open(listener::SERVICE, &source, keys);
    let signals = scenario.count_signals.then(SignalCounter::start);
    let log = |number| format!("{name} {number}.log");
    let listeners = (0..).zip(&scenario.listeners);
    let mut listeners: Vec<_> =
        listeners.map(|(number, one)| Listener::start(one, &log(number))).collect();
    wait_for("every listener", || listeners.iter().all(Listener::is_up));
    wait_for("a scan", || controllers.iter().all(|one| one.counts().scans > 0));

    let (more, first): (Vec<_>, Vec<_>) =
        scenario.air.iter().cloned().partition(|group| group.once_received);
    let opened = Instant::now();
    let opened_at = SystemTime::now();
    for controller in &controllers {
        controller.order(Order::Air(first.clone()));
    }
    if first.iter().any(|group| group.from == 0) {
        wait("every listener receives", || {
            listeners.iter().all(|one| one.received() >= Some(WARMED_UP))
        });
    }
    for controller in controllers.iter().filter(|_| !more.is_empty()) {
        controller.order(Order::More(more.clone()));
    }
    let spent = machine.processor_time();
    let before: Vec<Counts> = controllers.iter().map(Controller::counts).collect();
    let heard_before: Vec<u64> =
        listeners.iter().map(|one| one.last("heard").unwrap_or(0)).collect();
    let measured = Instant::now();
    let mut ended = Vec::new();
    for fault in &scenario.faults {
        sleep_until(measured + Duration::from_secs(fault.at));
        println!("{:?}", fault.kind);
        ended.push(strike(fault, scenario, machine, &mut controllers, &listeners));
    }
    sleep_until(measured + Duration::from_secs(scenario.seconds) / 3);
    listeners.iter_mut().for_each(Listener::weigh);
    sleep_until(measured + Duration::from_secs(scenario.seconds));
    wait_for_the_end(scenario, &controllers, &listeners);
    let closed = Instant::now();
    let after: Vec<Counts> = controllers.iter().map(Controller::counts).collect();
    for controller in &controllers {
        controller.order(Order::Silence);
    }
    wait_for_the_rest(scenario, &after, &before, &listeners, &heard_before);
    let services = Services {
        bluetoothd_kib: machine.bluetoothd_memory(),
        processor: std::array::from_fn(|n| machine.processor_time()[n].saturating_sub(spent[n])),
        signals: signals.map(SignalCounter::end),
    };
    let reports = listeners.into_iter().map(Listener::end).collect();
    machine.stop();
    controllers.into_iter().for_each(Controller::unplug);
    Run {
        opened,
        opened_at,
        measured,
        closed,
        before,
        after,
        heard_before,
        reports,
        ended,
        services,
    }
}

fn set_quirks(scenario: &Scenario, controllers: &[Controller]) {
    if scenario.controllers.iter().any(|kind| kind.quirk) {
        std::thread::sleep(LEFT_ALONE);
        for (controller, kind) in controllers.iter().zip(&scenario.controllers) {
            if let (true, Some(name)) = (kind.quirk, controller.counts().name) {
                machine::set_quirk(&name);
            }
        }
    }
}

/// Causes a fault, ends it, and waits for the listeners to recover. Returns its start and its end.
fn strike(
    fault: &Fault,
    scenario: &Scenario,
    machine: &Machine,
    controllers: &mut Vec<Controller>,
    listeners: &[Listener],
) -> (Instant, Instant) {
    let recovering: Vec<&Listener> = scenario
        .listeners
        .iter()
        .zip(listeners)
        .filter(|(one, _)| one.recovers)
        .map(|(_, l)| l)
        .collect();
    let scans = |controllers: &[Controller]| controllers[fault.adapter].counts().scans;
    let scans_before = scans(controllers);
    let struck = Instant::now();
    break_it(fault, machine, controllers);
    std::thread::sleep(Duration::from_secs(fault.lasts));
    if fault.until_blind {
        wait("blind", || recovering.iter().all(|one| one.was_blind_since(struck)));
    }
    end_fault(fault, machine, controllers, scenario);
    let ended = Instant::now();
    if ends_the_scan(fault.kind) && !recovering.is_empty() {
        wait("a new scan", || scans(controllers) > scans_before);
    }
    let scanned = Instant::now();
    wait("recovery", || recovering.iter().all(|one| one.receives_since(scanned)));
    (struck, ended)
}

/// Whether the kernel ends the scan at once, since the process that asked for it is gone. What was received before
/// may still be on its way to a listener on a busy machine, and is no recovery.
fn ends_the_scan(fault: FaultKind) -> bool {
    matches!(
        fault,
        FaultKind::BluetoothdStopped
            | FaultKind::BluetoothdStoppedForGood
            | FaultKind::BluetoothdKilled
            | FaultKind::DbusKilled
    )
}

/// Waits until every listener has what it needs, and the beacon is on the air.
fn wait_for_the_end(scenario: &Scenario, controllers: &[Controller], listeners: &[Listener]) {
    let has = |described: &Described, listener: &Listener| {
        (described.arrivals.is_none() || listener.last("arrivals") >= described.arrivals)
            && (!described.gives_up || listener.has_ended())
    };
    wait("every listener's goal", || {
        scenario.listeners.iter().zip(listeners).all(|(one, listener)| has(one, listener))
    });
    if scenario.listeners.iter().any(|listener| listener.advertises.is_some()) {
        wait("the wake-up beacon", || {
            controllers.iter().any(|one| one.counts().advertises.is_some())
        });
    }
}

/// Waits until all that the controllers passed on has arrived, or nothing more arrives.
fn wait_for_the_rest(
    scenario: &Scenario,
    after: &[Counts],
    before: &[Counts],
    listeners: &[Listener],
    heard_before: &[u64],
) {
    const NOTHING_MORE: Duration = Duration::from_secs(5);
    let heard =
        || -> Vec<u64> { listeners.iter().map(|one| one.last("heard").unwrap_or(0)).collect() };
    let (mut last, mut changed) = (heard(), Instant::now());
    let complete = |heard: &[u64]| {
        scenario.listeners.iter().zip(heard).zip(heard_before).all(|((one, now), then)| {
            now - then >= assertions::passed_on(one, after) - assertions::passed_on(one, before)
        })
    };
    while !complete(&last) && changed.elapsed() < NOTHING_MORE {
        std::thread::sleep(LOOK);
        let now = heard();
        if now != last {
            (last, changed) = (now, Instant::now());
        }
    }
}

/// Waits for what the assertions check afterwards; they report it if it does not come.
fn wait(what: &str, mut there: impl FnMut() -> bool) {
    let began = Instant::now();
    while !there() {
        if began.elapsed() > PATIENCE {
            println!("{what}: did not come");
            return;
        }
        std::thread::sleep(LOOK);
    }
}

fn sleep_until(when: Instant) {
    std::thread::sleep(when.saturating_duration_since(Instant::now()));
}

fn plug(kind: ControllerKind, number: u8) -> Controller {
    let controller = Controller::plug(kind, number);
    wait_for("an adapter", || controller.counts().name.is_some());
    controller
}

fn break_it(fault: &Fault, machine: &Machine, controllers: &[Controller]) {
    let controller = &controllers[fault.adapter];
    match fault.kind {
        FaultKind::BluetoothdStopped | FaultKind::BluetoothdStoppedForGood => {
            machine.stop_bluetoothd();
        }
        FaultKind::BluetoothdKilled => machine.signal_bluetoothd("KILL"),
        FaultKind::BluetoothdHangs | FaultKind::BluetoothdHangsForGood => {
            machine.signal_bluetoothd("STOP");
        }
        FaultKind::PoweredOff => machine::power(fault.adapter, false),
        FaultKind::Rfkill => machine::rfkill(true),
        FaultKind::Unplugged | FaultKind::BackUnderAnotherName => controller.order(Order::Unplug),
        FaultKind::ScanRefused => controller.order(Order::ScanRefused),
        FaultKind::ScanDies => controller.order(Order::ScanDies),
        FaultKind::ControllerDies => controller.order(Order::ControllerDies),
        FaultKind::ControllerDiesForGood => controller.order(Order::ControllerDiesForGood),
        FaultKind::DbusKilled => machine.kill_dbus(),
        FaultKind::ClockStepped => machine::step_clock(),
    }
}

fn end_fault(
    fault: &Fault,
    machine: &Machine,
    controllers: &mut Vec<Controller>,
    scenario: &Scenario,
) {
    let controller = &controllers[fault.adapter];
    match fault.kind {
        FaultKind::BluetoothdStopped => machine.start_bluetoothd(),
        FaultKind::BluetoothdHangs => machine.signal_bluetoothd("CONT"),
        FaultKind::PoweredOff => machine::power(fault.adapter, true),
        FaultKind::Rfkill => machine::rfkill(false),
        FaultKind::Unplugged => controller.order(Order::Plug),
        FaultKind::BackUnderAnotherName => {
            // The first one that is plugged in takes the free name.
            let number = u8::try_from(controllers.len()).expect("few controllers");
            let usurper = plug(scenario.controllers[fault.adapter], number);
            controllers[fault.adapter].order(Order::Plug);
            controllers.push(usurper);
        }
        FaultKind::BluetoothdStoppedForGood
        | FaultKind::BluetoothdKilled
        | FaultKind::DbusKilled
        | FaultKind::ScanRefused
        | FaultKind::ScanDies
        | FaultKind::ControllerDies
        | FaultKind::ControllerDiesForGood
        | FaultKind::BluetoothdHangsForGood
        | FaultKind::ClockStepped => {}
    }
}
