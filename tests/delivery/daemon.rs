//! The whole `grelot run` where something is wrong around it: a clear message and the right exit
//! code.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use crate::disk::Tmpfs;
use crate::mosquitto::{BrokerOptions, Mosquitto, free_port};
use crate::scene::{Grelot, Scene};

const SCENE: Scene =
    Scene { store: 42, customers: 4, every: Duration::from_millis(500), speed: 10 };

fn embedded(port: u16) -> String {
    format!("embedded = true\nlisten = \"127.0.0.1:{port}\"")
}

fn external(port: u16) -> String {
    format!("urls = [\"mqtt://127.0.0.1:{port}\"]")
}

fn state(dir: &Path) -> std::path::PathBuf {
    dir.join("state")
}

#[tokio::test]
async fn a_brokers_port_in_use_ends_it_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let mut grelot = Grelot::start(SCENE.write(dir.path(), &embedded(port)));
    assert_eq!(grelot.ended().await, Some(1), "{}", grelot.log());
    let log = grelot.log();
    assert!(log.contains(&format!("127.0.0.1:{port}")) && log.contains("in use"), "{log}");
}

/// The alert's lifetime is an hour of the recording, which is played ten times as fast.
#[tokio::test]
async fn an_alert_of_a_fast_recording_does_not_outlive_itself_at_the_broker() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut staff = broker.subscribe(&["-t", "grelot/v1/42/arrivals"]).await;
    let _grelot = Grelot::start(SCENE.write(dir.path(), &external(broker.port)));
    let alert = staff.next().await;
    assert!(matches!(alert.expiry, Some(1..=360)), "{alert:?}");
}

#[tokio::test]
async fn a_state_path_that_is_no_folder_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(state(dir.path()), "no directory").unwrap();
    let config = SCENE.write(dir.path(), &external(free_port()));
    let mut grelot = Grelot::start(config.clone());
    assert_eq!(grelot.ended().await, Some(78), "no folder: a configuration error");
    let log = grelot.log();
    assert!(log.contains("state.path = \"state\"") && log.contains("is not a folder"), "{log}");
}

#[tokio::test]
async fn alerts_go_out_from_a_state_folder_that_is_read_only() {
    let dir = tempfile::tempdir().unwrap();
    let _disk = Tmpfs::mount(&state(dir.path()), "ro");
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut staff = broker.subscribe(&["-t", "grelot/v1/42/arrivals"]).await;
    let mut it = broker.subscribe(&["-t", "grelot/v1/42/gateways/door/status"]).await;
    let mut grelot = Grelot::start(SCENE.write(dir.path(), &external(broker.port)));
    staff.next().await;
    let mut status = it.next().await.json();
    while !status.to_string().contains("read-only") && !status.to_string().contains("Read-only") {
        status = it.next().await.json();
    }
    grelot.logs("`grelot status` cannot reach this gateway");
    assert_eq!(grelot.stop().await, Some(0), "{}", grelot.log());
}

#[tokio::test]
async fn a_refused_password_is_logged_and_does_not_end_it() {
    let dir = tempfile::tempdir().unwrap();
    let options = BrokerOptions { login: Some(("door", "right")), ..BrokerOptions::default() };
    let broker = Mosquitto::start(dir.path(), &options);
    let login = "\nusername = \"door\"\npassword = \"wrong\"";
    let config = SCENE.write(dir.path(), &format!("{}{login}", external(broker.port)));
    let mut grelot = Grelot::start(config);
    grelot.logs("it refuses this username and password");
    assert!(!grelot.log().contains("wrong"), "a password in the log");
    assert_eq!(grelot.stop().await, Some(0), "{}", grelot.log());
}

#[tokio::test]
async fn a_full_disk_does_not_silence_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = state(dir.path());
    // Room for the file and its journal once the ballast is gone.
    let _disk = Tmpfs::mount(&state, "size=512k");
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut staff = broker.subscribe(&["-t", "grelot/v1/42/arrivals"]).await;
    let scene = Scene { customers: 30, every: Duration::from_secs(1), ..SCENE };
    let mut grelot = Grelot::start(scene.write(dir.path(), &external(broker.port)));
    staff.next().await;
    crate::disk::fill(&state.join("ballast"));

    for _ in 1..30 {
        staff.next().await;
    }

    grelot.logs("the store takes no changes");
    std::fs::remove_file(state.join("ballast")).unwrap();
    assert_eq!(grelot.stop().await, Some(0), "{}", grelot.log());
    let store = grelot::store::Store::open(&state).unwrap();
    let restored = store.restored(&crate::shop::settings(), crate::shop::OPENING).unwrap();
    assert_eq!(restored.visits.len(), 30);
    assert_eq!(store.queued().unwrap(), []);
}

#[tokio::test]
async fn asked_to_stop_it_says_goodbye() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(dir.path(), &BrokerOptions::default());
    let mut it = broker.subscribe(&["-t", "grelot/v1/42/gateways/door/status"]).await;
    let mut grelot = Grelot::start(SCENE.write(dir.path(), &external(broker.port)));
    assert_eq!(it.next().await.json()["state"], "online");
    assert_eq!(grelot.stop().await, Some(0), "{}", grelot.log());
    let goodbye = it.next().await.json();
    assert_eq!(goodbye["state"], "offline");
    assert!(goodbye["since"].is_string(), "said by itself, not by its last will: {goodbye}");
}
