//! What a gateway has learned of its shop is forgotten on request: by the daemon while it runs, in
//! its store otherwise. A claim teaches it that the customer was inside.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use grelot::store::Store;
use serde_json::{Value, json};

use crate::mosquitto::{BrokerOptions, Mosquitto, PATIENCE};
use crate::scene::{Grelot, Scene};

fn grelot(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
    command.args(arguments).arg("--config").arg(config).output().unwrap()
}

/// Its one line of JSON.
fn json(config: &Path, arguments: &[&str]) -> Value {
    let output = grelot(config, &[&["--json"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn eventually(config: &Path, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let traffic = json(config, &["status"])["traffic"].take();
        if wanted(&traffic) {
            return traffic;
        }
        assert!(begun.elapsed() < PATIENCE, "{traffic}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_was_learned_of_a_gateway_is_forgotten_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut staff = broker.subscribe(&["-t", "grelot/v1/42/arrivals"]).await;
    let scene = Scene { store: 42, customers: 2, every: Duration::from_secs(1), speed: 8 };
    let urls = format!("urls = [\"mqtt://127.0.0.1:{}\"]", broker.port);
    let config = scene.write(dir.path(), &urls);
    let mut daemon = Grelot::start(config.clone());
    let visit = staff.next_on("arrivals").await.json()["visit"].as_str().unwrap().to_owned();
    let topic = format!("grelot/v1/42/visits/{visit}/claim");
    let claim = r#"{"v":1,"by":"Léa","action":"claim"}"#;
    broker.publish(&["-t", &topic, "-m", claim, "-q", "1"]).await;
    // Both are received for some ten seconds; of the other one, who was announced, too, nothing is
    // said and nothing learned.
    let traffic = eventually(&config, |traffic| traffic["stayed"] == 1.0).await;
    assert_eq!(traffic["gateways"][0]["name"], "door", "{traffic}");

    let output = grelot(&config, &["survey", "reset", "--gateway", "till"]);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("gateway till") && complaint.contains("of door"), "{complaint}");
    let forgotten = json(&config, &["survey", "reset", "--gateway", "door"]);
    assert_eq!(forgotten, json!({ "forgotten": { "gateways": ["door"], "beacons": false } }));
    let traffic = json(&config, &["status"])["traffic"].take();
    assert_eq!(traffic, json!({ "stayed": 1.0, "passed": 0.0, "gateways": [] }));

    assert_eq!(daemon.stop().await, Some(0));
    let kept = || Store::open(&dir.path().join("state")).unwrap().survey().unwrap();
    assert_eq!((kept().stays, kept().gateways.len()), (1.0, 0), "on the disk");
    let forgotten = json(&config, &["survey", "reset"]);
    assert_eq!(forgotten, json!({ "forgotten": { "gateways": [], "beacons": true } }));
    assert_eq!(kept(), grelot::pipeline::presence::Survey::default());
    let output = grelot(&config, &["survey", "reset", "--gateway", "door"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was learned yet"));
}
