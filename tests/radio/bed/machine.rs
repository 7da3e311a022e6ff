//! The machine's own services: dbus-daemon, bluetoothd, rfkill, the clock, `main.conf`.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dbus::blocking::Connection;
use dbus::blocking::stdintf::org_freedesktop_dbus::Properties as _;

const MAIN_CONF: &str = "/etc/bluetooth/main.conf";
const BUS_SOCKET: &str = "/run/dbus/system_bus_socket";

/// A processor that is emulated on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_mins(1);

/// What runs.
pub struct Machine {
    dbus: Option<Child>,
    bluetoothd: Option<Child>,
    options: Vec<String>,
    main_conf: String,
}

impl Machine {
    /// Nothing runs yet.
    pub fn new() -> Self {
        let main_conf = fs::read_to_string(MAIN_CONF).expect("BlueZ's main.conf is there");
        Self { dbus: None, bluetoothd: None, options: Vec::new(), main_conf }
    }

    /// Starts dbus-daemon and bluetoothd, whose memory of former scenarios is empty.
    pub fn start(&mut self, main_conf: &[String], options: &[String]) {
        let changed = main_conf.iter().fold(self.main_conf.clone(), |text, line| {
            let key = line.split_once('=').expect("key = value").0.trim();
            let commented = text
                .lines()
                .map(|old| if old.starts_with(&format!("#{key} ")) { line.as_str() } else { old });
            commented.collect::<Vec<_>>().join("\n")
        });
        fs::write(MAIN_CONF, changed).expect("main.conf can be written");
        for adapter in fs::read_dir("/var/lib/bluetooth").expect("its folder is there").flatten() {
            fs::remove_dir_all(adapter.path()).expect("its memory can be emptied");
        }
        self.options = options.to_vec();
        self.start_dbus();
        self.start_bluetoothd();
    }

    /// Ends both.
    pub fn stop(&mut self) {
        self.stop_bluetoothd("TERM");
        self.stop_dbus();
    }

    /// Starts dbus-daemon and waits for its socket.
    pub fn start_dbus(&mut self) {
        let mut daemon = Command::new("dbus-daemon");
        daemon.args(["--system", "--nofork", "--nopidfile"]);
        self.dbus = Some(start(&mut daemon, "dbus.log"));
        wait_for("the bus", || Path::new(BUS_SOCKET).exists());
    }

    /// Ends dbus-daemon.
    pub fn stop_dbus(&mut self) {
        if let Some(mut daemon) = self.dbus.take() {
            signal(&daemon, "TERM");
            daemon.wait().expect("dbus-daemon ends");
        }
        fs::remove_file(BUS_SOCKET).ok();
    }

    /// Starts bluetoothd and waits for it to be on the bus.
    pub fn start_bluetoothd(&mut self) {
        let mut daemon = Command::new("/usr/libexec/bluetooth/bluetoothd");
        daemon.arg("--nodetach").args(&self.options);
        self.bluetoothd = Some(start(&mut daemon, "bluetoothd.log"));
    }

    /// Ends bluetoothd by a signal, if it has not ended with the bus.
    pub fn stop_bluetoothd(&mut self, by: &str) {
        if let Some(mut daemon) = self.bluetoothd.take() {
            signal(&daemon, by);
            // One that hangs would not notice.
            signal(&daemon, "CONT");
            daemon.wait().expect("bluetoothd ends");
        }
    }

    /// Stops bluetoothd in its tracks, or lets it go on.
    pub fn freeze_bluetoothd(&self, frozen: bool) {
        let daemon = self.bluetoothd.as_ref().expect("bluetoothd runs");
        signal(daemon, if frozen { "STOP" } else { "CONT" });
    }

    /// What bluetoothd and dbus-daemon have spent on the processor.
    pub fn processor_time(&self) -> [Duration; 2] {
        [&self.bluetoothd, &self.dbus]
            .map(|daemon| daemon.as_ref().map_or(Duration::ZERO, |one| processor_time(one.id())))
    }

    /// bluetoothd's resident memory in KiB.
    pub fn bluetoothd_memory(&self) -> u64 {
        self.bluetoothd.as_ref().map_or(0, |daemon| memory(daemon.id()))
    }
}

/// Starts a program whose output goes to a file beside the results.
pub fn start(command: &mut Command, log: &str) -> Child {
    let log = File::options().create(true).append(true).open(log).expect("a log can be written");
    let errors = log.try_clone().expect("a log can be shared");
    command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn().expect("the program starts")
}

/// Sends a signal.
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

/// Switches an adapter on or off, as a person would in the settings.
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

/// Waits for what must come.
pub fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let began = Instant::now();
    while !there() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}
