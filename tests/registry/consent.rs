//! Customers' decisions, through the whole program: no one else is recognised, and nothing else is
//! shown.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;

use super::gateway::{Shop, eventually};

/// What staff learn of a customer who is in the shop all the time.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Staff {
    RingWithName,
    RingWithoutName,
    /// No bell, and a discreet entry without a name or with it.
    Discreet,
    Nothing,
}

const GOOD: &str = r#"{"expires_at":"2028-11-02T00:00:00Z","show_name":true}"#;

/// Consent and wish of each customer; the shop's day is 2026-01-05, from 09:00 UTC on.
const CUSTOMERS: [(&str, &str, Staff); 14] = [
    (GOOD, "null", Staff::RingWithName),
    (r#"{"expires_at":"2028-11-02T00:00:00Z","show_name":false}"#, "null", Staff::RingWithoutName),
    (r#"{"expires_at":"2028-11-02T00:00:00Z"}"#, "null", Staff::RingWithoutName),
    ("null", "null", Staff::Nothing),
    (r#"{"expires_at":"2026-01-05T08:59:59Z","show_name":true}"#, "null", Staff::Nothing),
    (r#"{"expires_at":"2026-01-05T09:00:00.500Z","show_name":true}"#, "null", Staff::Nothing),
    (
        r#"{"expires_at":"2028-11-02T00:00:00Z","withdrawn_at":"2026-01-01T00:00:00Z"}"#,
        "null",
        Staff::Nothing,
    ),
    (r#"{"expires_at":"2028-11-02T00:00:00Z","stores":[43]}"#, "null", Staff::Nothing),
    (r#"{"expires_at":"2028-11-02T00:00:00Z","stores":[42,43]}"#, "null", Staff::RingWithoutName),
    (GOOD, r#""today:2026-01-05""#, Staff::Nothing),
    (GOOD, r#""today:2026-01-04""#, Staff::RingWithName),
    (GOOD, r#""until:2026-01-05T12:00:00Z""#, Staff::Nothing),
    (GOOD, r#""until:2026-01-05T08:00:00Z""#, Staff::RingWithName),
    (GOOD, r#""greet_only_if_asked""#, Staff::Discreet),
];

fn shop() -> Shop {
    let shop = Shop::new();
    let line = |(n, (consent, quiet, _)): (usize, &(&str, &str, Staff))| {
        format!(
            r#"{{"client":"c-{n}","tier":"gold","scheme":"beacon","ibeacon":{{"uuid":"e2c56db5-dffb-48d2-b060-d0f5a71096e0","major":1,"minor":{n}}},"consent":{consent},"card":{{"name":"Madame Numero {n}"}},"quiet":{quiet}}}"#
        )
    };
    let lines: Vec<_> = (1..).zip(&CUSTOMERS).map(line).collect();
    fs::write(shop.path("customers.jsonl"), lines.join("\n")).unwrap();
    shop.configure("path = \"customers.jsonl\"");
    shop.record("2026-01-05T09:00:00Z", 1..=u8::try_from(CUSTOMERS.len()).unwrap());
    shop
}

fn expected(is: impl Fn(Staff) -> bool) -> Vec<String> {
    let all = (1..).zip(&CUSTOMERS);
    let mut found: Vec<_> =
        all.filter(|(_, (.., staff))| is(*staff)).map(|(n, _)| format!("c-{n}")).collect();
    found.sort();
    found
}

#[test]
fn a_replay_recognises_only_those_who_agreed() {
    let shop = shop();
    let output = Command::new(env!("CARGO_BIN_EXE_grelot"))
        .args(["replay", "--json", "--config"])
        .args([shop.path("grelot.toml"), shop.path("shop.jsonl")])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let arrivals: BTreeMap<String, bool> = events
        .filter(|event| event["event"] == "arrival")
        .map(|event| {
            (event["client"].as_str().unwrap().to_owned(), event["alert"].as_bool().unwrap())
        })
        .collect();
    let known: Vec<_> = arrivals.keys().cloned().collect();
    assert_eq!(known, expected(|staff| staff != Staff::Nothing));
    let alerted: Vec<_> = arrivals.iter().filter(|(_, alert)| **alert).collect();
    let ring = |staff| matches!(staff, Staff::RingWithName | Staff::RingWithoutName);
    assert_eq!(alerted.into_iter().map(|(c, _)| c.clone()).collect::<Vec<_>>(), expected(ring));
}

#[test]
fn tablets_receive_what_each_customer_agreed_to() {
    let shop = shop();
    let (_subscriber, messages) = shop.listen();
    let _grelot = shop.run();
    let mut said: BTreeMap<String, Value> = BTreeMap::new();
    let mut discreet = Vec::new();
    let rings = expected(|staff| !matches!(staff, Staff::Nothing | Staff::Discreet));
    let hidden = expected(|staff| staff == Staff::Discreet);
    eventually("everybody who agreed is announced", || {
        while let Ok((_, line)) = messages.try_recv() {
            let Some((topic, payload)) = line.split_once(' ') else { continue };
            let Ok(payload) = serde_json::from_str::<Value>(payload) else { continue };
            let client = payload["client"].as_str().unwrap_or_default().to_owned();
            if topic.ends_with("/arrivals") {
                said.insert(client, payload);
            } else if topic.contains("/visits/") && payload["discreet"] == true {
                discreet.push(client);
            }
        }
        said.len() >= rings.len() && discreet.len() >= hidden.len()
    });
    assert_eq!(said.keys().cloned().collect::<Vec<_>>(), rings);
    discreet.dedup();
    assert_eq!(discreet, hidden);
    for (n, (.., staff)) in (1..).zip(&CUSTOMERS) {
        let Some(arrival) = said.get(&format!("c-{n}")) else { continue };
        let name = arrival.get("card").and_then(|card| card["name"].as_str());
        let shown = (*staff == Staff::RingWithName).then(|| format!("Madame Numero {n}"));
        assert_eq!(name.map(str::to_owned), shown, "c-{n}");
    }
    // No secret or name of a customer leaked.
    let log = shop.log();
    assert!(!log.contains("Madame Numero"), "no name in the log");
}
