//! What is published, where, and for how long.

use std::time::Duration;

use grelot::pipeline::Effect;
use grelot::pipeline::event::{Announcement, Claim, DepartureReason, SilentBecause};
use serde_json::json;

use crate::mosquitto::{BrokerOptions, Mosquitto};
use crate::shop::{OPENING, Shop, alert, card, peer, visit};

const ARRIVALS: &str = "grelot/v1/42/arrivals";
const ALL: &str = "grelot/v1/42/#";

#[tokio::test]
async fn an_arrival_is_said_to_the_letter_and_kept_as_the_visits_state() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut staff = broker.subscribe(&["-t", ALL]).await;
    let shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    let mut arrived = visit("c-7f3a", OPENING);
    arrived.card = Some(card());
    shop.clock.advance(Duration::from_secs(20));

    shop.perform(&[alert(&arrived)]).await;

    let said = staff.next_on("/arrivals").await;
    let expected = json!({
        "v": 1, "visit": arrived.id.to_string(), "client": "c-7f3a", "tier": "gold",
        "card": {"name": "Mme Dumoulin", "language": "fr", "note": "Order 1182 is ready to collect"},
        "gateway": "door", "arrived_at": "2026-01-05T09:00:00Z", "confidence": 0.97,
        "discreet": false
    });
    assert_eq!(said.json(), expected);
    assert!(!said.retained);
    assert!(matches!(said.expiry, Some(98..=100)), "120 s from the arrival on: {said:?}");

    let mut expected = expected;
    expected["state"] = "present".into();
    expected["announced"] = arrived.announced.into();
    expected["revision"] = 0.into();
    assert_eq!(staff.next_on(&arrived.id.to_string()).await.json(), expected);
    shop.delivered(2).await;
    let mut later = broker.subscribe(&["-t", ALL]).await;
    let kept = later.next_on(&arrived.id.to_string()).await;
    assert_eq!((kept.json(), kept.retained), (expected, true));
    assert!(later.within(Duration::from_millis(200)).await.iter().all(|s| s.topic != ARRIVALS));
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_silent_arrival_is_shown_and_rings_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut staff = broker.subscribe(&["-t", ALL]).await;
    let shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    let mut discreet = visit("c-1", OPENING);
    discreet.discreet = true;
    let announcement = Announcement::Silent(SilentBecause::GreetOnlyIfAsked);

    shop.perform(&[Effect::Arrived { visit: discreet.clone(), announcement }]).await;

    let said = staff.next_on(&discreet.id.to_string()).await;
    assert_eq!(said.json()["discreet"], true);
    assert!(said.json().get("card").is_none());
    shop.delivered(1).await;
    shop.delivery.stop().await;
    let rest = staff.within(Duration::from_millis(200)).await;
    assert!(rest.iter().all(|said| said.topic != ARRIVALS), "{rest:?}");
}

#[tokio::test]
async fn a_claim_changes_the_state_and_a_departure_clears_it() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut staff = broker.subscribe(&["-t", ALL]).await;
    let shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    let arrived = visit("c-1", OPENING);
    let topic = arrived.id.to_string();
    let mut claimed = arrived.clone();
    claimed.claim =
        Some(Claim {
            by: "Léa".into(), tablet: None, since: OPENING.plus(Duration::from_secs(9))
        });
    let at = OPENING.plus(Duration::from_mins(1));
    let departed = Effect::Departed { visit: claimed.clone(), at, reason: DepartureReason::Left };

    shop.perform(&[alert(&arrived)]).await;
    assert_eq!(staff.next_on(&topic).await.json()["state"], "present");
    shop.perform(&[Effect::Changed(claimed)]).await;
    let said = staff.next_on(&topic).await.json();
    assert_eq!(said["state"], "claimed");
    assert_eq!(said["claim"], json!({"by": "Léa", "since": "2026-01-05T09:00:09Z"}));
    shop.clock.advance(Duration::from_mins(1));
    shop.perform(&[departed]).await;

    let departure = staff.next_on("/departures").await;
    let expected = json!({
        "v": 1, "visit": topic, "client": "c-1", "departed_at": "2026-01-05T09:01:00Z",
        "reason": "left"
    });
    assert_eq!(departure.json(), expected);
    assert_eq!(staff.next_on(&topic).await.payload, "");
    shop.health(|health| health.queued == 0).await;
    let mut later = broker.subscribe(&["-t", "grelot/v1/42/visits/+"]).await;
    assert_eq!(later.within(Duration::from_millis(200)).await, []);
    shop.delivery.stop().await;
}

#[tokio::test]
async fn an_alert_waits_for_somebody_to_listen_and_is_then_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    let arrived = visit("c-1", OPENING);
    shop.perform(&[alert(&arrived)]).await;
    let mut witness = broker.subscribe(&["-t", "grelot/v1/42/visits/+"]).await;
    witness.next().await;
    shop.health(|health| health.delivered == 1 && health.queued == 1).await;

    let mut staff = broker.subscribe(&["-t", ARRIVALS]).await;

    assert_eq!(staff.next().await.json()["visit"], arrived.id.to_string());
    shop.delivered(2).await;
    assert_eq!(staff.within(Duration::from_secs(1)).await, []);
    shop.delivery.stop().await;
}

#[tokio::test]
async fn an_alert_whose_time_is_over_is_never_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    shop.connected().await;
    broker.kill();
    shop.perform(&[alert(&visit("c-1", OPENING))]).await;
    shop.clock.advance(Duration::from_secs(119));
    shop.perform(&[alert(&visit("c-2", shop_time(&shop)))]).await;
    shop.clock.advance(Duration::from_secs(2));

    broker.restart();
    let mut staff = broker.subscribe(&["-t", ARRIVALS]).await;

    assert_eq!(staff.next().await.json()["client"], "c-2");
    shop.delivered(3).await;
    assert_eq!(staff.within(Duration::from_millis(300)).await, []);
    assert_eq!(shop.delivery.health().expired, 1);
    shop.delivery.stop().await;
}

fn shop_time(shop: &Shop) -> grelot::pipeline::units::WallTime {
    shop.clock.now().clock.reading()
}
