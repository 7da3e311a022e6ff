//! The D-Bus objects that grelot exports to BlueZ: an advertisement monitor, and the advertisement
//! of the shop's wake-up beacon.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dbus::Message;
use dbus::arg::{PropMap, RefArg, Variant};
use tokio::sync::Notify;

use super::adapter::Hci;
use crate::pipeline::advert::ibeacon::IBeacon;

/// The path below which the objects are.
pub const ROOT: &str = "/org/grelot";
const MONITOR: &str = "/org/grelot/monitor";
/// The shop's wake-up beacon.
const BEACON: &str = "/org/grelot/beacon";

const MONITOR_INTERFACE: &str = "org.bluez.AdvertisementMonitor1";
const BEACON_INTERFACE: &str = "org.bluez.LEAdvertisement1";

/// How soon `BlueZ` reads an object after its registration.
const READ_WITHIN: Duration = Duration::from_secs(1);

/// The objects, and which adapter advertises.
#[derive(Debug, Default)]
pub struct ExportedObjects {
    beacon: Option<IBeacon>,
    /// The adapter that advertises the beacon: with two, it would look like one that jumps about.
    advertiser: Mutex<Option<Hci>>,
    activated: Notify,
}

impl ExportedObjects {
    /// `beacon` is the shop's wake-up beacon, if it wants one.
    pub fn new(beacon: Option<IBeacon>) -> Self {
        Self { beacon, ..Self::default() }
    }

    /// The advertisement to register with `hci`, if it is the adapter that advertises.
    pub fn to_advertise_through(&self, hci: Hci) -> Option<dbus::Path<'static>> {
        self.beacon.as_ref()?;
        let advertiser = *self.advertiser().get_or_insert(hci);
        (advertiser == hci).then(|| dbus::Path::from(BEACON))
    }

    /// `hci` cannot advertise, or is gone: another adapter may.
    pub fn release_beacon(&self, hci: Hci) {
        self.advertiser().take_if(|advertiser| *advertiser == hci);
    }

    fn advertiser(&self) -> std::sync::MutexGuard<'_, Option<Hci>> {
        self.advertiser.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `BlueZ` uses the monitor, for at most [`READ_WITHIN`].
    pub async fn activated(&self) {
        // If it takes longer, the scan that starts meanwhile only has to be restarted.
        drop(tokio::time::timeout(READ_WITHIN, self.activated.notified()).await);
    }

    /// The answer to a call to one of the objects; `None` where the message is no such call.
    pub fn answer(&self, call: &Message) -> Option<Message> {
        let (path, member) = (call.path()?, call.member()?);
        let objects = self.objects();
        match &*member {
            "GetManagedObjects" => {
                let below = objects.into_iter().filter(|(object, _)| object.starts_with(&*path));
                let below: HashMap<_, _> =
                    below.map(|(object, one)| (dbus::Path::from(object), one)).collect();
                Some(call.method_return().append1(below))
            }
            "GetAll" => {
                let interface = call.get1::<&str>()?;
                let (_, mut one) = objects.into_iter().find(|(object, _)| *object == &*path)?;
                Some(call.method_return().append1(one.remove(interface)?))
            }
            "Activate" => {
                self.activated.notify_one();
                Some(call.method_return())
            }
            "Release" | "DeviceFound" | "DeviceLost" => Some(call.method_return()),
            _ => None,
        }
    }

    fn objects(&self) -> BTreeMap<&'static str, HashMap<&'static str, PropMap>> {
        let mut objects = BTreeMap::new();
        objects.insert(MONITOR, HashMap::from([(MONITOR_INTERFACE, monitor())]));
        if let Some(beacon) = &self.beacon {
            objects.insert(BEACON, HashMap::from([(BEACON_INTERFACE, advertisement(beacon))]));
        }
        objects
    }
}

/// A monitor that matches no advertisement. Its mere presence makes the kernel scan without the
/// controller's duplicate filter, and keep scanning between discoveries.
///
/// It asks for manufacturer data of the company id that is reserved for tests, with content that no
/// device sends.
fn monitor() -> PropMap {
    const MANUFACTURER: u8 = 0xff;
    let unused = b"\xff\xffgrelot: no one".to_vec();
    let patterns: Vec<(u8, u8, Vec<u8>)> = vec![(0, MANUFACTURER, unused)];
    properties([("Type", Box::new("or_patterns".to_owned())), ("Patterns", Box::new(patterns))])
}

/// The iBeacon, neither connectable nor scannable.
fn advertisement(beacon: &IBeacon) -> PropMap {
    const APPLE: u16 = 0x004c;
    let data = HashMap::from([(APPLE, Variant(beacon.manufacturer_data().to_vec()))]);
    properties([("Type", Box::new("broadcast".to_owned())), ("ManufacturerData", Box::new(data))])
}

fn properties<const N: usize>(list: [(&str, Box<dyn RefArg>); N]) -> PropMap {
    list.into_iter().map(|(name, value)| (name.to_owned(), Variant(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beacon() -> IBeacon {
        IBeacon { uuid: [0x42; 16], major: 42, minor: 0x0101, tx_power: -59 }
    }

    fn call(path: &str, interface: &str, member: &str) -> Message {
        let mut call = Message::new_method_call("org.grelot", path, interface, member).unwrap();
        // Only a call with a serial number can be answered; libdbus sets it when a call is sent.
        call.set_serial(1);
        call
    }

    #[test]
    fn bluez_finds_the_beacon_and_reads_what_to_advertise() {
        let exported = ExportedObjects::new(Some(beacon()));
        let asked = call(BEACON, "org.freedesktop.DBus.Properties", "GetAll");
        let answer = exported.answer(&asked.append1(BEACON_INTERFACE)).unwrap();
        let read: PropMap = answer.read1().unwrap();
        assert_eq!(read["Type"].0.as_str(), Some("broadcast"));
        assert_eq!(read["ManufacturerData"].0.signature().to_string(), "a{qv}");
    }

    #[test]
    fn bluez_finds_the_monitor_below_the_root() {
        type Objects = HashMap<dbus::Path<'static>, HashMap<String, PropMap>>;
        let exported = ExportedObjects::default();
        let asked = call(ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
        let answer = exported.answer(&asked).unwrap();
        let objects: Objects = answer.read1().unwrap();
        assert_eq!(objects.len(), 1);
        assert!(objects[&dbus::Path::from(MONITOR)].contains_key(MONITOR_INTERFACE));
    }

    #[test]
    fn one_adapter_advertises_for_the_shop_until_it_is_gone() {
        let exported = ExportedObjects::new(Some(beacon()));
        assert!(exported.to_advertise_through(Hci(0)).is_some());
        assert!(exported.to_advertise_through(Hci(1)).is_none());
        exported.release_beacon(Hci(1));
        assert!(exported.to_advertise_through(Hci(0)).is_some());
        exported.release_beacon(Hci(0));
        assert!(exported.to_advertise_through(Hci(1)).is_some());
        assert!(ExportedObjects::default().to_advertise_through(Hci(0)).is_none());
    }
}
