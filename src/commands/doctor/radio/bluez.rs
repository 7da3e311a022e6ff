//! BlueZ: its version, its settings, and what it lets this user do.

use std::fs;
use std::process::Command;

use dbus::blocking::Connection;
use dbus::blocking::stdintf::org_freedesktop_dbus::{ObjectManager as _, Properties as _};

use super::super::Finding;
use super::PATIENCE;

/// Where Debian keeps the daemon and its settings.
const DAEMON: &str = "/usr/libexec/bluetooth/bluetoothd";
const SETTINGS: &str = "/etc/bluetooth/main.conf";

const MONITORS: &str = "org.bluez.AdvertisementMonitorManager1";
const UNFILTERED: &str = "advertisement monitors";

/// All there is to say of BlueZ.
pub fn findings() -> Vec<Finding> {
    let bus = match reach() {
        Ok(bus) => bus,
        Err(finding) => return vec![*finding],
    };
    let mut findings = vec![speaks(&bus)];
    findings.extend(fs::read_to_string(SETTINGS).ok().and_then(|text| mode(&text)));
    findings.push(monitors(&bus));
    findings
}

/// The bus, with bluetoothd on it.
fn reach() -> Result<Connection, Box<Finding>> {
    let about = "BlueZ";
    let Ok(bus) = Connection::new_system() else {
        let mend = "sudo apt install dbus bluez, and start both";
        return Err(Box::new(Finding::fail(about, "the system's D-Bus cannot be reached", mend)));
    };
    let daemon = bus.with_proxy("org.freedesktop.DBus", "/org/freedesktop/DBus", PATIENCE);
    let owner: Result<(bool,), _> =
        daemon.method_call("org.freedesktop.DBus", "NameHasOwner", ("org.bluez",));
    match owner {
        Ok((true,)) => Ok(bus),
        Ok((false,)) => {
            let mend = "sudo apt install bluez; sudo systemctl enable --now bluetooth";
            Err(Box::new(Finding::fail(about, "bluetoothd does not run", mend)))
        }
        Err(error) => {
            let says = format!("D-Bus does not answer: {error}");
            Err(Box::new(Finding::fail(about, says, "sudo systemctl status dbus")))
        }
    }
}

/// Whether it lets this user speak to it.
fn speaks(bus: &Connection) -> Finding {
    let about = "BlueZ";
    let version = version().map_or_else(|| "runs".to_owned(), |version| format!("{version} runs"));
    let adapter = bus.with_proxy("org.bluez", "/org/bluez/hci0", PATIENCE);
    let powered: Result<bool, dbus::Error> = adapter.get("org.bluez.Adapter1", "Powered");
    match powered {
        Ok(true) => Finding::ok(about, format!("{version}, hci0 is powered")),
        Ok(false) => {
            let says = format!("{version}, hci0 is not powered");
            Finding::warn(about, says, "grelot powers it itself")
        }
        Err(error) if error.name() == Some("org.freedesktop.DBus.Error.AccessDenied") => {
            let mend = "run as the service's user; it must be in the group bluetooth, or install \
                        systemd/grelot-dbus.conf (docs/install.md)";
            Finding::fail(about, "does not speak to this user", mend)
        }
        Err(_) => Finding::warn(about, format!("{version}, without hci0"), "see the adapter above"),
    }
}

fn version() -> Option<String> {
    let said = Command::new(DAEMON).arg("--version").output().ok()?;
    let version = String::from_utf8(said.stdout).ok()?;
    Some(version.trim().to_owned()).filter(|version| !version.is_empty())
}

/// `ControllerMode`: only `bredr` keeps grelot from hearing; it asks for LE itself.
fn mode(settings: &str) -> Option<Finding> {
    let about = "controller mode";
    match value(settings, "ControllerMode")? {
        "bredr" => {
            let says = format!("{SETTINGS} has ControllerMode = bredr: no Bluetooth LE at all");
            let mend = "set ControllerMode = le there; sudo systemctl restart bluetooth";
            Some(Finding::fail(about, says, mend))
        }
        mode => Some(Finding::ok(about, format!("ControllerMode = {mode}"))),
    }
}

/// Without them, controllers that filter duplicates are heard once in ten seconds.
fn monitors(bus: &Connection) -> Finding {
    let objects = bus.with_proxy("org.bluez", "/", PATIENCE).get_managed_objects();
    let Ok(objects) = objects else {
        return Finding::warn(UNFILTERED, "BlueZ does not say", "see BlueZ above");
    };
    if objects.values().any(|interfaces| interfaces.contains_key(MONITORS)) {
        return Finding::ok(UNFILTERED, "offered: the controller's duplicate filter stays off");
    }
    let says = "not offered: a controller that filters duplicates, such as a Raspberry Pi's, may \
                pass on little (see with: grelot doctor --listen 20)";
    let mend = format!(
        "set Experimental = true under [General] in {SETTINGS}; sudo systemctl restart bluetooth"
    );
    Finding::warn(UNFILTERED, says, mend)
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
    fn a_machine_without_le_is_told_how_to_mend_it() {
        assert_eq!(mode("[General]\n#ControllerMode = dual\n"), None);
        assert!(mode("ControllerMode = le").is_some_and(|f| f.mend.is_none()));
        assert!(mode("ControllerMode=bredr").is_some_and(|f| f.mend.is_some()));
    }
}
