//! Configuration as its writers meet it.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::sources::kinds;

fn read(text: &str) -> Result<Config, Problems> {
    parse(text, "grelot.toml", Path::new("/shop"))
}

fn problems(text: &str) -> String {
    read(text).expect_err("refused").to_string()
}

#[test]
fn a_store_number_is_all_that_is_needed() {
    let config = read("[store]\nid = 42\n").unwrap();
    assert_eq!(config.store.name, "Store 42");
    let pause = Some(Duration::from_millis(100));
    let bluez = live::Settings { challenge_pause: pause, ..live::Settings::of(kinds::DEFAULT) };
    assert_eq!(config.sources, [Source::Live(bluez)]);
    assert_eq!(config.broker.location, BrokerLocation::Embedded("127.0.0.1:1883".parse().unwrap()));
    assert_eq!(config.presence, presence::Settings::default());
    assert_eq!(config.policy, policy::Settings::default());
    assert_eq!(config.state, Path::new("/shop/state"));
}

#[test]
fn the_example_of_the_documentation_is_read_to_the_letter() {
    let config = read(
        r#"
[store]
id = 42
name = "Paris Rivoli"
gateways = { door = "door", street = "outside", till = "inside" }
zones = { 1 = "door", 2 = "inside" }
[gateway]
name = "door"
[broker]
urls = ["mqtts://broker-a:8883", "mqtts://broker-b:8883"]
[tls]
ca = "ca.pem"
[[source]]
kind = "bluez"
[[source]]
kind = "recording"
path = "monday.jsonl"
speed = 60
[registry]
path = "customers.jsonl"
[tablets]
listen = "0.0.0.0:8443"
[presence]
arrive_rssi_dbm = -72
gateway_offset_db = { door = -3.5 }
[policy]
quiet_hours = "21:00-09:00"
tiers = ["gold"]
"#,
    )
    .unwrap();
    assert_eq!(config.gateway, "door");
    assert_eq!(config.store.gateways.get("street"), Some(&Place::Outside));
    assert_eq!(config.store.zones[1..3], [Some(Place::Door), Some(Place::Inside)]);
    assert_eq!(config.registry.as_deref(), Some(Path::new("/shop/customers.jsonl")));
    assert_eq!(
        config.sources[1],
        Source::Recording { path: "/shop/monday.jsonl".into(), speed: 60.0 }
    );
    let settings = config.settings();
    let names: Vec<&str> = settings.gateways.iter().map(|g| g.name.as_str()).collect();
    assert_eq!(names, ["door", "street", "till"]);
    assert!((settings.gateways[0].offset_db + 3.5).abs() < f32::EPSILON);
    assert!((settings.presence.arrive_rssi_dbm + 72.0).abs() < f32::EPSILON);
    assert_eq!(settings.policy.quiet_hours.map(|hours| hours.from_minute), Some(21 * 60));
}

#[test]
fn every_mistake_is_reported_at_once_with_line_key_and_hint() {
    let text = r#"[store]
id = 0
nmae = "Paris"
[presence]
arrive_rssi_dbm = -70
leave_rssi_dbm = -69
dwell_secs = "2"
[broker]
embedded = true
urls = ["mqtt://a"]
[[source]]
kind = "bluetooth"
"#;
    assert_eq!(
        problems(text),
        r#"grelot.toml:2: store.id = 0
  must be a whole number from 1 to 65535
  hint: the store's number: the major of its iBeacon, part of every topic and key derivation
grelot.toml:3: store.nmae
  is not a known key
  hint: did you mean `store.name`?
grelot.toml:6: presence.leave_rssi_dbm = -69
  must be at least 3 dB below presence.arrive_rssi_dbm (-70)
  hint: 6 to 10 dB between them keep presence from flapping
grelot.toml:7: presence.dwell_secs = "2"
  must be a number from 0 to 3600, not text
  hint: write it without quotes
grelot.toml:10: broker.urls = ["mqtt://a"]
  excludes broker.embedded = true
  hint: one store has one broker: keep one of the two
grelot.toml:12: source.kind = "bluetooth"
  must be "bluez", "btleplug", "h4", "recording", "simulated" or "mqtt"
  hint: did you mean "bluez"?"#
    );
}

#[test]
fn missing_keys_are_reported_for_each_source() {
    let reported = problems(
        "[store]\nid = 42\n[[source]]\nkind = \"recording\"\n[[source]]\nkind = 3\n[[source]]\n",
    );
    let lines: Vec<&str> = reported.lines().filter(|line| line.starts_with("grelot")).collect();
    assert_eq!(
        lines,
        [
            "grelot.toml:3: source.path",
            "grelot.toml:6: source.kind = 3",
            "grelot.toml:7: source.kind"
        ]
    );
}

#[test]
fn a_city_instead_of_a_time_zone_gets_its_time_zone_as_a_hint() {
    let reported = problems("[store]\nid = 42\ntime_zone = \"paris\"\n");
    assert!(reported.contains("hint: did you mean \"Europe/Paris\"?"), "{reported}");
}

#[test]
fn one_level_alone_keeps_the_usual_distance_to_the_other() {
    let config = read("[store]\nid = 42\n[presence]\narrive_rssi_dbm = -85\n").unwrap();
    let usual = presence::Settings::default();
    let apart = usual.arrive_rssi_dbm - usual.leave_rssi_dbm;
    assert!((config.presence.leave_rssi_dbm - (-85.0 - apart)).abs() < f32::EPSILON);
    assert!(read("[store]\nid = 42\n[presence]\nleave_rssi_dbm = -60\n").is_err());
}

#[test]
fn paths_are_relative_to_the_configuration() {
    let config =
        read("[store]\nid = 42\n[registry]\npath = \"../c.jsonl\"\n[state]\npath = \"/var/x\"\n")
            .unwrap();
    assert_eq!(config.registry.as_deref(), Some(Path::new("/shop/../c.jsonl")));
    assert_eq!(config.state, Path::new("/var/x"));
    let installed = parse("[store]\nid = 42\n", "grelot.toml", Path::new("/etc/grelot")).unwrap();
    assert_eq!(installed.state, Path::new("/var/lib/grelot"));
}

#[test]
fn a_gateway_that_is_not_named_is_taken_to_stand_at_the_door() {
    let of = |gateways: &str| {
        read(&format!("[store]\nid = 42\ngateways = {{ {gateways} }}\n")).unwrap().gateway
    };
    assert_eq!(of(""), "gateway");
    assert_eq!(of("till = \"inside\""), "till");
    assert_eq!(of("a = \"inside\", front = \"door\", street = \"outside\""), "front");
}

#[test]
fn an_adapter_is_named_by_the_kernel_or_by_its_address() {
    let source = |kind: &str, adapter: &str| {
        format!("[store]\nid = 42\n[[source]]\nkind = \"{kind}\"\nadapter = \"{adapter}\"\n")
    };
    for adapter in ["hci1", "00:1a:7d:da:71:13"] {
        assert!(read(&source("bluez", adapter)).is_ok(), "{adapter}");
    }
    let refused = problems(&source("bluez", "Apple adapter"));
    assert!(refused.contains("names no adapter"), "{refused}");
    assert!(read(&source("btleplug", "Apple adapter")).is_ok());
}
