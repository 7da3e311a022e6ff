//! Head office and a gateway, in a folder, with a real broker.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use serde_json::Value;

pub use crate::common::free_port;
pub use crate::common::process::Running;
pub use crate::common::waiting::{PATIENCE, eventually};

/// A folder with head office's tools, a gateway and a broker.
pub struct Shop {
    folder: tempfile::TempDir,
    pub broker: u16,
    _mosquitto: Running,
}

impl Shop {
    /// With head office's keys, a broker, and one customer inside from the start to the end.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let broker = free_port();
        let config = folder.path().join("mosquitto.conf");
        let listener = format!("listener {broker} 127.0.0.1\nallow_anonymous true\n");
        fs::write(&config, listener).unwrap();
        let mosquitto =
            Command::new("mosquitto").arg("-c").arg(config).stderr(Stdio::null()).spawn();
        let mosquitto = Running(mosquitto.expect("mosquitto is installed"));
        eventually("mosquitto listens", || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, broker)).is_ok()
        });
        let shop = Self { folder, broker, _mosquitto: mosquitto };
        shop.office("keygen --out keys --no-password");
        shop.office("keygen --out other --no-password");
        shop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn office(&self, arguments: &str) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_grelot"))
            .current_dir(self.folder.path())
            .arg("customers")
            .args(arguments.split_whitespace())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Signs a bundle of customers `c-1` to `c-<count>` and puts it where `into` says.
    pub fn bundle(&self, count: u8, store: u16, keys: &str, into: &str) {
        let line = |n| {
            format!(
                r#"{{"client":"c-{n}","tier":"gold","scheme":"beacon","ibeacon":{{"uuid":"e2c56db5-dffb-48d2-b060-d0f5a71096e0","major":1,"minor":{n}}},"consent":{{"expires_at":"2099-11-02T00:00:00Z","show_name":true}},"card":{{"name":"Madame Numero {n}"}}}}"#
            )
        };
        let book: Vec<String> = (1..=count).map(line).collect();
        fs::write(self.path("book.jsonl"), book.join("\n")).unwrap();
        self.bundle_book(store, keys, into, "");
    }

    /// The same of the book as it is.
    pub fn bundle_book(&self, store: u16, keys: &str, into: &str, more: &str) {
        self.office(&format!(
            "bundle --from book.jsonl --store {store} --key {keys}/grelot.key --out www {more}"
        ));
        let made = self.path("www").join(store.to_string()).join("customers.jsonl.zst");
        self.put(&made, into);
    }

    /// Replaces bundle and signature as head office's tools do: each whole, the signature first.
    pub fn put(&self, bundle: &Path, into: &str) {
        for (from, to) in
            [(signature(bundle), signature(&self.path(into))), (bundle.to_owned(), self.path(into))]
        {
            let new = to.with_extension("tmp");
            fs::copy(from, &new).unwrap();
            fs::rename(new, to).unwrap();
        }
    }

    pub fn public_key(&self) -> String {
        let text = fs::read_to_string(self.path("keys/grelot.pub")).unwrap();
        text.lines().nth(1).unwrap().to_owned()
    }

    /// The cards `minors`, in the shop for five minutes from `started_at` on.
    pub fn record(&self, started_at: &str, minors: RangeInclusive<u8>) {
        let mut text = format!(
            "{{\"grelot\":\"recording\",\"version\":1,\"started_at\":\"{started_at}\",\"store\":42,\"gateways\":[\"door\"]}}\n",
        );
        for step in 0..1200 {
            let t = f64::from(step) * 0.25;
            for minor in minors.clone() {
                text.push_str(&format!(
                    "{{\"t\":{t:.3},\"gw\":\"door\",\"addr\":\"c0:00:00:00:00:{minor:02x}\",\"kind\":\"random\",\"rssi\":-55,\"adv\":\"1aff4c000215e2c56db5dffb48d2b060d0f5a71096e0000100{minor:02x}c5\"}}\n"
                ));
            }
        }
        fs::write(self.path("shop.jsonl"), text).unwrap();
    }

    pub fn configure(&self, registry: &str) {
        self.record("2026-01-05T09:00:00Z", 1..=1);
        let broker = self.broker;
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
path = "shop.jsonl"
speed = 1.0
[registry]
{registry}
[state]
path = "state"
"#
        );
        fs::write(self.path("grelot.toml"), text).unwrap();
    }

    /// Takes bundles from a file, of pinned keys.
    pub fn configure_signed(&self) {
        let key = self.public_key();
        self.configure(&format!("path = \"customers.jsonl.zst\"\npublic_keys = [\"{key}\"]"));
    }

    pub fn run(&self) -> Running {
        self.run_with("CREDENTIALS_DIRECTORY", None)
    }

    /// With what systemd would hand it.
    pub fn run_with_credentials(&self, folder: &str) -> Running {
        self.run_with("CREDENTIALS_DIRECTORY", Some(self.path(folder)))
    }

    fn run_with(&self, variable: &str, value: Option<PathBuf>) -> Running {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
        command.args(["run", "--config"]).arg(self.path("grelot.toml"));
        command.env("GRELOT_LOG", "debug").stdout(Stdio::null()).stderr(log);
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
        let grelot = Running(command.spawn().unwrap());
        eventually("grelot answers", || !self.status().is_null());
        grelot
    }

    /// What `grelot status` says; null while no daemon answers.
    pub fn status(&self) -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_grelot"))
            .args(["status", "--json", "--config"])
            .arg(self.path("grelot.toml"))
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// What `grelot doctor` finds about the registry: verdict and what it says.
    pub fn doctor(&self) -> (String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_grelot"))
            .args(["doctor", "--json", "--config"])
            .arg(self.path("grelot.toml"))
            .output()
            .unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let found = findings.iter().find(|finding| finding["about"] == "registry").unwrap();
        let text = |key: &str| found[key].as_str().unwrap().to_owned();
        (text("verdict"), text("says"))
    }

    /// What `grelot check` reports of the configuration and its registry.
    pub fn check(&self) -> Result<(), String> {
        let output = Command::new(env!("CARGO_BIN_EXE_grelot"))
            .arg("check")
            .arg(self.path("grelot.toml"))
            .output()
            .unwrap();
        match output.status.code() {
            Some(0) => Ok(()),
            _ => Err(String::from_utf8(output.stdout).unwrap()),
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Publishes something on the broker, as head office would.
    pub fn say(&self, topic: &str, payload: &str, more: &[&str]) {
        let said = Command::new("mosquitto_pub")
            .args(["-V", "5", "-h", "127.0.0.1", "-p", &self.broker.to_string(), "-q", "1"])
            .args(["-t", topic, "-m", payload])
            .args(more)
            .status();
        assert!(said.unwrap().success());
    }

    pub fn customers(&self) -> u64 {
        self.status()["registry"]["customers"].as_u64().unwrap_or(0)
    }

    pub fn trouble(&self) -> String {
        self.status()["registry"]["trouble"].as_str().unwrap_or_default().to_owned()
    }

    /// Every message on the broker from now on, one a line: topic, blank, payload.
    pub fn listen(&self) -> (Running, mpsc::Receiver<(Instant, String)>) {
        let mut child = Command::new("mosquitto_sub")
            .args(["-V", "5", "-h", "127.0.0.1", "-p", &self.broker.to_string(), "-t", "#", "-v"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (heard, messages) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if heard.send((Instant::now(), line)).is_err() {
                    break;
                }
            }
        });
        (Running(child), messages)
    }
}

pub fn signature(bundle: &Path) -> PathBuf {
    let mut name = bundle.as_os_str().to_owned();
    name.push(".minisig");
    PathBuf::from(name)
}

/// The first message from now on for which `is` holds, and when it came.
pub fn next(
    messages: &mpsc::Receiver<(Instant, String)>,
    what: &str,
    is: impl Fn(&str) -> bool,
) -> (Instant, String) {
    let begun = Instant::now();
    loop {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        match messages.recv_timeout(left) {
            Ok((at, line)) if is(&line) => return (at, line),
            Ok(_) => {}
            Err(error) => panic!("never said: {what} ({error})"),
        }
    }
}
