//! `grelot check`, `status` and `doctor` as IT meets them, through the real binary.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a failed test panics, and waits for real programs"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::mosquitto::{BrokerOptions, Mosquitto};
use common::process::Running;
use common::waiting::eventually;
use tempfile::TempDir;

/// A folder with `grelot.toml` in it.
struct Site(TempDir);

impl Site {
    fn with(configuration: impl AsRef<[u8]>) -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        site.write("grelot.toml", configuration);
        site
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn check(&self) -> Checked {
        grelot(self.0.path(), &["check", "grelot.toml"])
    }
}

/// How a command ended, and what it printed on standard output.
struct Checked {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Checked {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn grelot(folder: &Path, arguments: &[&str]) -> Checked {
    Command::new(env!("CARGO_BIN_EXE_grelot"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("GRELOT_LOG")
        .env_remove("STATE_DIRECTORY")
        .output()
        .unwrap()
        .into()
}

const FIVE_MISTAKES: &str = r#"[store]
id = 70000
gateways = { door = "dor" }

[broker]
urls = ["http://broker"]

[presence]
arive_rssi_dbm = -70
arrive_confidence = "0.9"
"#;

#[test]
fn five_mistakes_are_reported_at_once_with_their_lines() {
    let checked = Site::with(FIVE_MISTAKES).check();
    assert_eq!(checked.code, Some(78));
    assert_eq!(
        checked.out,
        r#"grelot.toml:2: store.id = 70000
  must be a whole number from 1 to 65535
  hint: the store's number: the major of its iBeacon, part of every topic and key derivation
grelot.toml:3: store.gateways.door = "dor"
  must be "door", "outside" or "inside"
  hint: did you mean "door"?
grelot.toml:6: broker.urls = ["http://broker"]
  `http://` is not spoken here, only `mqtt://` and `mqtts://`
  hint: brokers elsewhere, tried in turn: `mqtt://host:1883`, `mqtts://host:8883`
grelot.toml:9: presence.arive_rssi_dbm
  is not a known key
  hint: did you mean `presence.arrive_rssi_dbm`?
grelot.toml:10: presence.arrive_confidence = "0.9"
  must be a number from 0.5 to 0.999, not text
  hint: write it without quotes
5 errors, 0 warnings
"#
    );
}

#[test]
fn every_command_that_needs_a_configuration_refuses_a_bad_one_with_78() {
    let site = Site::with(FIVE_MISTAKES);
    for command in ["run", "status"] {
        let refused = grelot(site.0.path(), &[command, "--config", "grelot.toml"]);
        assert_eq!(refused.code, Some(78), "{command}: {}", refused.err);
        for line in ["toml:2:", "toml:3:", "toml:6:", "toml:9:", "toml:10:"] {
            assert!(refused.err.contains(line), "{command} does not tell {line}");
        }
    }
}

#[test]
fn json_has_the_same_in_fields() {
    let site = Site::with(FIVE_MISTAKES);
    let checked = grelot(site.0.path(), &["check", "grelot.toml", "--json"]);
    assert_eq!(checked.code, Some(78));
    let verdict: serde_json::Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!(verdict["ok"], false);
    assert_eq!(verdict["errors"], 5);
    assert_eq!(verdict["problems"][3]["line"], 9);
    assert_eq!(verdict["problems"][3]["key"], "presence.arive_rssi_dbm");
    assert_eq!(verdict["problems"][3]["hint"], "did you mean `presence.arrive_rssi_dbm`?");
    assert_eq!(verdict["summary"], serde_json::Value::Null);
}

#[test]
fn a_good_configuration_is_reported_in_one_line() {
    let site = Site::with("[store]\nid = 42\n[registry]\npath = \"customers.jsonl\"\n");
    site.write("customers.jsonl", CUSTOMER);
    let checked = site.check();
    assert_eq!(checked.code, Some(0), "{}", checked.out);
    assert_eq!(
        checked.out,
        "grelot.toml: gateway gateway of Store 42 (store 42), 1 source, \
         1 customer, broker embedded on 127.0.0.1:1883, no page\n"
    );
}

#[test]
fn the_configurations_that_ship_are_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    for name in ["grelot.toml", "demo.toml"] {
        let checked = grelot(&folder, &["check", name]);
        assert_eq!(checked.code, Some(0), "{name}: {}", checked.out);
    }
    let site = Site::with(fs::read(folder.join("minimal.toml")).unwrap());
    site.write("customers.jsonl", "");
    let checked = site.check();
    assert_eq!(checked.code, Some(0), "{}", checked.out);
}

#[test]
fn a_missing_file_is_reported_as_such() {
    let site = Site::with("");
    let checked = grelot(site.0.path(), &["check", "grelott.toml"]);
    assert_eq!(checked.code, Some(78));
    assert!(checked.out.contains("grelott.toml: does not exist"), "{}", checked.out);
    assert!(checked.out.contains("did you mean grelot.toml?"), "{}", checked.out);
    let folder = grelot(site.0.path(), &["check", "."]);
    assert_eq!(folder.code, Some(78));
    assert!(folder.out.contains("is a folder"), "{}", folder.out);
}

#[test]
fn a_value_that_is_no_text_is_reported_with_its_line() {
    let checked = Site::with(b"[store]\nid = 42\nname = \"caf\xe9\"\n").check();
    assert_eq!(checked.code, Some(78));
    assert!(checked.out.starts_with("grelot.toml:3: is not UTF-8"), "{}", checked.out);
}

#[test]
fn broken_toml_hides_no_other_mistake() {
    let text = "[store]\nid = 42\nname = \"Paris\n[gateway]\nname = 3\n[presense]\n";
    let checked = Site::with(text).check();
    assert_eq!(checked.code, Some(78));
    for expected in
        ["grelot.toml:3: is not TOML", "grelot.toml:5: gateway.name", "did you mean `[presence]`"]
    {
        assert!(checked.out.contains(expected), "{expected} is not in\n{}", checked.out);
    }
}

#[test]
fn hostile_files_are_refused_quickly_and_quietly() {
    let long = "x".repeat(300 * 1024);
    let deep = format!("a = {}", "[".repeat(100_000));
    let dotted = format!("{} = 1", vec!["a"; 50_000].join("."));
    let many = (0..20_000).map(|key| format!("k{key} = 1")).collect::<Vec<_>>().join("\n");
    let escape = "\u{1b}[2J = 1\n[store]\nid = \"\u{1b}]0;owned\u{7}\"\n".to_owned();
    let name =
        "[store]\nid = 42\ngateways = { \"\\u001b[2J\" = 3, \"a/b\" = \"door\" }\n".to_owned();
    for hostile in [long, deep, dotted, many, "\0\0\0".to_owned(), escape, name] {
        let checked = Site::with(&hostile).check();
        let start: String = hostile.chars().take(20).collect();
        assert_eq!(checked.code, Some(78), "{start:?}: {}", checked.err);
        assert!(checked.out.len() < 64 * 1024, "{start:?}: {} octets", checked.out.len());
        let quiet = |c: char| c == '\n' || !c.is_control();
        assert!(checked.out.chars().all(quiet), "{start:?}: control characters in the output");
        assert!(!checked.err.contains("panicked"), "{start:?}: {}", checked.err);
    }
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_no_mistake() {
    let checked = Site::with("\u{feff}[store]\r\nid = 42\r\n").check();
    assert_eq!(checked.code, Some(0), "{}", checked.out);
}

#[test]
fn files_that_are_named_must_be_there() {
    let site = Site::with(
        "[store]\nid = 42\n[broker]\nurls = [\"mqtts://b\"]\nusername = \"g\"\n\
         password_file = \"secret\"\n[tls]\nca = \"ca.pem\"\n[[source]]\nkind = \"recording\"\n\
         path = \"monday.jsonl\"\n[registry]\npath = \"customers.jsonl\"\n",
    );
    let checked = site.check();
    assert_eq!(checked.code, Some(78));
    for line in [6, 8, 11, 13] {
        let place = format!("grelot.toml:{line}:");
        assert!(checked.out.contains(&place), "{place} is not in\n{}", checked.out);
    }
    assert_eq!(checked.out.matches("does not exist").count(), 4, "{}", checked.out);
}

const CUSTOMER: &str = r#"{"client":"c-1","tier":"gold","scheme":"beacon","eddystone_uid":{"namespace":"00112233445566778899","instance":"aabbccddeeff"},"consent":{"given_at":"2025-11-02T10:14:00Z","text":"fr","expires_at":"2099-01-01T00:00:00Z","show_name":false},"quiet":null}"#;

#[test]
fn bad_lines_of_the_registry_are_reported_beside_the_configurations_mistakes() {
    let site = Site::with("[store]\nid = 42\ncolour = 1\n[registry]\npath = \"customers.jsonl\"\n");
    let twin = CUSTOMER.replace("c-1", "c-2");
    site.write("customers.jsonl", format!("{CUSTOMER}\nnonsense\n{twin}\n"));
    let checked = site.check();
    assert_eq!(checked.code, Some(78));
    for expected in [
        "grelot.toml:3: store.colour",
        "customers.jsonl:1:",
        "customers.jsonl:2:",
        "customers.jsonl:3:",
    ] {
        assert!(checked.out.contains(expected), "{expected} is not in\n{}", checked.out);
    }
    assert!(checked.out.ends_with("4 errors, 0 warnings\n"), "{}", checked.out);
    assert!(!checked.out.contains("001122"), "an identity is repeated:\n{}", checked.out);
}

#[test]
fn customers_who_can_be_recognised_are_counted() {
    let site = Site::with("[store]\nid = 42\n[registry]\npath = \"customers.jsonl\"\n");
    site.write("customers.jsonl", CUSTOMER);
    let checked = site.check();
    assert_eq!(checked.code, Some(0), "{}", checked.out);
    assert!(checked.out.contains(", 1 customer, "), "{}", checked.out);
}

#[test]
fn secrets_that_everybody_can_read_are_warned_of_and_never_repeated() {
    let site = Site::with(
        "[store]\nid = 42\n[broker]\nusername = \"g\"\npassword = \"hunter2\"\nlisten = 3\n",
    );
    fs::set_permissions(site.path("grelot.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    let checked = site.check();
    assert_eq!(checked.code, Some(78));
    assert!(checked.out.contains("grelot.toml:5: warning: broker.password\n"), "{}", checked.out);
    assert!(!checked.out.contains("hunter2"), "{}", checked.out);
}

#[test]
fn a_warning_alone_does_not_void_a_configuration() {
    let checked = Site::with("[store]\nid = 42\n[policy]\nquiet_hours = \"21:00-09:00\"\n").check();
    assert_eq!(checked.code, Some(0));
    assert!(checked.out.contains("grelot.toml:4: warning: policy.quiet_hours"), "{}", checked.out);
}

/// What `check` and `doctor` warn of for a configuration, by key.
fn warnings(site: &Site) -> (Vec<String>, Vec<String>) {
    let folder = site.0.path();
    let checked = grelot(folder, &["check", "grelot.toml", "--json"]);
    assert_eq!(checked.code, Some(0), "{}", checked.out);
    let verdict: serde_json::Value = serde_json::from_str(&checked.out).unwrap();
    let problems = verdict["problems"].as_array().unwrap();
    let of_check = problems.iter().map(|problem| problem["key"].as_str().unwrap_or("").to_owned());
    let output = grelot(folder, &["doctor", "--config", "grelot.toml", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&output.out).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let of_doctor = findings
        .filter(|finding| finding["about"] == "configuration" && finding["verdict"] == "warn")
        .skip(1)
        .map(|finding| finding["says"].as_str().unwrap().split(' ').next().unwrap().to_owned());
    (of_check.collect(), of_doctor.collect())
}

#[test]
fn check_and_doctor_warn_of_what_others_can_read_or_guess() {
    let page = "[tablets]\nlisten = \"0.0.0.0:0\"\n";
    let registry = "[registry]\npath = \"customers.jsonl\"\n";
    let source = "[[source]]\nkind = \"mqtt\"\n";
    for (configuration, password, expected) in [
        (format!("{registry}{page}"), "", vec!["tablets.listen"]),
        (
            format!(
                "{registry}[broker]\nlisten = \"0.0.0.0:0\"\nusername = \"g\"\n\
                 password_file = \"secret\"\n"
            ),
            "hunter2",
            vec!["broker.listen", "broker.password_file"],
        ),
        (
            format!(
                "{registry}[broker]\nurls = [\"mqtt://192.0.2.1\"]\nusername = \"g\"\n\
                 password_file = \"secret\"\n"
            ),
            "dpW9zqX4sJm2TgQk",
            vec!["broker.urls"],
        ),
        (String::new(), "", vec!["registry.path"]),
    ] {
        let site = Site::with(format!("[store]\nid = 42\n{configuration}{source}"));
        site.write("customers.jsonl", CUSTOMER);
        site.write("secret", password);
        let (of_check, of_doctor) = warnings(&site);
        assert_eq!(of_check, expected, "{configuration}");
        assert_eq!(of_doctor, expected, "{configuration}");
    }
}

#[test]
fn check_and_doctor_warn_of_files_that_others_can_read_or_change() {
    let site = Site::with("[store]\nid = 42\n[registry]\npath = \"customers.jsonl\"\n");
    site.write("customers.jsonl", CUSTOMER);
    for (file, mode, expected) in [
        ("customers.jsonl", 0o640, vec![]),
        ("customers.jsonl", 0o644, vec!["registry.path"]),
        ("customers.jsonl", 0o622, vec!["registry.path"]),
        ("grelot.toml", 0o644, vec![]),
        ("grelot.toml", 0o602, vec!["store.id"]),
    ] {
        fs::set_permissions(site.path(file), fs::Permissions::from_mode(mode)).unwrap();
        let (of_check, of_doctor) = warnings(&site);
        assert_eq!(of_check, expected, "{file} {mode:o}");
        assert_eq!(of_doctor, expected, "{file} {mode:o}");
        fs::set_permissions(site.path(file), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// Every key that names a file.
const PATHS: [(&str, &str); 7] = [
    ("tls.ca", "[tls]\nca = PATH\n"),
    ("tls.certificate", "[tls]\ncertificate = PATH\nkey = PATH\n"),
    ("tls.key", "[tls]\ncertificate = PATH\nkey = PATH\n"),
    ("registry.path", "[registry]\npath = PATH\n"),
    (
        "broker.password_file",
        "[broker]\nurls = [\"mqtts://b\"]\nusername = \"g\"\npassword_file = PATH\n",
    ),
    ("source.path", "[[source]]\nkind = \"recording\"\npath = PATH\n"),
    ("state.path", "[state]\npath = PATH\n"),
];

#[test]
fn a_pipe_or_device_in_place_of_a_file_is_an_error_and_hangs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [pipe.to_str().unwrap(), "/dev/zero"] {
        let itself = grelot(folder.path(), &["check", path]);
        assert_eq!(itself.code, Some(78));
        assert!(itself.out.contains(", not a file"), "{}", itself.out);
        for (key, text) in PATHS {
            let text = text.replace("PATH", &format!("{path:?}"));
            let site = Site::with(format!("[store]\nid = 42\n{text}"));
            let checked = site.check();
            assert_eq!(checked.code, Some(78), "{key} = {path}: {}", checked.out);
            let of_key = |line: &str| line.contains(&format!(": {key} = "));
            assert!(checked.out.lines().any(of_key), "{key} = {path}: {}", checked.out);
            let output = grelot(site.0.path(), &["doctor", "--config", "grelot.toml"]);
            assert_eq!(output.code, Some(1), "{key} = {path}: {}", output.out);
            let run = grelot(site.0.path(), &["run", "--config", "grelot.toml"]);
            assert_eq!(run.code, Some(78), "{key} = {path}: {}", run.err);
        }
    }
}

#[test]
fn status_says_clearly_when_no_daemon_runs() {
    let site = Site::with("[store]\nid = 42\n");
    let status = grelot(site.0.path(), &["status", "--config", "grelot.toml"]);
    assert_eq!(status.code, Some(1));
    assert!(status.err.contains("no daemon runs with this configuration"), "{}", status.err);
}

#[test]
fn doctor_reports_a_state_folder_that_was_removed_under_the_daemon() {
    let site = Site::with(
        "[store]\nid = 42\n[broker]\nurls = [\"mqtt://127.0.0.1:1\"]\n\
         [[source]]\nkind = \"simulated\"\n[state]\npath = \"state\"\n",
    );
    let state = || {
        let output = grelot(site.0.path(), &["doctor", "--config", "grelot.toml", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&output.out).unwrap();
        let findings = report["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["about"] == "state").unwrap().clone()
    };
    assert_eq!(state()["verdict"], "warn", "it does not exist, and nothing runs");
    let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
    command.args(["run", "--config", "grelot.toml"]).current_dir(site.0.path());
    let mut daemon = Running(command.stderr(Stdio::null()).spawn().unwrap());
    eventually("the daemon serves its status", || {
        assert!(daemon.0.try_wait().unwrap().is_none(), "the daemon ended");
        Path::new(&site.path("state/status.sock")).exists()
    });
    assert_eq!(state()["verdict"], "ok");
    // Stopped, it cannot write the folder again before doctor looks.
    let pid = daemon.0.id().to_string();
    assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    fs::remove_dir_all(site.path("state")).unwrap();
    let removed = state();
    assert_eq!(removed["verdict"], "fail", "{removed}");
    assert!(removed["says"].as_str().unwrap().contains("was removed"), "{removed}");
}

#[test]
fn doctor_logs_in_at_the_broker_and_says_what_to_do() {
    let site = Site::with("");
    let options = BrokerOptions { login: Some(("gateway", "right")), ..BrokerOptions::default() };
    let mosquitto = Mosquitto::start(site.0.path(), &options);
    let finding = |password: &str| {
        site.write("secret", password);
        let broker = format!("urls = [\"mqtt://127.0.0.1:{}\"]", mosquitto.port);
        site.write(
            "grelot.toml",
            format!(
                "[store]\nid = 42\n[broker]\n{broker}\nusername = \"gateway\"\n\
                 password_file = \"secret\"\n[[source]]\nkind = \"mqtt\"\n"
            ),
        );
        let output = grelot(site.0.path(), &["doctor", "--config", "grelot.toml", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&output.out).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let broker = findings.iter().find(|finding| finding["about"] == "broker").unwrap();
        (output.code, broker.clone())
    };
    let (code, broker) = finding("right");
    assert_eq!(broker["verdict"], "ok", "{broker}");
    assert_eq!(code, Some(0));
    let (code, broker) = finding("wrong");
    assert_eq!(broker["verdict"], "fail", "{broker}");
    assert!(broker["mend"].as_str().unwrap().contains("broker.password_file"), "{broker}");
    assert_eq!(code, Some(1));
}

#[test]
fn doctor_looks_at_the_machine_even_where_the_configuration_is_bad() {
    let site = Site::with(FIVE_MISTAKES);
    let output = grelot(site.0.path(), &["doctor", "--config", "grelot.toml"]);
    assert_eq!(output.code, Some(1));
    assert!(output.out.contains("FAIL  configuration  grelot.toml: 5 errors"), "{}", output.out);
    assert!(output.out.contains("hint: grelot check grelot.toml"), "{}", output.out);
    assert!(output.out.contains("clock"), "{}", output.out);
}

#[test]
fn a_password_in_an_address_is_not_repeated() {
    let text = r#"
[store]
id = 42
[broker]
urls = ["mqtt://me:hunter2@a", "me:hunter2@b", "mqtts://c?password=hunter2"]
[registry]
url = "https://me:hunter2@head.example/c.zst?token=hunter2"
"#;
    let problems = grelot::config::parse(text, "grelot.toml", std::path::Path::new("."));
    let error = problems.unwrap_err().to_string();
    assert!(error.contains("registry.url") && error.contains("broker.urls"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert!(error.contains("https://…@head.example/c.zst?…"), "{error}");
}

/// A person at a terminal: each answer is typed once its question stands there. What was shown.
fn dialogue(site: &Site, arguments: &str, answers: &[(&str, &str)]) -> (bool, String) {
    use std::io::{Read as _, Write as _};

    let command = format!(
        "{} --config {} init {arguments}",
        env!("CARGO_BIN_EXE_grelot"),
        site.path("etc/grelot.toml")
    );
    let mut terminal = Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script (Debian package bsdutils)");
    let (mut hand, mut eyes) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
    let (mut shown, mut read) = (Vec::new(), 0);
    for (question, answer) in answers {
        loop {
            let new = String::from_utf8_lossy(&shown[read..]).into_owned();
            if new.contains(question) && new.ends_with("]: ") {
                break;
            }
            let mut octet = [0];
            assert_eq!(eyes.read(&mut octet).unwrap(), 1, "never asked: {question}\n{new}");
            shown.extend(octet);
        }
        read = shown.len();
        writeln!(hand, "{answer}").unwrap();
    }
    eyes.read_to_end(&mut shown).unwrap();
    (terminal.wait().unwrap().success(), String::from_utf8_lossy(&shown).into_owned())
}

const QUESTIONS: [&str; 8] = [
    "The store's number",
    "The store as staff call it",
    "Its time zone",
    "This gateway's name",
    "Where it stands",
    "The broker",
    "Where tablets find the page",
    "Head office's bundle",
];

fn answered(answers: [&str; 8]) -> Vec<(&'static str, &str)> {
    QUESTIONS.into_iter().zip(answers).collect()
}

#[test]
fn init_asks_at_a_terminal_and_a_second_time_proposes_what_it_was_told() {
    let site = Site(tempfile::tempdir().unwrap());
    let mut answers = answered([
        "42",
        "Paris Rivoli",
        "Europe/Paris",
        "till",
        "inside",
        "",
        "127.0.0.1:8080",
        "",
    ]);
    // What cannot be a store's number is asked for again.
    answers.insert(0, (QUESTIONS[0], "none"));
    answers.insert(0, (QUESTIONS[0], "0"));
    let (done, shown) = dialogue(&site, "--trial --no-start", &answers);
    assert!(done, "{shown}");
    let written = fs::read_to_string(site.path("etc/grelot.toml")).unwrap();
    for line in [
        "id = 42",
        "name = \"Paris Rivoli\"",
        "time_zone = \"Europe/Paris\"",
        "till = \"inside\"",
        "name = \"till\"",
        "embedded = true",
        "listen = \"127.0.0.1:8080\"",
        "path = \"customers.jsonl\"",
    ] {
        assert!(written.contains(line), "{line}\n{written}");
    }
    assert_eq!(
        fs::metadata(site.path("etc/grelot.toml")).unwrap().permissions().mode() & 0o777,
        0o640
    );

    // The registry is there now, so that is not asked for.
    let (done, shown) = dialogue(&site, "--no-start", &answered([""; 8])[..7]);
    assert!(done, "{shown}");
    for proposal in [
        "[42]",
        "[Paris Rivoli]",
        "[Europe/Paris]",
        "[till]",
        "[inside]",
        "[embedded]",
        "[127.0.0.1:8080]",
    ] {
        assert!(shown.contains(proposal), "{proposal}\n{shown}");
    }
    assert_eq!(
        fs::read_to_string(site.path("etc/grelot.toml")).unwrap(),
        written,
        "nothing changed"
    );

    let (done, shown) =
        dialogue(&site, "--no-start", &answered(["", "", "", "", "roof", "", "", ""])[..7]);
    assert!(!done && shown.contains("store.gateways"), "{shown}");
    assert_eq!(
        fs::read_to_string(site.path("etc/grelot.toml")).unwrap(),
        written,
        "nothing is written"
    );
}

#[test]
fn init_takes_a_file_and_what_it_names_and_writes_nothing_if_one_is_missing() {
    let site = Site(tempfile::tempdir().unwrap());
    let text = "# Rivoli\n[store]\nid = 42\n[gateway]\nname = \"door\"\n[broker]\nurls = [\"mqtt://127.0.0.1:1883\"]\n\
                username = \"door\"\npassword_file = \"broker.password\"\n";
    site.write("rivoli.toml", text);
    let init = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grelot"));
        let config = site.path("etc/grelot.toml");
        command.args([
            "--config",
            &config,
            "init",
            "--from",
            &site.path("rivoli.toml"),
            "--yes",
            "--no-start",
        ]);
        command.args(more).output().unwrap()
    };
    let missing = init(&[]);
    assert!(
        !missing.status.success() && text_of(&missing).contains("broker.password"),
        "{}",
        text_of(&missing)
    );
    assert!(!Path::new(&site.path("etc/grelot.toml")).exists());

    site.write("broker.password", "correct horse battery\n");
    let shown = init(&["--dry-run", "--store-name", "Rivoli"]);
    assert!(text_of(&shown).contains("name = \"Rivoli\""), "{}", text_of(&shown));
    assert!(!Path::new(&site.path("etc/grelot.toml")).exists(), "it only shows");
    let taken = init(&[]);
    assert!(taken.status.success(), "{}", text_of(&taken));
    let written = fs::read_to_string(site.path("etc/grelot.toml")).unwrap();
    assert!(written.starts_with("# Rivoli\n[store]\nid = 42\n"), "{written}");
    assert_eq!(
        fs::read_to_string(site.path("etc/broker.password")).unwrap(),
        "correct horse battery\n"
    );
    let again = init(&[]);
    assert!(again.status.success() && text_of(&again).contains("unchanged"), "{}", text_of(&again));
}

fn text_of(output: &Output) -> String {
    [&output.stdout[..], &output.stderr]
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}
