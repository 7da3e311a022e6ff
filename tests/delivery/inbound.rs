//! Messages of staff and head office to a gateway, and hostile ones.

use std::time::Duration;

use grelot::config::layers::Reach;
use grelot::mqtt::inbound::Inbound;
use grelot::pipeline::event::{Member, StaffAction};
use tokio::time::timeout;

use crate::mosquitto::{BrokerOptions, Mosquitto, PATIENCE};
use crate::shop::{OPENING, Shop, peer, visit};

async fn heard(shop: &mut Shop) -> Inbound {
    timeout(PATIENCE, shop.inbound.recv()).await.expect("heard").expect("open")
}

#[tokio::test]
async fn staff_and_head_office_are_heard() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let visit = visit("c-1", OPENING).id;
    let fleet = "[presence]\narrive_rssi_dbm = -65\n";
    broker.publish(&["-r", "-t", "grelot/v1/config/fleet", "-m", fleet]).await;
    let mut shop = Shop::open(&dir.path().join("state"), peer(broker.port));

    let pushed = Inbound::Configuration { reach: Reach::Fleet, document: fleet.into() };
    assert_eq!(heard(&mut shop).await, pushed, "retained, so heard on connecting");

    let topic = format!("grelot/v1/42/visits/{visit}");
    let claim = r#"{"v":1,"by":"Léa","action":"claim"}"#;
    broker.publish(&["-t", &format!("{topic}/claim"), "-m", claim]).await;
    let (by, action) = (Member { by: "Léa".into(), tablet: None }, StaffAction::Claim);
    assert_eq!(heard(&mut shop).await, Inbound::Staff { visit, by, action });

    let verdict = r#"{"v":1,"verdict":"was_not_here"}"#;
    broker.publish(&["-t", &format!("{topic}/feedback"), "-m", verdict]).await;
    assert_eq!(heard(&mut shop).await, Inbound::Feedback { visit, was_here: Some(false) });
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_withdrawal_is_heard_once_and_remembered_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let mut broker =
        Mosquitto::start(dir.path(), &BrokerOptions { durable: true, ..BrokerOptions::default() });
    let state = dir.path().join("state");
    let mut shop = Shop::open(&state, peer(broker.port));
    shop.connected().await;
    broker.publish(&["-r", "-t", "grelot/v1/42/withdrawn/c-7f3a", "-m", r#"{"v":1}"#]).await;
    assert_eq!(
        heard(&mut shop).await,
        Inbound::Withdrawn { client: "c-7f3a".to_owned(), number: None }
    );

    broker.kill();
    broker.restart();
    broker.publish(&["-r", "-t", "grelot/v1/42/config", "-m", "[policy]"]).await;
    let next = heard(&mut shop).await;
    assert!(matches!(next, Inbound::Configuration { .. }), "not the withdrawal again: {next:?}");
    shop.delivery.stop().await;

    let shop = Shop::open(&state, peer(broker.port));
    assert_eq!(shop.restored.withdrawn, ["c-7f3a".into()]);
    shop.delivery.stop().await;
}

#[tokio::test]
async fn an_old_claim_kept_by_the_broker_is_not_taken_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let topic = format!("grelot/v1/42/visits/{}/claim", visit("c-1", OPENING).id);
    let claim = r#"{"v":1,"by":"Léa","action":"claim"}"#;
    broker.publish(&["-r", "-t", &topic, "-m", claim]).await;
    let mut shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    shop.connected().await;
    let release = r#"{"v":1,"by":"Tom","action":"release"}"#;
    broker.publish(&["-t", &topic, "-m", release]).await;

    let first = heard(&mut shop).await;

    assert!(matches!(&first, Inbound::Staff { by, .. } if &*by.by == "Tom"), "{first:?}");
    shop.delivery.stop().await;
}

#[tokio::test]
async fn garbage_is_counted_and_has_no_effect() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut shop = Shop::open(&dir.path().join("state"), peer(broker.port));
    shop.connected().await;
    let visit = visit("c-1", OPENING).id;
    let claim = format!("grelot/v1/42/visits/{visit}/claim");
    let huge = dir.path().join("huge");
    std::fs::write(&huge, vec![b'['; 200_000]).unwrap();
    let deep = "[".repeat(20_000);
    let garbage: [(&str, &str); 7] = [
        (&claim, "\u{1}\u{7f}"),
        (&claim, r#"{"v":2,"by":"Léa","action":"claim"}"#),
        (&claim, r#"{"v":1,"by":"  ","action":"claim"}"#),
        (&claim, r#"{"v":1,"by":"Léa","action":"explode"}"#),
        (&claim, &deep),
        ("grelot/v1/42/visits/not-a-visit/claim", r#"{"v":1,"by":"Léa","action":"claim"}"#),
        ("grelot/v1/42/contacts/till", r#"{"v":1,"at":"","heard":[{"client":"a/b","count":1}]}"#),
    ];
    for (topic, payload) in garbage {
        broker.publish(&["-t", topic, "-m", payload]).await;
    }
    broker.publish(&["-t", &claim, "-f", huge.to_str().unwrap()]).await;
    broker.publish(&["-t", &claim, "-m", r#"{"v":1,"by":"Léa","action":"claim"}"#]).await;

    let first = heard(&mut shop).await;

    assert!(matches!(first, Inbound::Staff { .. }), "{first:?}");
    assert_eq!(shop.delivery.health().refused, 8);
    assert_eq!(shop.delivery.health().connections, 1);
    let more = timeout(Duration::from_millis(100), shop.inbound.recv()).await;
    assert!(more.is_err(), "{more:?}");
    shop.delivery.stop().await;
}
