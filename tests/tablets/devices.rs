//! Other apps as staff tablets: MQTT over WebSocket, with the example of the documents in a browser and
//! the `mqtt` package of npm.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use grelot::tablets::Pairing;
use grelot::tablets::pairing::Pairings;
use serde_json::{Value, json};

use crate::browser::{Chromium, Tablet};
use crate::http;
use crate::shop::{Shop, certificate, now, visit};

/// The version that the example was written for.
const MQTT_JS: &str = "mqtt@5.16.0";

/// Path of `mqtt.min.js`, which npm fetches once.
fn mqtt_js() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("npm");
    let script = folder.join("package/dist/mqtt.min.js");
    if !script.exists() {
        std::fs::create_dir_all(&folder).unwrap();
        let packed = Command::new("npm")
            .args(["pack", "--silent", MQTT_JS])
            .current_dir(&folder)
            .stderr(Stdio::inherit())
            .output()
            .expect("npm (Debian package npm)");
        assert!(packed.status.success(), "npm pack {MQTT_JS}");
        let archive = String::from_utf8(packed.stdout).unwrap();
        let unpacked = Command::new("tar")
            .args(["xzf", archive.trim(), "package/dist/mqtt.min.js"])
            .current_dir(&folder)
            .status();
        assert!(unpacked.unwrap().success());
    }
    script
}

/// The example of the documents, connected as `label`.
fn example(chromium: &Chromium, shop: &Shop, folder: &Path, label: &str) -> Tablet {
    std::fs::copy(mqtt_js(), folder.join("mqtt.min.js")).unwrap();
    let page = folder.join("tablet.html");
    std::fs::copy("docs/examples/tablet.html", &page).unwrap();
    let token = Pairings::new(shop.state.path()).add(now(), label).unwrap();
    let tablet = chromium.tablet_that_trusts_all("en", 800, 1280);
    tablet.open(&format!("file://{}", page.display()));
    let url = format!("{}mqtt", shop.url().replacen("http", "ws", 1));
    for (id, value) in [("url", url.as_str()), ("username", label), ("password", token.as_str())] {
        tablet.run(&format!("document.getElementById({id:?}).value = {value:?}"));
    }
    tablet.tap("#login button");
    tablet
}

/// What the device's own client gets as an answer, by the reason code of version 5.
fn answer(tablet: &Tablet, call: &str) -> Value {
    let script = format!(
        "window.answer = null; \
         const done = (error, granted) => (window.answer = error ? (error.code ?? error.message) : \
           (granted?.[0]?.qos ?? 'ok')); {call};"
    );
    tablet.run(&script);
    tablet.until("window.answer !== null", Duration::from_secs(20));
    tablet.run("return window.answer")
}

#[test]
fn an_app_of_another_maker_takes_care_of_a_customer_and_may_do_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open_with(|config| {
        config.tls = Some(certificate(folder.path()));
        config.pairing = Pairing::Required;
    });
    let duval = visit(1, "Mme Duval", "gold", 20);
    shop.gateway.is_here(&duval);
    let chromium = Chromium::start();
    let tablet = example(&chromium, &shop, folder.path(), "Kiosk");
    tablet.shows("Mme Duval");
    assert!(shop.has_subscriber_of_arrivals());
    tablet.tap("#visits button");
    tablet.shows("with Kiosk");

    // It reads and writes what a tablet may, although the bridge's own login may do more.
    let subscribe = |topic: &str| {
        answer(&tablet, &format!("client.subscribe('grelot/v1/42/{topic}', {{qos: 1}}, done)"))
    };
    assert_eq!(subscribe("gateways/+/status"), json!(1));
    for topic in ["#", "withdrawn/+", "contacts/+", "visits/+/claim"] {
        assert_ne!(subscribe(topic), json!(1), "{topic}");
    }
    let publish = |topic: &str, payload: &str| {
        answer(
            &tablet,
            &format!("client.publish('grelot/v1/42/{topic}', '{payload}', {{qos: 1}}, done)"),
        )
    };
    let claim = format!("visits/{}/claim", duval.visit);
    let release = |by: &str| format!(r#"{{"v":1,"by":"{by}","action":"release"}}"#);
    assert_ne!(publish("withdrawn/c-1", "{}"), json!("ok"));
    assert_ne!(publish("arrivals", "{}"), json!("ok"));
    assert_ne!(publish(&claim, &release("Somebody else")), json!("ok"));
    assert_eq!(publish(&claim, &release("Kiosk")), json!("ok"));

    let pairings = Pairings::new(shop.state.path());
    let paired = pairings.list().unwrap().remove(0);
    pairings.revoke(&paired.id).unwrap();
    tablet.shows_within("Not connected", Duration::from_secs(20));
}

#[test]
fn no_device_gets_in_without_a_pairing_or_with_another_sites_cookie() {
    let shop = Shop::open_with(|config| config.pairing = Pairing::Required);
    let port = shop.address().port();
    let upgrade = |more: &[(&str, &str)]| {
        let headers = [
            &[
                ("Host", "127.0.0.1"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ("Sec-WebSocket-Protocol", "mqtt"),
            ],
            more,
        ]
        .concat();
        http::websocket(port, "/mqtt", &headers, CONNECT)
    };
    let token = Pairings::new(shop.state.path()).add(now(), "till").unwrap();
    let cookie = format!("grelot={}", token.as_str());
    let refused = [0x20, 3, 0, 0x87, 0];
    assert_eq!(upgrade(&[]), refused, "no token");
    let foreign = [("Cookie", cookie.as_str()), ("Origin", "http://evil.example")];
    assert_eq!(upgrade(&foreign), refused, "another site in a paired browser");
    let own = [("Cookie", cookie.as_str()), ("Origin", "http://127.0.0.1")];
    let admitted = upgrade(&own);
    assert_eq!((admitted[0], admitted[3]), (0x20, 0), "its own page");
}

/// Version 5, clean start, client id `x`.
const CONNECT: &[u8] = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01x";
