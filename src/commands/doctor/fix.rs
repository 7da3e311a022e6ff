//! `--fix`: safe repairs. The findings decide which ones; their commands are fixed here, because
//! the findings come from a process with fewer rights.

use std::process::Command;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::commands::{Global, print};

/// What the finding is about, words of what was seen, and the repair.
const REPAIRS: [(&str, &str, &[&str]); 6] = [
    ("adapter", "is blocked", &["rfkill", "unblock", "bluetooth"]),
    ("BlueZ", "does not run", &["systemctl", "enable", "--now", "bluetooth.service"]),
    ("HCI monitor", "no helper", &["systemctl", "enable", "--now", "grelot-monitor.socket"]),
    ("clock", "not set by a time server", &["timedatectl", "set-ntp", "true"]),
    ("daemon", "does not run", &["systemctl", "enable", "--now", "grelot.service"]),
    ("version", "is installed", &["systemctl", "restart", "grelot.service"]),
];

#[derive(Debug, Deserialize)]
struct Report {
    findings: Vec<Found>,
}

#[derive(Debug, Deserialize)]
struct Found {
    about: String,
    verdict: String,
    says: String,
}

/// Looks, and repairs what is found.
///
/// # Errors
/// The findings cannot be read; a repair that fails is only reported.
pub(super) fn run(global: &Global) -> anyhow::Result<()> {
    let looked = Command::new(std::env::current_exe()?)
        .arg("--config")
        .arg(&global.config)
        .args(["--json", "doctor"])
        .output()
        .context("grelot doctor")?;
    ensure!(!looked.stdout.is_empty(), "{}", String::from_utf8_lossy(&looked.stderr).trim());
    let report: Report = serde_json::from_slice(&looked.stdout)?;
    for repair in repairs(&report) {
        let Some((program, arguments)) = repair.split_first() else { continue };
        print(&format!("repairing: {}", repair.join(" ")))?;
        match Command::new(program).args(arguments).status() {
            Ok(status) if status.success() => {}
            Ok(_) => print("  it failed: is this root?")?,
            Err(error) => print(&format!("  it failed: {error}"))?,
        }
    }
    Ok(())
}

fn repairs(report: &Report) -> Vec<&'static [&'static str]> {
    let wanted = |(about, words, repair): &(&str, &str, &'static [&'static str])| {
        let fits = |found: &&Found| {
            found.verdict != "ok" && found.about == *about && found.says.contains(words)
        };
        report.findings.iter().any(|found| fits(&found)).then_some(*repair)
    };
    REPAIRS.iter().filter_map(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_repairs_are_made_and_only_where_something_is_wrong() {
        let report = |text: &str| serde_json::from_str::<Report>(text).unwrap();
        let found = report(
            r#"{"findings":[
                {"about":"adapter","verdict":"fail","says":"hci0 is blocked","mend":"rm -rf /"},
                {"about":"clock","verdict":"ok","says":"not set by a time server"},
                {"about":"disk","verdict":"fail","says":"rm"}]}"#,
        );
        assert_eq!(repairs(&found), [["rfkill", "unblock", "bluetooth"].as_slice()]);
    }
}
