//! TLS: whom a gateway trusts, and who it is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use grelot::config::Tls;
use grelot::mqtt::Connection;
use grelot::mqtt::client::Peer;
use grelot::mqtt::inbound::Inbound;
use grelot::mqtt::tls::{self, TlsError};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::mosquitto::{Mosquitto, Wishes};
use crate::shop::{OPENING, Shop, alert, peer, visit, with_login};

/// Writes an authority, a broker's and a gateway's certificate with their keys.
fn certificates(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "the test's authority");
    std::fs::write(dir.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let authority = Issuer::new(params, key);
    for (name, host) in [("broker", "127.0.0.1"), ("gateway", "door.shop.example")] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

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
    let broker = Mosquitto::start(dir.path(), &Wishes { tls: Some(&tls), ..Wishes::default() });
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
    let broker = Mosquitto::start(dir.path(), &Wishes { tls: Some(&tls), ..Wishes::default() });
    let files = files(&tls, &strange.join("ca.pem"));

    let shop = Shop::open(&dir.path().join("state"), secured(broker.port, &files));

    let state = shop.connection(|state| matches!(state, Connection::Refused { .. })).await;
    let Connection::Refused { why, .. } = state else { unreachable!() };
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

#[tokio::test]
async fn the_access_rules_of_the_documentation_suffice() {
    let guide = include_str!("../../docs/mqtt.md");
    let rules = guide.split("```").find(|block| block.trim_start().starts_with("pattern")).unwrap();
    let access = format!("user tablet\ntopic readwrite grelot/#\n{rules}");
    let dir = tempfile::tempdir().unwrap();
    let wishes =
        Wishes { login: Some(("door", "secret")), access: Some(&access), ..Wishes::default() };
    let broker = Mosquitto::start(dir.path(), &wishes);
    let tablet = ["-u", "tablet", "-P", "secret"];
    let mut staff = broker.subscribe(&[&tablet[..], &["-t", "grelot/#"]].concat()).await;
    let gateway = with_login(peer(broker.port), "door", "secret");
    let mut shop = Shop::open(&dir.path().join("state"), gateway);
    let arrived = visit("c-1", OPENING);

    shop.perform(&[alert(&arrived)]).await;

    let mut topics = BTreeSet::new();
    while topics.len() < 3 {
        topics.insert(staff.next().await.topic);
    }
    shop.delivered(2).await;
    let topic = format!("grelot/v1/42/visits/{}/claim", arrived.id);
    let claim = ["-t", &topic, "-m", r#"{"v":1,"by":"Léa","action":"claim"}"#];
    broker.publish(&[&tablet[..], &claim].concat()).await;
    assert!(matches!(shop.told().await, Some(Inbound::Staff { .. })));
    let withdrawal = ["-r", "-t", "grelot/v1/42/withdrawn/c-1", "-m", r#"{"v":1}"#];
    broker.publish(&[&tablet[..], &withdrawal].concat()).await;
    assert!(matches!(shop.told().await, Some(Inbound::Withdrawn { .. })));
    let config = ["-r", "-t", "grelot/v1/config/fleet", "-m", "[policy]"];
    broker.publish(&[&tablet[..], &config].concat()).await;
    assert!(matches!(shop.told().await, Some(Inbound::Configuration { .. })));
    shop.delivery.stop().await;
}
