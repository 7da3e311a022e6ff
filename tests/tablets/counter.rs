//! Customers whose phone is not received, in a whole `grelot run`: checked in by hand on a tablet,
//! or with a link that their own phone opens; and how staff open a customer's file, and bring back
//! customers who have left.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use grelot::pipeline::identity::key::ClientKey;
use grelot::pipeline::identity::window::{day_of, window_at};
use grelot::pipeline::units::WallTime;
use serde_json::{Value, json};

use crate::OVERFLOWING;
use crate::browser::{Chromium, Tablet};
use crate::common::daemon::Grelot;
use crate::common::free_port;
use crate::common::waiting::eventually;
use crate::daemon::is_up;
use crate::http;
use crate::shop::now;

/// What no test of a browser should need.
const SOON: Duration = Duration::from_secs(30);

/// The long-term key of the app's customer.
const KEY: ClientKey = ClientKey([7; 32]);

/// A store with three customers, a radio that this test feeds, and a database of customers.
struct Counter {
    folder: tempfile::TempDir,
    port: u16,
    grelot: Grelot,
    radio: File,
    crm: TcpListener,
}

impl Counter {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, crm) = (free_port(), TcpListener::bind("127.0.0.1:0").unwrap());
        let text = format!(
            "[store]\nid = 42\nname = \"Paris <Rivoli>\"\n[gateway]\nname = \"door\"\nclock = \"trusted\"\n\
             [broker]\nlisten = \"127.0.0.1:0\"\n[registry]\npath = \"customers.jsonl\"\n\
             [presence]\nleave_after_secs = 2\n[policy]\nmin_hours_between_alerts = 0\n\
             [[source]]\nkind = \"h4\"\npath = \"hci\"\n[state]\npath = \"state\"\n\
             [tablets]\nlisten = \"127.0.0.1:{port}\"\nentrance = true\nrepeat_secs = 0\n\
             crm_url = \"http://{}/file/{{client}}\"\n",
            crm.local_addr().unwrap()
        );
        let config = folder.path().join("grelot.toml");
        fs::write(&config, text).unwrap();
        let customers = [
            enrolled("c-lea", "Mme Duval", &beacon(1)),
            enrolled("c-max&1%", "M. Okafor", &beacon(2)),
            enrolled("c-app", "Mlle Aubry", &token_keys()),
        ];
        fs::write(folder.path().join("customers.jsonl"), customers.join("\n")).unwrap();
        let pipe = folder.path().join("hci");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // Both ends: neither side waits for the other.
        let radio = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        let grelot = Grelot::start(config);
        let counter = Self { folder, port, grelot, radio, crm };
        counter.is_open();
        counter
    }

    /// The page is there, and the radio receives: somebody else's card.
    fn is_open(&self) {
        eventually("the page is up", || is_up(self.port));
        self.hears(99);
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("grelot.toml")
    }

    /// The radio receives the card of this number once.
    fn hears(&self, minor: u8) {
        let advertisement = [ibeacon(minor).as_slice(), &[0xc5]].concat();
        let mut report = vec![0x02, 0x01, 0x03, 0x01, minor, 0, 3, 4, 5, 0xc6];
        report.push(u8::try_from(advertisement.len()).unwrap());
        report.extend(advertisement);
        report.push((-50_i8).cast_unsigned());
        let head = [0x04, 0x3e, u8::try_from(report.len()).unwrap()];
        (&self.radio).write_all(&[&head[..], &report].concat()).unwrap();
    }

    /// A tablet of Léa's.
    fn tablet(&self, chromium: &Chromium) -> Tablet {
        let tablet = chromium.tablet("en", 1280, 800);
        tablet.before_load("localStorage.setItem('names', '[\"Léa\"]')");
        tablet.open(&self.url("/"));
        // On a busy machine so much time has passed since the last card that the page says so.
        self.hears(99);
        tablet.shows("All is calm");
        tablet
    }
}

/// Flags, and the iBeacon of this number without its power.
fn ibeacon(minor: u8) -> Vec<u8> {
    [
        &hex::decode("0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e00001").unwrap()[..],
        &[0, minor],
    ]
    .concat()
}

fn beacon(minor: u8) -> Value {
    let ibeacon =
        json!({ "uuid": "e2c56db5-dffb-48d2-b060-d0f5a71096e0", "major": 1, "minor": minor });
    json!({ "scheme": "beacon", "ibeacon": ibeacon })
}

/// The app's keys of yesterday, today and tomorrow.
fn token_keys() -> Value {
    let today = day_of(window_at(now()));
    let days: serde_json::Map<_, _> = (today - 1..=today + 1)
        .map(|day| (day.to_string(), json!(hex::encode(KEY.store_day_key(day, 42, 0).0))))
        .collect();
    json!({ "scheme": "token", "days": days })
}

fn enrolled(client: &str, name: &str, credential: &Value) -> String {
    let consent = json!({ "given_at": "2025-11-02T10:14:00Z", "text": "en", "show_name": true,
                          "expires_at": "2099-01-01T00:00:00Z" });
    let mut line = json!({ "client": client, "tier": "gold", "consent": consent, "quiet": null,
                           "card": { "name": name, "language": "fr", "note": null } });
    line.as_object_mut().unwrap().extend(credential.as_object().unwrap().clone());
    line.to_string()
}

/// The token that the app would advertise `seconds` from now.
fn token(config: &Path, seconds: i64) -> String {
    let key = config.with_file_name("ck.hex");
    fs::write(&key, hex::encode(KEY.0)).unwrap();
    let at = WallTime::from_unix_millis(now().unix_millis() + seconds * 1000).to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
    let output =
        command.arg("--json").args(["token", "--store", "42", "--at", &at, "--key-file"]).arg(key);
    let output = output.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output: Value = serde_json::from_slice(&output.stdout).unwrap();
    output["token"].as_str().unwrap().to_owned()
}

#[test]
fn a_phone_that_opens_a_link_at_the_entrance_rings_on_the_tablets_once() {
    let counter = Counter::open();
    let chromium = Chromium::start();
    let tablet = counter.tablet(&chromium);
    tablet.tap("#sound");
    tablet.run("strikes = 0");
    let phone = chromium.tablet("en", 390, 844);
    let look = |path: &str, says: &str, picture: &str| {
        phone.open(&counter.url(path));
        phone.shows(says);
        phone.shows("Paris <Rivoli>");
        assert_eq!(phone.run(OVERFLOWING), json!([]), "{picture}");
        assert_eq!(phone.violations(), Vec::<String>::new(), "{picture}");
        phone.picture(&format!("here-{picture}"));
    };
    look("/here/", "scan this code", "entrance");
    let link = format!("/here/{}", token(&counter.config(), 0));
    for (token, what) in [
        ("0".repeat(22), "forged"),
        (token(&counter.config(), -3600), "expired"),
        (token(&counter.config(), 3600), "of-later"),
        ("xyz".to_owned(), "mistyped"),
    ] {
        look(&format!("/here/{token}"), "This link does not count", what);
    }
    assert_eq!(tablet.run("return document.querySelectorAll('.card').length"), json!(0));

    look(&link, "Thank you. The staff know that you are here.", "welcome");
    tablet.shows("Mlle Aubry");
    tablet.until("strikes > 0", SOON);
    phone.dark(true);
    look(&link, "This link has already been used.", "again");
    let answer = http::request(counter.port, "GET", &link, &[("Host", "127.0.0.1")], "").unwrap();
    assert_eq!(answer.status, 410);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(tablet.run("return document.querySelectorAll('.card').length"), json!(1));
}

#[test]
fn staff_check_a_customer_in_by_hand_open_their_file_and_take_it_all_back() {
    let mut counter = Counter::open();
    let chromium = Chromium::start();
    let (lea, paul) = (counter.tablet(&chromium), counter.tablet(&chromium));
    lea.tap("#more-tools");
    lea.shows("2 tablets are connected to this gateway.");
    lea.picture("tools");
    assert_eq!(lea.violations(), Vec::<String>::new());
    let check_in = |client: &str| {
        lea.run("handle.value = ''");
        lea.type_into("#handle", client);
        lea.tap("#check-in button");
    };
    check_in("c-unknown");
    lea.shows("No customer of this shop has that handle.");
    lea.picture("check-in-unknown");
    check_in(" c-max&1% ");
    lea.shows("The customer is shown as present.");
    paul.shows("M. Okafor");
    lea.picture("checked-in");
    lea.tap("#more-tools");
    check_in("c-max&1%");
    lea.shows("That customer is shown as present already.");
    lea.tap("#tools-close");

    // Their file: in a window of its own, which learns nothing of the page.
    let page = lea.command("GET", "/window", &json!({}));
    let windows = || lea.command("GET", "/window/handles", &json!({})).as_array().unwrap().clone();
    lea.tap(".card .crm");
    let (stream, _) = counter.crm.accept().unwrap();
    let head: Vec<String> = BufReader::new(&stream)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(head[0], "GET /file/c-max%261%25 HTTP/1.1");
    assert!(!head.iter().any(|line| line.to_ascii_lowercase().starts_with("referer")), "{head:?}");
    (&stream).write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    eventually("a window of its own", || windows().len() == 2);
    drop(stream);
    let file = windows().into_iter().find(|window| *window != page).unwrap();
    lea.command("POST", "/window", &json!({ "handle": file }));
    lea.command("DELETE", "/window", &json!({}));
    lea.command("POST", "/window", &json!({ "handle": page }));
    lea.shows("M. Okafor");

    // Checked in by mistake.
    lea.tap("#more-tools");
    check_in("c-lea");
    paul.shows("Mme Duval");
    lea.tap("#undo");
    paul.hides("Mme Duval");
    paul.tap("summary");
    paul.tap("#hidden .recall");
    lea.shows("Mme Duval");

    // Once their phones are received, silence ends a visit; who left by mistake comes back.
    counter.hears(2);
    lea.shows_within("JUST LEFT", SOON);
    lea.picture("just-left");
    lea.tap("#left .recall");
    lea.shows("M. Okafor is back.");
    paul.until("document.querySelectorAll('#welcome .card').length === 2", SOON);
    lea.tap("#undo");
    paul.until("document.querySelectorAll('#welcome .card').length === 1", SOON);
    paul.tap("#hidden .recall");
    paul.until("document.querySelectorAll('#welcome .card').length === 2", SOON);

    // Killed and started again: who is received leaves once silent, who was checked in stays.
    counter.grelot.kill();
    counter.grelot.restart();
    counter.is_open();
    lea.shows_within("Live", SOON);
    lea.until("document.querySelectorAll('#welcome .card').length === 2", SOON);
    counter.hears(2);
    lea.shows_within("JUST LEFT", SOON);
    assert_eq!(
        lea.run("return document.querySelector('#welcome .name').textContent"),
        json!("Mme Duval")
    );
}
