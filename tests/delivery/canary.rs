//! The canary beside real customers: they are announced as without it.

use std::path::Path;
use std::time::Duration;

use crate::mosquitto::{BrokerOptions, Mosquitto};
use crate::scene::{Grelot, Scene};

const SCENE: Scene = Scene { store: 42, customers: 6, every: Duration::from_secs(20), speed: 10 };

/// All that is said of customers, by its topic, until the last of them has left.
async fn said_of_customers(folder: &Path, lines: &str) -> (Vec<String>, usize) {
    std::fs::create_dir_all(folder).unwrap();
    let broker = Mosquitto::start(folder, &BrokerOptions::default());
    let mut all = broker.subscribe(&["-t", "grelot/v1/42/#"]).await;
    let config = SCENE.write(folder, &format!("urls = [\"mqtt://127.0.0.1:{}\"]", broker.port));
    let text = std::fs::read_to_string(&config).unwrap() + lines;
    std::fs::write(&config, text).unwrap();
    let _grelot = Grelot::start(config);
    let (mut said, mut departed, mut canaries) = (Vec::new(), 0, 0);
    while departed < SCENE.customers {
        let message = all.next().await;
        let below = message.topic.trim_start_matches("grelot/v1/42/").to_owned();
        match below.split('/').next().unwrap() {
            "arrivals" | "departures" | "escalations" | "visits" => {
                departed += u16::from(below == "departures");
                said.push(format!("{below} {}", message.payload));
            }
            "gateways" => canaries += usize::from(below.ends_with("/canary")),
            _ => {}
        }
    }
    said.sort();
    (said, canaries)
}

#[tokio::test]
async fn customers_are_announced_with_it_as_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let (with, without) = (dir.path().join("with"), dir.path().join("without"));
    let canary = "[metrics]\ncanary_secs = 10\n";
    let ((with, canaries), (without, none)) =
        tokio::join!(said_of_customers(&with, canary), said_of_customers(&without, ""));
    assert!(canaries > 0 && none == 0, "{canaries} {none}");
    assert_eq!(with, without);
}
