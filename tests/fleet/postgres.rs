//! `grelot fleet serve` on a real PostgreSQL, which is killed and stopped under its hands.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use grelot::fleet::FleetStore;
use grelot::fleet::store::Said;
use grelot::payload::{Report, ReportBatch, ReportKind, VisitReport};
use grelot::pipeline::units::WallTime;
use serde_json::{Value, json};

use crate::browser::Chromium;
use crate::common::free_port;
use crate::common::mosquitto::{BrokerOptions, Mosquitto};
use crate::common::postgres::{ENCODED, PASSWORD, Postgres};
use crate::common::process::Running;
use crate::common::waiting::eventually;
use crate::http;
use crate::office::{Office, start};

const STORE: u16 = 42;

/// Reports of one message.
const TOGETHER: u64 = 10;

fn publish(port: u16, topic: &str, payload: &str) {
    let mut command = Command::new("mosquitto_pub");
    command.args(["-V", "5", "-h", "127.0.0.1", "-q", "1", "-p", &port.to_string()]);
    assert!(command.args(["-t", topic, "-m", payload]).status().unwrap().success());
}

/// A gateway's reports: head office confirms those that it has.
struct Gateway {
    broker: u16,
    confirmed: PathBuf,
    _subscriber: Running,
}

impl Gateway {
    fn start(folder: &Path, broker: u16) -> Self {
        let confirmed = folder.join("confirmed");
        let out = File::create(&confirmed).unwrap();
        let topic = format!("grelot/v1/{STORE}/gateways/door/reported");
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "mosquitto_sub", "-V", "5", "-h", "127.0.0.1", "-q", "1"]);
        command.args(["-p", &broker.to_string(), "-d", "-F", "%p", "-t", &topic]);
        let process = command.stdin(Stdio::null()).stdout(out).spawn().unwrap();
        let gateway = Self { broker, confirmed, _subscriber: Running(process) };
        eventually("the gateway hears head office", || gateway.said().contains("Subscribed"));
        gateway
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.confirmed).unwrap()
    }

    /// The number up to which head office has its reports.
    fn confirmed(&self) -> u64 {
        let said = self.said();
        let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter_map(|line| line["n"].as_u64()).max().unwrap_or(0)
    }

    /// The reports after the last one that is confirmed.
    fn report(&self) {
        let report = |n| {
            let visit = VisitReport {
                visit: format!("{n:x}"),
                stayed_s: 600,
                confidence: 0.97,
                announced: true,
                dismissed: false,
                claimed_after_s: None,
                reason: "left".to_owned(),
            };
            Report { n, at: now().to_string(), what: ReportKind::Visit(visit) }
        };
        let first = self.confirmed() + 1;
        let reports = (first..first + TOGETHER).map(report).collect();
        let batch = ReportBatch { v: 1, queue: "q".to_owned(), dropped: 0, reports };
        let topic = format!("grelot/v1/{STORE}/gateways/door/reports");
        publish(self.broker, &topic, &serde_json::to_string(&batch).unwrap());
    }

    /// Reports, and repeats what is not confirmed, until head office has that many.
    fn report_until(&self, most: u64) {
        eventually("head office has the reports", || {
            let before = self.confirmed();
            if before < most {
                self.report();
                // As long as a gateway waits at least.
                std::thread::sleep(Duration::from_millis(100));
            }
            self.confirmed() >= most
        });
    }
}

fn now() -> WallTime {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    WallTime::from_unix_millis(i64::try_from(since.as_millis()).unwrap())
}

fn status(state: &str) -> String {
    json!({"v": 1, "state": state, "version": "0.1.0", "config": "cafe", "since": null}).to_string()
}

#[test]
fn a_database_that_is_killed_in_the_middle_loses_no_report() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut postgres = Postgres::start(None, false);
    let office = Office::new(&dir.path().join("office"), &[broker.port]);
    let (port, url) = (free_port(), postgres.url());
    let listen = format!("127.0.0.1:{port}");
    let mut serving = start(
        &office.folder,
        &["--config", "grelot.toml", "fleet", "serve", "--state", &url, "--listen", &listen],
    );
    let log = || fs::read_to_string(office.folder.join("log")).unwrap();
    let said = |what: &str| log().matches(what).count();
    let get = |path: &str| http::request(port, "GET", path, &[("Host", "127.0.0.1")], "");
    let answers = |code: u16| get("/stores.json").is_ok_and(|answer| answer.status == code);
    eventually("head office is at its desk", || said("connected to the broker") == 1);
    eventually("the page is up", || answers(200));
    let door = Gateway::start(dir.path(), broker.port);
    let says = |store: u16, what: &str, text: &str| {
        publish(broker.port, &format!("grelot/v1/{store}/gateways/door/{what}"), text);
    };
    says(STORE, "status", &status("online"));
    door.report_until(5 * TOGETHER);

    // Killed with reports under way; nothing more is confirmed.
    door.report();
    let before = door.confirmed();
    postgres.kill();
    door.report();
    eventually("head office notices it", || said("head office's database is away") == 1);
    let confirmed = door.confirmed();
    assert!(confirmed <= before + TOGETHER);
    says(43, "status", &status("blind"));
    for _ in 0..20 {
        door.report();
    }
    eventually("the page says so", || answers(503));
    assert_eq!(door.confirmed(), confirmed, "what is not in the database is not confirmed");

    postgres.restart();
    let kept: u64 = postgres.sql("SELECT count(*) FROM grelot.reports").parse().unwrap();
    assert!(kept >= confirmed, "{confirmed} were confirmed, {kept} are there");
    eventually("head office is at work again", || said("head office's database is back") == 1);
    door.report_until(10 * TOGETHER);

    // A restart, as after an update.
    postgres.stop();
    postgres.restart();
    door.report_until(15 * TOGETHER);
    let mut store = FleetStore::open(&url).unwrap();
    let reports = store.reports(STORE).unwrap();
    let numbers: Vec<u64> = reports.iter().map(|report| report.n).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "each once: {numbers:?}");
    assert!(numbers.len() as u64 >= door.confirmed());
    let today = "SELECT sum(announced) FROM grelot.days";
    assert_eq!(postgres.sql(today), numbers.len().to_string(), "and each counts once");

    // What was said while it was away is known.
    let chromium = Chromium::start();
    let page = chromium.tablet("en", 1280, 900);
    page.open(&format!("http://{listen}/"));
    page.shows_within("2 stores", Duration::from_mins(2));
    page.shows("blind 1");
    assert!(!serving.has_ended());
    assert_eq!(said("connected to the broker"), 1, "the broker noticed nothing");
    serving.stop();
    assert_eq!(said("head office's database is away"), said("head office's database is back"));
    assert!(!log().contains(PASSWORD) && !log().contains(ENCODED), "{}", log());
}

#[test]
fn a_database_that_hangs_is_reported_and_keeps_neither_gateways_nor_the_programs_end() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let postgres = Postgres::start(None, false);
    let office = Office::new(&dir.path().join("office"), &[broker.port]);
    let url = postgres.url();
    let arguments = ["--config", "grelot.toml", "fleet", "serve", "--state", &url];
    let mut serving = start(&office.folder, &arguments);
    let said =
        |what: &str| fs::read_to_string(office.folder.join("log")).unwrap().matches(what).count();
    let door = Gateway::start(dir.path(), broker.port);
    eventually("head office is at its desk", || said("connected to the broker") == 1);
    door.report_until(TOGETHER);

    postgres.freeze(true);
    door.report();
    eventually("head office notices it", || said("head office's database does not answer") == 1);
    postgres.freeze(false);
    eventually("head office is at work again", || said("head office's database is back") == 1);
    door.report_until(2 * TOGETHER);
    assert_eq!(said("connected to the broker"), 1, "the broker noticed nothing");

    postgres.freeze(true);
    door.report();
    serving.stop();
    postgres.freeze(false);
    let kept: u64 = postgres.sql("SELECT count(*) FROM grelot.reports").parse().unwrap();
    assert!(kept >= door.confirmed());
}

/// Withdrawals, settings and troubles, from the command line.
#[test]
fn every_command_of_the_fleet_takes_a_servers_url() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let postgres = Postgres::start(None, false);
    let office = Office::new(&dir.path().join("office"), &[broker.port]);
    let url = postgres.url();
    let text = "[presence]\ndwell_secs = 2\n";
    fs::write(office.folder.join("one.toml"), text).unwrap();
    fs::write(office.folder.join("two.toml"), text.replace('2', "3")).unwrap();
    let run = |arguments: &str| office.run(&format!("{arguments} --state {url}")).0;
    assert!(run("fleet push one.toml").contains("document 1"));
    assert!(run("fleet push two.toml --note louder").contains("document 2"));
    assert!(run("fleet diff 1 2").contains("+ presence.dwell_secs = 3"));
    assert!(run("fleet roll-back 1").contains("document 3"));
    assert_eq!(run("fleet history").lines().count(), 3);
    assert_eq!(run("fleet shadow --results"), "");
    assert!(run("fleet status").contains("0 gateways"));
    office.run(&format!("customers withdraw c-1 --fleet {url}"));
    let mut store = FleetStore::open(&url).unwrap();
    assert_eq!(store.last_serial(STORE).unwrap(), 1);
    store.heard(STORE, "door", Said::Status(&status("blind")), now()).unwrap();
    assert!(run("fleet acknowledge 42 door").contains("acknowledged"));
}
