//! `grelot walk-test`, through the real program: from a recorded walk, and from one that is
//! received while it is walked.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const CONFIG: &str = "\
# Rivoli
[store]
id = 42
gateways = { door = \"door\", till = \"inside\" }
[gateway]
name = \"door\"   # by the entrance
[registry]
path = \"customers.jsonl\"

[presence]
# as agreed in May
dwell_secs = 3
gateway_offset_db = { door = -2.0 }
gateway_inside_dbm = { till = -58 }
gateway_outside_dbm = { till = -80 }
";

struct Shop {
    folder: tempfile::TempDir,
}

impl Shop {
    fn new() -> Self {
        let shop = Self { folder: tempfile::tempdir().unwrap() };
        shop.write("shop.toml", CONFIG);
        shop.write(
            "customers.jsonl",
            "{\"client\":\"c-me\",\"tier\":\"gold\",\"scheme\":\"beacon\",\"ibeacon\":{\"uuid\":\"5a4bcfce-174e-4bac-a814-092e77f6b7e5\",\"major\":7,\"minor\":1},\"consent\":{\"given_at\":\"2025-11-02T10:14:00Z\",\"text\":\"en\",\"expires_at\":\"2099-11-02T00:00:00Z\",\"show_name\":false},\"quiet\":null}\n",
        );
        shop.write("walk.jsonl", &walk(true));
        shop.write("bare.jsonl", &walk(false));
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn config(&self) -> String {
        fs::read_to_string(self.path("shop.toml")).unwrap()
    }

    fn grelot(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_grelot"))
            .current_dir(self.folder.path())
            .args(["--config", "shop.toml", "walk-test"])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn walk_test(&self, arguments: &[&str]) -> Value {
        let output = self.grelot(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["walk_test"].take()
    }

    fn fails(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.grelot(arguments);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

/// Twenty seconds outside (-80), at the door (-72) and inside (-60 dBm) with a card, five seconds
/// of walking between; beside it a louder beacon that stays, a passing phone, and the till's
/// gateway.
fn walk(marked: bool) -> String {
    let mut lines = "{\"grelot\":\"recording\",\"version\":1,\"started_at\":\"2026-01-05T09:00:00Z\",\"store\":42,\"gateways\":[\"door\",\"till\"]}\n".to_owned();
    let heard = |t: f64, gateway: &str, minor: u32, rssi: f64| {
        format!(
            "{{\"t\":{t},\"gw\":\"{gateway}\",\"addr\":\"c0:00:00:00:00:{minor:02x}\",\"kind\":\"random\",\"rssi\":{rssi},\"adv\":\"0201061aff4c0002155a4bcfce174e4baca814092e77f6b7e50007{minor:04x}c5\"}}\n"
        )
    };
    for tick in 0..280_u32 {
        let t = f64::from(tick) / 4.0;
        let (word, level) = match tick {
            0..80 => ("outside", -80.0),
            80..100 => ("walking", -76.0),
            100..180 => ("door", -72.0),
            180..200 => ("walking", -66.0),
            _ => ("inside", -60.0),
        };
        if marked && [0, 80, 100, 180, 200].contains(&tick) {
            writeln!(lines, "{{\"t\":{t},\"walk\":\"{word}\"}}").unwrap();
        }
        // Each second another spread of fades: -4, 0, +4 dB in turn.
        let fade = f64::from(tick / 4 % 3) * 4.0 - 4.0;
        lines += &heard(t, "door", 1, level + fade);
        lines += &heard(t, "till", 1, -50.0);
        lines += &heard(t, "door", 2, -45.0 + f64::from(tick % 3));
        lines += &heard(t, "door", 3, -60.0 - f64::from(tick * 7 % 30));
    }
    lines
}

#[test]
fn a_recorded_walk_gives_levels_that_are_written_among_the_comments() {
    let shop = Shop::new();
    let proposal = shop.walk_test(&["--from", "walk.jsonl", "--yes"]);
    assert_eq!((&proposal["gateway"], &proposal["by"]), (&"door".into(), &"followed".into()));
    assert!(proposal["whom"].as_str().unwrap().starts_with("customer c-me"), "{proposal}");
    assert_eq!(
        (proposal["inside"]["seconds"].as_u64(), proposal["outside"]["readings"].as_u64()),
        (Some(20), Some(80))
    );
    // The offset is part of a level; the fades of 20 seconds do not quite cancel.
    let level = |key: &str| proposal[key].as_f64().unwrap();
    assert!((level("gateway_inside_dbm") + 62.0).abs() < 0.5, "{proposal}");
    assert!((level("gateway_outside_dbm") + 82.0).abs() < 0.5, "{proposal}");
    let error = &proposal["error"];
    // Φ(-10 / 3.3), Φ(-10 / 6.0)
    assert!((0.0005..0.003).contains(&error["this_phone"].as_f64().unwrap()), "{error}");
    assert!((0.035..0.065).contains(&error["any_phone"].as_f64().unwrap()), "{error}");
    assert!((0.3..0.45).contains(&error["at_door_taken_for_inside"].as_f64().unwrap()), "{error}");
    assert_eq!(proposal["written"], true);
    let (inside, outside) = (level("gateway_inside_dbm"), level("gateway_outside_dbm"));
    let expected = CONFIG
        .replace("{ till = -58 }", &format!("{{ till = -58, door = {inside:.1} }}"))
        .replace("{ till = -80 }", &format!("{{ till = -80, door = {outside:.1} }}"));
    assert_eq!(shop.config(), expected);
    let checked = Command::new(env!("CARGO_BIN_EXE_grelot"))
        .args(["check", shop.path("shop.toml").to_str().unwrap()])
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[test]
fn places_and_transmitter_can_be_named_and_nothing_is_written_unasked() {
    let shop = Shop::new();
    let named =
        ["--from", "bare.jsonl", "--outside", "0-20", "--door", "25-45", "--inside", "50-70"];
    let followed = shop.walk_test(&[&named[..], &["--dry-run"]].concat());
    let marked = shop.walk_test(&["--from", "walk.jsonl", "--client", "c-me"]);
    let beacon = "5A4BCFCE-174E-4BAC-A814-092E77F6B7E5/7/1";
    let by_address = shop.walk_test(&[&named[..], &["--address", "c0:00:00:00:00:01"]].concat());
    for proposal in [&marked, &by_address] {
        assert_eq!(proposal["inside"], followed["inside"]);
        assert_eq!((&proposal["error"], &proposal["written"]), (&followed["error"], &false.into()));
    }
    assert_eq!(marked["by"], "client");
    // The customer's card is a beacon, too.
    assert_eq!(
        shop.walk_test(&["--from", "walk.jsonl", "--beacon", beacon])["outside"],
        marked["outside"]
    );
    let output = shop.grelot(&["--from", "walk.jsonl"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("gateway_inside_dbm = { door = "), "{text}");
    assert!(text.ends_with("Nothing was written.\n"), "{text}");
    assert_eq!(shop.config(), CONFIG);
}

#[test]
fn a_walk_is_heard_while_it_is_walked() {
    let shop = Shop::new();
    let source = "[[source]]\nkind = \"recording\"\npath = \"walk.jsonl\"\nspeed = 20.0\n";
    shop.write("shop.toml", &format!("{CONFIG}{source}"));
    let proposal = shop.walk_test(&["--pause", "5", "--client", "c-me", "--yes"]);
    let level = |key: &str| proposal[key].as_f64().unwrap();
    // The guide, not the recording's marks, says where the person stood when: some seconds late.
    assert!((-64.0..-58.0).contains(&level("gateway_inside_dbm")), "{proposal}");
    assert!((-84.0..-77.0).contains(&level("gateway_outside_dbm")), "{proposal}");
    assert_eq!(proposal["written"], true);

    shop.write("shop.toml", &format!("{CONFIG}{source}"));
    let (code, complaint) = shop.fails(&["--client", "c-me"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("no terminal to press Enter at"), "{complaint}");
}

#[test]
fn a_walk_without_a_difference_is_refused_with_the_reason() {
    let shop = Shop::new();
    let cases: [(&[&str], &str); 6] = [
        (&["--from", "bare.jsonl"], "does not say where one stood"),
        (&["--from", "walk.jsonl", "--client", "c-you"], "customer c-you was not heard"),
        (&["--from", "walk.jsonl", "--gateway", "street"], "--gateway door or --gateway till"),
        (
            &["--from", "walk.jsonl", "--gateway", "till", "--client", "c-me"],
            "differ by less than 6 dB",
        ),
        (&["--from", "nowhere.jsonl"], "cannot read nowhere.jsonl"),
        (
            &["--from", "bare.jsonl", "--outside", "0-2", "--inside", "50-70", "--client", "c-me"],
            "received for only 2 s outside",
        ),
    ];
    for (arguments, reason) in cases {
        let (code, complaint) = shop.fails(arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {complaint}");
        assert!(complaint.contains(reason), "{arguments:?}: {complaint}");
    }
    shop.write("garbage.jsonl", "\u{1}\u{2}");
    let (code, complaint) = shop.fails(&["--from", "garbage.jsonl"]);
    assert_eq!(code, Some(1), "{complaint}");
    assert!(complaint.contains("neither a recording"), "{complaint}");
    for wrong in [&["--outside", "0-20"][..], &["--beacon", "x"], &["--yes", "--dry-run"]] {
        assert_eq!(shop.fails(wrong).0, Some(2), "{wrong:?}");
    }
    assert_eq!(shop.config(), CONFIG);
    shop.write("shop.toml", "[store]\nid = 0\n");
    assert_eq!(shop.fails(&["--from", "walk.jsonl"]).0, Some(78));
}

/// A walk with a phone that runs the shop's app. Before the door and in it the phone receives the
/// beacon of zone 1 best, inside that of `inside`.
fn walk_of_an_app(shop: &Shop, inside: &str) -> String {
    let advertises = |echo: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_grelot"))
            .current_dir(shop.folder.path())
            .args(["--json", "token", "c-app", "--registry", "app.jsonl"])
            .args(["--at", "2026-01-01T09:00:00Z", "--echo", echo])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        said["carriers"]["service_data"].as_str().unwrap().to_owned()
    };
    let stands = [
        ("outside", -80, advertises("1:5")),
        ("door", -72, advertises("1:10")),
        ("inside", -60, advertises(inside)),
    ];
    let mut lines = "{\"grelot\":\"recording\",\"version\":1,\"started_at\":\"2026-01-01T09:00:00Z\",\"store\":42,\"gateways\":[\"door\"]}\n".to_owned();
    for (nth, (word, rssi, payload)) in stands.iter().enumerate() {
        for second in nth * 10..(nth + 1) * 10 {
            if second == nth * 10 {
                writeln!(lines, "{{\"t\":{second},\"walk\":\"{word}\"}}").unwrap();
            }
            writeln!(
                lines,
                "{{\"t\":{second},\"gw\":\"door\",\"addr\":\"5a:00:00:00:00:01\",\"kind\":\"random\",\"rssi\":{rssi},\"adv\":\"{payload}\"}}"
            )
            .unwrap();
        }
    }
    lines
}

#[test]
fn the_beacons_that_the_phone_reports_are_measured_too() {
    let shop = Shop::new();
    shop.write("app.jsonl", "{\"client\":\"c-app\",\"tier\":\"gold\",\"scheme\":\"token\",\"days\":{\"20454\":\"09105c3e5587169051414225f96c0d79\"},\"consent\":{\"expires_at\":\"2099-11-02T00:00:00Z\"}}\n");
    let zones = "zones = { 1 = \"door\", 2 = \"inside\" }\ngateways = {";
    let config = CONFIG.replace("gateways = {", zones).replace("customers.jsonl", "app.jsonl");
    shop.write("shop.toml", &config);
    shop.write("app-walk.jsonl", &walk_of_an_app(&shop, "2:8"));
    let walked = ["--from", "app-walk.jsonl", "--client", "c-app", "--dry-run"];
    let proposal = shop.walk_test(&walked);
    let reported = |dbm: f64| serde_json::json!({"share": 1.0, "mean_dbm": dbm});
    assert_eq!(
        proposal["beacons"],
        serde_json::json!([
            {"zone": 1, "place": "door", "outside": reported(-80.0), "door": reported(-60.0), "inside": null},
            {"zone": 2, "place": "inside", "outside": null, "door": null, "inside": reported(-68.0)},
        ])
    );
    let notes = |proposal: &Value| proposal["notes"].to_string();
    assert!(!notes(&proposal).contains("beacon"), "{proposal}");
    let text = String::from_utf8(shop.grelot(&walked).stdout).unwrap();
    let line = "zone 1 (door): outside 100 %, -80 dBm; door 100 %, -60 dBm; inside never\n";
    assert!(text.contains(line), "{text}");

    shop.write("app-walk.jsonl", &walk_of_an_app(&shop, "1:8"));
    let proposal = shop.walk_test(&walked);
    assert!(notes(&proposal).contains("zone 2 (inside) was never the loudest"), "{proposal}");
    assert!(notes(&proposal).contains("do not tell inside from outside"), "{proposal}");
}

#[test]
fn a_gateway_that_receives_outside_better_gets_no_levels_unless_it_hangs_there() {
    let shop = Shop::new();
    let reversed = ["--from", "bare.jsonl", "--outside", "50-70", "--inside", "0-20"];
    let arguments = [&reversed[..], &["--client", "c-me", "--yes"]].concat();
    let (code, complaint) = shop.fails(&arguments);
    assert_eq!(code, Some(1), "{complaint}");
    assert!(complaint.contains("store.gateways = { NAME = \"outside\" }"), "{complaint}");
    assert_eq!(shop.config(), CONFIG);
    shop.write("shop.toml", &CONFIG.replace("door = \"door\"", "door = \"outside\""));
    let proposal = shop.walk_test(&arguments);
    assert_eq!(proposal["written"], true);
    assert!(proposal["notes"].to_string().contains("none at the door"), "{proposal}");
}

#[test]
fn a_scripts_standard_input_stays_the_scripts() {
    let shop = Shop::new();
    let program = env!("CARGO_BIN_EXE_grelot");
    let script = format!(
        "echo left | {{ {program} --config shop.toml walk-test --from walk.jsonl --yes >/dev/null; cat; }}"
    );
    let output =
        Command::new("sh").args(["-c", &script]).current_dir(shop.folder.path()).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "left\n");
    assert_ne!(shop.config(), CONFIG);
}
