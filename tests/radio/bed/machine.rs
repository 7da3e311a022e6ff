//! The machine's services, run by systemd: dbus-daemon, polkitd, bluetoothd. Also rfkill, the
//! clock, `main.conf`.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use dbus::blocking::Connection;
use dbus::blocking::stdintf::org_freedesktop_dbus::Properties as _;

use super::bond;
use super::hci;
use super::scenario::{Installed, Scenario};

const MAIN_CONF: &str = "/etc/bluetooth/main.conf";
const BLUETOOTH: &str = "bluetooth.service";

/// Timeout for everything: an emulated processor on a busy machine is slow.
pub const PATIENCE: Duration = Duration::from_mins(10);

/// Runs systemd, dbus-daemon, polkitd and bluetoothd, with Debian's own units.
pub struct Machine {
    main_conf: String,
}

impl Machine {
    /// bluetoothd does not run yet.
    pub fn new() -> Self {
        let main_conf = fs::read_to_string(MAIN_CONF).expect("BlueZ's main.conf is there");
        Self { main_conf }
    }

    /// Installs grelot's files and starts bluetoothd, without the devices of earlier scenarios.
    pub fn start(&mut self, scenario: &Scenario) {
        let Scenario { main_conf, install: files, remembered, bonded, .. } = scenario;
        let changed = main_conf.iter().fold(self.main_conf.clone(), |text, line| {
            let key = line.split_once('=').expect("key = value").0.trim();
            let commented = text
                .lines()
                .map(|old| if old.starts_with(&format!("#{key} ")) { line.as_str() } else { old });
            commented.collect::<Vec<_>>().join("\n")
        });
        fs::write(MAIN_CONF, changed).expect("main.conf can be written");
        if let Ok(adapters) = fs::read_dir("/var/lib/bluetooth") {
            for adapter in adapters.flatten() {
                fs::remove_dir_all(adapter.path()).expect("its memory can be emptied");
            }
        }
        remember(*remembered);
        bond(bonded);
        let wanted = |file| files.contains(&file);
        install(wanted(Installed::DropIn), "grelot-bluetooth.conf", DROP_IN);
        install(wanted(Installed::PolkitRule), "grelot-bluetooth.rules", POLKIT_RULE);
        install(wanted(Installed::Monitor), "grelot-monitor.socket", MONITOR_SOCKET);
        install(wanted(Installed::Monitor), "grelot-monitor@.service", MONITOR_HELPER);
        install(true, "grelot.service", UNIT);
        systemctl(&["daemon-reload"]);
        // polkitd reads its rules when it starts.
        systemctl(&["stop", "polkit.service"]);
        if wanted(Installed::Monitor) {
            systemctl(&["start", "grelot-monitor.socket"]);
        }
        self.start_bluetoothd();
    }

    /// Ends bluetoothd, and the monitor's helper.
    pub fn stop(&mut self) {
        self.stop_bluetoothd();
        systemctl(&["stop", "grelot-monitor.socket"]);
        systemctl(&["reset-failed"]);
    }

    /// Starts bluetoothd and waits until it is on the bus.
    pub fn start_bluetoothd(&self) {
        systemctl(&["start", BLUETOOTH]);
    }

    /// Ends bluetoothd, as an administrator does.
    pub fn stop_bluetoothd(&self) {
        systemctl(&["stop", BLUETOOTH]);
    }

    /// Sends a signal to bluetoothd.
    pub fn signal_bluetoothd(&self, name: &str) {
        systemctl(&["kill", "--signal", name, BLUETOOTH]);
    }

    pub fn kill_dbus(&self) {
        systemctl(&["kill", "--signal", "KILL", "dbus.service"]);
    }

    /// Processor time of bluetoothd and dbus-daemon.
    pub fn processor_time(&self) -> [Duration; 2] {
        [BLUETOOTH, "dbus.service"]
            .map(|unit| main_process(unit).map_or(Duration::ZERO, processor_time))
    }

    /// bluetoothd's resident memory in KiB.
    pub fn bluetoothd_memory(&self) -> u64 {
        main_process(BLUETOOTH).map_or(0, memory)
    }
}

/// Writes devices into the first adapter's storage, as BlueZ does for those that were connected.
fn remember(devices: u32) {
    for number in 0..devices {
        let [a, b, c, d] = number.to_be_bytes();
        let device = format!("C0:00:{a:02X}:{b:02X}:{c:02X}:{d:02X}");
        let info =
            "[General]\nName=kettle\nSupportedTechnologies=LE;\nAddressType=static\nTrusted=true\n";
        write_info(&device, info);
    }
}

/// Writes bonds with the phones of these keys into the first adapter's storage.
fn bond(keys: &[String]) {
    for key in keys {
        // BlueZ and the kernel have keys least significant octet first.
        let irk = hex::encode_upper(bond::reversed(bond::key(key)));
        let info = format!(
            "[General]\nName=phone\nSupportedTechnologies=LE;\nAddressType=public\n\
             [IdentityResolvingKey]\nKey={irk}\n\
             [LongTermKey]\nKey={irk}\nAuthenticated=0\nEncSize=16\nEDiv=0\nRand=0\n"
        );
        write_info(&bond::identity_address(key), &info);
    }
}

/// Writes what the first adapter stores of a device.
fn write_info(device: &str, info: &str) {
    let mut adapter = hci::own_address(0).map(|octet| format!("{octet:02X}"));
    adapter.reverse();
    let folder = Path::new("/var/lib/bluetooth").join(adapter.join(":")).join(device);
    fs::create_dir_all(&folder).expect("a folder can be made");
    fs::write(folder.join("info"), info).expect("a file can be written");
}

const DROP_IN: &str = "/etc/systemd/system/bluetooth.service.d/grelot.conf";
const MONITOR_SOCKET: &str = "/etc/systemd/system/grelot-monitor.socket";
const MONITOR_HELPER: &str = "/etc/systemd/system/grelot-monitor@.service";
const UNIT: &str = "/etc/systemd/system/grelot.service";
const POLKIT_RULE: &str = "/etc/polkit-1/rules.d/60-grelot.rules";

/// Installs a file of the package, or removes it.
fn install(wanted: bool, file: &str, place: &str) {
    if wanted {
        let folder = Path::new(place).parent().expect("an absolute path");
        fs::create_dir_all(folder).expect("a folder can be made");
        fs::copy(Path::new("systemd").join(file), place).expect("a file can be installed");
    } else {
        fs::remove_file(place).ok();
    }
}

/// Runs systemctl; panics where systemd refuses.
pub fn systemctl(arguments: &[&str]) {
    let done = Command::new("systemctl").args(arguments).output().expect("systemctl starts");
    if !done.status.success() {
        eprintln!("systemctl {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

fn main_process(unit: &str) -> Option<u32> {
    let shown = Command::new("systemctl")
        .args(["show", "--property", "MainPID", "--value", unit])
        .output()
        .expect("systemctl starts");
    String::from_utf8_lossy(&shown.stdout).trim().parse().ok().filter(|process| *process != 0)
}

/// Writes the journal so far to the results.
pub fn save_journal() {
    let file = File::create("journal").expect("a log can be written");
    Command::new("journalctl")
        .args(["--no-pager", "--output", "short-precise"])
        .stdout(file)
        .status()
        .ok();
}

pub fn signal(child: &Child, name: &str) {
    let process = child.id().to_string();
    let sent = Command::new("kill").args([&format!("-{name}"), &process]).status();
    assert!(sent.is_ok(), "kill -{name}");
}

/// A process's resident memory in KiB; 0 where it has ended.
pub fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// A process's time on the processor, user and system.
pub fn processor_time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    // USER_HZ is 100 on every Linux.
    Duration::from_millis(10 * ticks.filter_map(|tick| tick.parse::<u64>().ok()).sum::<u64>())
}

/// Switches an adapter on or off, as a user does in the settings.
pub fn power(adapter: usize, on: bool) {
    let bus = Connection::new_system().expect("the bus is there");
    let path = format!("/org/bluez/hci{adapter}");
    let proxy = bus.with_proxy("org.bluez", path, Duration::from_secs(5));
    if let Err(error) = proxy.set("org.bluez.Adapter1", "Powered", on) {
        eprintln!("powering hci{adapter}: {error}");
    }
}

/// Blocks or unblocks all Bluetooth radios: operation 3 ("change all") for type 2, soft.
pub fn rfkill(blocked: bool) {
    let event = [0, 0, 0, 0, 2, 3, u8::from(blocked), 0];
    fs::write("/dev/rfkill", event).expect("rfkill can be written");
}

/// Steps the wall clock by an hour.
pub fn step_clock() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let later = format!("@{}", now.as_secs() + 3600);
    assert!(Command::new("date").args(["-s", &later]).status().is_ok_and(|s| s.success()));
}

/// Tells the kernel that an adapter's driver filters duplicates strictly. Only while it is down.
pub fn set_quirk(name: &str) {
    let file = format!("/sys/kernel/debug/bluetooth/{name}/quirk_strict_duplicate_filter");
    fs::write(&file, "Y").unwrap_or_else(|error| panic!("{file}: {error}"));
}

/// Waits until `there` holds; panics after [`PATIENCE`].
pub fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let began = Instant::now();
    while !there() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}
