//! The embedded broker.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use grelot::mqtt::Role;
use grelot::mqtt::logins::Logins;

use crate::client::{
    BAD_CLIENT_ID, BAD_PASSWORD, Client, GRANTED, NOT_AUTHORIZED, QUOTA_EXCEEDED, SUCCESS, silent,
};
use crate::mosquitto::{eventually, free_port};
use crate::scene::{Grelot, Scene};

const SCENE: Scene = Scene { store: 42, customers: 1, every: Duration::from_secs(1), speed: 1 };
const OWN: (&str, &str) = ("shop", "a password that a person chose");
const VISIT: &str = "grelot/v1/42/visits/6d0b5a1e-0000-8000-8000-000000000001";

/// A gateway with an embedded broker, and logins of every role.
struct Shop {
    port: u16,
    folder: PathBuf,
    grelot: Grelot,
    logins: Vec<(Role, String)>,
}

impl Shop {
    fn open(folder: &Path) -> Self {
        Self::with(folder, &SCENE)
    }

    fn with(folder: &Path, scene: &Scene) -> Self {
        let port = free_port();
        let (username, password) = OWN;
        let broker = format!(
            "embedded = true\nlisten = \"127.0.0.1:{port}\"\nusername = \"{username}\"\npassword = \"{password}\""
        );
        let grelot = Grelot::start(scene.write(folder, &broker));
        eventually("the broker listens", || silent(port).is_ok());
        let logins = Logins::new(&folder.join("state"));
        let login = |role: Role| (role, logins.add(role, role.word()).unwrap().0);
        let logins = Role::ALL.into_iter().map(login).collect();
        Self { port, folder: folder.to_owned(), grelot, logins }
    }

    fn client(&self, role: Role) -> Client {
        let password = &self.logins.iter().find(|(of, _)| *of == role).unwrap().1;
        let client = Client::log_in(self.port, role.word(), (role.word(), password)).unwrap();
        client.unwrap_or_else(|code| panic!("{role} is refused: {code:#x}"))
    }

    fn status(&self) -> serde_json::Value {
        let output = Command::new(env!("CARGO_BIN_EXE_grelot"))
            .args(["status", "--json", "--config"])
            .arg(self.folder.join("grelot.toml"))
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn is_connected(&self) -> bool {
        self.status()["broker"]["connected"] == true
    }

    /// Whether the gateway takes the customer for present.
    fn has(&self, client: &str) -> bool {
        self.status()["visits"].as_array().unwrap().iter().any(|visit| visit["client"] == client)
    }
}

#[test]
fn thousands_of_silent_connections_do_not_keep_a_tablet_out() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open(dir.path());
    let descriptors = format!("--pid={}", shop.grelot.id());
    let limited = Command::new("prlimit").args([&descriptors, "--nofile=220:220"]).status();
    assert!(limited.unwrap().success());

    let mut silent_ones = Vec::new();
    for _ in 0..3_000 {
        silent_ones.push(silent(shop.port).unwrap());
        if silent_ones.len() > 400 {
            silent_ones.remove(0);
        }
    }
    let mut tablet = shop.client(Role::Tablet);

    assert_eq!(tablet.subscribe("grelot/v1/42/arrivals").unwrap(), GRANTED);
    assert!(shop.is_connected());
    let mut oldest = silent_ones.remove(0);
    assert_eq!(oldest.read(&mut [0]).unwrap_or(0), 0, "it is closed, not kept");
    let log = shop.grelot.log();
    assert!(log.len() < 20_000, "{} octets of log", log.len());
}

#[test]
fn passwords_cannot_be_guessed_by_the_thousand() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open(dir.path());
    let guess = |n: u32| Client::log_in(shop.port, "guess", (OWN.0, &format!("guess {n}")));

    let answered = std::thread::scope(|scope| {
        let attempts: Vec<_> = (0..100).map(|n| scope.spawn(move || guess(n))).collect();
        let answers = attempts.into_iter().map(|attempt| attempt.join().unwrap());
        answers.filter(|answer| matches!(answer, Ok(Err(BAD_PASSWORD)))).count()
    });

    assert!((5..=50).contains(&answered), "{answered} of 100 passwords were answered");
    shop.client(Role::Tablet).subscribe("grelot/v1/42/arrivals").unwrap();
    assert!(shop.is_connected(), "the gateway itself and other logins are not locked out");
    eventually("the address may try again", || {
        matches!(Client::log_in(shop.port, "it", OWN), Ok(Ok(_)))
    });
}

#[test]
fn a_client_id_with_a_newline_forges_no_log_line() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open(dir.path());
    let forged = "x\n2026-01-05T09:00:00Z ERROR forged";

    let _ = Client::log_in(shop.port, forged, (forged, forged));
    let _ = Client::log_in(shop.port, forged, OWN);
    let mut tablet = shop.client(Role::Tablet);
    let _ = tablet.publish(&format!("grelot/v1/42/{forged}"), b"x", false);
    let _ = tablet.subscribe(&format!("grelot/v1/42/{forged}"));

    shop.grelot.logs("the embedded broker permits no");
    let log = shop.grelot.log();
    assert!(log.contains("forged"), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-05T09:00:00Z")), "{log}");
}

#[test]
fn a_tablet_forges_no_arrival_contact_visit_or_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open(dir.path());
    let mut tablet = shop.client(Role::Tablet);
    for topic in [
        "grelot/v1/42/arrivals",
        "grelot/v1/42/departures",
        VISIT,
        "grelot/v1/42/contacts/till",
        "grelot/v1/42/gateways/door/status",
        "grelot/v1/42/gateways/door/config",
        "grelot/v1/42/withdrawn/c-1",
        "grelot/v1/42/registry",
        "grelot/v1/42/config",
        "grelot/v1/config/fleet",
        "grelot/v1/43/visits/6d0b5a1e-0000-8000-8000-000000000001/claim",
    ] {
        assert_eq!(tablet.publish(topic, b"{}", true).unwrap(), NOT_AUTHORIZED, "{topic}");
    }
    for filter in
        ["#", "grelot/v1/42/#", "grelot/v1/42/contacts/+", "$share/x/#", "grelot/v1/43/arrivals"]
    {
        assert_eq!(tablet.subscribe(filter).unwrap(), NOT_AUTHORIZED, "{filter}");
    }
    assert_eq!(tablet.publish(&format!("{VISIT}/claim"), b"{}", false).unwrap() & 0x80, SUCCESS);
    let will = Client::with_will(shop.port, "t", ("tablet", &shop.logins[1].1), VISIT).unwrap();
    assert_eq!(will.err(), Some(NOT_AUTHORIZED), "nor by its last will");
}

#[test]
fn a_gateway_writes_no_other_gateways_topics_and_a_reader_none() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open(dir.path());
    let mut gateway = shop.client(Role::Gateway);
    assert_eq!(gateway.publish("grelot/v1/42/contacts/gateway", b"{}", false).unwrap() & 0x80, 0);
    for topic in [
        "grelot/v1/42/contacts/door",
        "grelot/v1/42/gateways/door/status",
        "grelot/v1/42/gateways/gateway/config",
        "grelot/v1/42/withdrawn/c-1",
        "grelot/v1/43/arrivals",
    ] {
        assert_eq!(gateway.publish(topic, b"{}", true).unwrap(), NOT_AUTHORIZED, "{topic}");
    }
    let mut reader = shop.client(Role::Reader);
    assert_eq!(reader.subscribe("grelot/v1/42/#").unwrap(), GRANTED);
    for topic in ["grelot/v1/42/arrivals", "grelot/v1/42/contacts/reader", "elsewhere"] {
        assert_eq!(reader.publish(topic, b"{}", true).unwrap(), NOT_AUTHORIZED, "{topic}");
    }
    let office = &mut shop.client(Role::HeadOffice);
    assert_eq!(office.publish("grelot/v1/42/withdrawn/c-9", b"{}", true).unwrap() & 0x80, 0);
    assert_eq!(office.publish("grelot/v1/42/arrivals", b"{}", false).unwrap(), NOT_AUTHORIZED);
}

#[test]
fn a_tablet_does_not_take_over_the_gateways_connection() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open(dir.path());
    eventually("the gateway is connected", || shop.is_connected());
    let login = ("tablet", shop.logins[1].1.as_str());
    let taken = Client::log_in(shop.port, "grelot-42-door", login).unwrap();
    assert_eq!(taken.err(), Some(BAD_CLIENT_ID));
    assert!(shop.is_connected());
}

#[test]
fn retained_messages_are_bounded_in_memory_and_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let shop = Shop::open(dir.path());
    let mut own = Client::log_in(shop.port, "it", OWN).unwrap().ok().unwrap();

    let mut kept = 0;
    for n in 0..300 {
        let topic = format!("elsewhere/{n}");
        kept += usize::from(own.publish(&topic, &[b'x'; 60_000], true).unwrap() & 0x80 == 0);
    }
    assert_eq!(kept, 256, "of topics that are not grelot's");
    let long = own.publish("elsewhere/0", &[b'x'; 263_000], true).unwrap();
    assert_eq!(long, QUOTA_EXCEEDED);
    let file = dir.path().join("state/broker-retained.json");
    eventually("the file is written", || file.exists());
    let octets = || std::fs::metadata(&file).map_or(0, |file| file.len());
    assert!(octets() < 20 << 20, "{} octets", octets());
    let mut office = shop.client(Role::HeadOffice);
    let withdrawn = office.publish("grelot/v1/42/withdrawn/c-9", b"{\"v\":1}", true).unwrap();
    assert_eq!(withdrawn & 0x80, 0, "there is room for a withdrawal");
    let saved = std::fs::read_to_string(&file).unwrap();
    assert!(saved.contains("withdrawn/c-9"), "acknowledged, so on the disk");
    assert!(own.is_closed_by(&[0x30, 0xff, 0xff, 0xff, 0x7f]), "256 MB are not waited for");
    assert!(shop.is_connected());
}

#[test]
fn contacts_and_visits_that_no_gateway_of_the_store_can_have_sent_have_no_effect() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene { customers: 2, every: Duration::from_hours(1), ..SCENE };
    let shop = Shop::with(dir.path(), &scene);
    let mut own = Client::log_in(shop.port, "it", OWN).unwrap().ok().unwrap();
    let contacts =
        r#"{"v":1,"at":"2026-01-05T09:00:10Z","heard":[{"client":"c-2","rssi":-40,"count":4}]}"#;
    let mut contact = || {
        own.publish("grelot/v1/42/contacts/attic", contacts.as_bytes(), false).unwrap();
    };
    (0..50).for_each(|_| contact());
    shop.grelot.logs("contacts of a gateway that is not online are refused");
    assert!(!shop.has("c-2"));

    // The same from a gateway that is there: it is this that was refused.
    let mut it = Client::log_in(shop.port, "it-2", OWN).unwrap().ok().unwrap();
    let status = r#"{"v":1,"state":"online","version":"1","config":"","since":null}"#;
    it.publish("grelot/v1/42/gateways/attic/status", status.as_bytes(), true).unwrap();
    eventually("the customer is here", || {
        contact();
        shop.has("c-2")
    });

    let id = &VISIT["grelot/v1/42/visits/".len()..];
    let forged = |arrived_at: &str, revision: u32| {
        format!(
            r#"{{"v":1,"visit":"{id}","client":"c-1","tier":"gold","gateway":"attic","arrived_at":"{arrived_at}","confidence":0.9,"discreet":false,"state":"present","announced":true,"revision":{revision}}}"#
        )
    };
    it.publish(VISIT, forged("2026-01-06T09:00:00Z", 1).as_bytes(), true).unwrap();
    shop.grelot.logs("a visit with an implausible time is refused");
    it.publish(VISIT, forged("2026-01-05T09:00:00Z", u32::MAX).as_bytes(), true).unwrap();
    shop.grelot.logs("no visit changes so often");
}
