//! An adapter as BlueZ describes it, and where things are in BlueZ's tree of objects.

use std::fmt;

use dbus::arg::Iter;

use super::values::properties;

/// The kernel's number of an adapter: `hci0` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hci(pub u16);

impl Hci {
    /// From its name.
    pub fn named(name: &str) -> Option<Self> {
        name.strip_prefix("hci")?.parse().ok().map(Self)
    }

    /// Its object in BlueZ's tree.
    pub fn path(self) -> String {
        format!("/org/bluez/{self}")
    }
}

impl fmt::Display for Hci {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hci{}", self.0)
    }
}

/// What an object path of BlueZ stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `/org/bluez/hci0`
    Adapter(Hci),
    /// `/org/bluez/hci0/dev_5A_11_22_33_44_55`: the device's address, most significant first.
    Device(Hci, [u8; 6]),
}

impl Place {
    /// Reads a path; `None` for services, characteristics and whatever else there is.
    pub fn at(path: &str) -> Option<Self> {
        let mut elements = path.strip_prefix("/org/bluez/")?.split('/');
        let hci = Hci::named(elements.next()?)?;
        let Some(device) = elements.next() else { return Some(Self::Adapter(hci)) };
        if elements.next().is_some() {
            return None;
        }
        let mut octets = [0; 6];
        let mut written = device.strip_prefix("dev_")?.split('_');
        for octet in &mut octets {
            *octet = u8::from_str_radix(written.next()?, 16).ok()?;
        }
        Some(Self::Device(hci, octets))
    }
}

/// An adapter's state, as BlueZ tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adapter {
    /// Switched on.
    pub powered: bool,
    /// Somebody's discovery is running.
    pub discovering: bool,
    /// The adapter's own address.
    pub address: String,
}

impl Adapter {
    /// Takes in properties of `org.bluez.Adapter1`.
    pub fn learn(&mut self, adapter: Iter<'_>) {
        for (name, mut value) in properties(adapter) {
            match name {
                "Powered" => self.powered = value.get().unwrap_or(self.powered),
                "Discovering" => self.discovering = value.get().unwrap_or(self.discovering),
                "Address" => value.get::<&str>().unwrap_or_default().clone_into(&mut self.address),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_which_adapter_and_device() {
        let device = Place::Device(Hci(1), [0x5a, 0x11, 0x22, 0x33, 0x44, 0x55]);
        assert_eq!(Place::at("/org/bluez/hci1/dev_5A_11_22_33_44_55"), Some(device));
        assert_eq!(Place::at("/org/bluez/hci1"), Some(Place::Adapter(Hci(1))));
        for other in ["/org/bluez", "/org/bluez/hci1/dev_5A", "/org/bluez/hci1/dev_5A/service001"] {
            assert_eq!(Place::at(other), None, "{other}");
        }
    }
}
