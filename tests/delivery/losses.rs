//! Brokers that die, forget, refuse or lie.

use std::time::Duration;

use grelot::mqtt::ConnectionState;
use grelot::payload::Status;
use grelot::pipeline::units::Tick;
use tokio::time::timeout;

use crate::cable::Cable;
use crate::mosquitto::{BrokerOptions, Mosquitto, PATIENCE, free_port};
use crate::shop::{OPENING, Shop, alert, online, peer, visit, with_login};

const ARRIVALS: &str = "grelot/v1/42/arrivals";

#[tokio::test]
async fn what_happens_while_the_broker_is_dead_is_said_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker =
        Mosquitto::start(dir.path(), &BrokerOptions { durable: true, ..BrokerOptions::default() });
    let mut staff = broker.subscribe(&["-c", "-i", "staff", "-t", ARRIVALS]).await;
    let shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    shop.connected().await;
    broker.kill();
    shop.connection(|state| matches!(state, ConnectionState::Unreachable { .. })).await;
    for n in 0..30 {
        shop.perform(&[alert(&visit(&format!("c-{n}"), OPENING))]).await;
    }

    broker.restart();

    for n in 0..30 {
        assert_eq!(staff.next().await.json()["client"], format!("c-{n}"), "in their order");
    }
    shop.delivered(60).await;
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_broker_that_forgot_everything_is_sent_the_present_visits() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut staff = broker.subscribe(&["-t", ARRIVALS]).await;
    let shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    let here = visit("c-1", OPENING);
    shop.perform(&[alert(&here)]).await;
    staff.next().await;
    shop.delivered(2).await;

    broker.kill();
    broker.restart();

    let mut later = broker.subscribe(&["-t", "grelot/v1/42/#"]).await;
    let received = [later.next().await, later.next().await];
    let topics: Vec<&str> = received.iter().map(|said| said.topic.as_str()).collect();
    assert!(topics.contains(&"grelot/v1/42/gateways/door/status"), "{topics:?}");
    assert!(topics.contains(&format!("grelot/v1/42/visits/{}", here.id).as_str()), "{topics:?}");
    assert_eq!(staff.within(Duration::from_millis(1500)).await, [], "no alert is said again");
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_restart_says_what_was_queued_and_remembers_who_is_here() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let nowhere = peer(free_port());
    let here = visit("c-1", OPENING);
    let shop = Shop::open(&state, nowhere);
    shop.perform(&[alert(&here)]).await;
    shop.delivery.heartbeat(&shop.settings, shop.clock.now()).await;
    timeout(PATIENCE, shop.delivery.stop()).await.unwrap();

    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut staff = broker.subscribe(&["-t", ARRIVALS]).await;
    let shop = Shop::open(&state, peer(broker.port));

    assert_eq!(shop.restored.visits.len(), 1);
    assert_eq!(shop.restored.visits[0].visit, here);
    assert_eq!(shop.restored.visits[0].departed_at, None);
    assert_eq!(shop.restored.last_alerts, [("c-1".into(), OPENING)]);
    assert_eq!(staff.next().await.json()["visit"], here.id.to_string());
    shop.delivered(2).await;
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_visit_that_an_earlier_life_left_at_the_broker_is_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let ghost = visit("c-9", OPENING);
    let shop = Shop::open(&dir.path().join("one"), peer(broker.port));
    shop.perform(&[alert(&ghost)]).await;
    let mut staff = broker.subscribe(&["-t", "grelot/v1/42/visits/+"]).await;
    assert_eq!(staff.next().await.json()["visit"], ghost.id.to_string());
    shop.delivery.stop().await;

    let shop = Shop::open(&dir.path().join("two"), peer(broker.port));

    assert_eq!(staff.next_on(&ghost.id.to_string()).await.payload, "");
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_refused_password_is_reported_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let options = BrokerOptions { login: Some(("door", "right")), ..BrokerOptions::default() };
    let broker = Mosquitto::start(dir.path(), &options);
    let mut staff = broker.subscribe(&["-u", "door", "-P", "right", "-t", ARRIVALS]).await;
    let shop = Shop::open(&state, with_login(peer(broker.port), "door", "wrong"));
    shop.perform(&[alert(&visit("c-1", OPENING))]).await;

    let refused = shop.connection(|state| matches!(state, ConnectionState::Refused { .. })).await;

    let ConnectionState::Refused { broker: whom, why } = refused else { unreachable!() };
    assert_eq!(whom, format!("mqtt://127.0.0.1:{}", broker.port));
    assert!(why.contains("username and password"), "{why}");
    shop.health(|health| health.queued == 2).await;
    shop.delivery.stop().await;

    let shop = Shop::open(&state, with_login(peer(broker.port), "door", "right"));
    assert_eq!(staff.next().await.json()["client"], "c-1");
    shop.delivery.stop().await;
}

#[tokio::test]
async fn brokers_are_tried_in_turn() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut brokers = peer(free_port());
    brokers.brokers.extend(peer(free_port()).brokers);
    brokers.brokers.extend(peer(broker.port).brokers);

    let shop = Shop::open(&dir.path().join("state"), brokers);

    let wanted = format!("mqtt://127.0.0.1:{}", broker.port);
    shop.connection(
        |state| matches!(state, ConnectionState::Connected { broker, .. } if *broker == wanted),
    )
    .await;
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_gateway_that_dies_is_offline_and_one_that_stops_says_so_itself() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut it = broker.subscribe(&["-t", "grelot/v1/42/gateways/+/status"]).await;
    let shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    let said = it.next().await;
    assert_eq!(said.topic, "grelot/v1/42/gateways/door/status");
    let online = Status { connected_at: Some(OPENING.to_string()), ..online() };
    assert_eq!(said.json(), serde_json::to_value(online).unwrap());

    shop.clock.advance(Duration::from_secs(7));
    shop.delivery.stop().await;
    let said = it.next().await.json();
    assert_eq!(
        (&said["state"], &said["since"]),
        (&"offline".into(), &"2026-01-05T09:00:07Z".into())
    );

    let shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    assert_eq!(it.next().await.json()["state"], "online");
    drop(shop);
    let said = it.next().await.json();
    assert_eq!((&said["state"], &said["since"]), (&"offline".into(), &serde_json::Value::Null));
    assert_eq!(said["connected_at"], "2026-01-05T09:00:00Z", "it went offline after this");
    let mut later = broker.subscribe(&["-t", "grelot/v1/42/gateways/+/status"]).await;
    assert!(later.next().await.retained);
}

#[tokio::test]
async fn a_connection_that_breaks_for_a_moment_is_not_announced_as_offline() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let cable = Cable::to(broker.port).await;
    let mut it = broker.subscribe(&["-t", "grelot/v1/42/gateways/+/status"]).await;
    let shop = Shop::open(&dir.path().join("state"), peer(cable.port));
    assert_eq!(it.next().await.json()["state"], "online");

    for connections in 2..=4 {
        cable.pull();
        shop.health(|health| health.connections == connections).await;
        assert_eq!(it.next().await.json()["state"], "online", "said again, and nothing else");
    }
    // The last will would come 5 s after the first break.
    let more = it.within(Duration::from_secs(6)).await;
    assert!(more.iter().all(|said| said.json()["state"] == "online"), "{more:?}");
    shop.perform(&[alert(&visit("c-1", OPENING))]).await;
    shop.health(|health| health.delivered == 1).await;
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_broker_that_does_not_answer_delays_no_stop() {
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open(&dir.path().join("state"), peer(mute.local_addr().unwrap().port()));
    shop.perform(&[alert(&visit("c-1", OPENING))]).await;

    timeout(Duration::from_secs(5), shop.delivery.stop()).await.expect("stops in time");
    assert_eq!(shop.clock.now().tick, Tick::ZERO);
}
