//! What an advertisement is: published vectors through the real binary and through the library,
//! and properties that hold for any bytes whatever.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "a test that stops here has failed, and says so"
)]

#[path = "../common/mod.rs"]
mod common;
mod properties;
mod vectors;

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use grelot::pipeline::advert::apple::{OverflowMask, overflow_bit};
use grelot::sources::hci;
use serde_json::{Value, json};

use vectors::vectors;

/// `grelot decode`, with `input` on its standard input.
fn decode(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_grelot"))
        .arg("decode")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // A decoder that ends before it has read everything breaks the pipe: its answer counts.
    let _ = writer.join().unwrap();
    output
}

fn objects(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_published_vector_decodes_to_its_fields() {
    let Some(vectors) = vectors() else { return };
    assert!(vectors.len() >= 264, "{} vectors", vectors.len());
    let input: String = vectors.iter().map(|v| hex::encode(v.payload()) + "\n").collect();
    let output = decode(&["--json"], &input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let decoded = objects(&output);
    assert_eq!(decoded.len(), vectors.len(), "one answer for each input");

    let differences: Vec<_> =
        vectors.iter().zip(&decoded).flat_map(|(vector, got)| vector.differences(got)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let beacons = decoded.iter().filter(|got| !got["beacon"].is_null()).count();
    assert!(beacons >= 50, "only {beacons} beacons: were the expectations read?");
}

#[test]
fn hci_events_of_the_vectors_carry_their_advertisements() {
    let Some(vectors) = vectors() else { return };
    let mut seen = 0;
    for vector in vectors.iter().filter(|vector| vector.row.get("hci_event_hex").is_some()) {
        let packet = vector.hex("hci_event_hex").unwrap();
        let report = hci::h4_reports(&packet).next().unwrap().unwrap();
        assert_eq!(report.payload, vector.payload(), "{}", vector.name);
        let address = report.address.octets.map(|octet| format!("{octet:02x}")).join(":");
        assert_eq!(vector.row["address"], json!(address), "{}", vector.name);
        assert_eq!(vector.row["rssi"], json!(report.rssi.unwrap().value()), "{}", vector.name);
        seen += 1;
    }
    assert!(seen >= 7);
}

#[test]
fn every_bit_of_the_overflow_area_is_where_it_was_observed() {
    let Some(table) = common::shared_data("apple_overflow_table/bit_position_of_uuid.csv") else {
        return;
    };
    let table = fs::read_to_string(table).unwrap();
    let rows: Vec<_> = table.lines().skip(1).filter_map(|row| row.split_once(',')).collect();
    assert_eq!(rows.len(), 128);
    for (position, uuid) in rows {
        let uuid = uuid.trim().parse::<uuid::Uuid>().unwrap();
        // The table counts the bits of each octet from the most significant one.
        let bit = position.parse::<u8>().unwrap() ^ 7;
        assert_eq!(overflow_bit(uuid.as_bytes()), bit, "{uuid}");
    }
}

#[test]
fn overflow_areas_seen_on_the_air_show_their_services() {
    let path = "apple_overflow_table/on_air_observations.jsonl";
    let Some(path) = common::shared_data(path) else { return };
    for line in fs::read_to_string(path).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let shown = row["overflow_hex"].as_str().unwrap();
        let decoded = objects(&decode(&["--json", &format!("14ff4c0001{shown}")], ""));
        assert_eq!(decoded[0]["apple"], json!([{"type": 1, "overflow_hex": shown}]));
        if let Some(uuid) = row["service_uuid"].as_str() {
            let mask = OverflowMask::showing(&[uuid.parse::<uuid::Uuid>().unwrap().into_bytes()]);
            assert_eq!(hex::encode(mask.0), shown);
        }
    }
}

#[test]
fn the_json_form_keeps_its_promise() {
    let advertisement = "0201061aff4c000215426c7565436861726d426561636f6e730efe1355c5";
    let data = &advertisement[14..];
    let decoded = objects(&decode(&["--json", advertisement], "")).remove(0);
    let mut promised = decoded.clone();
    // Additions to the promise.
    for added in ["appearance", "uri", "structures"] {
        assert!(promised["ad"].as_object_mut().unwrap().remove(added).is_some());
    }
    assert_eq!(
        promised,
        json!({
            "hex": advertisement,
            "malformed": null,
            "ad": {
                "flags": 6, "local_name": null, "tx_power": null, "service_uuids": [],
                "service_data": {}, "manufacturer_data": {"004c": data},
            },
            "beacon": {
                "type": "ibeacon", "uuid": "426c7565-4368-6172-6d42-6561636f6e73",
                "major": 3838, "minor": 4949, "tx_power": -59,
            },
            "apple": [{"type": 2, "data_hex": &data[4..]}],
            "grelot": null,
        })
    );
}

#[test]
fn grelots_own_carriers_are_told() {
    // Of the protocol's vector: unix time 1767225600, store 42; the echo is zone 1, level 10.
    let of = |advertisement: &str| objects(&decode(&["--json", advertisement], "")).remove(0);
    let token = |carrier| {
        json!({
            "version": 1, "token": "e3d4576d362c08e9eb802c", "zone": 1, "level": 10,
            "carrier": carrier,
        })
    };
    let android = of("1e21f90f48f03c28dc866d41b62c99a0ea47011ae3d4576d362c08e9eb802c");
    assert_eq!(android["grelot"], token("service_data"));
    let ios = of("02011a11072c80ebe9082c366d57d4e31aa4423959");
    assert_eq!(ios["grelot"], token("service_uuid"));
    assert_eq!(
        of("14ff4c000100000000000000000000000000040000")["grelot"],
        json!({"overflow_hint": true})
    );
    assert_eq!(of("14ff4c000100000000000000000000000000020000")["grelot"], Value::Null);
}

#[test]
fn altbeacon_has_all_its_fields() {
    let advertisement = "0201061bff1801beac00112233445566778899aabbccddeeff00010002c509";
    let decoded = objects(&decode(&["--json", advertisement], "")).remove(0);
    assert_eq!(
        decoded["beacon"],
        json!({
            "type": "altbeacon", "company": 0x0118, "uuid": "00112233-4455-6677-8899-aabbccddeeff",
            "major": 1, "minor": 2, "tx_power": -59, "mfg_reserved": 9,
        })
    );
}

#[test]
fn a_bad_line_is_named_and_the_others_are_decoded() {
    let output = decode(&["--json"], "0x020106\nnonsense\n02 01 1a\n0201\u{e9}\n02:01:0\n\n");
    assert_eq!(output.status.code(), Some(1));
    let flags: Vec<_> = objects(&output).into_iter().map(|it| it["ad"]["flags"].clone()).collect();
    assert_eq!(
        flags,
        [json!(6), json!(26), Value::Null],
        "the empty line is an empty advertisement"
    );
    let complaints = String::from_utf8(output.stderr).unwrap();
    for complaint in ["line 2: 'n' is not", "line 4: 'é' is not", "line 5: 5 hexadecimal digits"] {
        assert!(complaints.contains(complaint), "{complaints}");
    }
}

#[test]
fn people_are_told_in_words() {
    let advertisement = "0c09426164201b5b31646e616d0303aafe";
    let output = decode(&[advertisement], "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("service       feaa"), "{text}");
    assert!(!text.contains('\u{1b}'), "a name cannot command the terminal: {text:?}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_grelot"))
        .args(["decode", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all("020106\n".repeat(1000).as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
