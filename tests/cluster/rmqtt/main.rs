//! Head office and gateways on a real rmqtt cluster of three nodes, which locks a session out for some
//! seconds once its node is killed. Not among the tests, since the broker takes ten minutes to build:
//! `tests/all.sh --long`, or
//!
//! ```sh
//! cargo build --manifest-path tests/cluster/rmqtt/Cargo.toml --target-dir target/rmqtt
//! cargo nextest run --bench rmqtt
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that stops here has failed, and says so; it waits on real processes"
)]

#[path = "../../common/mod.rs"]
mod common;

#[allow(dead_code, unused_imports, reason = "tests/delivery uses the rest")]
#[path = "../../delivery/mosquitto.rs"]
mod mosquitto;

#[allow(dead_code, reason = "tests/hostile uses the rest")]
#[path = "../../hostile/client.rs"]
mod client;

mod cluster;
#[allow(dead_code, reason = "tests/cluster uses the rest")]
#[path = "../office.rs"]
mod office;
#[allow(dead_code, reason = "tests/cluster uses the rest")]
#[path = "../rights.rs"]
mod rights;

use std::time::Duration;

use cluster::Rmqtt;
use common::waiting::eventually;
use mosquitto::Subscriber;
use office::{Gateway, Office, PASSWORD};

/// Of head office, the gateways and tablets of store 42, and a gateway of store 43; no one else.
fn rules(folder: &std::path::Path) -> String {
    let printed = rights::printed(folder, &rights::RMQTT).concat();
    let rules: toml::Table = toml::from_str(&format!("rules = [\n{printed}]\n")).unwrap();
    let mut rules = rules["rules"].as_array().unwrap().clone();
    for who in rules.iter_mut().filter_map(|rule| rule[1].as_table_mut()) {
        if let Some(password) = who.get_mut("password") {
            *password = PASSWORD.into();
        }
    }
    let last: toml::Value = toml::Value::Array(vec!["deny".into(), "all".into()]);
    rules.push(last);
    let mut config = toml::Table::new();
    config.insert("disconnect_if_pub_rejected".into(), true.into());
    config.insert("rules".into(), rules.into());
    config.to_string()
}

#[tokio::test]
async fn withdrawals_and_settings_survive_a_killed_node() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Rmqtt::start(&dir.path().join("cluster"), 3, &rules(dir.path()));
    let ports = cluster.ports();
    rights::a_stolen_login_reads_and_writes_its_own_store_alone(&rights::RMQTT, ports[2]);
    rights::a_stolen_tablet_reads_no_claims(&rights::RMQTT, ports[2]);
    let office =
        Office::with_login(&dir.path().join("office"), &[ports[0], ports[2]], "head-office");
    let tablet = ["-i", "42-tablet", "-u", "42-tablet", "-P", PASSWORD];
    let arrivals = ["-t", "grelot/v1/42/arrivals"];
    let mut staff = Subscriber::start(ports[2], &[&tablet[..], &arrivals].concat()).await;

    office.run("customers withdraw c-1 --fleet fleet.db");
    let serving = office.serve();
    let gateway = |name: &str, ports: &[u16]| {
        Gateway::start_as(Some(&format!("42-{name}")), dir.path(), name, ports, "")
    };
    let door = gateway("door", &[ports[1], ports[2]]);
    let rung = [staff.next().await, staff.next().await].map(|said| said.json()["client"].clone());
    assert!(rung.contains(&"c-2".into()) && rung.contains(&"c-3".into()), "{rung:?}");
    let till = gateway("till", &[ports[0], ports[2]]);
    for gateway in [&door, &till] {
        eventually("the customer who withdrew is gone", || gateway.here() == ["c-2", "c-3"]);
    }
    eventually("both have acknowledged it", || {
        office.acknowledged() == [("door".to_owned(), 1), ("till".to_owned(), 1)]
    });

    // A node is killed while settings are pushed, and another customer withdraws.
    let hash = |gateway: &Gateway| gateway.status()["configuration"]["hash"].clone();
    let before = hash(&door);
    std::fs::write(office.folder.join("one.toml"), "[presence]\ndwell_secs = 4\n").unwrap();
    office.run("fleet push one.toml");
    cluster.kill(1);
    office.run("customers withdraw c-2 --fleet fleet.db");
    eventually("both gateways have acknowledged the withdrawal", || {
        office.acknowledged() == [("door".to_owned(), 2), ("till".to_owned(), 2)]
    });
    for gateway in [&door, &till] {
        eventually("the customer has vanished", || gateway.here() == ["c-3"]);
        eventually("the settings are in force", || hash(gateway) != before);
    }
    assert_eq!(hash(&door), hash(&till));
    let later = staff.within(Duration::from_millis(300)).await;
    assert!(!later.iter().any(|said| said.json()["client"] == "c-1"), "{later:?}");

    // Settings reach a gateway that was away when they were pushed.
    drop(till);
    let before = hash(&door);
    std::fs::write(office.folder.join("one.toml"), "[presence]\ndwell_secs = 5\n").unwrap();
    office.run("fleet push one.toml");
    let till = gateway("till", &[ports[0], ports[2]]);
    eventually("both have the settings", || hash(&till) == hash(&door) && hash(&till) != before);
    drop(serving);
}
