//! What an advertisement is: the real binary by example, and properties that hold for any octets.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "a test that stops here has failed, and says so"
)]

mod binary;
mod properties;

use std::io::Write;
use std::process::{Command, Stdio};

use binary::{decode, objects};
use serde_json::{Value, json};

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
fn grelots_own_carriers_are_decoded() {
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
fn the_output_for_people_is_in_words() {
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
