//! Retained messages, and brokers that do not deliver them.

use std::collections::BTreeSet;
use std::time::Duration;

use grelot::mqtt::inbound::Inbound;
use grelot::mqtt::{Ability, ConnectionState};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, PublishOptions};
use tokio::time::timeout;

use crate::mosquitto::{BrokerOptions, Mosquitto, PATIENCE, Received};
use crate::shop::{OPENING, Shop, TestClock, alert, peer, settings, visit, with_login};

/// More than mosquitto's queue of a client holds (1,000) and its window (20).
const WITHDRAWALS: usize = 3_000;

async fn retained_delivery(shop: &Shop) -> Ability {
    let found = shop
        .connection(|state| {
            matches!(state, ConnectionState::Connected { abilities, .. }
                if abilities.wildcard != Ability::Unknown)
        })
        .await;
    let ConnectionState::Connected { abilities, .. } = found else { unreachable!() };
    abilities.wildcard
}

/// Publishes retained withdrawals of `c-0`, `c-1`, ….
async fn withdraw(port: u16, customers: usize) {
    let options = MqttOptions::new("head-office", ("127.0.0.1", port));
    let (client, mut events) = AsyncClient::builder(options).capacity(customers).build();
    for customer in 0..customers {
        let topic = format!("grelot/v1/42/withdrawn/c-{customer}");
        let options = PublishOptions::at_least_once().retained();
        client.try_publish(topic, r#"{"v":1}"#, options).unwrap();
    }
    let mut acknowledged = 0;
    while acknowledged < customers {
        let event = timeout(PATIENCE, events.poll()).await.expect("the broker answers").unwrap();
        acknowledged += usize::from(matches!(event, Event::Incoming(Packet::PubAck(_))));
    }
}

#[tokio::test]
async fn three_thousand_withdrawals_reach_a_gateway_that_was_away() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    withdraw(broker.port, WITHDRAWALS).await;

    let mut shop = Shop::open(&dir.path().join("state"), peer(broker.port));

    let mut withdrawn = BTreeSet::new();
    while withdrawn.len() < WITHDRAWALS {
        let heard = timeout(PATIENCE, shop.inbound.recv()).await;
        let heard = heard.unwrap_or_else(|_| panic!("only {} arrived", withdrawn.len()));
        if let Some(Inbound::Withdrawn { client, .. }) = heard {
            withdrawn.insert(client);
        }
    }
    assert_eq!(retained_delivery(&shop).await, Ability::Works);
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_broker_that_delivers_no_retained_status_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    // Stands for a broker whose wildcard subscriptions get no retained messages.
    let access = "user door\ntopic write grelot/v1/42/#\ntopic read grelot/v1/42/visits/+/claim\n";
    let login = Some(("door", "secret"));
    let options = BrokerOptions { login, access: Some(access), ..BrokerOptions::default() };
    let broker = Mosquitto::start(dir.path(), &options);

    let shop =
        Shop::open(&dir.path().join("state"), with_login(peer(broker.port), "door", "secret"));

    assert_eq!(retained_delivery(&shop).await, Ability::Fails);
    assert_eq!(shop.delivery.health().retained, Some(false));
    shop.delivery.stop().await;
}

/// A gateway's report on withdrawals, and the answer to the question in it.
fn answer(said: &Received, clients: &[&str]) -> Option<(String, String)> {
    let consent = said.json();
    let answer = serde_json::json!({
        "v": 1, "answers": consent["ask"].as_str()?, "list": "ab", "serial": clients.len(),
        "withdrawn": clients, "last": true,
    });
    let gateway = said.topic.strip_suffix("/consent").unwrap();
    Some((format!("{gateway}/withdrawals"), answer.to_string()))
}

#[tokio::test]
async fn without_retained_messages_the_bell_waits_for_who_has_withdrawn() {
    let dir = tempfile::tempdir().unwrap();
    let options = BrokerOptions { lines: "retain_available false\n", ..BrokerOptions::default() };
    let broker = Mosquitto::start(dir.path(), &options);
    let mut staff = broker.subscribe(&["-t", "grelot/v1/42/arrivals"]).await;
    let mut office = broker.subscribe(&["-t", "grelot/v1/42/gateways/+/consent"]).await;
    let mut shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    shop.perform(&[alert(&visit("c-1", OPENING)), alert(&visit("c-2", OPENING))]).await;

    let asked = office.next().await;
    assert_eq!(asked.json()["known"], false);
    assert_eq!(retained_delivery(&shop).await, Ability::Fails);
    assert!(staff.within(Duration::from_millis(500)).await.is_empty(), "nothing is known yet");
    let (topic, stale) = answer(&asked, &[]).unwrap();
    let stale = stale.replace(asked.json()["ask"].as_str().unwrap(), "another");
    broker.publish(&["-t", &topic, "-m", &stale]).await;
    assert!(staff.within(Duration::from_millis(500)).await.is_empty(), "not asked for");

    let last = office.within(Duration::from_millis(2_500)).await.pop().unwrap_or(asked);
    let (topic, payload) = answer(&last, &["c-1"]).unwrap();
    broker.publish(&["-t", &topic, "-m", &payload]).await;

    assert_eq!(staff.next().await.json()["client"], "c-2");
    let withdrawn = Some(Inbound::Withdrawn { client: "c-1".to_owned(), number: None });
    assert_eq!(shop.next_inbound().await, withdrawn);
    loop {
        let said = office.next().await.json();
        if said["known"] == true {
            assert_eq!((&said["list"], &said["serial"]), (&"ab".into(), &1.into()));
            break;
        }
    }
    assert!(staff.within(Duration::from_millis(500)).await.is_empty(), "c-1 is never announced");
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_gateway_answers_another_one_and_a_tablet_that_asks() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    withdraw(broker.port, 700).await;
    let mut shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    for _ in 0..700 {
        timeout(PATIENCE, shop.next_inbound()).await.unwrap();
    }
    assert_eq!(retained_delivery(&shop).await, Ability::Works);
    shop.perform(&[alert(&visit("c-1000", OPENING))]).await;
    shop.health(|health| health.delivered >= 1).await;

    let mut till = broker.subscribe(&["-t", "grelot/v1/42/gateways/till/withdrawals"]).await;
    let asks = r#"{"v":1,"known":false,"serial":0,"withdrawn":0,"ask":"q1"}"#;
    broker.publish(&["-t", "grelot/v1/42/gateways/till/consent", "-m", asks]).await;
    let (first, second) = (till.next().await.json(), till.next().await.json());
    assert_eq!((&first["answers"], &first["last"]), (&"q1".into(), &false.into()));
    let parts = [&first, &second].map(|part| part["withdrawn"].as_array().unwrap().len());
    assert_eq!((parts, &second["last"]), ([500, 200], &true.into()));

    let answers = "grelot/v1/42/sync/counter";
    let mut tablet = broker.subscribe(&["-t", answers]).await;
    let ask = |to: &'static str| {
        ["-t", "grelot/v1/42/sync", "-m", "{}", "-D", "publish", "response-topic", to]
    };
    let mut elsewhere = broker.subscribe(&["-t", "grelot/v1/42/visits/+/claim"]).await;
    broker.publish(&ask("grelot/v1/42/visits/x/claim")).await;
    broker.publish(&ask(answers)).await;
    let said = tablet.next().await.json();
    let retained = said["retained"].as_object().unwrap();
    assert_eq!((&said["gateway"], &said["last"]), (&"door".into(), &true.into()));
    assert_eq!(retained["gateways/door/status"]["state"], "online");
    let id = visit("c-1000", OPENING).id;
    assert_eq!(retained[&format!("visits/{id}")]["client"], "c-1000");
    assert!(elsewhere.within(Duration::from_millis(200)).await.is_empty(), "not a place to answer");
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_missed_withdrawal_is_noticed_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut office = broker.subscribe(&["-t", "grelot/v1/42/gateways/+/consent"]).await;
    let state = dir.path().join("state");
    let shop = Shop::open(&state, peer(broker.port));
    let withdraw = |client: &str, serial: u64| {
        let topic = format!("grelot/v1/42/withdrawn/{client}");
        let payload = format!(r#"{{"v":1,"list":"ab","serial":{serial}}}"#);
        let broker = broker.port;
        async move { crate::mosquitto::publish(broker, &["-t", &topic, "-m", &payload]).await }
    };
    assert_eq!(retained_delivery(&shop).await, Ability::Works);
    withdraw("c-1", 1).await;
    withdraw("c-3", 3).await;
    let asked = loop {
        let said = office.next().await;
        if said.json()["ask"].is_string() {
            break said;
        }
    };
    assert_eq!((&asked.json()["serial"], &asked.json()["known"]), (&1.into(), &true.into()));
    withdraw("c-2", 2).await;
    while office.next().await.json()["serial"] != 3 {}
    shop.delivery.stop().await;

    // The number outlives the process.
    let shop = Shop::open(&state, peer(broker.port));
    assert_eq!(office.next().await.json()["serial"], 3);
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_renamed_gateway_and_a_beacon_that_is_gone_do_not_stay_at_the_broker() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let state = dir.path().join("state");
    let mut its_settings = settings();
    its_settings.beacons = vec![crate::shop::beacon("window"), crate::shop::beacon("stairs")];
    let shop = Shop::open_with(&state, peer(broker.port), TestClock::default(), its_settings);
    for name in ["window", "stairs"] {
        shop.delivery.set_beacon(name, &crate::shop::beacon_state());
    }
    let mut it = broker.subscribe(&["-t", "grelot/v1/42/beacons/+"]).await;
    it.next_on("beacons/stairs").await;
    shop.connected().await;
    shop.delivery.stop().await;

    let mut renamed = peer(broker.port);
    renamed.here.gateway = "entrance".to_owned();
    renamed.identity.client_id = "grelot-42-entrance".to_owned();
    let mut its_settings = settings();
    its_settings.beacons = vec![crate::shop::beacon("stairs")];
    let mut gateways = broker.subscribe(&["-t", "grelot/v1/42/gateways/+/status"]).await;
    let shop = Shop::open_with(&state, renamed, TestClock::default(), its_settings);

    while !it.next_on("beacons/window").await.payload.is_empty() {}
    loop {
        let said = gateways.next_on("gateways/door/status").await;
        if said.payload.is_empty() {
            break;
        }
    }
    shop.delivery.stop().await;
    let mut later = broker.subscribe(&["-t", "grelot/v1/42/#"]).await;
    let kept = later.within(Duration::from_millis(500)).await;
    let topics: Vec<&str> = kept.iter().map(|said| said.topic.as_str()).collect();
    assert!(!topics.iter().any(|t| t.contains("door") || t.contains("window")), "{topics:?}");
}

#[tokio::test]
async fn a_status_that_another_cleared_is_published_again() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    let topic = "grelot/v1/42/gateways/door/status";
    let mut it = broker.subscribe(&["-t", topic]).await;
    assert_eq!(it.next().await.json()["state"], "online");
    assert_eq!(retained_delivery(&shop).await, Ability::Works);

    broker.publish(&["-r", "-n", "-t", topic]).await;

    while it.next().await.payload.is_empty() {}
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_gateway_does_not_receive_its_own_visits() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    shop.connected().await;
    shop.perform(&[alert(&visit("c-1", OPENING))]).await;
    shop.health(|health| health.delivered == 1).await;
    let foreign = visit("c-2", OPENING).id;
    let topic = format!("grelot/v1/42/visits/{foreign}");
    broker.publish(&["-r", "-n", "-t", &topic]).await;

    let first = timeout(PATIENCE, shop.inbound.recv()).await.unwrap().unwrap();

    assert_eq!(first, Inbound::Visit { visit: foreign, state: None });
    shop.delivery.stop().await;
}
