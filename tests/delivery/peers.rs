//! Three real gateways of one store on one mosquitto: one scene, received in three places.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::mosquitto::{BrokerOptions, Mosquitto};
use crate::scene::{Grelot, Scene};

const SCENE: Scene = Scene { store: 42, customers: 3, every: Duration::from_secs(4), speed: 1 };
/// Longer than a gateway holds an arrival back for the sake of the others.
const AFTERTHOUGHTS: Duration = Duration::from_secs(3);

#[tokio::test]
async fn three_gateways_ring_once_for_a_customer_and_stand_in_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut staff = broker.subscribe(&["-t", "grelot/v1/42/arrivals"]).await;
    let mut states = broker.subscribe(&["-t", "grelot/v1/42/visits/+"]).await;
    let mut gateways = broker.subscribe(&["-t", "grelot/v1/42/gateways/+/status"]).await;
    let url = format!("urls = [\"mqtt://127.0.0.1:{}\"]", broker.port);
    let mut running = Vec::new();
    for (name, rssi) in [("attic", -66), ("door", -55), ("till", -62)] {
        let folder = dir.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        running.push((name, Grelot::start(SCENE.write_from(&folder, &url, name, rssi))));
    }

    let mut rung = Vec::new();
    for _ in 0..SCENE.customers {
        rung.push(staff.next().await.json());
    }
    let more = staff.within(AFTERTHOUGHTS).await;
    assert!(more.is_empty(), "rung more than once: {more:?}");
    let clients: BTreeSet<&str> = rung.iter().filter_map(|a| a["client"].as_str()).collect();
    assert_eq!(clients.into_iter().collect::<Vec<_>>(), ["c-1", "c-2", "c-3"]);

    // The gateway that opened the first visit dies; the next in name order decides.
    let visit = rung[0]["visit"].as_str().unwrap().to_owned();
    let opener = rung[0]["gateway"].as_str().unwrap().to_owned();
    let stand_in = match opener.as_str() {
        "attic" => "door",
        "door" => "till",
        _ => "attic",
    };
    let (_, opened) = running.iter_mut().find(|(name, _)| *name == opener).unwrap();
    opened.kill();
    while gateways.next_on(&format!("{opener}/status")).await.json()["state"] != "offline" {}
    let claim = r#"{"v":1,"by":"Léa","action":"claim"}"#;
    let topic = format!("grelot/v1/42/visits/{visit}");
    broker.publish(&["-t", &format!("{topic}/claim"), "-m", claim]).await;
    let state = loop {
        let said = states.next_on(&visit).await;
        assert_ne!(said.payload, "", "cleared while the customer is here");
        if said.json()["state"] == "claimed" {
            break said.json();
        }
    };
    assert_eq!(state["claim"]["by"], "Léa");
    assert_eq!((&state["gateway"], &state["announced"]), (&rung[0]["gateway"], &true.into()));
    let (_, deputy) = running.iter().find(|(name, _)| *name == stand_in).unwrap();
    assert!(!deputy.log().contains("panicked"), "{}", deputy.log());

    // Back again, the opener keeps what was decided for it.
    let (_, opened) = running.iter_mut().find(|(name, _)| *name == opener).unwrap();
    opened.restart();
    while gateways.next_on(&format!("{opener}/status")).await.json()["state"] != "online" {}
    for said in states.within(Duration::from_secs(1)).await {
        assert!(!said.topic.ends_with(&visit) || !said.payload.is_empty(), "{said:?}");
    }
    let mut late = broker.subscribe(&["-t", &topic]).await;
    assert_eq!(late.next().await.json()["claim"]["by"], "Léa");
    let more = staff.within(Duration::from_millis(500)).await;
    let again = |said: &crate::mosquitto::Received| said.json()["visit"].as_str() == Some(&visit);
    assert!(!more.iter().any(again), "rung twice: {more:?}");
}
