//! `grelot tune`, through the real program: it finds settings that are better, reports how sure it
//! is, and continues where it was killed.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and waits on a real process"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A shop with a registry of nine customers, and settings far too strict for its walls.
struct Office {
    folder: tempfile::TempDir,
}

const CONFIG: &str = "\
[store]
id = 42
[gateway]
name = \"door\"
[registry]
path = \"customers.jsonl\"
[presence]
arrive_rssi_dbm = -40
leave_rssi_dbm = -48
rejoin_secs = 0
";

impl Office {
    fn new() -> Self {
        let office = Self { folder: tempfile::tempdir().unwrap() };
        office.write("shop.toml", CONFIG);
        let customer = |n: u8| {
            format!(
                r#"{{"client":"c-{n}","tier":"gold","scheme":"beacon","ibeacon":{{"uuid":"5a4bcfce-174e-4bac-a814-092e77f6b7e5","major":7,"minor":{n}}},"consent":{{"given_at":"2025-11-02T10:14:00Z","text":"en","expires_at":"2099-11-02T00:00:00Z","show_name":false}},"quiet":null}}"#
            ) + "\n"
        };
        office.write("customers.jsonl", &(1..=9).map(customer).collect::<String>());
        office
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Recordings of five days, by name.
    fn record(&self, truth: bool) -> Vec<String> {
        self.record_passing_at(FAINT_DBM, truth)
    }

    fn record_passing_at(&self, passing_dbm: f64, truth: bool) -> Vec<String> {
        let name = |day: u64| format!("day{day}.jsonl");
        (1..=5).for_each(|day| self.write(&name(day), &recording(day, passing_dbm, truth)));
        (1..=5).map(name).collect()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
        command.current_dir(self.folder.path()).args(["--config", "shop.toml"]).args(arguments);
        command
    }

    fn grelot(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn tune(&self, files: &[String], more: &[&str]) -> Value {
        let mut arguments = vec!["--json", "tune"];
        arguments.extend(files.iter().map(String::as_str));
        arguments.extend(more);
        let output = self.grelot(&arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["tune"].take()
    }

    /// The exit code, and what it complained of.
    fn fails(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.grelot(arguments);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

/// RSSI of customers who pass by: 14 dB fainter than customers inside, or nearly the same.
const FAINT_DBM: f64 = -80.0;
const NEARLY_AS_LOUD_DBM: f64 = -70.0;

/// Three customers come in and one passes by, each for a minute or so, among strangers.
fn recording(day: u64, passing_dbm: f64, truth: bool) -> String {
    let mut lines = format!(
        "{{\"grelot\":\"recording\",\"version\":1,\"started_at\":\"2026-01-0{day}T09:00:00Z\",\"store\":42,\"gateways\":[\"door\"]}}\n"
    );
    let mut chance = day;
    for tick in 0..1200_u64 {
        let t = f64::from(u32::try_from(tick).unwrap()) / 2.0;
        let who = 1 + tick / 300 + (day % 3);
        let walk = t % 150.0;
        // In the shop from the 15th to the 80th second; outside, the street is 12 dB fainter.
        let passes = tick / 300 == 2;
        let (word, level) = match walk {
            w if w < 10.0 => (None, -86.0),
            w if w < 15.0 => (None, -86.0 + (w - 10.0) * 2.0),
            w if w < 80.0 => (
                Some(if passes { "pass" } else { "enter" }),
                if passes { passing_dbm } else { -66.0 },
            ),
            w if w < 90.0 => (Some("leave"), -84.0),
            _ => (None, -200.0),
        };
        let at_the_turn = [15.0, 80.0].contains(&walk);
        if let Some(word) = word.filter(|_| truth && at_the_turn)
            && !(passes && walk > 15.0)
        {
            writeln!(lines, "{{\"t\":{t},\"truth\":\"{word}\",\"client\":\"c-{who}\"}}").unwrap();
        }
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let noise = f64::from(u32::try_from(chance >> 33).unwrap()) / f64::from(u32::MAX / 2) - 0.5;
        let rssi = (level + noise * 14.0).round();
        let mut heard = |minor: u64, rssi: f64| {
            writeln!(lines, "{{\"t\":{t},\"gw\":\"door\",\"addr\":\"c0:00:00:00:00:{minor:02x}\",\"kind\":\"random\",\"rssi\":{rssi},\"adv\":\"0201061aff4c0002155a4bcfce174e4baca814092e77f6b7e50007{minor:04x}c5\"}}").unwrap();
        };
        if level > -120.0 {
            heard(who, rssi);
        }
        heard(200, -70.0);
    }
    lines
}

#[test]
fn settings_are_found_that_the_recordings_prefer_and_replay_agrees() {
    let office = Office::new();
    let files = office.record(true);
    let report = office.tune(&files, &["--points", "24", "--out", "tuned.toml"]);
    let (now, chosen) = (&report["now"], &report["chosen"]);
    assert_eq!((now["visits"].as_u64(), chosen["visits"].as_u64()), (Some(15), Some(15)));
    assert!(now["missed"].as_u64() > Some(10), "the settings in force are too strict: {now}");
    assert!(chosen["cost"].as_f64() < now["cost"].as_f64());
    assert!(chosen["found"].as_u64() >= Some(14), "{chosen}");
    let unseen = &report["unseen"];
    assert_eq!((unseen["folds"].as_u64(), unseen["visits"].as_u64()), (Some(5), Some(15)));
    assert!(unseen["better_than_now"].as_f64() > Some(0.95), "{unseen}");
    let share = unseen["found"].as_f64().unwrap() / 15.0;
    let wilson = &unseen["found_share_wilson95"];
    assert!(wilson[0].as_f64() < Some(share) && wilson[1].as_f64() >= Some(share), "{unseen}");

    let document = office.read("tuned.toml");
    assert!(!document.contains("stay as you are"), "it is surely better: {document}");
    let site = CONFIG.split("[presence]").next().unwrap();
    office.write("tuned-shop.toml", &format!("{site}{document}rejoin_secs = 0\n"));
    let mut arguments = vec!["--config", "tuned-shop.toml", "--json", "replay", "--score"];
    arguments.extend(files.iter().map(String::as_str));
    let replay = Command::new(env!("CARGO_BIN_EXE_grelot"))
        .current_dir(office.folder.path())
        .args(arguments)
        .output()
        .unwrap();
    let last = String::from_utf8(replay.stdout).unwrap();
    let score: Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    assert_eq!(score["score"]["found"], chosen["found"]);
    assert_eq!(score["score"]["false_arrivals"], chosen["false"]);
    assert_eq!(score["score"]["arrival_delay_s"], chosen["arrival_delay_s"]);

    assert!(office.read("tuned.svg").starts_with("<svg "));
    let said = String::from_utf8(office.grelot(&["tune", "day1.jsonl"]).stdout).unwrap();
    assert!(said.contains("one recording: nothing is left to judge the choice on"), "{said}");
    assert!(said.contains("not surely better than now"), "{said}");
}

#[test]
fn killed_at_any_moment_it_goes_on_and_ends_the_same() {
    let office = Office::new();
    let files = office.record(true);
    let straight = office.tune(&files, &["--points", "24", "--out", "straight.toml"]);
    let tried = straight["tried"].as_u64().unwrap();

    let mut arguments: Vec<&str> = vec!["tune", "--points", "24", "--out", "killed.toml"];
    arguments.extend(files.iter().map(String::as_str));
    for lines in [4, 16] {
        let mut run =
            office.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        let known = || fs::read_to_string(office.path("killed.toml.state")).unwrap_or_default();
        while known().lines().count() < lines {
            assert!(begun.elapsed() < Duration::from_mins(2), "it tries nothing");
            std::thread::sleep(Duration::from_millis(2));
        }
        // SIGKILL
        run.kill().unwrap();
        assert_eq!(run.wait().unwrap().code(), None, "it had ended before it was killed");
        assert!(!office.path("killed.toml").exists());
    }
    let mut resumed = office.tune(&files, &["--points", "24", "--out", "killed.toml"]);
    let known = resumed["known_before"].as_u64().unwrap();
    assert!((15..tried).contains(&known), "{known} of {tried}");
    resumed["known_before"] = 0.into();
    assert_eq!(resumed, straight);
    for kind in ["toml", "svg"] {
        assert_eq!(
            office.read(&format!("killed.{kind}")),
            office.read(&format!("straight.{kind}"))
        );
    }

    let again = office.tune(&files, &["--points", "24", "--out", "killed.toml"]);
    assert_eq!(again["known_before"].as_u64(), Some(tried), "nothing is tried twice");
    let other = office.tune(&files, &["--points", "24", "--out", "killed.toml", "--seed", "2"]);
    assert_eq!(other["known_before"], 0, "another seed is another search");
}

#[test]
fn what_a_mistake_costs_decides_what_is_chosen() {
    let office = Office::new();
    let files = office.record_passing_at(NEARLY_AS_LOUD_DBM, true);
    let quiet = office.tune(&files, &["--points", "24", "--weight", "false=50"]);
    let prices = ["--weight", "late=20", "--weight", "false=0", "--weight", "missed=1000"];
    let eager = office.tune(&files, &[&["--points", "24"], &prices[..]].concat());
    let late = |report: &Value| report["chosen"]["arrival_delay_s"]["p50"].as_f64().unwrap();
    assert!(late(&eager) < late(&quiet), "{} and {}", eager["chosen"], quiet["chosen"]);
    assert!(quiet["chosen"]["false"].as_u64() <= eager["chosen"]["false"].as_u64());
}

#[test]
fn staffs_labels_stand_in_for_truth() {
    let office = Office::new();
    let files = office.record(false);
    let lenient = CONFIG.replace("-40", "-90").replace("-48", "-96");
    office.write("shop.toml", &lenient);
    let mut labels = String::new();
    for file in &files {
        let replayed = office.grelot(&["--json", "replay", file]);
        for line in String::from_utf8(replayed.stdout).unwrap().lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            let (t, day) = (event["t"].as_f64().unwrap(), file.chars().nth(3).unwrap());
            if event["event"] != "arrival" {
                continue;
            }
            // Passers-by come in the fifth and sixth minute.
            let was_here = !(300.0..450.0).contains(&t);
            let verdict = if was_here { "was_here" } else { "was_not_here" };
            let (minutes, seconds) = ((t / 60.0).floor(), t % 60.0);
            writeln!(
                labels,
                r#"{{"label":"{verdict}","visit":{},"client":{},"gateway":"door","arrived_at":"2026-01-0{day}T09:{minutes:02}:{seconds:06.3}Z","confidence":0.9,"said_at":"2026-01-06T09:00:00Z"}}"#,
                event["visit"], event["client"]
            )
            .unwrap();
        }
    }
    let denied = labels.matches("was_not_here").count() as u64;
    assert!(denied >= 3, "the lenient settings ring for passers-by: {labels}");
    office.write("labels.jsonl", &labels);
    let report = office.tune(&files, &["--points", "24", "--labels", "labels.jsonl"]);
    assert_eq!(report["labelled"], 5);
    assert_eq!(report["now"]["false"].as_u64(), Some(denied));
    assert!(report["chosen"]["false"].as_u64() < Some(denied), "{}", report["chosen"]);
    assert!(report["chosen"]["missed"].as_u64() <= Some(1), "{}", report["chosen"]);
    assert!(
        report["notes"].to_string().contains("do not show missed visits"),
        "{}",
        report["notes"]
    );

    office.write("labels.jsonl", "{\"label\":\"was_here\"}\n");
    let (code, complaint) = office.fails(&["tune", &files[0], "--labels", "labels.jsonl"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("labels.jsonl:1: not a label"), "{complaint}");
}

#[test]
fn what_cannot_be_tuned_on_is_refused_with_the_reason() {
    let office = Office::new();
    office.record(false);
    let (code, complaint) = office.fails(&["tune", "day1.jsonl"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("who came is not known:\n  day1.jsonl"), "{complaint}");
    assert!(complaint.contains("\"truth\":\"enter\""), "{complaint}");

    office.record(true);
    office.write("garbage.jsonl", "\u{1}\u{2}not a recording");
    let (code, complaint) = office.fails(&["tune", "day1.jsonl", "garbage.jsonl"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("cannot read garbage.jsonl: neither a recording"), "{complaint}");

    office.write("empty.jsonl", "");
    let (code, complaint) = office.fails(&["tune", "day1.jsonl", "--registry", "empty.jsonl"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("no customer of the registry is received"), "{complaint}");

    office.write("precious.toml", CONFIG);
    let (code, complaint) = office.fails(&["tune", "day1.jsonl", "--out", "precious.toml"]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("was not written by grelot tune"), "{complaint}");
    assert_eq!(office.read("precious.toml"), CONFIG);

    for wrong in [vec!["tune"], vec!["tune", "day1.jsonl", "--weight", "fals=1"]] {
        assert_eq!(office.fails(&wrong).0, Some(2), "{wrong:?}");
    }
    office.write("shop.toml", "[store]\nid = 0\n");
    assert_eq!(office.fails(&["tune", "day1.jsonl"]).0, Some(78));
}
