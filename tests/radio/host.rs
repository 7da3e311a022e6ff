//! The outside of the test bed: builds the machine, boots it, and reads the results.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// All that the machine is built and run with, and the package each comes from.
const TOOLS: [(&str, &str); 6] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("cpio", "cpio"),
    ("/sbin/modinfo", "kmod"),
    ("xz", "xz-utils"),
];

/// The kernel's options. Without its own tests of ciphers: that of ECDH is too slow under emulation,
/// and without ECDH the kernel resolves no private address. The machine has no PIT: on a busy host the
/// kernel would measure the speed of its clock against it, wrong by up to five times. `init` starts the
/// second processor: while the kernel starts it changes its own instructions, which an emulated
/// processor that runs them at that moment does not stand.
const KERNEL: &str = "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable no_timer_check \
                      maxcpus=1 cryptomgr.notests=1";

/// The longest run before the machine is taken for dead.
const LONGEST_RUN: Duration = Duration::from_mins(90);

/// A machine with one Debian release.
pub struct Bed {
    pub suite: String,
    image: PathBuf,
}

/// What came of a scenario.
pub struct Outcome {
    pub failures: Vec<String>,
    pub json: Value,
}

impl Bed {
    /// Builds it, unless it was built before.
    pub fn of(suite: &str) -> Self {
        match build(suite) {
            Ok(image) => Self { suite: suite.to_owned(), image },
            Err(why) => panic!("the radio test bed ({suite}) cannot be built: {why}"),
        }
    }

    /// BlueZ's version and the kernel's.
    pub fn versions(&self) -> String {
        let version = |of: &str| {
            let file = self.image.join(format!("{of}-version"));
            fs::read_to_string(file).unwrap_or_default().trim().to_owned()
        };
        format!("BlueZ {}, Linux {}", version("bluez"), version("kernel"))
    }

    /// Runs the scenarios of these names, in this order.
    pub fn run(&self, names: &[&str]) -> Vec<Outcome> {
        let folder = tests_folder().join("scenarios");
        let files = names.iter().map(|name| folder.join(format!("{name}.toml"))).collect();
        self.run_files(files)
    }

    /// Runs every scenario of a folder that is `wanted`, in the order of their names.
    pub fn run_all(&self, folder: &str, wanted: fn(&str) -> bool) -> Vec<Outcome> {
        let folder = tests_folder().join("scenarios").join(folder);
        let mut files: Vec<_> =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.file_stem().and_then(OsStr::to_str).is_some_and(wanted));
        files.sort();
        self.run_files(files)
    }

    fn run_files(&self, files: Vec<PathBuf>) -> Vec<Outcome> {
        let first = files.first().and_then(|file| file.file_stem()).unwrap().to_string_lossy();
        let share = self.image.with_file_name(format!("{}-{first}", self.suite));
        fs::remove_dir_all(&share).ok();
        fs::create_dir_all(share.join("scenarios")).unwrap();
        for (number, file) in files.iter().enumerate() {
            let name = file.file_name().unwrap().to_string_lossy();
            let copy = share.join(format!("scenarios/{number:02} {name}"));
            fs::copy(file, copy).unwrap();
        }
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
        fs::create_dir_all(share.join("systemd")).unwrap();
        for file in fs::read_dir(files).unwrap().map(|file| file.unwrap()) {
            fs::copy(file.path(), share.join("systemd").join(file.file_name())).unwrap();
        }
        strip(&program(), &share.join("grelot"));
        strip(&std::env::current_exe().unwrap(), &share.join("bed"));
        let console = self.boot_soundly(&share);
        let log = fs::read_to_string(share.join("log")).unwrap_or_default();
        eprintln!("--- {}: {}\n{log}", self.suite, self.versions());
        let results = fs::read_to_string(share.join("results.json"))
            .unwrap_or_else(|_| panic!("the machine left no results; its console:\n{console}"));
        let results: Vec<Value> = serde_json::from_str(&results).unwrap();
        results.into_iter().map(Outcome::read).collect()
    }

    /// Boots, and once more where the emulated machine failed: its kernel crashed before anything of
    /// ours ran, or on an instruction that it was rewriting (`int3`), which an emulated processor does
    /// not always stand.
    fn boot_soundly(&self, share: &Path) -> String {
        let console = self.boot(share);
        let crashed = console.contains("Oops") || console.contains("Kernel panic");
        let begun = share.join("log").exists();
        if !crashed || (begun && !console.contains("int3: 0000")) {
            return console;
        }
        eprintln!("--- {}: the machine's kernel crashed:\n{console}", self.suite);
        for left in ["log", "results.json"] {
            fs::remove_file(share.join(left)).ok();
        }
        self.boot(share)
    }

    /// Boots, waits for the machine to switch itself off, and returns what its console printed.
    fn boot(&self, share: &Path) -> String {
        let console = share.join("console");
        let mut machine = Command::new("qemu-system-x86_64");
        machine
            .args(["-M", "q35,pit=off", "-smp", "2", "-m", "1024"])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .args(accelerator())
            .arg("-kernel")
            .arg(self.image.join("vmlinuz"))
            .arg("-initrd")
            .arg(self.image.join("base.cpio"))
            .args(["-append", KERNEL])
            .args(["-serial", &format!("file:{}", console.display())])
            .args(["-fsdev", &format!("local,id=s,path={},security_model=none", share.display())])
            .args(["-device", "virtio-9p-pci,fsdev=s,mount_tag=share"])
            .stdin(Stdio::null());
        let mut running = machine.spawn().expect("qemu starts");
        let began = Instant::now();
        while running.try_wait().expect("qemu can be waited for").is_none() {
            if began.elapsed() > LONGEST_RUN {
                running.kill().expect("qemu can be killed");
                running.wait().expect("qemu ends");
                break;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        String::from_utf8_lossy(&fs::read(console).unwrap_or_default()).into_owned()
    }
}

impl Outcome {
    fn read(json: Value) -> Self {
        let failures = json["failures"].as_array().into_iter().flatten();
        Self { failures: failures.map(|f| f.as_str().unwrap_or("?").to_owned()).collect(), json }
    }
}

/// `/dev/kvm` may be there and yet not run a stock kernel: only the processor's word counts.
fn accelerator() -> [&'static str; 4] {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let virtualises = processor.contains(" vmx ") || processor.contains(" svm ");
    let writable = fs::OpenOptions::new().write(true).open("/dev/kvm").is_ok();
    if virtualises && writable {
        ["-accel", "kvm", "-cpu", "host"]
    } else {
        ["-accel", "tcg,thread=multi", "-cpu", "max"]
    }
}

/// `grelot` as it was built for the tests, or the build that is to be measured.
fn program() -> PathBuf {
    let measured = std::env::var_os("GRELOT_RADIO_BED_MEASURES");
    measured.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_grelot")), PathBuf::from)
}

fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/radio")
}

fn build(suite: &str) -> Result<PathBuf, String> {
    for (tool, package) in TOOLS {
        let found = Command::new(tool).arg("--version").output();
        found.map_err(|_| format!("{tool} is missing: apt install {package}"))?;
    }
    let image = Path::new(env!("CARGO_TARGET_TMPDIR")).join("radio-bed").join(suite);
    let script = tests_folder().join("image.sh");
    let built = Command::new("bash").arg(script).arg(suite).arg(&image).output();
    let built = built.map_err(|error| error.to_string())?;
    if !built.status.success() {
        return Err(String::from_utf8_lossy(&built.stderr).trim().to_owned());
    }
    Ok(image)
}

/// Debug information is most of a binary, and the share is slow.
fn strip(from: &Path, to: &Path) {
    let stripped = Command::new("strip").arg("-o").arg(to).arg(from).status();
    if !stripped.is_ok_and(|status| status.success()) {
        fs::copy(from, to).unwrap();
    }
}

/// The outcomes as a Markdown table.
pub fn table(bed: &Bed, outcomes: &[Outcome]) -> String {
    let mut text = format!("### {}\n", bed.versions());
    for outcome in outcomes {
        let what = outcome.json["what"].as_str().unwrap_or_default();
        write!(text, "\n**{what}**\n\n").unwrap();
        text.push_str(
            "| listener | on the air | passed on | received | of what was passed on | dropped ",
        );
        text.push_str("| scan's longest hole | CPU | memory, at a third and at the end ");
        text.push_str("| age: half, 99 of 100, all | a device's longest silence | blind after | receives again after ");
        text.push_str(
            "| contact | arrival |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        );
        for one in outcome.json["listeners"].as_array().into_iter().flatten() {
            text.push_str(&row(one));
        }
        text.push_str(&services(&outcome.json));
    }
    text
}

/// What bluetoothd did for all of them together.
fn services(outcome: &Value) -> String {
    let seconds = |key: &str| outcome[key].as_f64().unwrap_or_default() / 1000.0;
    let (bluetoothd, bus) = (seconds("bluetoothd_ms"), seconds("dbus_daemon_ms"));
    let spent = format!("bluetoothd {bluetoothd:.1} s and dbus-daemon {bus:.1} s of processor");
    match outcome["signals"].as_u64() {
        Some(signals) => format!("\n{spent}; bluetoothd sent {signals} signals.\n"),
        None => format!("\n{spent}.\n"),
    }
}

fn row(one: &Value) -> String {
    let number = |key: &str| one[key].as_f64().unwrap_or_default();
    let share = number("heard") / number("passed_on").max(1.0) * 100.0;
    let seconds = |value: &Value| value.as_f64().map_or("-".to_owned(), |s| format!("{s:.1}"));
    let list = |key: &str| {
        let each = one[key].as_array().into_iter().flatten().map(seconds);
        each.collect::<Vec<_>>().join(", ")
    };
    format!(
        "| {} | {} | {} | {} | {share:.1} % | {} | {} ms | {:.1} s | {}, {} KiB | {} | {} | {} | {} | {} | {} |\n",
        one["name"].as_str().unwrap_or_default(),
        one["on_air"],
        one["passed_on"],
        one["heard"],
        one["shed"],
        one["longest_scan_hole_ms"],
        number("processor_ms") / 1000.0,
        one["first_kib"],
        one["last_kib"],
        milliseconds(&one["ages_ms"]),
        one["longest_silence_ms"].as_u64().map_or("-".to_owned(), |ms| format!("{ms} ms")),
        list("blind_after_s"),
        list("back_after_s"),
        seconds(&one["first_contact_s"]),
        seconds(&one["first_arrival_s"]),
    )
}

fn milliseconds(ages: &Value) -> String {
    let each = ages.as_array().into_iter().flatten().map(ToString::to_string);
    match each.collect::<Vec<_>>() {
        none if none.is_empty() => "-".to_owned(),
        ages => format!("{} ms", ages.join(", ")),
    }
}
