//! The broker inside grelot, spoken to by mosquitto's own tools.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use grelot::mqtt::Connection;
use grelot::mqtt::broker::{BrokerError, EmbeddedBroker};
use grelot::mqtt::login::Login;
use tokio::time::timeout;

use crate::mosquitto::Subscriber;
use crate::shop::{OPENING, Shop, alert, peer, visit, with_login};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn start(state: &Path, listen: SocketAddr) -> (EmbeddedBroker, Login) {
    std::fs::create_dir_all(state).unwrap();
    let login = Login::kept_in(state).unwrap();
    let broker = EmbeddedBroker::start(listen, &login, &state.join("broker")).await.unwrap();
    (broker, login)
}

fn gateway(broker: &EmbeddedBroker, login: &Login) -> grelot::mqtt::client::Peer {
    peer(0).embedded(broker.address(), &login.username, &login.password)
}

#[tokio::test]
async fn an_arrival_goes_through_the_embedded_broker() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, login) = start(dir.path(), ANY_PORT).await;
    let port = broker.address().port();
    assert_ne!(port, 0);
    let who = ["-u", &login.username, "-P", &login.password.0, "-t", "grelot/v1/42/arrivals"];
    let mut staff = Subscriber::start(port, &who).await;
    let shop = Shop::open(dir.path(), gateway(&broker, &login));

    shop.perform(&[alert(&visit("c-1", OPENING))]).await;

    assert_eq!(staff.next().await.json()["client"], "c-1");
    shop.delivered(2).await;
    shop.delivery.stop().await;
    timeout(Duration::from_secs(1), broker.stop()).await.expect("stops in time");
}

#[tokio::test]
async fn the_embedded_broker_admits_nobody_without_the_login() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, login) = start(dir.path(), ANY_PORT).await;
    let strangers = [
        peer(broker.address().port()),
        with_login(peer(broker.address().port()), &login.username, "guess"),
    ];
    for (n, stranger) in strangers.into_iter().enumerate() {
        let shop = Shop::open(&dir.path().join(n.to_string()), stranger);
        shop.connection(|state| matches!(state, Connection::Refused { .. })).await;
        shop.delivery.stop().await;
    }
    broker.stop().await;
}

#[tokio::test]
async fn the_embedded_broker_remembers_states_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, login) = start(dir.path(), ANY_PORT).await;
    let address = broker.address();
    let here = visit("c-1", OPENING);
    let shop = Shop::open(dir.path(), gateway(&broker, &login));
    shop.perform(&[alert(&here)]).await;
    shop.delivered(2).await;
    shop.delivery.stop().await;
    broker.stop().await;

    let (broker, again) = start(dir.path(), address).await;

    assert_eq!((broker.address(), &again), (address, &login));
    let who = ["-u", &login.username, "-P", &login.password.0, "-t", "grelot/v1/42/visits/+"];
    let mut staff = Subscriber::start(address.port(), &who).await;
    let said = staff.next().await;
    assert_eq!((said.json()["visit"].as_str(), said.retained), (Some(&*here.id.to_string()), true));
    broker.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let other = TcpListener::bind(ANY_PORT).unwrap();
    let address = other.local_addr().unwrap();
    let login = Login::kept_in(dir.path()).unwrap();

    let refused = EmbeddedBroker::start(address, &login, &dir.path().join("broker")).await;

    let Err(error) = refused else { panic!("it started") };
    assert!(matches!(&error, BrokerError::PortInUse(port) if *port == address));
    assert!(error.to_string().contains("hint:"), "{error}");
}
