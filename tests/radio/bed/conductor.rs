//! Plays scenarios, one after the other, in the order of their files' names.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::controller::{Controller, Order};
use super::judge::{self, Lived};
use super::listener::Listener;
use super::machine::{self, Machine, wait_for};
use super::scenario::{Fault, FaultKind, Scenario};
use super::shop;

/// The kernel switches a new controller off again two seconds after its set-up when nobody
/// claims it; the driver's quirks can be set while it is off.
const LEFT_ALONE: Duration = Duration::from_secs(4);
/// For listeners to print their last line.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Plays every scenario of a folder.
pub fn conduct(folder: &Path) {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the folder is there").flatten().map(|f| f.path()).collect();
    files.sort();
    let mut machine = Machine::new();
    let mut results = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("a scenario can be read");
        let scenario: Scenario =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        println!("{name}: {}", scenario.what);
        let lived = play(&scenario, &mut machine);
        let result = judge::judge(&name, &scenario, lived);
        results.push(result);
        // After each: a machine that dies later has said what it knew.
        let json = serde_json::to_string_pretty(&results).expect("results are JSON");
        fs::write("results.json", json).expect("results can be written");
    }
}

fn play(scenario: &Scenario, machine: &mut Machine) -> Lived {
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
    let keys = scenario.air.iter().filter_map(|group| group.gatt_key.as_deref());
    shop::open(scenario.listeners.first().map_or(0, super::scenario::Listener::user), keys);
    let mut listeners: Vec<_> =
        (0..).zip(&scenario.listeners).map(|(n, one)| Listener::start(one, n)).collect();
    wait_for("a scan", || controllers.iter().all(|one| one.counts().scans > 0));

    let opened = Instant::now();
    let length = Duration::from_secs(scenario.seconds);
    for controller in &controllers {
        controller.order(Order::Air(scenario.air.clone(), length));
    }
    let mut mended = Vec::new();
    for fault in &scenario.faults {
        sleep_until(opened + Duration::from_secs(fault.at));
        let broken = Instant::now();
        break_it(fault, machine, &controllers);
        std::thread::sleep(Duration::from_secs(fault.lasts));
        mend(fault, machine, &mut controllers, scenario);
        mended.push((broken, Instant::now()));
    }
    sleep_until(opened + length / 3);
    listeners.iter_mut().for_each(Listener::weigh);
    sleep_until(opened + length + LAST_WORDS);
    let bluetoothd_memory = machine.bluetoothd_memory();
    // What a listener asked of a controller ends with the listener.
    let counts = controllers.iter().map(Controller::counts).collect();
    let reports = listeners.into_iter().map(Listener::end).collect();
    machine.stop();
    controllers.into_iter().for_each(Controller::unplug);
    let closed = opened + length;
    Lived { opened, closed, counts, reports, mended, bluetoothd_memory }
}

fn plug(kind: super::scenario::ControllerKind, number: u8) -> Controller {
    let controller = Controller::plug(kind, number);
    wait_for("an adapter", || controller.counts().name.is_some());
    controller
}

fn sleep_until(when: Instant) {
    std::thread::sleep(when.saturating_duration_since(Instant::now()));
}

fn break_it(fault: &Fault, machine: &mut Machine, controllers: &[Controller]) {
    let controller = &controllers[fault.adapter];
    match fault.kind {
        FaultKind::BluetoothdStopped => machine.stop_bluetoothd("TERM"),
        FaultKind::BluetoothdKilled => machine.stop_bluetoothd("KILL"),
        FaultKind::BluetoothdHangs => machine.freeze_bluetoothd(true),
        FaultKind::PoweredOff => machine::power(fault.adapter, false),
        FaultKind::Rfkill => machine::rfkill(true),
        FaultKind::Unplugged | FaultKind::BackUnderAnotherName => controller.order(Order::Unplug),
        FaultKind::ScanDies => controller.order(Order::ScanDies),
        FaultKind::ControllerDies => controller.order(Order::ControllerDies),
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
        FaultKind::ScanDies | FaultKind::ControllerDies | FaultKind::ClockStepped => {}
    }
}
