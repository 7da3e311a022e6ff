//! What `grelot replay` reports of how much it read.

use std::fs;
use std::process::{Command, Output};

use crate::containers::{nordic, packet, pcap};

const CONFIG: &str = "[store]\nid = 42\n[gateway]\nname = \"door\"\n";

fn replay(capture: &[u8], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shop.toml"), CONFIG).unwrap();
    fs::write(folder.path().join("air.pcap"), capture).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
    command.current_dir(folder.path()).args(["--config", "shop.toml"]).args(arguments);
    command.args(["replay", "air.pcap"]).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_replay_that_read_nothing_says_so_and_fails() {
    let unknown = nordic(9, 6, 1, &packet());
    let output = replay(&pcap(272, &[&unknown, &unknown], true, false), &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("0 advertisements read"), "{said}");
    assert!(said.contains("2 of an unknown link type or sniffer protocol"), "{said}");
    assert_eq!(output.stdout, b"");
}

#[test]
fn how_much_was_read_and_skipped_is_in_json_beside_the_events() {
    let (sound, damaged) = (nordic(2, 0, 1, &packet()), nordic(2, 0, 0, &packet()));
    let output = replay(&pcap(272, &[&sound, &damaged, &sound], true, false), &["--json"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"", "standard output is for events alone");
    let line: serde_json::Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(
        line,
        serde_json::json!({ "read": {
            "file": "air.pcap", "advertisements": 2, "unreadable": 0,
            "skipped": {"not_advertising": 0, "damaged": 1, "unsupported": 0, "incomplete": 0},
        }})
    );
}

/// A customer with a loyalty card, far down the street, received up to the recording's last second.
#[test]
fn explain_says_why_a_customer_who_never_came_in_was_not_announced() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("shop.toml", &format!("{CONFIG}[registry]\npath = \"customers.jsonl\"\n"));
    write(
        "customers.jsonl",
        "{\"client\":\"c-far\",\"tier\":\"gold\",\"scheme\":\"beacon\",\"ibeacon\":{\"uuid\":\"5a4bcfce-174e-4bac-a814-092e77f6b7e5\",\"major\":7,\"minor\":1},\"consent\":{\"given_at\":\"2025-11-02T10:14:00Z\",\"text\":\"en\",\"expires_at\":\"2099-11-02T00:00:00Z\",\"show_name\":false},\"quiet\":null}\n",
    );
    let mut lines = "{\"grelot\":\"recording\",\"version\":1,\"started_at\":\"2026-01-05T09:00:00Z\",\"store\":42,\"gateways\":[\"door\"]}\n".to_owned();
    for t in 0..60 {
        lines += &format!(
            "{{\"t\":{t},\"gw\":\"door\",\"addr\":\"c0:00:00:00:00:01\",\"kind\":\"random\",\"rssi\":-97,\"adv\":\"0201061aff4c0002155a4bcfce174e4baca814092e77f6b7e500070001c5\"}}\n"
        );
    }
    write("street.jsonl", &lines);
    let output = Command::new(env!("CARGO_BIN_EXE_grelot"))
        .current_dir(folder.path())
        .args(["--json", "--config", "shop.toml", "replay", "--explain", "street.jsonl"])
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let events: Vec<serde_json::Value> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["event"] != "arrival"), "{printed}");
    let [because] = events.as_slice() else { panic!("one explanation: {printed}") };
    assert_eq!((&because["event"], &because["client"]), (&"because".into(), &"c-far".into()));
    let because = because["because"].as_str().unwrap();
    assert!(because.contains("not announced"), "{printed}");
    assert!(because.contains("by the filter alone down the street"), "{printed}");
}

#[test]
fn a_capture_that_is_the_configurations_source_becomes_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, octets: &[u8]| fs::write(folder.path().join(name), octets).unwrap();
    let source = format!("{CONFIG}[[source]]\nkind = \"recording\"\npath = \"air.pcap\"\n");
    write("shop.toml", source.as_bytes());
    let sound = nordic(2, 0, 1, &packet());
    write("air.pcap", &pcap(272, &[&sound, &sound], true, false));
    let output = Command::new(env!("CARGO_BIN_EXE_grelot"))
        .current_dir(folder.path())
        .args(["--config", "shop.toml", "record", "--raw", "air.jsonl"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let recording = fs::read_to_string(folder.path().join("air.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        recording.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [header, first, second] = lines.as_slice() else { panic!("{recording}") };
    assert_eq!(header["started_at"], "2026-01-05T09:00:00.25Z");
    assert_eq!((&header["store"], &header["gateways"]), (&42.into(), &vec!["door"].into()));
    assert_eq!((&first["t"], &second["t"]), (&0.0.into(), &1.5.into()));
    assert_eq!((&first["gw"], &first["rssi"]), (&"door".into(), &(-71).into()));
}
