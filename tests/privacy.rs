//! People who are not enrolled leave no trace: the whole program over a crowd of 500 strangers at
//! debug level, with a real broker, its page and its status, a signed registry kept encrypted, paired
//! phones' keys that every stranger's address is tried against, the audit and the doctor; then every
//! byte it wrote or sent is searched for any of theirs.
//!
//! What it cannot show: traces in memory, and in a form that this test does not know.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::format_collect,
    reason = "a test that stops here has failed, and says so; it waits for real programs"
)]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::free_port;
use common::process::Running;
use common::waiting::eventually;
use grelot::pipeline::event::{Address, AddressKind};
use grelot::pipeline::units::{Dbm, WallTime};
use grelot::sources::recording::{Header, Writer};
use grelot::sources::simulated::{Scene, Shop};
use grelot::sources::{Advertisement, Record, RecordKind};

const STRANGERS: u32 = 500;
const SPEED: u32 = 20;
const LASTS: Duration = Duration::from_secs(100);
/// Of the two enrolled customers: the one who agreed to be shown, the one who did not.
const SHOWN: &str = "Madame Visible";
const HIDDEN: &str = "Monsieur Discret";
/// More than are tried at once: addresses wait, and are remembered.
const PAIRED: u32 = 300;

#[test]
fn a_crowd_of_strangers_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let traces = write_scene(dir);
    let (broker, page) = (free_port(), free_port());
    let mut mosquitto = start_mosquitto(dir, broker);
    let subscriber = Command::new("mosquitto_sub")
        .args(["-V", "5", "-h", "127.0.0.1", "-p", &broker.to_string(), "-t", "#", "-v"])
        .stdout(File::create(dir.join("heard-by-mqtt")).unwrap())
        .spawn();
    let mut subscriber = Running(subscriber.unwrap());
    write_config(dir, broker, page, &sign_registry(dir));
    let grelot = Command::new(env!("CARGO_BIN_EXE_grelot"))
        .args(["run", "--config"])
        .arg(dir.join("grelot.toml"))
        .env("GRELOT_LOG", "debug")
        .env("CREDENTIALS_DIRECTORY", dir.join("credentials"))
        .stdout(File::create(dir.join("stdout")).unwrap())
        .stderr(File::create(dir.join("stderr")).unwrap())
        .spawn();
    let mut grelot = Running(grelot.unwrap());

    let sent = dir.join("heard-by-mqtt");
    eventually("both customers are announced", || {
        fs::read_to_string(&sent).is_ok_and(|said| said.matches("/arrivals ").count() == 2)
    });
    fs::write(dir.join("page"), get(page, "/")).unwrap();
    fs::write(dir.join("events"), get(page, "/events?tab=1")).unwrap();
    eventually("the crowd was heard", || {
        let status = Command::new(env!("CARGO_BIN_EXE_grelot"))
            .args(["status", "--json", "--config"])
            .arg(dir.join("grelot.toml"))
            .output()
            .unwrap();
        fs::write(dir.join("status"), &status.stdout).unwrap();
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
        status["sources"][0]["heard"].as_u64().is_some_and(|heard| heard >= traces.heard)
    });
    let config = dir.join("grelot.toml");
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
        command.args(arguments).arg("--config").arg(&config);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let audit = ask(&["customers", "audit", "c-shown"]);
    assert!(audit.contains("arrived"), "the audit knows of customers: {audit}");
    fs::write(dir.join("reports"), [audit, ask(&["doctor", "--json"]), ask(&["check"])].concat())
        .unwrap();
    for process in [&mut grelot, &mut subscriber, &mut mosquitto] {
        process.stop();
    }

    // What head office and the scene brought along is not what grelot wrote.
    for given in ["crowd.jsonl", "book.jsonl"] {
        fs::remove_file(dir.join(given)).unwrap();
    }
    for written in ["state/grelot.db", "state/audit.db", "state/registry/accepted"] {
        assert!(dir.join(written).exists(), "{written} is searched as well");
    }
    let mut searched = 0;
    for (name, written) in files(dir) {
        searched += written.len();
        for trace in &traces.of_strangers {
            assert!(!written.contains(trace.as_str()), "a stranger's {trace:?} is in {name}");
        }
        assert!(!written.contains(HIDDEN), "a name without consent is in {name}");
    }
    assert!(searched > 10_000, "only {searched} octets were searched");
    let said = fs::read_to_string(&sent).unwrap();
    assert!(said.contains(SHOWN), "the search would have found a name that is there");
}

/// What strangers advertise, in every form it could be written in.
struct Traces {
    heard: u64,
    of_strangers: BTreeSet<String>,
}

fn write_scene(dir: &Path) -> Traces {
    let started_at = WallTime::parse("2026-01-05T09:00:00Z").unwrap();
    let crowd = Shop::new(Scene::crowd(STRANGERS, LASTS), 7, started_at);
    let door: Arc<str> = Arc::from("door");
    let header = Header { started_at, store: Some(42), gateways: vec![door.clone()] };
    let mut writer = Writer::create(&dir.join("crowd.jsonl"), &header).unwrap();
    let mut traces = Traces { heard: 0, of_strangers: BTreeSet::new() };
    let mut senders = BTreeSet::new();
    let mut next_customer = Duration::ZERO;
    for record in crowd {
        let record = record.unwrap();
        while next_customer <= record.at {
            for minor in [2, 3] {
                writer.write(&customer(next_customer, &door, minor)).unwrap();
                traces.heard += 1;
            }
            next_customer += Duration::from_millis(500);
        }
        if let RecordKind::Received(heard) = &record.what {
            traces.heard += 1;
            senders.insert(heard.address);
            remember(heard, &mut traces.of_strangers);
        }
        writer.write(&record).unwrap();
    }
    writer.finish().unwrap();
    assert!(senders.len() >= STRANGERS as usize, "{} strangers", senders.len());
    traces
}

fn remember(heard: &Advertisement, traces: &mut BTreeSet<String>) {
    let mut octets = heard.address.octets;
    let colons: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    traces.extend([colons.join(":"), colons.join(":").to_uppercase(), colons.concat()]);
    traces.extend([
        colons.concat().to_uppercase(),
        colons.join("_").to_uppercase(),
        latin(&octets),
    ]);
    octets.reverse();
    traces.insert(latin(&octets));
    let whole = heard.payload.as_slice();
    let tail = &whole[whole.len().saturating_sub(8)..];
    for part in [whole, tail].into_iter().filter(|part| part.len() >= 8) {
        let hex: String = part.iter().map(|octet| format!("{octet:02x}")).collect();
        traces.extend([hex.to_uppercase(), hex, latin(part)]);
    }
    let mut rest = whole;
    while let [length, kind, more @ ..] = rest {
        let data = &more[..(*length as usize - 1).min(more.len())];
        if *kind == 0x09 && data.len() >= 8 {
            traces.insert(latin(data));
        }
        rest = &rest[(*length as usize + 1).min(rest.len())..];
    }
}

fn customer(at: Duration, gateway: &Arc<str>, minor: u8) -> Record {
    let mut payload = b"\x1a\xff\x4c\x00\x02\x15".to_vec();
    payload
        .extend(*b"\xe2\xc5\x6d\xb5\xdf\xfb\x48\xd2\xb0\x60\xd0\xf5\xa7\x10\x96\xe0\x00\x01\x00");
    payload.extend([minor, 0xc5]);
    let address = Address { kind: AddressKind::Random, octets: [0xc0, 0, 0, 0, 0, minor] };
    let gateway = Some(Arc::clone(gateway));
    Record {
        at,
        what: RecordKind::Received(Advertisement {
            gateway,
            address,
            rssi: Dbm::measured(-55),
            payload,
        }),
    }
}

/// Two cards that are received, and phones that are not: each stranger's address is tried against
/// their keys.
fn book() -> String {
    let line = |client: &str, minor: u8, name: &str, shown: bool| {
        format!(
            r#"{{"client":"{client}","tier":"gold","scheme":"beacon","ibeacon":{{"uuid":"e2c56db5-dffb-48d2-b060-d0f5a71096e0","major":1,"minor":{minor}}},"consent":{{"given_at":"2025-11-02T10:14:00Z","text":"fr-2025-10","expires_at":"2099-11-02T00:00:00Z","show_name":{shown}}},"card":{{"name":"{name}","language":"fr","note":"{name}"}},"quiet":null}}"#
        )
    };
    let paired = |n: u32| {
        format!(
            r#"{{"client":"c-paired-{n}","tier":"gold","scheme":"irk","irk":"{:032x}","consent":{{"expires_at":"2099-11-02T00:00:00Z"}}}}"#,
            u128::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        )
    };
    let mut book = vec![line("c-shown", 2, SHOWN, true), line("c-hidden", 3, HIDDEN, false)];
    book.extend((0..PAIRED).map(paired));
    book.join("\n")
}

/// Bundles the book and puts a credential beside it; returns head office's public key.
fn sign_registry(dir: &Path) -> String {
    fs::write(dir.join("book.jsonl"), book()).unwrap();
    for arguments in [
        "keygen --out keys --no-password",
        "bundle --from book.jsonl --store 42 --key keys/grelot.key --out .",
    ] {
        let mut office = Command::new(env!("CARGO_BIN_EXE_grelot"));
        office.current_dir(dir).arg("customers").args(arguments.split(' '));
        assert!(office.stdout(Stdio::null()).status().unwrap().success(), "{arguments}");
    }
    fs::create_dir(dir.join("credentials")).unwrap();
    fs::write(dir.join("credentials/registry.key"), [0x5a; 32]).unwrap();
    let key = fs::read_to_string(dir.join("keys/grelot.pub")).unwrap();
    key.lines().nth(1).unwrap().to_owned()
}

fn write_config(dir: &Path, broker: u16, page: u16, key: &str) {
    let text = format!(
        r#"
[store]
id = 42
[gateway]
name = "door"
[broker]
urls = ["mqtt://127.0.0.1:{broker}"]
[[source]]
kind = "recording"
path = "crowd.jsonl"
speed = {SPEED}.0
[registry]
path = "42/customers.jsonl.zst"
public_keys = ["{key}"]
[tablets]
listen = "127.0.0.1:{page}"
[state]
path = "state"
"#
    );
    fs::write(dir.join("grelot.toml"), text).unwrap();
}

fn start_mosquitto(dir: &Path, port: u16) -> Running {
    let config = dir.join("mosquitto.conf");
    fs::write(&config, format!("listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"))
        .unwrap();
    let broker = Command::new("mosquitto")
        .arg("-c")
        .arg(config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("mosquitto is installed");
    let broker = Running(broker);
    eventually("mosquitto listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    broker
}

/// What the page's server sends until it closes the connection or is silent for a second.
fn get(port: u16, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = vec![0];
    stream.read_exact(&mut answer).unwrap();
    // An event stream does not end: what came so far is what counts.
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    answer
}

/// Every file under `dir`, its octets one character each.
fn files(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push((path.display().to_string(), latin(&fs::read(&path).unwrap())));
        }
    }
    found
}

fn latin(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect()
}
