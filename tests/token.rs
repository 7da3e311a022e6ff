//! `grelot token`: app developers compare its output with what their phones advertise.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The long-term key of the published vector, and what is derived from it.
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SERVICE_DATA: &str = "1e21f90f48f03c28dc866d41b62c99a0ea47011ae3d4576d362c08e9eb802c";
const REGISTRY: &str = r#"{"client":"c-7f3a","tier":"gold","scheme":"token","days":{"20454":"09105c3e5587169051414225f96c0d79"},"consent":{"expires_at":"2028-11-02T00:00:00Z"}}
{"client":"card","tier":"gold","scheme":"eid","k":10,"offset_s":-1767160064,"tks":{"1":"bebc1b5d2ba3a2d3dd4f76c25da2a0ae"},"consent":{"expires_at":"2028-11-02T00:00:00Z"}}
{"client":"phone","tier":"gold","scheme":"irk","irk":"ec0234a357c8ad05341010a60a397d9b","consent":{"expires_at":"2028-11-02T00:00:00Z"}}"#;

fn grelot(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_grelot"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that ends at once does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn json(arguments: &[&str], input: &str) -> serde_json::Value {
    let output = grelot(arguments, input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_published_vector_from_a_long_term_key() {
    let report = json(
        &[
            "token",
            "--json",
            "--key-file",
            "-",
            "--store",
            "42",
            "--at",
            "1767225600",
            "--echo",
            "1:10",
        ],
        KEY,
    );
    assert_eq!(report["token"], "e3d4576d362c08e9eb802c");
    assert_eq!((report["day"].as_u64(), report["window"].as_u64()), (Some(20454), Some(2_945_376)));
    assert_eq!(report["carriers"]["service_data"], SERVICE_DATA);
    assert_eq!(report["service_uuid"], "593942a4-1ae3-d457-6d36-2c08e9eb802c");
    assert_eq!(report["carriers"]["overflow"], "14ff4c000100000000000000000000000000040000");
    assert_eq!(report["valid_until"], "2026-01-01T00:10:00Z");
    let later = json(
        &["token", "--json", "--key-file", "-", "--store", "42", "--at", "2026-01-01T00:10:00Z"],
        KEY,
    );
    assert_eq!(later["token"], "c832cfc701c868a7cf77bd");
}

#[test]
fn what_app_developers_read_is_what_the_program_says() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/app-protocol.md");
    let document = std::fs::read_to_string(document).unwrap();
    let arguments =
        ["token", "--key-file", "-", "--store", "42", "--at", "1767225600", "--hears", "1:-60"];
    let output = grelot(&arguments, KEY);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(document.contains(said.trim_end()), "the page has another output than\n{said}");
    let nonce = ["--nonce", "000102030405060708090a0b0c0d0e0f", "--json"];
    let report = json(&[&arguments[..], &nonce].concat(), KEY);
    let answer = report["gatt"]["value"].as_str().unwrap();
    assert!(document.contains(answer), "the page has another answer than {answer}");
    for derived in ["de6927b51ac102c0562fd8a3fc1d1515", "09105c3e5587169051414225f96c0d79"] {
        assert!(document.contains(derived), "DK and SDK, from which the token above follows");
    }
}

#[test]
fn a_registry_gives_the_same_and_decode_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let registry = folder.path().join("customers.jsonl");
    std::fs::write(&registry, REGISTRY).unwrap();
    let registry = registry.to_str().unwrap();
    let of = |client| {
        json(
            &[
                "token",
                client,
                "--json",
                "--registry",
                registry,
                "--at",
                "1767225600",
                "--hears",
                "1:-60",
            ],
            "",
        )
    };
    let token = of("c-7f3a");
    assert_eq!(token["carriers"]["service_data"], SERVICE_DATA);
    for carrier in ["service_data", "service_uuid"] {
        let decoded = json(&["decode", "--json", token["carriers"][carrier].as_str().unwrap()], "");
        assert_eq!(decoded["grelot"]["token"], "e3d4576d362c08e9eb802c");
        assert_eq!(decoded["grelot"]["zone"], 1);
        assert_eq!(decoded["grelot"]["carrier"], carrier);
    }
    let card = of("card");
    assert_eq!(card["counter"], 65536);
    let decoded =
        json(&["decode", "--json", card["carriers"]["eddystone_eid"].as_str().unwrap()], "");
    assert_eq!(decoded["beacon"]["eid"], card["eid"]);
    assert_eq!(of("phone")["scheme"], "irk");
}

#[test]
fn what_is_missing_is_named_and_no_key_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let registry = folder.path().join("customers.jsonl");
    std::fs::write(&registry, REGISTRY).unwrap();
    let registry = registry.to_str().unwrap();
    for (arguments, input, code, expected) in [
        (&["token"][..], "", 2, "a CLIENT of the registry or --key-file is needed"),
        (&["token", "c-none", "--registry", registry], "", 1, "has no readable line of c-none"),
        (
            &["token", "c-7f3a", "--registry", registry, "--at", "2026-01-05T00:00:00Z"],
            "",
            1,
            "day 20458",
        ),
        (
            &["token", "--key-file", "-", "--store", "42"],
            "5ec3e7",
            1,
            "neither 64 hexadecimal digits",
        ),
        (&["token", "--key-file", "-", "--store", "0"], "", 2, "--store"),
    ] {
        let output = grelot(arguments, input);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{complaint}");
        assert!(complaint.contains(expected), "{complaint}");
        assert!(!complaint.contains("5ec3e7"));
    }
}
