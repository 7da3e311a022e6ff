//! Staff's feedback on a visit is kept as a label for tuning: for 90 days, and not after the
//! customer withdraws.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use grelot::store::{Change, Heartbeat, Store};
use serde_json::Value;

use crate::mosquitto::{BrokerOptions, Mosquitto, PATIENCE, Subscriber, free_port};
use crate::scene::{Grelot, Scene};
use crate::shop::{OPENING, Shop, alert, peer, visit};

fn labels(config: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_grelot"))
        .arg("labels")
        .arg("--config")
        .arg(config)
        .output()
        .unwrap()
}

fn read(config: &Path) -> Vec<Value> {
    let output = labels(config);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn eventually(config: &Path, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let labels = read(config);
        if wanted(&labels) {
            return labels;
        }
        assert!(begun.elapsed() < PATIENCE, "{labels:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn say(broker: &Mosquitto, visit: &str, verdict: &str) {
    let topic = format!("grelot/v1/42/visits/{visit}/feedback");
    let payload = format!(r#"{{"v":1,"verdict":"{verdict}"}}"#);
    broker.publish(&["-t", &topic, "-m", &payload, "-q", "1"]).await;
}

async fn arrival(staff: &mut Subscriber) -> Value {
    staff.next_on("arrivals").await.json()
}

#[tokio::test]
async fn what_staff_say_of_a_visit_outlives_the_daemon_and_goes_with_the_customer() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut staff = broker.subscribe(&["-t", "grelot/v1/42/arrivals"]).await;
    let scene = Scene { store: 42, customers: 2, every: Duration::from_secs(1), speed: 10 };
    let urls = format!("urls = [\"mqtt://127.0.0.1:{}\"]", broker.port);
    let config = scene.write(dir.path(), &urls);
    let mut grelot = Grelot::start(config.clone());
    let (one, two) = (arrival(&mut staff).await, arrival(&mut staff).await);
    let id = |arrival: &Value| arrival["visit"].as_str().unwrap().to_owned();

    say(&broker, "00000000-0000-8000-8000-000000000000", "was_here").await;
    say(&broker, &id(&one), "was_here").await;
    say(&broker, &id(&two), "was_here").await;
    say(&broker, &id(&two), "was_not_here").await;
    let labels =
        eventually(&config, |labels| labels.len() == 2 && labels[1]["label"] == "was_not_here")
            .await;
    for (label, arrival) in labels.iter().zip([&one, &two]) {
        for key in ["visit", "client", "gateway", "arrived_at"] {
            assert_eq!(label[key], arrival[key], "{key}");
        }
    }
    assert_eq!(labels[0]["label"], "was_here");

    grelot.kill();
    assert_eq!(read(&config), labels, "read from the disk");
    grelot.restart();
    let topic = format!("grelot/v1/42/withdrawn/{}", one["client"].as_str().unwrap());
    broker.publish(&["-t", &topic, "-m", r#"{"v":1}"#, "-q", "1", "-r"]).await;
    let left = eventually(&config, |labels| labels.len() == 1).await;
    assert_eq!(left[0]["client"], two["client"]);
    assert_eq!(grelot.stop().await, Some(0));
    assert!(!dir.path().join("state/labels.sock").exists());
}

#[tokio::test]
async fn a_label_is_kept_for_a_season() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open(dir.path(), peer(free_port()));
    let seen = visit("c-1", OPENING);
    shop.perform(&[alert(&seen)]).await;
    shop.delivery.label(seen.id, Some(true), shop.clock.now()).await;
    let day = Duration::from_hours(24);
    shop.clock.advance(89 * day);
    shop.delivery.heartbeat(&shop.settings, shop.clock.now()).await;
    shop.delivery.stop().await;
    let mut store = Store::open(dir.path()).unwrap();
    assert_eq!(store.labels().unwrap().len(), 1);
    let at = OPENING.plus(91 * day);
    let (closed_before, alerted_before, learned_before) = (OPENING, OPENING, OPENING);
    let heartbeat = Heartbeat { at, clock_set: true, boot: None };
    store
        .commit(&[Change::Heartbeat { heartbeat, closed_before, alerted_before, learned_before }])
        .unwrap();
    assert_eq!(store.labels().unwrap(), []);
}

#[test]
fn a_store_from_before_there_were_labels_gets_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("grelot.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(include_str!("../../src/store/schema_1.sql")).unwrap();
    db.execute("INSERT INTO withdrawals VALUES ('c-gone', 1)", []).unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    drop(db);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.labels().unwrap(), []);
    let restored = store.restored(&crate::shop::settings(), OPENING).unwrap();
    assert_eq!(restored.withdrawn, ["c-gone".into()]);
}

#[test]
fn without_daemon_and_store_there_is_nothing_to_read_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("grelot.toml");
    std::fs::write(&config, "[store]\nid = 42\n").unwrap();
    let output = labels(&config);
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.contains("has no store"), "{complaint}");
    assert!(!dir.path().join("state").exists());
}
