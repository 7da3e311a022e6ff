//! The line to head office, cut for hours: the shop works on, and afterwards everything is reported
//! once.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use grelot::fleet::FleetStore;
use grelot::payload::ReportKind;
use grelot::pipeline::units::WallTime;

use crate::cable::Cable;
use crate::common::certificates::certificates;
use crate::common::mosquitto::{BrokerOptions, Mosquitto};
use crate::common::process::Running;
use crate::common::waiting::PATIENCE;
use crate::mosquitto::Subscriber;
use crate::office::{Office, start, status};

/// Customers who come and go while the line is cut; one more is there all day.
const VISITS: u32 = 12;
/// Between two of them, in the recording's time.
const EVERY: u32 = 6 * 60;
/// How long each is there.
const STAY: u32 = 150;
/// How fast they pass.
const SPEED: u32 = 240;

fn registry() -> String {
    let line = |n| {
        format!(
            r#"{{"client":"c-{n}","tier":"gold","scheme":"beacon","ibeacon":{{"uuid":"e2c56db5-dffb-48d2-b060-d0f5a71096e0","major":1,"minor":{n}}},"consent":{{"expires_at":"2099-11-02T00:00:00Z"}}}}"#
        ) + "\n"
    };
    (0..=VISITS).map(line).collect()
}

/// Customer 0 is there all day; the others come one after the other, a while later.
fn recording() -> String {
    let mut text =
        "{\"grelot\":\"recording\",\"version\":1,\"started_at\":\"2026-01-05T09:00:00Z\",\
                    \"store\":42,\"gateways\":[\"door\"]}\n"
            .to_owned();
    let mut heard = |t: u32, n: u32| {
        text.push_str(&format!(
            "{{\"t\":{t},\"gw\":\"door\",\"addr\":\"c0:00:00:00:00:{n:02x}\",\"kind\":\"random\",\"rssi\":-50,\"adv\":\"1aff4c000215e2c56db5dffb48d2b060d0f5a71096e00001{n:04x}c5\"}}\n"
        ));
    };
    for t in (0..EVERY * (VISITS + 90)).step_by(3) {
        heard(t, 0);
        let (n, into) = ((t / EVERY).saturating_sub(2), t % EVERY);
        if (1..=VISITS).contains(&n) && into < STAY {
            heard(t, n);
        }
    }
    text
}

fn gateway(folder: &Path, shop: u16, line: u16) -> Running {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("customers.jsonl"), registry()).unwrap();
    fs::write(folder.join("day.jsonl"), recording()).unwrap();
    let text = format!(
        "[store]\nid = 42\n[gateway]\nname = \"door\"\n[broker]\nurls = [\"mqtt://127.0.0.1:{shop}\"]\n\
         [head_office]\nurls = [\"mqtts://127.0.0.1:{line}\"]\nlongest_wait_secs = 1\n\
         ca = \"../tls/ca.pem\"\ncertificate = \"../tls/gateway.pem\"\nkey = \"../tls/gateway.key\"\n\
         [[source]]\nkind = \"recording\"\npath = \"day.jsonl\"\nspeed = {SPEED}.0\n\
         [registry]\npath = \"customers.jsonl\"\n[state]\npath = \"state\"\n\
         [policy]\nalert_ttl_secs = 3600\n"
    );
    fs::write(folder.join("grelot.toml"), text).unwrap();
    start(folder, &["--config", "grelot.toml", "run"])
}

/// When the log said something last.
fn logged(folder: &Path, what: &str) -> Option<WallTime> {
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    let line = log.lines().rfind(|line| line.contains(what))?;
    WallTime::parse(line.split_whitespace().next()?)
}

/// Waits until `happened`, and lets the cable forward meanwhile.
async fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_shop_whose_line_is_cut_for_hours_rings_and_reports_everything_once() {
    let dir = tempfile::tempdir().unwrap();
    let (shop_dir, office_dir) = (dir.path().join("broker"), dir.path().join("cluster"));
    for folder in [&shop_dir, &office_dir] {
        fs::create_dir_all(folder).unwrap();
    }
    let tls = dir.path().join("tls");
    certificates(&tls);
    let shop = Mosquitto::start(&shop_dir, &BrokerOptions::default());
    let cluster = Mosquitto::start(
        &office_dir,
        &BrokerOptions { tls: Some(&tls), ..BrokerOptions::default() },
    );
    let line = Cable::to(cluster.port).await;
    let office = Office::secured(&dir.path().join("office"), cluster.port);
    let mut serving = office.serve();
    let mut staff = Subscriber::start(shop.port, &["-t", "grelot/v1/42/arrivals"]).await;
    let folder = dir.path().join("door");
    let _door = gateway(&folder, shop.port, line.port);
    until("head office has answered", || status(&folder)["head_office"]["answered"] == true).await;
    assert_eq!(staff.next().await.json()["client"], "c-0");

    line.cut(true);
    office.run("customers withdraw c-0 --fleet fleet.db");
    for n in 1..=VISITS {
        assert_eq!(staff.next().await.json()["client"], format!("c-{n}"), "as on any other day");
    }
    until("the last has left", || {
        let status = status(&folder);
        let visits = status["visits"].as_array();
        visits.is_some_and(|visits| visits.iter().all(|visit| visit["client"] == "c-0"))
    })
    .await;
    let waiting = || status(&folder)["head_office"]["reports_waiting"].as_u64().unwrap();
    until("reports wait", || waiting() >= u64::from(VISITS)).await;
    assert_eq!(status(&folder)["head_office"]["connected"], false);

    // Head office's program dies while it takes them, and comes again.
    line.cut(false);
    until("the customer has vanished", || {
        status(&folder)["visits"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
    let back = logged(&folder, "connected to head office").unwrap();
    let gone = logged(&folder, "consent was withdrawn").unwrap();
    let took = gone.unix_millis() - back.unix_millis();
    assert!(took < 2_000, "a withdrawal took {took} ms from the line's return");
    drop(std::mem::replace(&mut serving, office.serve()));
    until("nothing waits", || waiting() == 0).await;

    let mut store = FleetStore::open(office.folder.join("fleet.db")).unwrap();
    let reports = store.reports(42).unwrap();
    let visits: Vec<_> = reports
        .iter()
        .filter_map(|report| match &report.what {
            // The one who is there all day may have been there for too long.
            ReportKind::Visit(visit) if visit.stayed_s < 1800 => Some(visit),
            _ => None,
        })
        .collect();
    assert_eq!(visits.len(), VISITS as usize, "each once: {reports:#?}");
    assert!(visits.iter().all(|visit| visit.announced && visit.stayed_s >= u64::from(STAY) / 2));
    let text = serde_json::to_string(&reports).unwrap();
    assert!(!text.contains("\"c-") && !text.contains("gold"), "nothing names a customer: {text}");
}

/// `grelot fleet serve` with a broken file says so.
#[test]
fn head_offices_file_that_is_none_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let office = Office::new(&dir.path().join("office"), &[1]);
    fs::write(office.folder.join("fleet.db"), "no database at all, but long enough for one")
        .unwrap();
    let log = File::create(dir.path().join("log")).unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_grelot"))
        .current_dir(&office.folder)
        .args(["--config", "grelot.toml", "fleet", "serve", "--state", "fleet.db"])
        .stdout(Stdio::null())
        .stderr(log)
        .status()
        .unwrap();
    assert_eq!(ended.code(), Some(1));
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.contains("fleet.db: file is not a database"), "{log}");
}
