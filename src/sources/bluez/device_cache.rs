//! The D-Bus capture path: turns BlueZ's signals into advertisements and the table of adapters.
//!
//! Invariant: bounded. BlueZ forgets a device 30 s after its last advertisement, and signals that.
//! Beyond [`MAX_DEVICES`] the first advertisement of a new device is passed on, but the device is
//! not kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use dbus::Message;
use dbus::arg::Iter;
use tokio::sync::watch;

use super::adapter::{self, Adapter, Choice, Hci, Place, Selection};
use super::device::{Changes, Device};
use super::mux::AdvertisementMux;
use super::values::{elements, entries};
use crate::sources::Advertisement;
use crate::sources::capture_path::CapturePath;

/// Four thousand devices at once is a full station hall; each takes some 300 bytes here.
const MAX_DEVICES: usize = 8_192;

pub const ADAPTER: &str = "org.bluez.Adapter1";
const DEVICE: &str = "org.bluez.Device1";

/// The signals of bluetoothd itself, of adapters, and of devices that appear and disappear.
pub const OBJECTS: [&str; 3] = [
    "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.bluez'",
    "type='signal',sender='org.bluez',interface='org.freedesktop.DBus.ObjectManager'",
    "type='signal',sender='org.bluez',interface='org.freedesktop.DBus.Properties',\
     member='PropertiesChanged',arg0='org.bluez.Adapter1'",
];

/// The signals of known devices' advertisements, through one adapter or all.
pub fn advertisements(selection: &Selection) -> String {
    let below = match selection.choice() {
        Some(Choice::Name(hci)) => adapter::path(*hci),
        _ => "/org/bluez".to_owned(),
    };
    format!(
        "type='signal',sender='org.bluez',interface='org.freedesktop.DBus.Properties',\
         member='PropertiesChanged',arg0='org.bluez.Device1',path_namespace='{below}'"
    )
}

/// The adapters there are; `None` while bluetoothd is away or has not been asked yet.
pub type Adapters = Option<BTreeMap<Hci, Adapter>>;

/// The devices and adapters that BlueZ has reported.
#[derive(Debug)]
pub struct DeviceCache {
    mux: Arc<AdvertisementMux>,
    selection: Arc<Selection>,
    /// bluetoothd's unique name; other senders' signals are ignored.
    owner: Option<String>,
    devices: HashMap<(Hci, [u8; 6]), Device>,
    adapters: watch::Sender<Adapters>,
}

impl DeviceCache {
    pub fn new(mux: Arc<AdvertisementMux>, selection: Arc<Selection>) -> Self {
        let adapters = watch::Sender::new(None);
        Self { mux, selection, owner: None, devices: HashMap::new(), adapters }
    }

    pub fn adapters(&self) -> watch::Receiver<Adapters> {
        self.adapters.subscribe()
    }

    /// Handles a signal.
    pub fn signal(&mut self, signal: &Message) {
        let (Some(member), Some(path)) = (signal.member(), signal.path()) else { return };
        if &*member == "NameOwnerChanged" {
            let (_, _, owner) = signal.get3::<&str, &str, &str>();
            return self.owned_by(owner.filter(|owner| !owner.is_empty()));
        }
        if self.owner.is_none() || signal.sender().as_deref() != self.owner.as_deref() {
            return;
        }
        let mut arguments = signal.iter_init();
        match &*member {
            "PropertiesChanged" => {
                let interface = arguments.get::<&str>().unwrap_or_default();
                arguments.next();
                self.learn(&path, interface, arguments);
            }
            "InterfacesAdded" => self.added(&mut arguments),
            "InterfacesRemoved" => self.removed(&mut arguments),
            _ => {}
        }
    }

    /// bluetoothd started or ended: what it reported before is no longer valid.
    pub fn owned_by(&mut self, owner: Option<&str>) {
        if self.owner.as_deref() != owner {
            self.owner = owner.map(str::to_owned);
            self.devices.clear();
            self.adapters.send_replace(None);
        }
    }

    /// bluetoothd named its adapters.
    pub fn adapters_are(&mut self, adapters: BTreeMap<Hci, Adapter>) {
        self.selection.update(&adapters);
        self.adapters.send_replace(Some(adapters));
    }

    /// Handles the answer to `GetManagedObjects`: the adapters, and the devices of BlueZ's cache,
    /// which need not advertise now. Devices that are known here are replaced: they may lack
    /// changes that were signalled while there was no subscription.
    pub fn objects(&mut self, answer: &Message) {
        if answer.msg_type() != dbus::MessageType::MethodReturn {
            return;
        }
        for mut object in entries(answer.iter_init()) {
            let Some(path) = object.get::<dbus::Path<'_>>() else { continue };
            object.next();
            for (interface, values) in interfaces(object) {
                match (interface, Place::at(&path)) {
                    (DEVICE, Some(Place::Device(hci, address))) => {
                        self.devices.remove(&(hci, address));
                        self.remember(hci, address, Changes::read(values));
                    }
                    _ => self.learn(&path, interface, values),
                }
            }
        }
    }

    fn added(&mut self, arguments: &mut Iter<'_>) {
        let Some(path) = arguments.get::<dbus::Path<'_>>() else { return };
        arguments.next();
        for (interface, values) in interfaces(*arguments) {
            self.learn(&path, interface, values);
        }
    }

    fn removed(&mut self, arguments: &mut Iter<'_>) {
        let place = arguments.get::<dbus::Path<'_>>().and_then(|path| Place::at(&path));
        arguments.next();
        let lost = |interface| elements::<&str>(*arguments).any(|name| name == interface);
        match place {
            Some(Place::Device(hci, address)) if lost(DEVICE) => {
                self.devices.remove(&(hci, address));
            }
            Some(Place::Adapter(hci)) if lost(ADAPTER) => {
                self.devices.retain(|(through, _), _| *through != hci);
                self.adapters.send_if_modified(|adapters| {
                    let Some(adapters) = adapters else { return false };
                    let removed = adapters.remove(&hci).is_some();
                    self.selection.update(adapters);
                    removed
                });
            }
            _ => {}
        }
    }

    fn learn(&mut self, path: &str, interface: &str, values: Iter<'_>) {
        match (interface, Place::at(path)) {
            (ADAPTER, Some(Place::Adapter(hci))) => {
                self.adapters.send_if_modified(|adapters| {
                    let Some(adapters) = adapters else { return false };
                    let adapter = adapters.entry(hci).or_default();
                    let before = adapter.clone();
                    adapter.learn(values);
                    let changed = *adapter != before;
                    self.selection.update(adapters);
                    changed
                });
            }
            (DEVICE, Some(Place::Device(hci, address))) => {
                if let Some(received) = self.remember(hci, address, Changes::read(values)) {
                    self.mux.receive(hci, CapturePath::Dbus, received);
                }
            }
            _ => {}
        }
    }

    /// Applies changes to a device; returns the advertisement that caused them, if one did.
    fn remember(&mut self, hci: Hci, address: [u8; 6], changes: Changes) -> Option<Advertisement> {
        if !self.selection.includes(hci) {
            return None;
        }
        let full = self.devices.len() >= MAX_DEVICES;
        if full && !self.devices.contains_key(&(hci, address)) {
            return Device::new(address).update(changes);
        }
        self.devices.entry((hci, address)).or_insert_with(|| Device::new(address)).update(changes)
    }
}

/// The interfaces (`a{sa{sv}}`) `iter` stands on, each with its properties.
fn interfaces(iter: Iter<'_>) -> impl Iterator<Item = (&str, Iter<'_>)> {
    entries(iter).filter_map(|mut entry| {
        let name = entry.get::<&str>()?;
        entry.next();
        Some((name, entry))
    })
}

#[cfg(test)]
mod tests {
    use dbus::arg::{PropMap, Variant};

    use super::*;
    use crate::pipeline::advert::{Identifier, identifiers};

    const PATH: &str = "/org/bluez/hci0/dev_5A_11_22_33_44_55";
    const BLUEZ: &str = ":1.7";

    fn uuids(last_echoes: &[u8]) -> PropMap {
        let uuid = |echo: &u8| format!("593942a4-{echo:02x}e3-d457-6d36-2c08e9eb802c");
        let list: Vec<String> = last_echoes.iter().map(uuid).collect();
        PropMap::from([("UUIDs".to_owned(), Variant(Box::new(list) as _))])
    }

    fn changed(mut properties: PropMap) -> Message {
        properties.insert("RSSI".to_owned(), Variant(Box::new(-60_i16)));
        let interface = "org.freedesktop.DBus.Properties";
        let mut signal = Message::new_signal(PATH, interface, "PropertiesChanged").unwrap();
        signal.set_sender(Some(BLUEZ.into()));
        signal.append3(DEVICE, properties, Vec::<String>::new())
    }

    fn list(device: PropMap) -> Message {
        let manager = "org.freedesktop.DBus.ObjectManager";
        let mut call =
            Message::new_method_call("org.bluez", "/", manager, "GetManagedObjects").unwrap();
        call.set_serial(1);
        let interfaces = HashMap::from([(DEVICE, device)]);
        call.method_return().append1(HashMap::from([(dbus::Path::from(PATH), interfaces)]))
    }

    #[tokio::test]
    async fn an_echo_that_was_signalled_to_no_one_comes_with_the_next_list() {
        let mux = Arc::new(AdvertisementMux::default());
        let mut cache = DeviceCache::new(Arc::clone(&mux), Arc::default());
        cache.owned_by(Some(BLUEZ));
        cache.signal(&changed(uuids(&[0x17])));
        cache.objects(&list(uuids(&[0x17, 0x29])));
        cache.signal(&changed(PropMap::new()));
        let zone = |received: &Advertisement| match identifiers(&received.payload).last() {
            Some(Identifier::Token { echo, .. }) => Some(echo.zone),
            _ => None,
        };
        let zones: Vec<_> = mux.queue.batch().await.iter().map(zone).collect();
        assert_eq!(zones, [Some(1), Some(2)]);
    }
}
