//! What a broker keeps for those who come later, and brokers that do not.

use std::collections::BTreeSet;
use std::time::Duration;

use grelot::mqtt::inbound::Inbound;
use grelot::mqtt::{ConnectionState, RetainedDelivery};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, PublishOptions};
use tokio::time::timeout;

use crate::mosquitto::{BrokerOptions, Mosquitto, PATIENCE};
use crate::shop::{OPENING, Shop, TestClock, alert, peer, settings, visit, with_login};

/// More than mosquitto's queue of a client holds (1,000) and its window (20).
const WITHDRAWALS: usize = 3_000;

async fn retained_delivery(shop: &Shop) -> RetainedDelivery {
    let found = shop
        .connection(|state| {
            matches!(state, ConnectionState::Connected { retained, .. }
                if *retained != RetainedDelivery::Unknown)
        })
        .await;
    let ConnectionState::Connected { retained, .. } = found else { unreachable!() };
    retained
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
        if let Some(Inbound::Withdrawn { client }) = heard {
            withdrawn.insert(client);
        }
    }
    assert_eq!(retained_delivery(&shop).await, RetainedDelivery::Works);
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

    assert_eq!(retained_delivery(&shop).await, RetainedDelivery::Fails);
    assert_eq!(shop.delivery.health().retained, Some(false));
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_broker_without_retained_messages_rings_the_bell_and_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let options = BrokerOptions { lines: "retain_available false\n", ..BrokerOptions::default() };
    let broker = Mosquitto::start(dir.path(), &options);
    let mut staff = broker.subscribe(&["-t", "grelot/v1/42/arrivals"]).await;
    let mut states = broker.subscribe(&["-t", "grelot/v1/42/visits/+"]).await;

    let shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    shop.perform(&[alert(&visit("c-1", OPENING))]).await;

    assert_eq!(staff.next().await.json()["client"], "c-1");
    assert_eq!(states.next().await.json()["client"], "c-1");
    assert_eq!(retained_delivery(&shop).await, RetainedDelivery::Fails);
    shop.delivered(2).await;
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
    assert_eq!(retained_delivery(&shop).await, RetainedDelivery::Works);

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
