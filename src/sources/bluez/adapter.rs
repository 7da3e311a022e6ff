//! An adapter as BlueZ describes it, and the paths of BlueZ's objects.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dbus::arg::Iter;

use super::values::properties;
pub use crate::sources::adapter::{Choice, Hci};

/// An adapter's object in BlueZ's tree.
pub fn path(hci: Hci) -> String {
    format!("/org/bluez/{hci}")
}

/// The adapters to use: all, or the chosen one as soon as `BlueZ` reports which one it is.
#[derive(Debug, Default)]
pub struct Selection {
    choice: Option<Choice>,
    /// Which adapter has the chosen address.
    found: Mutex<Option<Hci>>,
}

impl Selection {
    /// Selects the chosen adapter; all where `choice` is `None`.
    pub fn new(choice: Option<Choice>) -> Self {
        Self { choice, ..Self::default() }
    }

    /// Whether to use `hci`.
    pub fn includes(&self, hci: Hci) -> bool {
        match &self.choice {
            None => true,
            Some(Choice::Name(name)) => *name == hci,
            Some(Choice::Address(_)) => *self.found() == Some(hci),
        }
    }

    /// Finds the chosen address among `BlueZ`'s adapters.
    pub fn update(&self, adapters: &BTreeMap<Hci, Adapter>) {
        if let Some(Choice::Address(wanted)) = &self.choice {
            let has =
                |(hci, adapter): (&Hci, &Adapter)| (adapter.address == *wanted).then_some(*hci);
            *self.found() = adapters.iter().find_map(has);
        }
    }

    pub fn choice(&self) -> Option<&Choice> {
        self.choice.as_ref()
    }

    fn found(&self) -> MutexGuard<'_, Option<Hci>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an object path of BlueZ stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Path `/org/bluez/hci0`.
    Adapter(Hci),
    /// Path `/org/bluez/hci0/dev_5A_11_22_33_44_55`: the device's address, most significant octet
    /// first.
    Device(Hci, [u8; 6]),
}

impl Place {
    /// Reads a path; `None` for services, characteristics and other objects.
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

/// An adapter's state, as BlueZ reports it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adapter {
    pub powered: bool,
    /// Discovery is running, of this program or another one.
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
    fn an_adapter_chosen_by_its_address_is_followed_from_name_to_name() {
        let selection = Selection::new(Some("00:1a:7d:da:71:13".parse().unwrap()));
        assert!(!selection.includes(Hci(0)));
        for name in [Hci(1), Hci(0)] {
            let address = "00:1A:7D:DA:71:13".to_owned();
            let adapter = Adapter { address, ..Adapter::default() };
            selection.update(&BTreeMap::from([(Hci(5), Adapter::default()), (name, adapter)]));
            assert!(selection.includes(name) && !selection.includes(Hci(5)), "{name}");
        }
        selection.update(&BTreeMap::new());
        assert!(!selection.includes(Hci(0)));
        assert!("hci1".parse::<Choice>().is_ok() && "usb".parse::<Choice>().is_err());
    }

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
