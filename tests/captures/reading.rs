//! What `grelot replay` says of how much it read.

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
fn how_much_was_read_and_skipped_is_told_on_json_beside_the_events() {
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
