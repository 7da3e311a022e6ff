//! Remote sniffers: HCI streams through named pipes into the real daemon.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a test that stops here has failed, and says so; it waits for real programs"
)]

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const STREAMS: u64 = 2;
/// What one radio can deliver at the very most: three channels, the shortest advertisements.
const PER_SECOND: u64 = 2_660;

/// A daemon with one pipe for each stream.
struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = "[store]\nid = 42\n[broker]\nlisten = \"127.0.0.1:0\"\n".to_owned();
        for stream in 0..STREAMS {
            let pipe = folder.path().join(format!("stream{stream}"));
            assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            config += &format!("[[source]]\nkind = \"h4\"\npath = \"stream{stream}\"\n");
        }
        config += "[state]\npath = \"state\"\n";
        let file = folder.path().join("grelot.toml");
        fs::write(&file, config).unwrap();
        let mut run = Command::new(env!("CARGO_BIN_EXE_grelot"));
        run.arg("run").arg("--config").arg(&file).env("GRELOT_LOG", "warn");
        let child = run.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let daemon = Self { child, folder };
        daemon.wait_for("an answer", |_| true);
        daemon
    }

    fn status(&self) -> Option<Value> {
        let mut answer = String::new();
        let socket = self.folder.path().join("state/status.sock");
        UnixStream::connect(socket).ok()?.read_to_string(&mut answer).ok()?;
        serde_json::from_str(&answer).ok()
    }

    fn wait_for(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            if let Some(status) = self.status().filter(&is) {
                return status;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{what} did not happen within 30 s");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// User and system time so far.
    fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let after_name = stat.rsplit(')').next().unwrap();
        let ticks = after_name.split_whitespace().skip(11).take(2);
        // USER_HZ is 100 on every Linux.
        Duration::from_millis(10 * ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn heard(status: &Value) -> u64 {
    let sources = status["sources"].as_array().unwrap();
    sources.iter().map(|source| source["heard"].as_u64().unwrap()).sum()
}

/// An advertising report, as H4 carries it, from one of 300 devices.
fn packet(number: u64) -> Vec<u8> {
    let payload = hex::decode("02011a0eff4c000f05a035a2b9861002 7b04".replace(' ', "")).unwrap();
    let [a, b, ..] = (number % 300).to_le_bytes();
    let mut packet = vec![0x04, 0x3e, 12 + payload.len() as u8, 0x02, 1, 3, 1, a, b, 0x33];
    packet.extend([0x44, 0x55, 0x4a, payload.len() as u8]);
    packet.extend(&payload);
    packet.push(0xb9);
    packet
}

/// Writes at an even pace: each radio's own 50 bursts a second.
fn speak(pipe: &Path, length: Duration) -> u64 {
    const BURSTS: u64 = 50;
    let mut pipe = OpenOptions::new().write(true).open(pipe).unwrap();
    let began = Instant::now();
    let mut written = 0;
    while began.elapsed() < length {
        let burst: Vec<u8> = (0..PER_SECOND / BURSTS).flat_map(|n| packet(written + n)).collect();
        pipe.write_all(&burst).unwrap();
        written += PER_SECOND / BURSTS;
        let due = Duration::from_secs_f64(written as f64 / PER_SECOND as f64);
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    written
}

/// Written, received, and the share of one core it took.
fn play(length: Duration) -> (u64, u64, f64) {
    let daemon = Daemon::start();
    let (began, before) = (Instant::now(), daemon.processor_time());
    let written: u64 = std::thread::scope(|scope| {
        let folder = daemon.folder.path();
        let speakers: Vec<_> = (0..STREAMS)
            .map(|n| scope.spawn(move || speak(&folder.join(format!("stream{n}")), length)))
            .collect();
        speakers.into_iter().map(|speaker| speaker.join().unwrap()).sum()
    });
    let status = daemon.wait_for("the last advertisement", |status| heard(status) >= written);
    let busy = daemon.processor_time().checked_sub(before).unwrap().as_secs_f64()
        / began.elapsed().as_secs_f64();
    (written, heard(&status), busy)
}

#[test]
fn nothing_is_lost_of_two_streams_at_full_rate() {
    let (written, heard, _) = play(Duration::from_secs(3));
    assert_eq!(heard, written);
}

/// The figures of `tests/radio/README.md`.
#[test]
#[ignore = "measures for a minute: cargo test --profile dist --test h4 -- --ignored --nocapture"]
fn two_streams_at_full_rate_for_a_minute() {
    let (written, heard, busy) = play(Duration::from_mins(1));
    println!("{written} written, {heard} heard, {:.1} % of a core", busy * 100.0);
    assert_eq!(heard, written);
    assert!(busy <= 0.10, "{busy}");
}

#[test]
fn a_writer_that_goes_away_makes_the_gateway_blind_until_its_return() {
    let daemon = Daemon::start();
    for _ in 0..2 {
        for stream in 0..STREAMS {
            let pipe = daemon.folder.path().join(format!("stream{stream}"));
            OpenOptions::new().write(true).open(pipe).unwrap().write_all(&packet(1)).unwrap();
        }
        daemon.wait_for("blindness", |status| status["state"] == "blind" && heard(status) >= 2);
    }
    assert_eq!(heard(&daemon.wait_for("both", |status| heard(status) >= 4)), 4);
}

/// A `grelot scan` with this configuration, which prints a JSON line several times a second.
struct Scan {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Scan {
    fn start(config: &Path) -> Self {
        let mut scan = Command::new(env!("CARGO_BIN_EXE_grelot"));
        scan.arg("--config").arg(config).args(["--json", "scan", "--full", "--interval", "0.1"]);
        let mut child = scan.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Reads on until a line is as wanted.
    fn read_until(&mut self, is: impl Fn(&Value) -> bool) -> Value {
        let lines = self.lines.by_ref().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        lines.into_iter().find(is).expect("the scan goes on")
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn scan_shows_what_the_running_daemon_receives_and_takes_nothing_from_it() {
    let daemon = Daemon::start();
    let mut scan = Scan::start(&daemon.folder.path().join("grelot.toml"));
    // The daemon's account of its sources is the first line that it sends.
    scan.read_until(|line| line["reason"] != "starting");
    let pipes: Vec<_> = (0..STREAMS)
        .map(|n| {
            OpenOptions::new().write(true).open(daemon.folder.path().join(format!("stream{n}")))
        })
        .collect();
    for mut pipe in pipes.iter().map(|pipe| pipe.as_ref().unwrap()) {
        (0..20).for_each(|n| pipe.write_all(&packet(n)).unwrap());
    }
    let line = scan.read_until(|line| line["heard"] == 40 && line["hearing"] == "listening");
    assert_eq!(line["devices"].as_array().unwrap().len(), 20);
    daemon.wait_for("everything", |status| heard(status) == 40);
}

#[test]
fn scan_reads_the_configured_source_where_no_daemon_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (pipe, config) = (folder.path().join("stream"), folder.path().join("grelot.toml"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::write(&config, "[store]\nid = 42\n[[source]]\nkind = \"h4\"\npath = \"stream\"\n").unwrap();
    let mut scan = Scan::start(&config);
    let mut pipe = OpenOptions::new().write(true).open(pipe).unwrap();
    pipe.write_all(&packet(1)).unwrap();
    scan.read_until(|line| line["heard"] == 1 && line["hearing"] == "listening");
}

#[test]
fn scan_without_bluetooth_names_the_remedy_and_ends_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let mut scan = Command::new(env!("CARGO_BIN_EXE_grelot"));
    scan.arg("--config").arg(folder.path().join("none.toml")).args(["scan", "--for", "1"]);
    // No bus, as in a container.
    scan.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}/bus", folder.path().display()));
    let ended = scan.output().unwrap();
    let complaint = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{complaint}");
    assert!(
        complaint.contains("D-Bus") && complaint.contains("hint: sudo apt install"),
        "{complaint}"
    );
}
