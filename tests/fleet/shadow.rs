//! A candidate for settings in the shadow of those in force, beside `replay --diff`.

use std::fs;
use std::path::Path;

use grelot::payload::{Report, ReportKind, ShadowReport};
use serde_json::Value;

use crate::common::mosquitto::{BrokerOptions, Mosquitto};
use crate::common::process::Running;
use crate::common::waiting::eventually;
use crate::office::{Office, grelot, start, status};

/// Customers, one after the other.
const CUSTOMERS: u32 = 40;

/// Before the first, in the recording's time: until then the gateway has started.
const LEAD: u32 = 3_000;

/// Seconds between two of them, in the recording's time.
const EVERY: u32 = 150;

const CANDIDATE: &str = "[presence]\narrive_rssi_dbm = -58\nleave_rssi_dbm = -66\ndwell_secs = 3\n";

/// Some come in, some stand at the window, some walk by, more or less close.
fn recording() -> String {
    let mut text =
        "{\"grelot\":\"recording\",\"version\":1,\"started_at\":\"2026-01-05T09:00:00Z\",\
                    \"store\":42,\"gateways\":[\"door\"]}\n"
            .to_owned();
    for n in 0..CUSTOMERS {
        let loudest = -50 - i32::try_from(n % 10).unwrap() * 4;
        let stay = 6 + (n * 7) % 60;
        for step in 0..stay * 2 {
            let t = f64::from(LEAD + n * EVERY) + f64::from(step) * 0.5;
            let approach = (12 - i32::try_from(step).unwrap()).max(0) * 2;
            let rssi = loudest - approach - i32::try_from((n * 31 + step * 17) % 7).unwrap();
            text.push_str(&format!(
                "{{\"t\":{t:.3},\"gw\":\"door\",\"addr\":\"c0:00:00:00:00:{n:02x}\",\"kind\":\"random\",\"rssi\":{rssi},\"adv\":\"1aff4c000215e2c56db5dffb48d2b060d0f5a71096e00001{n:04x}c5\"}}\n"
            ));
        }
    }
    text
}

fn configured(folder: &Path, broker: u16, speed: u32, more: &str) -> String {
    let text = format!(
        "[store]\nid = 42\n[gateway]\nname = \"door\"\n[broker]\nurls = [\"mqtt://127.0.0.1:{broker}\"]\n\
         [head_office]\nurls = [\"mqtt://127.0.0.1:1\"]\n\
         [[source]]\nkind = \"recording\"\npath = \"day.jsonl\"\nspeed = {speed}.0\n\
         [registry]\npath = \"customers.jsonl\"\n[state]\npath = \"state\"\n{more}"
    );
    fs::write(folder.join("grelot.toml"), &text).unwrap();
    text
}

fn gateway(folder: &Path) -> Running {
    let process = start(folder, &["--config", "grelot.toml", "run"]);
    eventually("the gateway answers", || !status(folder).is_null());
    process
}

/// What waits for head office.
fn reported(folder: &Path) -> ShadowReport {
    let file = rusqlite::Connection::open(folder.join("state/reports.db")).unwrap();
    let mut query = file.prepare("SELECT report FROM reports ORDER BY n").unwrap();
    let texts = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let mut sum = ShadowReport::default();
    for text in texts {
        let text = text.unwrap();
        assert!(!text.contains("\"c-"), "a customer is named: {text}");
        let report: Report = serde_json::from_str(&text).unwrap();
        if let ReportKind::Shadow(report) = report.what {
            sum.serial = report.serial;
            sum.same += report.same;
            sum.more += report.more;
            sum.fewer += report.fewer;
            sum.sooner += report.sooner;
            sum.later += report.later;
            sum.otherwise += report.otherwise;
            sum.changes.extend(report.changes);
        }
    }
    sum
}

/// What `grelot replay` says of the recording: one JSON object a line.
fn replayed(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let all = [&["--config", "grelot.toml", "--json", "replay", "day.jsonl"], arguments].concat();
    let output = grelot(folder, &all);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_candidate_in_the_shadow_counts_exactly_what_a_replay_of_the_same_shop_would_change() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let office = Office::new(&dir.path().join("office"), &[broker.port]);
    let folder = dir.path().join("door");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("day.jsonl"), recording()).unwrap();
    let customer = |n: u32| {
        format!(
            r#"{{"client":"c-{n}","tier":"gold","scheme":"beacon","ibeacon":{{"uuid":"e2c56db5-dffb-48d2-b060-d0f5a71096e0","major":1,"minor":{n}}},"consent":{{"expires_at":"2099-11-02T00:00:00Z"}}}}"#
        ) + "\n"
    };
    fs::write(folder.join("customers.jsonl"), (0..CUSTOMERS).map(customer).collect::<String>())
        .unwrap();
    fs::write(office.folder.join("candidate.toml"), CANDIDATE).unwrap();

    // The candidate comes, and is kept; then the day begins again, with it.
    configured(&folder, broker.port, 1, "");
    let mut door = gateway(&folder);
    let before = status(&folder)["configuration"]["hash"].clone();
    office.run("fleet shadow candidate.toml");
    let document = || status(&folder)["configuration"]["documents"][0].clone();
    eventually("it runs in the shadow", || document()["state"] == "shadow");
    assert_eq!(status(&folder)["configuration"]["hash"], before, "nothing else has changed");
    door.stop();
    for file in fs::read_dir(folder.join("state")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() && path.file_name().unwrap() != "settings.json" {
            fs::remove_file(path).unwrap();
        }
    }
    let text = configured(&folder, broker.port, 600, "");
    let mut door = gateway(&folder);
    // The last have come and gone, and two more minutes.
    let end = u64::from(LEAD + CUSTOMERS * EVERY + 600) / 600;
    eventually("the day is over", || status(&folder)["uptime_s"].as_u64() >= Some(end * 600));
    let arrivals = status(&folder)["arrivals"].as_u64().unwrap();
    door.stop();

    fs::write(folder.join("other.toml"), format!("{text}{CANDIDATE}")).unwrap();
    let differences = replayed(&folder, &["--diff", "other.toml"]);
    let count = |is: &dyn Fn(&Value) -> bool| {
        u64::try_from(differences.iter().filter(|one| is(one)).count()).unwrap()
    };
    let later = |one: &Value| {
        (one["diff"] == "changed")
            .then(|| one["is"]["t"].as_f64().unwrap() - one["was"]["t"].as_f64().unwrap())
    };
    let expected = [
        count(&|one| one["diff"] == "new"),
        count(&|one| one["diff"] == "lost"),
        count(&|one| later(one).is_some_and(|by| by < 0.0)),
        count(&|one| later(one).is_some_and(|by| by > 0.0)),
        count(&|one| later(one) == Some(0.0)),
    ];
    let report = reported(&folder);
    println!("replay --diff: more, fewer, sooner, later, otherwise {expected:?}; {report:#?}");
    let counted = [report.more, report.fewer, report.sooner, report.later, report.otherwise];
    assert_eq!(counted, expected);
    let [_, fewer, sooner, later, otherwise] = counted;
    assert_eq!(report.same + fewer + sooner + later + otherwise, arrivals);
    assert!(fewer > 0 && later > 0, "there is something to compare: {report:?}");
    assert!(report.changes.iter().all(|change| change.because.contains("% sure")), "{report:?}");
}
