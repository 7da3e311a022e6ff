//! A bundle that ends while grelot runs, and after.

use std::fs;

use grelot::config::registry;
use grelot::pipeline::units::WallTime;
use std::time::Duration;

use super::gateway::{Shop, eventually, next};

/// When the bundle at `name` ends, by its own first line.
fn end_of(shop: &Shop, name: &str) -> WallTime {
    registry::peek(registry::open(&shop.path(name)).unwrap()).unwrap().expires_at
}

#[test]
fn an_expired_bundle_recognises_no_one_and_is_reported_everywhere() {
    let shop = Shop::new();
    shop.bundle(1, 42, "keys", "older.zst");
    std::thread::sleep(Duration::from_millis(5));
    shop.bundle(1, 42, "keys", "customers.jsonl.zst");
    shop.configure_signed();
    let ends = end_of(&shop, "customers.jsonl.zst");
    shop.record(&ends.minus(Duration::from_secs(10)).to_string(), 1..=1);
    let (_subscriber, messages) = shop.listen();
    let grelot = shop.run();
    next(&messages, "the arrival", |line| line.contains("/arrivals "));
    assert_eq!((shop.customers(), shop.doctor().0.as_str()), (1, "ok"));

    let (_, status) = next(&messages, "the status", |line| {
        line.contains("/gateways/door/status ") && line.contains("expired")
    });
    assert!(status.contains("no customer is recognised"), "{status}");
    eventually("no customer can be recognised", || shop.customers() == 0);
    assert!(shop.trouble().starts_with("the registry expired at"), "{}", shop.trouble());
    assert!(shop.log().contains("ERROR") && shop.log().contains("the registry has expired"));
    let (verdict, says) = shop.doctor();
    assert!(verdict == "fail" && says.contains("expired"), "{verdict}: {says}");
    let contacts = shop.status()["contacts"].clone();
    let heard = || shop.status()["sources"][0]["heard"].as_u64().unwrap();
    let before = heard();
    eventually("the card is heard on", || heard() > before + 8);
    assert_eq!(shop.status()["contacts"], contacts, "and recognised no more");

    // Neither a restart nor an older bundle brings it back; a newer one does.
    drop(grelot);
    shop.record(&ends.plus(Duration::from_mins(1)).to_string(), 1..=1);
    let _grelot = shop.run();
    assert_eq!(shop.customers(), 0);
    assert!(shop.trouble().starts_with("the registry expired at"), "{}", shop.trouble());
    shop.put(&shop.path("older.zst"), "customers.jsonl.zst");
    eventually("the older one is refused", || shop.trouble().contains("the one in force at"));
    let day = ends.plus(Duration::from_hours(24)).to_string();
    shop.bundle_book(42, "keys", "customers.jsonl.zst", &format!("--day {}", &day[..10]));
    eventually("there is a newer one", || shop.customers() == 1);
    assert_eq!((shop.trouble(), shop.doctor().0.as_str()), (String::new(), "ok"));
    next(&messages, "the customer is recognised again", |line| line.contains("/visits/"));
    assert!(fs::metadata(shop.path("state/registry/accepted")).is_ok());
}
