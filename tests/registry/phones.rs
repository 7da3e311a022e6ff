//! What is learned of a customer's phone, from visit to visit.

use std::fs;

use rusqlite::Connection;

use super::gateway::{Shop, next};

/// A card that is in the shop for a minute from `started_at` on, with the RSSI of a phone at the
/// door.
fn record(shop: &Shop, started_at: &str) {
    shop.record(started_at, 1..=1);
    let text = fs::read_to_string(shop.path("shop.jsonl")).unwrap();
    let minute: Vec<&str> = text.lines().take(1 + 240).collect();
    fs::write(shop.path("shop.jsonl"), minute.join("\n")).unwrap();
}

/// What a stopped gateway has kept: handles, and the RSSI offsets of their phones.
fn kept(shop: &Shop) -> Vec<(String, f64)> {
    let db = Connection::open(shop.path("state/grelot.db")).unwrap();
    let mut rows = db.prepare("SELECT client, above_usual_db FROM phones").unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn what_a_visit_taught_of_a_phone_survives_a_restart_and_goes_with_consent() {
    let shop = Shop::new();
    shop.bundle(1, 42, "keys", "customers.jsonl.zst");
    shop.configure_signed();
    let text = fs::read_to_string(shop.path("grelot.toml")).unwrap();
    let text = text.replace("speed = 1.0", "speed = 30.0");
    // As loud as at the door: a doubtful case once the phone is known to be loud.
    let text = format!("{text}\n[presence]\narrive_confidence = 0.6\n");
    fs::write(shop.path("grelot.toml"), text).unwrap();
    let warnings = || shop.log().matches("dB louder than most").count();

    let (_subscriber, messages) = shop.listen();
    record(&shop, "2026-01-05T09:00:00Z");
    let grelot = shop.run();
    next(&messages, "the departure", |line| line.contains("/departures "));
    drop(grelot);
    let phones = kept(&shop);
    assert_eq!(phones.len(), 1, "{phones:?}");
    assert!(phones[0].0 == "c-1" && phones[0].1 > 1.0, "{phones:?}");
    assert_eq!(warnings(), 0, "nothing was known of it before");

    record(&shop, "2026-01-05T15:00:00Z");
    let grelot = shop.run();
    next(&messages, "the next visit", |line| line.contains("/arrivals "));
    assert!(warnings() > 0, "it was weighed with what is known");
    shop.say("grelot/v1/42/withdrawn/c-1", "{\"v\":1}", &["-r"]);
    // What is published is on the disk already.
    next(&messages, "the visit vanishes", |line| line.ends_with(" (null)"));
    drop(grelot);
    assert_eq!(kept(&shop), []);
}
