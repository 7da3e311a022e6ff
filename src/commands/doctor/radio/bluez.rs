//! BlueZ: its version, its settings, its adapters, and what this user may do with it.

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use dbus::arg::{PropMap, prop_cast};
use dbus::blocking::Connection;
use dbus::blocking::stdintf::org_freedesktop_dbus::ObjectManager as _;

use super::super::Finding;
use super::{PATIENCE, live};
use crate::config::Config;

/// Where Debian keeps the daemon and its settings.
const DAEMON: &str = "/usr/libexec/bluetooth/bluetoothd";
const SETTINGS: &str = "/etc/bluetooth/main.conf";

const MONITORS: &str = "org.bluez.AdvertisementMonitorManager1";
const UNFILTERED: &str = "advertisement monitors";

/// Findings about BlueZ, and about the adapters that `config` names by their addresses.
pub fn findings(config: Option<&Config>) -> Vec<Finding> {
    let bus = match reach() {
        Ok(bus) => bus,
        Err(finding) => return vec![*finding],
    };
    let version = version().map_or_else(|| "runs".to_owned(), |version| format!("{version} runs"));
    let objects = match bus.with_proxy("org.bluez", "/", PATIENCE).get_managed_objects() {
        Ok(objects) => objects,
        Err(error) if error.name() == Some("org.freedesktop.DBus.Error.AccessDenied") => {
            let remedy = "run as the service's user; it must be in the group bluetooth, or install \
                        systemd/grelot-dbus.conf (docs/install.md)";
            return vec![Finding::fail("BlueZ", "refuses this user", remedy)];
        }
        Err(error) => {
            let says = format!("{version} and does not reply: {error}");
            return vec![Finding::fail("BlueZ", says, "sudo systemctl restart bluetooth")];
        }
    };
    let mut findings = vec![Finding::ok("BlueZ", version)];
    let adapters: Vec<Seen> =
        objects.iter().filter_map(|(path, object)| Seen::of(path, object)).collect();
    findings.extend(adapters.iter().map(Seen::finding));
    findings.extend(config.into_iter().flat_map(|config| missing(config, &adapters)));
    findings.extend(fs::read_to_string(SETTINGS).ok().and_then(|text| mode(&text)));
    findings.push(monitors(objects.values().any(|one| one.contains_key(MONITORS))));
    findings
}

/// An adapter as BlueZ sees it.
struct Seen {
    name: String,
    address: String,
    powered: bool,
}

impl Seen {
    fn of(path: &str, object: &HashMap<String, PropMap>) -> Option<Self> {
        let adapter = object.get("org.bluez.Adapter1")?;
        let name = path.rsplit('/').next()?.to_owned();
        let address = prop_cast::<String>(adapter, "Address")?.clone();
        Some(Self { name, address, powered: *prop_cast(adapter, "Powered")? })
    }

    fn finding(&self) -> Finding {
        let Self { name, address, powered } = self;
        if *powered {
            Finding::ok("BlueZ", format!("{name} ({address}) is powered"))
        } else {
            let says = format!("{name} ({address}) is not powered");
            Finding::warn("BlueZ", says, "grelot powers it itself; see rfkill list")
        }
    }
}

/// Adapters that are configured by an address which none has.
fn missing(config: &Config, adapters: &[Seen]) -> Vec<Finding> {
    let named = live(Some(config)).filter_map(|settings| settings.adapter.as_deref());
    let there = |wanted: &str| adapters.iter().any(|one| one.address.eq_ignore_ascii_case(wanted));
    named
        .filter(|wanted| wanted.contains(':') && !there(wanted))
        .map(|wanted| {
            let says = format!("no adapter has the configured address {wanted}");
            let all: Vec<_> = adapters.iter().map(|one| one.address.as_str()).collect();
            Finding::fail(
                "adapter",
                says,
                format!("there is {}: see source.adapter", all.join(", ")),
            )
        })
        .collect()
}

/// The bus, with bluetoothd on it.
fn reach() -> Result<Connection, Box<Finding>> {
    let about = "BlueZ";
    let Ok(bus) = Connection::new_system() else {
        let remedy = "sudo apt install dbus bluez, and start both";
        return Err(Box::new(Finding::fail(about, "the system's D-Bus cannot be reached", remedy)));
    };
    let daemon = bus.with_proxy("org.freedesktop.DBus", "/org/freedesktop/DBus", PATIENCE);
    let owner: Result<(bool,), _> =
        daemon.method_call("org.freedesktop.DBus", "NameHasOwner", ("org.bluez",));
    match owner {
        Ok((true,)) => Ok(bus),
        Ok((false,)) => {
            let remedy = "sudo apt install bluez; sudo systemctl enable --now bluetooth";
            Err(Box::new(Finding::fail(about, "bluetoothd does not run", remedy)))
        }
        Err(error) => {
            let says = format!("D-Bus does not answer: {error}");
            Err(Box::new(Finding::fail(about, says, "sudo systemctl status dbus")))
        }
    }
}

fn version() -> Option<String> {
    let said = Command::new(DAEMON).arg("--version").output().ok()?;
    let version = String::from_utf8(said.stdout).ok()?;
    Some(version.trim().to_owned()).filter(|version| !version.is_empty())
}

/// `ControllerMode`: only `bredr` keeps grelot from receiving; it asks for LE itself.
fn mode(settings: &str) -> Option<Finding> {
    let about = "controller mode";
    match value(settings, "ControllerMode")? {
        "bredr" => {
            let says = format!("{SETTINGS} has ControllerMode = bredr: no Bluetooth LE at all");
            let remedy = "set ControllerMode = le there; sudo systemctl restart bluetooth";
            Some(Finding::fail(about, says, remedy))
        }
        mode => Some(Finding::ok(about, format!("ControllerMode = {mode}"))),
    }
}

/// Without them, controllers that filter duplicates report a device once in ten seconds.
fn monitors(offered: bool) -> Finding {
    if offered {
        return Finding::ok(UNFILTERED, "offered: the controller's duplicate filter stays off");
    }
    let says = "not offered: a controller that filters duplicates, such as a Raspberry Pi's, may \
                pass on little (see with: grelot doctor --listen 20)";
    let remedy = format!(
        "set Experimental = true under [General] in {SETTINGS}; sudo systemctl restart bluetooth"
    );
    Finding::warn(UNFILTERED, says, remedy)
}

/// The value of a key that is not commented out.
fn value<'t>(settings: &'t str, key: &str) -> Option<&'t str> {
    settings.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_adapter_is_named_and_a_configured_address_that_none_has_is_reported() {
        let adapters = [("hci0", "00:1A:7D:DA:71:13", true), ("hci1", "00:1A:7D:DA:71:14", false)]
            .map(|(name, address, powered)| Seen {
                name: name.to_owned(),
                address: address.to_owned(),
                powered,
            });
        let remedies: Vec<bool> =
            adapters.iter().map(|one| one.finding().remedy.is_some()).collect();
        assert_eq!(remedies, [false, true]);
        let config = |address: &str| {
            let text = format!(
                "[store]\nid = 42\n[[source]]\nkind = \"bluez\"\nadapter = \"{address}\"\n"
            );
            crate::config::parse(&text, "grelot.toml", std::path::Path::new("/")).unwrap()
        };
        assert_eq!(missing(&config("00:1a:7d:da:71:14"), &adapters), []);
        assert_eq!(missing(&config("00:1a:7d:da:71:15"), &adapters).len(), 1);
    }

    #[test]
    fn a_machine_without_le_gets_a_remedy() {
        assert_eq!(mode("[General]\n#ControllerMode = dual\n"), None);
        assert!(mode("ControllerMode = le").is_some_and(|f| f.remedy.is_none()));
        assert!(mode("ControllerMode=bredr").is_some_and(|f| f.remedy.is_some()));
    }
}
