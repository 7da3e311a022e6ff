//! Head office and the gateways of store 42, as processes with a folder each.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::common::process::Running;
use crate::common::waiting::eventually;

/// `grelot`, in a folder.
pub fn grelot(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A process of `grelot`, whose log is in its folder.
pub fn start(folder: &Path, arguments: &[&str]) -> Running {
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
    command.current_dir(folder).args(arguments).env_remove("CREDENTIALS_DIRECTORY");
    Running(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

/// What `grelot status` says of the gateway in a folder; null while the daemon does not answer.
pub fn status(folder: &Path) -> Value {
    let output = grelot(folder, &["--config", "grelot.toml", "--json", "status"]);
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn urls(ports: &[u16]) -> String {
    let urls: Vec<String> =
        ports.iter().map(|port| format!("\"mqtt://127.0.0.1:{port}\"")).collect();
    urls.join(", ")
}

/// Of every user of a broker.
pub const PASSWORD: &str = "secret";

/// Keys of `[broker]`; the password lies in the folder.
fn login(folder: &Path, user: &str) -> String {
    private_file(&folder.join("password"), PASSWORD);
    format!("username = \"{user}\"\npassword_file = \"password\"\n")
}

fn private_file(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Recordings are older than 90 days.
const SERVE: [&str; 10] = [
    "--config",
    "grelot.toml",
    "fleet",
    "serve",
    "--state",
    "fleet.db",
    "--keep-days",
    "3650",
    "--keep-traces-days",
    "3650",
];

pub struct Office {
    pub folder: PathBuf,
}

impl Office {
    pub fn new(folder: &Path, ports: &[u16]) -> Self {
        fs::create_dir_all(folder).unwrap();
        let text = format!("[store]\nid = 42\n[broker]\nurls = [{}]\n", urls(ports));
        fs::write(folder.join("grelot.toml"), text).unwrap();
        Self { folder: folder.to_owned() }
    }

    /// With a login of the cluster.
    pub fn with_login(folder: &Path, ports: &[u16], user: &str) -> Self {
        let office = Self::new(folder, ports);
        let path = office.folder.join("grelot.toml");
        let text = fs::read_to_string(&path).unwrap() + &login(office.folder.as_path(), user);
        fs::write(path, text).unwrap();
        office
    }

    /// Over TLS, with the certificates in the folder `tls` beside it.
    pub fn secured(folder: &Path, port: u16) -> Self {
        fs::create_dir_all(folder).unwrap();
        let text = format!(
            "[store]\nid = 42\n[broker]\nurls = [\"mqtts://127.0.0.1:{port}\"]\n[tls]\n\
             ca = \"../tls/ca.pem\"\ncertificate = \"../tls/gateway.pem\"\nkey = \"../tls/gateway.key\"\n"
        );
        fs::write(folder.join("grelot.toml"), text).unwrap();
        Self { folder: folder.to_owned() }
    }

    /// `grelot --config grelot.toml …`; returns what it prints.
    pub fn run(&self, arguments: &str) -> (String, String) {
        let mut all = vec!["--config", "grelot.toml"];
        all.extend(arguments.split_whitespace());
        let output = grelot(&self.folder, &all);
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments}: {out}{err}");
        (out, err)
    }

    pub fn serve(&self) -> Running {
        start(&self.folder, &SERVE)
    }

    /// Up to which number each gateway knows the withdrawals of store 42.
    pub fn acknowledged(&self) -> Vec<(String, u64)> {
        let mut store = grelot::fleet::FleetStore::open(self.folder.join("fleet.db")).unwrap();
        let all = store.of_store(42).unwrap();
        all.into_iter().map(|one| (one.gateway, one.serial)).collect()
    }
}

/// A gateway's folder, in which customers `c-1` to `c-3` stay from the start to the end.
pub struct Gateway {
    folder: PathBuf,
    _process: Running,
}

impl Gateway {
    /// With further lines of its configuration.
    pub fn start_with(folder: &Path, name: &str, ports: &[u16], lines: &str) -> Self {
        Self::start_as(None, folder, name, ports, lines)
    }

    /// With a login of the broker.
    pub fn start_as(
        user: Option<&str>,
        folder: &Path,
        name: &str,
        ports: &[u16],
        lines: &str,
    ) -> Self {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        let login = user.map(|user| login(&folder, user)).unwrap_or_default();
        fs::write(folder.join("customers.jsonl"), customers()).unwrap();
        fs::write(folder.join("shop.jsonl"), recording(name)).unwrap();
        let text = format!(
            "[store]\nid = 42\n[gateway]\nname = \"{name}\"\n[broker]\nurls = [{}]\n{login}\
             [[source]]\nkind = \"recording\"\npath = \"shop.jsonl\"\n\
             [registry]\npath = \"customers.jsonl\"\n[state]\npath = \"state\"\n{lines}",
            urls(ports)
        );
        fs::write(folder.join("grelot.toml"), text).unwrap();
        let process = start(&folder, &["--config", "grelot.toml", "run"]);
        let gateway = Self { folder, _process: process };
        eventually("the gateway answers", || !gateway.status().is_null());
        gateway
    }

    /// What `grelot status` says; null while the daemon does not answer.
    pub fn status(&self) -> Value {
        status(&self.folder)
    }

    /// What `grelot status` shows people.
    pub fn shown(&self) -> String {
        let output = grelot(&self.folder, &["--config", "grelot.toml", "status"]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// How it knows all withdrawals.
    pub fn withdrawals(&self) -> String {
        let status = self.status();
        status["broker"]["abilities"]["withdrawals"].as_str().unwrap_or_default().to_owned()
    }

    /// The customers that it takes for present.
    pub fn here(&self) -> Vec<String> {
        let status = self.status();
        let visits = status["visits"].as_array().cloned().unwrap_or_default();
        let mut here: Vec<String> =
            visits.iter().map(|visit| visit["client"].as_str().unwrap().to_owned()).collect();
        here.sort();
        here
    }
}

fn customers() -> String {
    let line = |n| {
        format!(
            r#"{{"client":"c-{n}","tier":"gold","scheme":"beacon","ibeacon":{{"uuid":"e2c56db5-dffb-48d2-b060-d0f5a71096e0","major":1,"minor":{n}}},"consent":{{"expires_at":"2099-11-02T00:00:00Z"}}}}"#
        ) + "\n"
    };
    (1..=3).map(line).collect()
}

fn recording(gateway: &str) -> String {
    let mut text = format!(
        "{{\"grelot\":\"recording\",\"version\":1,\"started_at\":\"2026-01-05T09:00:00Z\",\"store\":42,\"gateways\":[\"{gateway}\"]}}\n"
    );
    for step in 0..1200 {
        let t = f64::from(step) * 0.25;
        for minor in 1..=3 {
            text.push_str(&format!(
                "{{\"t\":{t:.3},\"gw\":\"{gateway}\",\"addr\":\"c0:00:00:00:00:0{minor}\",\"kind\":\"random\",\"rssi\":-55,\"adv\":\"1aff4c000215e2c56db5dffb48d2b060d0f5a71096e0000100{minor:02x}c5\"}}\n"
            ));
        }
    }
    text
}
