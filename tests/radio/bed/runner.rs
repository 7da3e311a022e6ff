//! Plays scenarios, one after the other, in the order of their files' names.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::controller::{Controller, Order};
use super::judge::{self, Lived, Services};
use super::listener::{self, Listener};
use super::machine::{self, Machine, wait_for};
use super::scenario::{Fault, FaultKind, Scenario};
use super::shop;
use super::systemd::{self, Systemd};
use super::witness::Witness;

/// The kernel switches a new controller off again two seconds after its set-up when nobody
/// claims it; the driver's quirks can be set while it is off.
const LEFT_ALONE: Duration = Duration::from_secs(4);
/// For a wake-up beacon to be back after the last fault: bluetoothd leaves calls of its first
/// moments unanswered, and a slow machine is slow.
const BEACON_BACK: Duration = Duration::from_secs(30);
/// For listeners to print their last line.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Plays every scenario of a folder.
pub fn conduct(folder: &Path) {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the folder is there").flatten().map(|f| f.path()).collect();
    files.sort();
    listener::grant_net_raw();
    systemd::allow();
    let mut machine = Machine::new();
    let mut results = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("a scenario can be read");
        let scenario: Scenario =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        println!("{name}: {}", scenario.what);
        let lived = play(&name, &scenario, &mut machine);
        let result = judge::judge(&name, &scenario, lived);
        results.push(result);
        // After each: a machine that dies later has said what it knew.
        let json = serde_json::to_string_pretty(&results).expect("results are JSON");
        fs::write("results.json", json).expect("results can be written");
    }
}

fn play(name: &str, scenario: &Scenario, machine: &mut Machine) -> Lived {
    let mut controllers: Vec<_> =
        (0..).zip(&scenario.controllers).map(|(number, kind)| plug(*kind, number)).collect();
    if scenario.controllers.iter().any(|kind| kind.quirk) {
        std::thread::sleep(LEFT_ALONE);
        for (controller, kind) in controllers.iter().zip(&scenario.controllers) {
            if let (true, Some(name)) = (kind.quirk, controller.counts().name) {
                machine::set_quirk(&name);
            }
        }
    }
    machine.start(&scenario.main_conf, &scenario.bluetoothd);
    let systemd = scenario.systemd.map(Systemd::start);
    let keys = scenario.air.iter().filter_map(|group| group.gatt_key.as_deref());
    let source = format!("kind = \"{}\"\n{}", scenario.kind, scenario.source);
    shop::open(listener::SERVICE, &source, keys);
    let witness = scenario.witness.then(Witness::start);
    let log = |number| format!("{name} {number}.log");
    let listeners = (0..).zip(&scenario.listeners);
    let mut listeners: Vec<_> =
        listeners.map(|(number, one)| Listener::start(one, &log(number))).collect();
    wait_for("every listener", || listeners.iter().all(Listener::is_up));
    wait_for("a scan", || controllers.iter().all(|one| one.counts().scans > 0));

    let opened = Instant::now();
    let opened_at = SystemTime::now();
    let spent = machine.processor_time();
    let length = Duration::from_secs(scenario.seconds);
    for controller in &controllers {
        controller.order(Order::Air(scenario.air.clone(), length));
    }
    let mut mended = Vec::new();
    for fault in &scenario.faults {
        let mut sleep_until = |when| sleep_and_serve(when, systemd.as_ref(), machine);
        sleep_until(opened + Duration::from_secs(fault.at));
        let broken = Instant::now();
        break_it(fault, machine, &controllers);
        std::thread::sleep(Duration::from_secs(fault.lasts));
        mend(fault, machine, &mut controllers, scenario);
        mended.push((broken, Instant::now()));
    }
    let mut sleep_until = |when| sleep_and_serve(when, systemd.as_ref(), machine);
    sleep_until(opened + length / 3);
    listeners.iter_mut().for_each(Listener::weigh);
    sleep_until(opened + length + LAST_WORDS);
    if scenario.listeners.iter().any(|listener| listener.advertises.is_some()) {
        let silent = || controllers.iter().all(|one| one.counts().advertises.is_none());
        let late = opened + length + BEACON_BACK;
        while silent() && Instant::now() < late {
            sleep_until(Instant::now() + Duration::from_millis(50));
        }
    }
    systemd.map(Systemd::end);
    let services = Services {
        bluetoothd_kib: machine.bluetoothd_memory(),
        processor: std::array::from_fn(|n| machine.processor_time()[n].saturating_sub(spent[n])),
        said: witness.map(Witness::end),
    };
    // What a listener asked of a controller ends with the listener.
    let counts = controllers.iter().map(Controller::counts).collect();
    let reports = listeners.into_iter().map(Listener::end).collect();
    machine.stop();
    controllers.into_iter().for_each(Controller::unplug);
    let closed = opened + length;
    Lived { opened, opened_at, closed, counts, reports, mended, services }
}

fn plug(kind: super::scenario::ControllerKind, number: u8) -> Controller {
    let controller = Controller::plug(kind, number);
    wait_for("an adapter", || controller.counts().name.is_some());
    controller
}

/// Does meanwhile what systemd is asked for.
fn sleep_and_serve(when: Instant, systemd: Option<&Systemd>, machine: &mut Machine) {
    const LOOK: Duration = Duration::from_millis(50);
    while let Some(left) = when.checked_duration_since(Instant::now()) {
        std::thread::sleep(left.min(LOOK));
        if systemd.is_some_and(Systemd::was_asked) {
            machine.stop_bluetoothd("KILL");
            machine.start_bluetoothd();
        }
    }
}

fn break_it(fault: &Fault, machine: &mut Machine, controllers: &[Controller]) {
    let controller = &controllers[fault.adapter];
    match fault.kind {
        FaultKind::BluetoothdStopped => machine.stop_bluetoothd("TERM"),
        FaultKind::BluetoothdKilled => machine.stop_bluetoothd("KILL"),
        FaultKind::BluetoothdHangs | FaultKind::BluetoothdHangsForGood => {
            machine.freeze_bluetoothd(true);
        }
        FaultKind::PoweredOff => machine::power(fault.adapter, false),
        FaultKind::Rfkill => machine::rfkill(true),
        FaultKind::Unplugged | FaultKind::BackUnderAnotherName => controller.order(Order::Unplug),
        FaultKind::ScanDies => controller.order(Order::ScanDies),
        FaultKind::ControllerDies => controller.order(Order::ControllerDies),
        FaultKind::ControllerDiesForGood => controller.order(Order::ControllerDiesForGood),
        FaultKind::DbusRestarted => {
            machine.stop_dbus();
            // bluetoothd ends with the bus, sooner or later; systemd would start it again.
            machine.stop_bluetoothd("TERM");
        }
        FaultKind::ClockStepped => machine::step_clock(),
    }
}

fn mend(
    fault: &Fault,
    machine: &mut Machine,
    controllers: &mut Vec<Controller>,
    scenario: &Scenario,
) {
    let controller = &controllers[fault.adapter];
    match fault.kind {
        FaultKind::BluetoothdStopped | FaultKind::BluetoothdKilled => machine.start_bluetoothd(),
        FaultKind::BluetoothdHangs => machine.freeze_bluetoothd(false),
        FaultKind::PoweredOff => machine::power(fault.adapter, true),
        FaultKind::Rfkill => machine::rfkill(false),
        FaultKind::Unplugged => controller.order(Order::Plug),
        FaultKind::BackUnderAnotherName => {
            // Whoever is plugged in first takes the free name.
            let number = u8::try_from(controllers.len()).expect("few controllers");
            let usurper = plug(scenario.controllers[fault.adapter], number);
            controllers[fault.adapter].order(Order::Plug);
            controllers.push(usurper);
        }
        FaultKind::DbusRestarted => {
            machine.start_dbus();
            machine.start_bluetoothd();
        }
        FaultKind::ScanDies
        | FaultKind::ControllerDies
        | FaultKind::ControllerDiesForGood
        | FaultKind::BluetoothdHangsForGood
        | FaultKind::ClockStepped => {}
    }
}
