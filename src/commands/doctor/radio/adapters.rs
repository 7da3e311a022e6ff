//! Adapters as the kernel lists them: whether there are any, and whether a switch blocks them.

use std::fs;
use std::path::Path;

use super::super::Finding;
use super::live;
use crate::config::Config;
use crate::sources::bluez::rfkill::{self, Switch};

/// Where the kernel lists adapters.
pub const ADAPTERS: &str = "/sys/class/bluetooth";

/// The adapters in `folder`, against those the configuration names.
pub fn findings(folder: &Path, config: Option<&Config>) -> Vec<Finding> {
    let mut present: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        // `hci0:64` is a connection.
        .filter(|name| name.starts_with("hci") && !name.contains(':'))
        .collect();
    present.sort();
    if present.is_empty() {
        let remedy =
            "plug one in; on a Raspberry Pi see that config.txt has no dtoverlay=disable-bt";
        return vec![Finding::fail("adapter", "this machine has no Bluetooth adapter", remedy)];
    }
    let mut findings: Vec<Finding> =
        present.iter().map(|adapter| switch(folder, adapter)).collect();
    for settings in live(config) {
        if let Some(wanted) = &settings.adapter
            // An address is looked for in BlueZ.
            && wanted.starts_with("hci")
            && !present.contains(wanted)
        {
            let says = format!("{wanted} is configured and not there");
            let remedy = format!("there is {}: see source.adapter", present.join(", "));
            findings.push(Finding::fail("adapter", says, remedy));
        }
    }
    findings
}

/// Whether a software or hardware switch blocks the adapter.
fn switch(folder: &Path, adapter: &str) -> Finding {
    match rfkill::switch_in(folder, adapter) {
        Some(Switch::Hard) => {
            Finding::fail("adapter", format!("{adapter} is off by its own switch"), "switch it on")
        }
        Some(Switch::Soft) => {
            let says = format!("{adapter} is blocked");
            Finding::fail("adapter", says, "sudo rfkill unblock bluetooth")
        }
        None => match driver(folder, adapter) {
            Some(driver) => Finding::ok("adapter", format!("{adapter}, kernel driver {driver}")),
            None => Finding::ok("adapter", adapter),
        },
    }
}

/// The kernel driver behind an adapter.
fn driver(folder: &Path, adapter: &str) -> Option<String> {
    let link = fs::read_link(folder.join(adapter).join("device/driver")).ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_that_is_blocked_or_not_there_is_reported() {
        let sys = tempfile::tempdir().unwrap();
        assert!(findings(sys.path(), None)[0].says.contains("no Bluetooth adapter"));
        for (adapter, blocked) in [("hci0", "0"), ("hci1", "1"), ("hci0:64", "0")] {
            let rfkill = sys.path().join(adapter).join("rfkill3");
            fs::create_dir_all(&rfkill).unwrap();
            fs::write(rfkill.join("soft"), format!("{blocked}\n")).unwrap();
        }
        let text = "[store]\nid = 42\n[[source]]\nkind = \"bluez\"\nadapter = \"hci7\"\n";
        let config = crate::config::parse(text, "grelot.toml", Path::new("/")).unwrap();
        assert_eq!(
            findings(sys.path(), Some(&config)),
            [
                Finding::ok("adapter", "hci0"),
                Finding::fail("adapter", "hci1 is blocked", "sudo rfkill unblock bluetooth"),
                Finding::fail(
                    "adapter",
                    "hci7 is configured and not there",
                    "there is hci0, hci1: see source.adapter"
                ),
            ]
        );
    }
}
