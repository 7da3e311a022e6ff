//! A program that receives, and its output with the time of each line.
//!
//! `grelot run` reports on its status socket, which is asked four times a second; all others print
//! one JSON object a line.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::machine::{PATIENCE, memory, processor_time, signal, systemctl};
use super::scenario::Listener as Described;
use super::shop;
use super::{ARGUMENTS, ORDER};

/// The user id of the listeners: not root, in group bluetooth.
pub const SERVICE: u32 = 1000;
const GROUP_BLUETOOTH: u32 = 101;

/// The capability that the HCI monitor needs, by its number in Linux.
const CAP_NET_RAW: u32 = 13;
/// `grelot` as the host shares it. It is run from memory: the share has no cache.
const SHARED: &str = "./grelot";
/// Where the units expect it.
pub const GRELOT: &str = "/usr/bin/grelot";
/// The same with that capability on the file. The capability has no effect below systemd's /tmp,
/// which is mounted with `nosuid`.
const GRELOT_NET_RAW: &str = "/usr/bin/grelot-net-raw";

/// The unit as it is shipped; only the path of the bed's shop is changed.
const SERVICE_UNIT: &str = "grelot.service";
const SHOP_DROP_IN: &str = "/etc/systemd/system/grelot.service.d/shop.conf";
const SHOP: &str = "[Unit]\nConditionPathExists=\n[Service]\nExecStart=\n\
                    ExecStart=/usr/bin/grelot run --config /tmp/shop/grelot.toml\n\
                    PrivateTmp=no\nReadWritePaths=/tmp/shop\n";

/// Interval at which a daemon is asked.
const ASK_EVERY: Duration = Duration::from_millis(250);

type Lines = Arc<Mutex<Vec<(Instant, Value)>>>;

pub struct Listener {
    child: Child,
    lines: Lines,
    ended: Arc<AtomicBool>,
    reader: JoinHandle<()>,
    first_memory: Option<u64>,
    recording: Option<PathBuf>,
    /// Whether it is systemd's child, not this process's.
    unit: bool,
}

/// What a listener printed and used.
pub struct Report {
    pub lines: Vec<(Instant, Value)>,
    pub processor: Duration,
    /// Resident memory in KiB: a while after its start, and at its end.
    pub memory: (u64, u64),
    /// Whether it ended by itself with a failure.
    pub gave_up: bool,
    /// The file that it recorded.
    pub recording: Option<PathBuf>,
}

impl Listener {
    /// Starts it. It prints one JSON object a line; its error output goes to `log`.
    pub fn start(described: &Described, log: &str) -> Self {
        let unit = described.run == SERVICE_UNIT;
        let mut command = if unit {
            fs::create_dir_all(Path::new(SHOP_DROP_IN).parent().unwrap()).expect("a folder");
            fs::write(SHOP_DROP_IN, SHOP).expect("a drop-in");
            systemctl(&["daemon-reload"]);
            let mut command = Command::new("systemctl");
            command.args(["start", "--wait", SERVICE_UNIT]);
            command
        } else if let Some(arguments) = described.run.strip_prefix("grelot ") {
            let mut command = Command::new(if described.net_raw { GRELOT_NET_RAW } else { GRELOT });
            command.args(arguments.split_whitespace());
            command
        } else {
            let mut command = Command::new("./bed");
            command.env(ORDER, &described.run).args(ARGUMENTS);
            command
        };
        let errors = fs::File::create(log).expect("a log");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        if !unit {
            command.uid(SERVICE).gid(GROUP_BLUETOOTH);
        }
        command.env("GRELOT_LOG", "grelot::sources=debug,info");
        let records = described.run.starts_with("grelot record");
        let recording = described.run.split_whitespace().last().filter(|_| records);
        let recording = recording.map(PathBuf::from);
        if let Some(file) = &recording {
            fs::remove_file(file).ok();
        }
        let mut child = command.spawn().expect("the listener starts");
        let lines = Lines::default();
        let ended = Arc::new(AtomicBool::new(false));
        let output = child.stdout.take().expect("its output is piped");
        let (written, over) = (Arc::clone(&lines), Arc::clone(&ended));
        let reader = if unit || described.run.starts_with("grelot run") {
            std::thread::spawn(move || ask(&written, &over))
        } else {
            std::thread::spawn(move || read(output, &written))
        };
        Self { child, lines, ended, reader, first_memory: None, recording, unit }
    }

    /// Whether it has printed anything, if it prints at all: on a slow machine one listener starts
    /// long after the other.
    pub fn is_up(&self) -> bool {
        self.recording.is_some() || !self.lines.lock().unwrap().is_empty()
    }

    /// How many advertisements it has received, as it prints it or by the lines of its recording.
    pub fn received(&self) -> Option<u64> {
        let Some(recording) = &self.recording else { return self.last("heard") };
        let text = fs::read_to_string(recording).ok()?;
        Some(text.lines().skip(1).count() as u64)
    }

    /// The last value of a counter that it printed.
    pub fn last(&self, key: &str) -> Option<u64> {
        self.lines.lock().unwrap().iter().rev().find_map(|(_, line)| line[key].as_u64())
    }

    /// Whether it reported `blind` after `when`.
    pub fn was_blind_since(&self, when: Instant) -> bool {
        let lines = self.lines.lock().unwrap();
        lines.iter().any(|(at, line)| *at >= when && line["hearing"] == "blind")
    }

    /// Whether it received something after `when`, and reports so.
    pub fn receives_since(&self, when: Instant) -> bool {
        let lines = self.lines.lock().unwrap();
        let after = lines.partition_point(|(at, _)| *at < when);
        let heard = |(_, line): &(Instant, Value)| line["heard"].as_u64();
        let Some(first) = lines[after..].iter().find_map(heard) else { return false };
        let last = lines.last().filter(|(_, line)| line["hearing"] == "listening");
        last.and_then(heard) > Some(first)
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        Path::new(&format!("/proc/{}/exe", self.child.id())).read_link().is_err()
    }

    /// Stores how much memory it uses, once.
    pub fn weigh(&mut self) {
        self.first_memory.get_or_insert_with(|| memory(self.child.id()));
    }

    /// Ends it with SIGTERM.
    pub fn end(mut self) -> Report {
        let processor = processor_time(self.child.id());
        let last_memory = memory(self.child.id());
        if self.unit {
            systemctl(&["stop", SERVICE_UNIT]);
        }
        signal(&self.child, "TERM");
        // A recording is complete when its program has ended.
        let began = Instant::now();
        let status = loop {
            match self.child.try_wait().expect("the listener can be waited for") {
                Some(status) => break status,
                None if began.elapsed() > PATIENCE => drop(self.child.kill()),
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        self.ended.store(true, Ordering::Relaxed);
        self.reader.join().expect("its output was read");
        let lines = std::mem::take(&mut *self.lines.lock().unwrap());
        let memory = (self.first_memory.unwrap_or(last_memory), last_memory);
        Report {
            lines,
            processor,
            memory,
            gave_up: status.code() == Some(1),
            recording: self.recording,
        }
    }
}

/// Installs `grelot` where the units expect it, and a copy with the capability.
pub fn install() {
    fs::copy(SHARED, GRELOT).expect("grelot can be copied");
    fs::copy(GRELOT, GRELOT_NET_RAW).expect("grelot can be copied");
    // `struct vfs_cap_data` of Linux, revision 2, effective: permitted and inheritable, the lower
    // 32 capabilities first.
    const EFFECTIVE_REVISION_2: u32 = 0x0200_0001;
    let words = [EFFECTIVE_REVISION_2, 1 << CAP_NET_RAW, 0, 0, 0];
    let capability: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let nothing = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(GRELOT_NET_RAW, "security.capability", &capability, nothing)
        .expect("root may grant capabilities");
}

/// Stores the lines that a program prints.
fn read(output: ChildStdout, lines: &Lines) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Ok(said) = serde_json::from_str(&line) {
            lines.lock().unwrap().push((Instant::now(), said));
        }
    }
}

/// Asks a daemon for its status, and stores it in the form of `grelot scan --json`.
fn ask(lines: &Lines, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        std::thread::sleep(ASK_EVERY);
        let mut answer = String::new();
        let asked = UnixStream::connect(shop::STATUS)
            .and_then(|mut daemon| daemon.read_to_string(&mut answer));
        let Ok(status) = serde_json::from_str::<Value>(&answer) else { continue };
        if asked.is_err() {
            continue;
        }
        let visits = status["visits"].as_array().map_or(0, Vec::len);
        let hearing = if status["state"] == "online" { "listening" } else { "blind" };
        let said = json!({
            "heard": status["sources"][0]["heard"],
            "shed": status["sources"][0]["shed"],
            "hearing": hearing,
            "reason": status["sources"][0]["note"],
            "contacts": status["contacts"],
            "arrivals": status["arrivals"],
            "open": visits,
        });
        lines.lock().unwrap().push((Instant::now(), said));
    }
}
