//! Settings that do harm are taken back: by a gateway for itself, then everywhere.

use std::fs;
use std::path::Path;

use grelot::fleet::FleetStore;
use serde_json::Value;

use crate::common::mosquitto::{BrokerOptions, Mosquitto};
use crate::common::process::Running;
use crate::common::waiting::eventually;
use crate::office::{Office, grelot, start, status};

/// Seconds between two customers, and how long each is received, in the recording's time.
const EVERY: u32 = 180;
const STAY: u32 = 60;

/// How fast they pass.
const SPEED: u32 = 240;

const VISITS: u32 = 1_000;

/// A gateway whose customers come one after the other; no one ever takes care of them.
fn gateway(folder: &Path, broker: u16, public_key: &str) -> Running {
    let customer = |n: u32| {
        format!(
            r#"{{"client":"c-{n}","tier":"gold","scheme":"beacon","ibeacon":{{"uuid":"e2c56db5-dffb-48d2-b060-d0f5a71096e0","major":1,"minor":{n}}},"consent":{{"expires_at":"2099-11-02T00:00:00Z"}}}}"#
        ) + "\n"
    };
    let mut recording =
        "{\"grelot\":\"recording\",\"version\":1,\"started_at\":\"2026-01-05T09:00:00Z\",\
         \"store\":42,\"gateways\":[\"door\"]}\n"
            .to_owned();
    for n in 0..VISITS {
        for t in (0..STAY).step_by(3) {
            let t = n * EVERY + t;
            recording.push_str(&format!(
                "{{\"t\":{t},\"gw\":\"door\",\"addr\":\"c0:00:00:00:{:02x}:{:02x}\",\"kind\":\"random\",\"rssi\":-50,\"adv\":\"1aff4c000215e2c56db5dffb48d2b060d0f5a71096e00001{n:04x}c5\"}}\n",
                n >> 8,
                n & 0xff,
            ));
        }
    }
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("customers.jsonl"), (0..VISITS).map(customer).collect::<String>())
        .unwrap();
    fs::write(folder.join("day.jsonl"), recording).unwrap();
    let text = format!(
        "[store]\nid = 42\n[gateway]\nname = \"door\"\n[broker]\nurls = [\"mqtt://127.0.0.1:{broker}\"]\n\
         [head_office]\npublic_keys = [{public_key:?}]\n\
         [[source]]\nkind = \"recording\"\npath = \"day.jsonl\"\nspeed = {SPEED}.0\n\
         [registry]\npath = \"customers.jsonl\"\n[state]\npath = \"state\"\n"
    );
    fs::write(folder.join("grelot.toml"), text).unwrap();
    start(folder, &["--config", "grelot.toml", "run"])
}

#[test]
fn settings_that_leave_customers_alone_are_taken_back_everywhere_and_harmless_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let office = Office::new(&dir.path().join("office"), &[broker.port]);
    grelot(&office.folder, &["customers", "keygen", "--out", "keys", "--no-password"]);
    let public = fs::read_to_string(office.folder.join("keys/grelot.pub")).unwrap();
    for (file, dwell) in [("good.toml", 0), ("harmless.toml", 2), ("harmful.toml", 1)] {
        let text = format!("[presence]\ndwell_secs = {dwell}\nleave_after_secs = 30\n");
        fs::write(office.folder.join(file), text).unwrap();
    }
    let _serving = office.serve();
    let folder = dir.path().join("door");
    let _door = gateway(&folder, broker.port, public.lines().nth(1).unwrap());
    let document = || status(&folder)["configuration"]["documents"][0].clone();
    let hash = || status(&folder)["configuration"]["hash"].clone();
    let is = |serial: u64, state: &str| {
        let document = document();
        document["serial"] == serial && document["state"] == state
    };
    let ended = || status(&folder)["arrivals"].as_u64().unwrap();
    eventually("the gateway answers", || !status(&folder).is_null());

    // It counts from its time on, although nothing is pushed then.
    let key = "--key keys/grelot.key";
    office.run(&format!("fleet push good.toml {key} --from 2026-01-05T09:15:00Z"));
    eventually("its time has come", || is(1, "in_force"));
    let good = hash();

    office.run(&format!("fleet push harmless.toml {key} --roll-back-if unclaimed=0.99"));
    eventually("it is in force", || is(2, "in_force"));
    let before = ended();
    eventually("a dozen customers have come", || ended() >= before + 12);
    assert!(is(2, "in_force"), "{}", document());

    // Document 3 replaces 2; 4 is harmful, 5 replaces it.
    let limits = "--roll-back-if unclaimed=0.5 --roll-back-if gateways=0.5 --ring 100";
    office.run(&format!("fleet push good.toml {key}"));
    office.run(&format!("fleet push harmful.toml {key} {limits}"));
    eventually("head office has taken it back", || is(6, "in_force"));
    assert_eq!(hash(), good);
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert!(log.contains("settings of head office are taken back"), "{log}");
    assert!(log.contains("alerts were not claimed"), "{log}");
    let (history, _) = office.run("fleet history");
    assert!(history.contains("5 is taken back: 1 of 1 gateways have taken it back"), "{history}");

    // It is not taken again, and head office's file has the reason.
    let mut store = FleetStore::open(office.folder.join("fleet.db")).unwrap();
    assert!(store.open_guards().unwrap().is_empty());
    let seen: Value = serde_json::from_str(&office.run("--json fleet status").0).unwrap();
    assert_eq!(seen["documents"][0]["serial"], 6, "{seen}");
}
