//! Consent taken back.

use std::fs;
use std::time::{Duration, Instant};

use super::gateway::{Shop, eventually, next};

/// Every octet in the state folder.
fn state(shop: &Shop) -> Vec<u8> {
    let files = fs::read_dir(shop.path("state")).unwrap();
    let files = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
    files.flat_map(|path| fs::read(path).unwrap()).collect()
}

fn holds(octets: &[u8], text: &str) -> bool {
    octets.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn a_withdrawal_takes_effect_within_two_seconds_and_for_good() {
    let shop = Shop::new();
    shop.bundle(2, 42, "keys", "customers.jsonl.zst");
    shop.configure_signed();
    let (_subscriber, messages) = shop.listen();
    let grelot = shop.run();
    let (_, arrival) = next(&messages, "the arrival", |line| line.contains("/arrivals "));
    assert!(arrival.contains("\"c-1\"") && arrival.contains("Madame Numero 1"), "{arrival}");
    let (_, visit) = next(&messages, "the visit's state", |line| line.contains("/visits/"));
    let topic = visit.split(' ').next().unwrap().to_owned();
    assert!(holds(&state(&shop), "Madame Numero 1"), "the search would have found it");
    let audit = |shop: &Shop| shop.office("audit c-1 --config grelot.toml");
    assert!(audit(&shop).contains("arrived   door"), "{}", audit(&shop));

    let begun = Instant::now();
    shop.office("withdraw c-1 --config grelot.toml");
    // mosquitto_sub's word for an empty message.
    let cleared = |line: &str| line == format!("{topic} (null)");
    let (at, _) = next(&messages, "the visit vanishes", cleared);
    assert!(at - begun < Duration::from_secs(2), "it took {:?}", at - begun);
    eventually("what was stored is overwritten", || !holds(&state(&shop), "Madame Numero 1"));
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
    assert!(audit(&shop).contains("was not recognised"), "{}", audit(&shop));
    let status = shop.status();
    assert_eq!(status["visits"].as_array().map(Vec::len), Some(0));

    // Against a new bundle that has the customer still, and after a restart.
    shop.bundle(2, 42, "keys", "customers.jsonl.zst");
    std::thread::sleep(Duration::from_secs(5));
    drop(grelot);
    let _grelot = shop.run();
    std::thread::sleep(Duration::from_secs(8));
    assert!(shop.status()["sources"][0]["heard"].as_u64().unwrap() > 10);
    while let Ok((_, line)) = messages.try_recv() {
        let about = line.contains("/arrivals ") || line.contains("/visits/");
        assert!(!(about && line.contains("c-1")), "{line}");
    }
    assert_eq!(shop.status()["contacts"], 0);
    assert!(!holds(&state(&shop), "Madame Numero 1"));
}

#[test]
fn an_alert_that_waits_for_a_tablet_is_withdrawn_with_its_customer() {
    let shop = Shop::new();
    shop.bundle(1, 42, "keys", "customers.jsonl.zst");
    shop.configure_signed();
    let _grelot = shop.run();
    // Arrivals have no subscriber, so the alert stays queued.
    let queued = || shop.status()["delivery"]["queued"].as_u64().unwrap();
    eventually("the alert waits", || shop.status()["alerts"] == 1 && queued() > 0);
    assert!(holds(&state(&shop), "Madame Numero 1"), "the search would have found it");
    shop.say("grelot/v1/42/withdrawn/c-1", "{\"v\":1}", &["-r"]);
    let begun = Instant::now();
    eventually("nothing waits any more", || queued() == 0);
    eventually("what was stored is overwritten", || !holds(&state(&shop), "Madame Numero 1"));
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
}

#[test]
fn a_gateway_that_was_away_learns_of_a_withdrawal_from_the_broker() {
    let shop = Shop::new();
    shop.bundle(1, 42, "keys", "customers.jsonl.zst");
    shop.configure_signed();
    shop.say("grelot/v1/42/withdrawn/c-1", "{\"v\":1}", &["-r"]);
    let (_subscriber, messages) = shop.listen();
    let _grelot = shop.run();
    std::thread::sleep(Duration::from_secs(8));
    while let Ok((_, line)) = messages.try_recv() {
        assert!(!line.contains("/arrivals "), "{line}");
    }
    assert_eq!(shop.status()["visits"].as_array().map(Vec::len), Some(0));
}
