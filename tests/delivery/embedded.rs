//! The broker inside grelot, with mosquitto's own tools as clients.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use grelot::mqtt::ConnectionState;
use grelot::mqtt::Role;
use grelot::mqtt::broker::{Accounts, BrokerError, EmbeddedBroker};
use grelot::mqtt::login::Login;
use grelot::mqtt::logins::Logins;
use tokio::time::timeout;

use crate::disk::{Tmpfs, fill};
use crate::mosquitto::{Subscriber, eventually, free_port, publish};
use crate::scene::{Grelot, Scene};
use crate::shop::{OPENING, Shop, alert, card, peer, reached, visit, with_login};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn start(state: &Path, listen: SocketAddr) -> (EmbeddedBroker, Login) {
    std::fs::create_dir_all(state).unwrap();
    let accounts = Accounts::new(42, None, state).unwrap();
    let broker = EmbeddedBroker::start(listen, accounts).await.unwrap();
    let login = broker.shared().clone();
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
async fn the_embedded_broker_admits_no_client_without_the_login() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, login) = start(dir.path(), ANY_PORT).await;
    let strangers = [
        peer(broker.address().port()),
        with_login(peer(broker.address().port()), &login.username, "guess"),
    ];
    for (n, stranger) in strangers.into_iter().enumerate() {
        let shop = Shop::open(&dir.path().join(n.to_string()), stranger);
        shop.connection(|state| matches!(state, ConnectionState::Refused { .. })).await;
        shop.delivery.stop().await;
    }
    broker.stop().await;
}

fn as_it<'a>(login: &'a Login, rest: &[&'a str]) -> Vec<&'a str> {
    [&["-u", &login.username, "-P", &login.password.0], rest].concat()
}

#[tokio::test]
async fn the_embedded_broker_keeps_states_over_a_restart_and_visits_are_published_again() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, login) = start(dir.path(), ANY_PORT).await;
    let address = broker.address();
    let here = visit("c-1", OPENING);
    let shop = Shop::open(dir.path(), gateway(&broker, &login));
    shop.perform(&[alert(&here)]).await;
    shop.delivered(2).await;
    let fleet = ["-r", "-t", "grelot/v1/config/fleet", "-m", "[policy]"];
    publish(address.port(), &as_it(&login, &fleet)).await;
    shop.delivery.stop().await;
    broker.stop().await;

    let (broker, again) = start(dir.path(), address).await;

    assert_eq!((broker.address(), &again), (address, &login));
    let mut configs =
        Subscriber::start(address.port(), &as_it(&login, &["-t", "grelot/v1/config/+"])).await;
    let said = configs.next().await;
    assert_eq!((said.payload.as_str(), said.retained), ("[policy]", true));
    let status = ["-t", "grelot/v1/42/gateways/+/status"];
    let mut gateways = Subscriber::start(address.port(), &as_it(&login, &status)).await;
    assert_eq!(gateways.next().await.json()["state"], "offline");
    let shop = Shop::open(dir.path(), gateway(&broker, &login));
    let visits = ["-t", "grelot/v1/42/visits/+"];
    let mut staff = Subscriber::start(address.port(), &as_it(&login, &visits)).await;
    assert_eq!(staff.next().await.json()["visit"].as_str(), Some(&*here.id.to_string()));
    shop.delivery.stop().await;
    broker.stop().await;
}

#[tokio::test]
async fn a_name_in_a_queue_of_the_embedded_broker_is_not_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, login) = start(dir.path(), ANY_PORT).await;
    let port = broker.address().port();
    let session = ["-i", "away", "-c", "-x", "3600", "-t", "grelot/v1/42/visits/+"];
    drop(Subscriber::start(port, &as_it(&login, &session)).await);
    let card = card();
    let (name, note) = (card.name.as_str(), card.note.as_deref().unwrap());
    let topic = format!("grelot/v1/42/visits/{}", visit("c-1", OPENING).id);
    let state = format!(r#"{{"name":"{name}","note":"{note}"}}"#);
    publish(port, &as_it(&login, &["-r", "-t", &topic, "-m", &state])).await;
    let withdrawn = ["-r", "-t", "grelot/v1/42/withdrawn/c-1", "-m", r#"{"v":1}"#];
    publish(port, &as_it(&login, &withdrawn)).await;

    let mut back = Subscriber::start(port, &as_it(&login, &session)).await;
    assert!(back.next().await.payload.contains(name), "it was queued");
    drop(back);
    broker.stop().await;

    let mut files = 0;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let text =
            String::from_utf8_lossy(&std::fs::read(file.unwrap().path()).unwrap()).into_owned();
        assert!(!text.contains(name) && !text.contains(note), "{text}");
        files += usize::from(text.contains("withdrawn/c-1"));
    }
    assert_eq!(files, 1, "the withdrawal is kept");
}

#[tokio::test]
async fn what_an_earlier_version_retained_is_taken_over_and_its_queues_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let earlier = dir.path().join("broker");
    std::fs::create_dir_all(earlier.join("queues")).unwrap();
    std::fs::write(earlier.join(".storage_version"), "").unwrap();
    let (broker, _) = start(dir.path(), ANY_PORT).await;
    assert!(!earlier.exists(), "an empty version file does not stop the gateway");
    broker.stop().await;
}

#[tokio::test]
async fn a_login_made_while_the_broker_runs_is_known_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, _) = start(dir.path(), ANY_PORT).await;
    let logins = Logins::new(dir.path());
    let password = logins.add(Role::Gateway, "door").unwrap();
    let door = with_login(peer(broker.address().port()), "door", &password.0);
    let shop = Shop::open(&dir.path().join("1"), door.clone());
    shop.connected().await;
    shop.delivery.stop().await;
    assert!(logins.remove("door").unwrap());
    let shop = Shop::open(&dir.path().join("2"), door);
    shop.connection(|state| matches!(state, ConnectionState::Refused { .. })).await;
    shop.delivery.stop().await;
    broker.stop().await;
}

#[tokio::test]
async fn a_full_disk_keeps_no_tablet_out_and_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let disk = Tmpfs::mount(&state, "size=128k");
    let (broker, login) = start(&state, ANY_PORT).await;
    let port = broker.address().port();
    let ballast = state.join("ballast");
    fill(&ballast);

    let session = ["-i", "new", "-c", "-x", "3600", "-t", "grelot/v1/42/arrivals"];
    let mut tablet = Subscriber::start(port, &as_it(&login, &session)).await;
    publish(port, &as_it(&login, &["-t", "grelot/v1/42/arrivals", "-m", "rings"])).await;
    assert_eq!(tablet.next().await.payload, "rings");
    let fleet = ["-r", "-t", "grelot/v1/config/fleet", "-m", "[policy]"];
    publish(port, &as_it(&login, &fleet)).await;
    let trouble = reached(broker.trouble(), Option::is_some).await.unwrap();
    assert!(trouble.contains("broker-retained.json"), "{trouble}");

    std::fs::remove_file(&ballast).unwrap();
    reached(broker.trouble(), Option::is_none).await;
    broker.stop().await;
    let kept = std::fs::read_to_string(state.join("broker-retained.json")).unwrap();
    assert!(kept.contains("config/fleet"), "{kept}");
    drop(disk);
}

#[tokio::test]
async fn on_a_full_disk_a_gateway_is_restarted_and_killed_and_rings() {
    const SCENE: Scene = Scene { store: 42, customers: 2, every: Duration::from_secs(1), speed: 1 };
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let disk = Tmpfs::mount(&state, "size=512k");
    let port = free_port();
    let broker = format!("embedded = true\nlisten = \"127.0.0.1:{port}\"");
    let mut grelot = Grelot::start(SCENE.write(dir.path(), &broker));
    grelot.logs("connected to the broker");
    assert_eq!(grelot.stop().await, Some(0), "{}", grelot.log());
    let login = Login::kept_in(&state).unwrap();
    fill(&state.join("ballast"));

    grelot.restart();
    eventually("the broker listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let session = ["-i", "new", "-c", "-x", "3600", "-t", "grelot/v1/42/arrivals"];
    let mut tablet = Subscriber::start(port, &as_it(&login, &session)).await;

    assert_eq!(tablet.next().await.json()["client"], "c-1");
    assert_eq!(tablet.next().await.json()["client"], "c-2");
    drop(tablet);

    grelot.kill();
    grelot.restart();
    eventually("the broker listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let mut tablet = Subscriber::start(port, &as_it(&login, &session)).await;
    assert_eq!(tablet.next().await.json()["client"], "c-1", "after a kill");
    std::fs::remove_file(state.join("ballast")).unwrap();
    assert_eq!(grelot.stop().await, Some(0), "{}", grelot.log());
    drop(disk);
}

#[tokio::test]
async fn no_damaged_state_file_stops_the_gateway() {
    const SCENE: Scene = Scene { store: 42, customers: 1, every: Duration::from_secs(1), speed: 1 };
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let port = free_port();
    let broker = format!("embedded = true\nlisten = \"127.0.0.1:{port}\"");
    let mut grelot = Grelot::start(SCENE.write(dir.path(), &broker));
    eventually("the broker listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    Logins::new(&state).add(Role::Reader, "board").unwrap();
    let login = Login::kept_in(&state).unwrap();
    let fleet = ["-r", "-t", "grelot/v1/config/fleet", "-m", "[policy]"];
    publish(port, &as_it(&login, &fleet)).await;
    eventually("all files are there", || state.join("broker-retained.json").exists());
    assert_eq!(grelot.stop().await, Some(0), "{}", grelot.log());

    let is_file = |entry: &std::fs::DirEntry| entry.file_type().unwrap().is_file();
    let entries = std::fs::read_dir(&state).unwrap().map(Result::unwrap).filter(is_file);
    let files: Vec<_> = entries.map(|entry| entry.path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    for damage in [&b""[..], b"{\"v\":1,", &[0x5a; 9_000]] {
        for file in &files {
            std::fs::write(file, damage).unwrap();
        }
        let connected = grelot.log().matches("connected to the broker").count();
        grelot.restart();
        eventually("it is connected again", || {
            grelot.log().matches("connected to the broker").count() > connected
        });
        assert_eq!(grelot.stop().await, Some(0), "{}", grelot.log());
    }
    for name in ["broker-login.json", "broker-logins.json", "broker-retained.json", "grelot.db"] {
        assert!(grelot.log().contains(name), "{name} is named: {}", grelot.log());
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let other = TcpListener::bind(ANY_PORT).unwrap();
    let address = other.local_addr().unwrap();
    let accounts = Accounts::new(42, None, dir.path()).unwrap();

    let refused = EmbeddedBroker::start(address, accounts).await;

    let Err(error) = refused else { panic!("it started") };
    assert!(matches!(&error, BrokerError::PortInUse(port) if *port == address));
    assert!(error.to_string().contains("hint:"), "{error}");
}
