//! TLS: the authorities that a gateway trusts, and its own certificate.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use grelot::config::Tls;
use grelot::mqtt::ConnectionState;
use grelot::mqtt::Role;
use grelot::mqtt::broker::Rights;
use grelot::mqtt::client::Peer;
use grelot::mqtt::inbound::Inbound;
use grelot::mqtt::tls::{self, TlsError};
use grelot::mqtt::topics::Topics;

use crate::client::{Client, NOT_AUTHORIZED, SUCCESS};
use crate::common::certificates::certificates;
use crate::mosquitto::{BrokerOptions, Mosquitto};
use crate::shop::{OPENING, Shop, alert, peer, visit, with_login};

fn files(dir: &Path, ca: &Path) -> Tls {
    let file = |name: &str| -> Option<PathBuf> { Some(dir.join(name)) };
    Tls { ca: Some(ca.to_owned()), certificate: file("gateway.pem"), key: file("gateway.key") }
}

fn secured(port: u16, files: &Tls) -> Peer {
    let mut peer = peer(port);
    peer.brokers.iter_mut().for_each(|broker| broker.tls = true);
    peer.identity.tls = Some(tls::client(files).unwrap());
    peer
}

#[tokio::test]
async fn an_alert_goes_over_tls_with_a_client_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let tls = dir.path().join("tls");
    certificates(&tls);
    let broker = Mosquitto::start(
        dir.path(),
        &BrokerOptions { tls: Some(&tls), ..BrokerOptions::default() },
    );
    let path = |name: &str| tls.join(name).to_str().unwrap().to_owned();
    let (ca, cert, key) = (path("ca.pem"), path("gateway.pem"), path("gateway.key"));
    let arguments =
        ["--cafile", &ca, "--cert", &cert, "--key", &key, "-t", "grelot/v1/42/arrivals"];
    let mut staff = broker.subscribe(&arguments).await;
    let files = files(&tls, &tls.join("ca.pem"));

    let shop = Shop::open(&dir.path().join("state"), secured(broker.port, &files));
    shop.perform(&[alert(&visit("c-1", OPENING))]).await;

    assert_eq!(staff.next().await.json()["client"], "c-1");
    shop.delivery.stop().await;
}

#[tokio::test]
async fn a_broker_with_a_strangers_certificate_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (tls, strange) = (dir.path().join("tls"), dir.path().join("strange"));
    certificates(&tls);
    certificates(&strange);
    let broker = Mosquitto::start(
        dir.path(),
        &BrokerOptions { tls: Some(&tls), ..BrokerOptions::default() },
    );
    let files = files(&tls, &strange.join("ca.pem"));

    let shop = Shop::open(&dir.path().join("state"), secured(broker.port, &files));

    let state = shop.connection(|state| matches!(state, ConnectionState::Refused { .. })).await;
    let ConnectionState::Refused { why, .. } = state else { unreachable!() };
    assert!(why.contains("certificate"), "{why}");
    shop.delivery.stop().await;
}

#[test]
fn a_file_that_is_no_certificate_is_named() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let key = dir.path().join("gateway.key");
    let problem = tls::client(&files(dir.path(), &key)).unwrap_err();
    assert!(matches!(&problem, TlsError::File { path, .. } if *path == key), "{problem}");
    let missing = dir.path().join("missing.pem");
    let problem = tls::client(&files(dir.path(), &missing)).unwrap_err();
    assert!(problem.to_string().starts_with(missing.to_str().unwrap()), "{problem}");
    let half = Tls { key: None, ..files(dir.path(), &dir.path().join("ca.pem")) };
    assert!(matches!(tls::client(&half), Err(TlsError::Half("tls.key"))));
}

/// The access rules in docs/mqtt.md.
fn documented() -> &'static str {
    let guide = include_str!("../../docs/mqtt.md");
    let is_rules = |block: &&str| block.trim_start().starts_with("user ");
    guide.split("```").find(is_rules).unwrap().trim()
}

#[test]
fn the_documented_access_rules_are_those_of_the_embedded_broker() {
    let topics = Topics::of(42);
    let of = |role, name: &str| Rights::of(role, name, &topics);
    let rules = [
        of(Role::Gateway, "door").mosquitto("42-door"),
        of(Role::Tablet, "tablet").mosquitto("42-tablet"),
        of(Role::Reader, "board").mosquitto("42-board"),
        Rights::of_bridge(&topics).mosquitto("42-bridge"),
        Rights::of_fleet().mosquitto("head-office"),
    ];
    assert_eq!(documented(), rules.join("\n").trim());
}

#[tokio::test]
async fn a_stores_logins_cannot_use_another_stores_topics() {
    let access = format!("{}\n\n{}", documented(), documented().replace("42", "43"));
    let dir = tempfile::tempdir().unwrap();
    let users = ["42-tablet", "42-board", "42-bridge", "head-office", "43-door", "43-tablet"];
    let options = BrokerOptions {
        login: Some(("42-door", "secret")),
        access: Some(&access),
        users: &users,
        ..BrokerOptions::default()
    };
    let broker = Mosquitto::start(dir.path(), &options);
    let as_user =
        |user: &'static str, rest: &[&'static str]| [&["-u", user, "-P", "secret"], rest].concat();
    let mut staff = broker.subscribe(&as_user("42-tablet", &["-t", "grelot/#"])).await;
    let mut elsewhere = broker.subscribe(&as_user("43-tablet", &["-t", "grelot/#"])).await;
    let gateway = with_login(peer(broker.port), "42-door", "secret");
    let mut shop = Shop::open(&dir.path().join("state"), gateway);
    let arrived = visit("c-1", OPENING);

    shop.perform(&[alert(&arrived)]).await;

    let mut topics = BTreeSet::new();
    while topics.len() < 3 {
        topics.insert(staff.next().await.topic);
    }
    shop.delivered(2).await;
    let of_visit = format!("grelot/v1/42/visits/{}", arrived.id);
    let claim = format!("{of_visit}/claim");
    let said = r#"{"v":1,"by":"Léa","action":"claim"}"#;
    for user in ["43-door", "43-tablet", "42-board", "42-bridge"] {
        let mut other = login(broker.port, user);
        let forged = [&*claim, "grelot/v1/42/withdrawn/c-1", "grelot/v1/42/config"];
        let of_gateways = [&*of_visit, "grelot/v1/42/contacts/door", "grelot/v1/42/arrivals"];
        let of_gateways = if user == "42-bridge" { &[][..] } else { &of_gateways };
        for topic in forged.iter().chain(of_gateways) {
            let code = other.publish(topic, said.as_bytes(), true).unwrap();
            assert_eq!(code, NOT_AUTHORIZED, "{user} {topic}");
        }
    }
    let mut tablet = login(broker.port, "42-tablet");
    assert_eq!(tablet.publish(&of_visit, b"", true).unwrap(), NOT_AUTHORIZED, "it clears no visit");
    assert_eq!(tablet.publish(&claim, said.as_bytes(), false).unwrap(), SUCCESS);
    assert!(
        matches!(shop.next_inbound().await, Some(Inbound::Staff { .. })),
        "the first that came through"
    );
    let mut office = login(broker.port, "head-office");
    assert_eq!(office.publish("grelot/v1/42/withdrawn/c-1", b"{}", true).unwrap(), SUCCESS);
    assert!(matches!(shop.next_inbound().await, Some(Inbound::Withdrawn { .. })));
    assert_eq!(office.publish("grelot/v1/config/fleet", b"[policy]", true).unwrap(), SUCCESS);
    assert!(matches!(shop.next_inbound().await, Some(Inbound::Configuration { .. })));
    assert_eq!(office.publish(&claim, said.as_bytes(), false).unwrap(), NOT_AUTHORIZED);
    shop.delivery.stop().await;
    // Everything above is before this in store 43's own order.
    let mut other_gateway = login(broker.port, "43-door");
    assert_eq!(other_gateway.publish("grelot/v1/43/arrivals", b"own", false).unwrap(), SUCCESS);
    let first = elsewhere.next().await;
    assert_eq!((first.topic.as_str(), first.payload.as_str()), ("grelot/v1/43/arrivals", "own"));
}

fn login(port: u16, user: &str) -> Client {
    let client = Client::log_in(port, &format!("forger-{user}"), (user, "secret"));
    client.unwrap().ok().expect("it is let in")
}
