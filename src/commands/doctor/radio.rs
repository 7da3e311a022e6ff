//! The radio: adapters that are switched on, `BlueZ` and its permissions, and what is received.

mod bluez;
mod reception;

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Finding;
use crate::commands::run::runtime;
use crate::config::{Config, Source};
use crate::sources::bluez as bluez_source;
use crate::sources::bluez::rfkill::{self, Switch};
use crate::sources::live::{self, Kind};

/// Where the kernel lists adapters.
const ADAPTERS: &str = "/sys/class/bluetooth";

/// Longer than a healthy bus takes, shorter than patience lasts.
const PATIENCE: Duration = Duration::from_secs(3);

/// Findings about the radio; none where the configuration has no live source. With `listen`, also
/// about what is received within that time.
pub(super) fn findings(
    config: Option<&Config>,
    listen: Option<Duration>,
) -> anyhow::Result<Vec<Finding>> {
    let kinds: Vec<&Kind> = live(config).map(|settings| settings.kind).collect();
    let bluez = config.is_none() || kinds.contains(&&bluez_source::KIND);
    if !bluez && kinds.is_empty() {
        return Ok(Vec::new());
    }
    let mut findings = Vec::new();
    if bluez {
        findings.extend(adapters(Path::new(ADAPTERS), config));
        findings.extend(bluez::findings(config));
        findings.push(reception::monitor());
    }
    for kind in kinds {
        let mend = "in a shop, on Linux: kind = \"bluez\"";
        findings.extend(kind.limits.map(|limits| Finding::warn(kind.word, limits, mend)));
    }
    if let Some(length) = listen {
        findings.extend(runtime()?.block_on(reception::sample(config, length)));
    }
    Ok(findings)
}

/// The live sources of a configuration.
pub(super) fn live(config: Option<&Config>) -> impl Iterator<Item = &live::Settings> {
    config.into_iter().flat_map(|config| &config.sources).filter_map(|source| match source {
        Source::Live(settings) => Some(settings),
        _ => None,
    })
}

/// The adapters in `folder`, against those the configuration names.
fn adapters(folder: &Path, config: Option<&Config>) -> Vec<Finding> {
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
        let mend = "plug one in; on a Raspberry Pi see that config.txt has no dtoverlay=disable-bt";
        return vec![Finding::fail("adapter", "this machine has no Bluetooth adapter", mend)];
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
            let mend = format!("there is {}: see source.adapter", present.join(", "));
            findings.push(Finding::fail("adapter", says, mend));
        }
    }
    findings
}

/// Whether a software or hardware switch holds the adapter down.
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
        assert!(adapters(sys.path(), None)[0].says.contains("no Bluetooth adapter"));
        for (adapter, blocked) in [("hci0", "0"), ("hci1", "1"), ("hci0:64", "0")] {
            let rfkill = sys.path().join(adapter).join("rfkill3");
            fs::create_dir_all(&rfkill).unwrap();
            fs::write(rfkill.join("soft"), format!("{blocked}\n")).unwrap();
        }
        let text = "[store]\nid = 42\n[[source]]\nkind = \"bluez\"\nadapter = \"hci7\"\n";
        let config = crate::config::parse(text, "grelot.toml", Path::new("/")).unwrap();
        assert_eq!(
            adapters(sys.path(), Some(&config)),
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
