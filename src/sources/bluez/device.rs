//! Turns what BlueZ signals of a device back into the advertisement that caused it.
//!
//! BlueZ reports parsed properties, not octets, so the AD structures are rebuilt from the
//! properties in a message. Values that BlueZ only remembers are left out.

use std::collections::BTreeMap;

use dbus::arg::{ArgType, Iter};
use uuid::Uuid;

use super::values::{elements, entries, properties};
use crate::pipeline::event::{Address, AddressKind};
use crate::pipeline::units::Dbm;
use crate::sources::Advertisement;
use crate::sources::structures::Structures;

/// Service UUIDs that one advertisement can hold: 14 short ones in a legacy PDU.
const MAX_UUIDS: usize = 14;

/// The properties of a device that one message sets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The identity address of a phone that is bonded while it is connected; its object is still
    /// named after its resolvable private address.
    address: Option<[u8; 6]>,
    kind: Option<AddressKind>,
    rssi: Option<i16>,
    flags: Option<u8>,
    name: Option<String>,
    tx_power: Option<i16>,
    uuids: Option<Vec<Uuid>>,
    /// The UUIDs are those of GATT services, which `BlueZ` has just discovered.
    services_resolved: bool,
    /// Exactly the data of the advertisement: with `DuplicateData`, which grelot asks for, `BlueZ`
    /// (since 5.47) clears a device's old data with each advertisement.
    manufacturer: BTreeMap<u16, Vec<u8>>,
    service: BTreeMap<Uuid, Vec<u8>>,
}

impl Changes {
    /// Reads the properties of `org.bluez.Device1` that an advertisement can set.
    pub fn read(device: Iter<'_>) -> Self {
        let mut changes = Self::default();
        for (name, mut value) in properties(device) {
            match name {
                "Address" => changes.address = value.get::<&str>().and_then(octets),
                "AddressType" => changes.kind = value.get::<&str>().and_then(kind),
                "RSSI" => changes.rssi = value.get(),
                "AdvertisingFlags" => {
                    changes.flags = value.get::<&[u8]>().and_then(|flags| flags.first().copied());
                }
                "Name" => changes.name = value.get::<&str>().map(str::to_owned),
                "ServicesResolved" => changes.services_resolved = true,
                "TxPower" => changes.tx_power = value.get(),
                "UUIDs" => {
                    changes.uuids = Some(elements::<&str>(value).filter_map(uuid).collect());
                }
                "ManufacturerData" => {
                    changes.manufacturer = data(value, |mut key| key.get::<u16>());
                }
                "ServiceData" => {
                    let key = |mut key: Iter<'_>| key.get::<&str>().and_then(uuid);
                    changes.service = data(value, key);
                }
                _ => {}
            }
        }
        changes
    }

    /// Whether an advertisement caused them, rather than a resolved name or discovered services.
    fn is_advertisement(&self) -> bool {
        self.rssi.is_some() || !self.manufacturer.is_empty() || !self.service.is_empty()
    }
}

/// A device that BlueZ knows, with those parts of its advertisements that BlueZ does not repeat.
#[derive(Debug)]
pub struct Device {
    address: Address,
    flags: Option<u8>,
    name: Option<String>,
    tx_power: Option<i16>,
    uuids: Uuids,
}

/// Service UUIDs; `BlueZ` keeps every one that it ever received from a device.
///
/// It appends new ones to its list and then signals the whole list; an advertisement that repeats
/// known UUIDs causes no signal. So the best guess is that the UUIDs appended last are advertised
/// now: an iPhone's app advertises another UUID with each echo.
#[derive(Debug, Default)]
struct Uuids {
    /// The last of `BlueZ`'s list.
    last: Option<Uuid>,
    advertised: Vec<Uuid>,
}

impl Uuids {
    /// Reads `BlueZ`'s list. `advertised` is false for a discovery of GATT services, which replaces
    /// the list until the phone is disconnected.
    fn update(&mut self, list: &[Uuid], advertised: bool) {
        let known = self.last.and_then(|last| list.iter().rposition(|uuid| *uuid == last));
        let new = list.get(known.map_or(0, |known| known + 1)..).unwrap_or_default();
        let new = new.get(new.len().saturating_sub(MAX_UUIDS)..).unwrap_or_default();
        if !new.is_empty() && (advertised || self.last.is_none()) {
            self.advertised = new.to_vec();
        }
        self.last = list.last().copied();
    }
}

impl Device {
    /// A device with a known address, most significant octet first, and nothing else.
    pub fn new(octets: [u8; 6]) -> Self {
        Self {
            address: Address { kind: AddressKind::Random, octets },
            flags: None,
            name: None,
            tx_power: None,
            uuids: Uuids::default(),
        }
    }

    /// Applies the changes; returns the advertisement that caused them, if one did.
    pub fn update(&mut self, changes: Changes) -> Option<Advertisement> {
        let advertised = changes.is_advertisement();
        let rssi = changes.rssi.and_then(Dbm::measured);
        self.address.octets = changes.address.unwrap_or(self.address.octets);
        self.address.kind = changes.kind.unwrap_or(self.address.kind);
        self.flags = changes.flags.or(self.flags);
        self.name = changes.name.or(self.name.take());
        self.tx_power = changes.tx_power.or(self.tx_power);
        if let Some(list) = changes.uuids {
            self.uuids.update(&list, advertised && !changes.services_resolved);
        }
        if !advertised {
            return None;
        }
        let mut structures = Structures::new();
        if let Some(flags) = self.flags {
            structures.flags(flags);
        }
        structures.service_uuids(self.uuids.advertised.iter().copied());
        if let Some(name) = &self.name {
            structures.name(name);
        }
        if let Some(power) = self.tx_power {
            structures.tx_power(power);
        }
        for (uuid, data) in &changes.service {
            structures.service_data(*uuid, data);
        }
        for (company, data) in &changes.manufacturer {
            structures.manufacturer_data(*company, data);
        }
        let payload = structures.into_payload();
        Some(Advertisement { gateway: None, address: self.address, rssi, payload })
    }
}

fn kind(word: &str) -> Option<AddressKind> {
    match word {
        "public" => Some(AddressKind::Public),
        "random" => Some(AddressKind::Random),
        _ => None,
    }
}

fn octets(text: &str) -> Option<[u8; 6]> {
    hex::decode(text.replace(':', "")).ok()?.try_into().ok()
}

fn uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}

/// A dictionary from what `key` reads to octets in a variant.
fn data<K: Ord>(dictionary: Iter<'_>, key: impl Fn(Iter<'_>) -> Option<K>) -> BTreeMap<K, Vec<u8>> {
    let one = |mut entry: Iter<'_>| {
        let key = key(entry)?;
        entry.next();
        let mut value = entry.recurse(ArgType::Variant)?;
        Some((key, value.get::<&[u8]>()?.to_vec()))
    };
    entries(dictionary).filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::advert::Identifier;
    use dbus::Message;
    use dbus::arg::{PropMap, Variant};

    type Octets = Vec<u8>;

    fn properties(list: Vec<(&str, Box<dyn dbus::arg::RefArg>)>) -> PropMap {
        list.into_iter().map(|(name, value)| (name.to_owned(), Variant(value))).collect()
    }

    fn variants<K: std::hash::Hash + Eq>(
        list: Vec<(K, Octets)>,
    ) -> std::collections::HashMap<K, Variant<Octets>> {
        list.into_iter().map(|(key, octets)| (key, Variant(octets))).collect()
    }

    fn receive(device: &mut Device, changes: PropMap) -> Option<Advertisement> {
        let message = Message::new_signal("/x", "org.example", "X").unwrap().append1(changes);
        device.update(Changes::read(message.iter_init()))
    }

    fn device() -> Device {
        Device::new([0x5a, 0x11, 0x22, 0x33, 0x44, 0x55])
    }

    #[test]
    fn parsed_properties_become_the_advertisement_they_came_from() {
        let appeared = properties(vec![
            ("AddressType", Box::new("public".to_owned())),
            ("RSSI", Box::new(-71i16)),
            ("AdvertisingFlags", Box::new(vec![6u8])),
            ("UUIDs", Box::new(vec!["0000feaa-0000-1000-8000-00805f9b34fb".to_owned()])),
            (
                "ServiceData",
                Box::new(variants(vec![(
                    "0000feaa-0000-1000-8000-00805f9b34fb".to_owned(),
                    vec![0x30, 0xee],
                )])),
            ),
        ]);
        let received = receive(&mut device(), appeared).unwrap();
        assert_eq!(received.address.kind, AddressKind::Public);
        assert_eq!(received.rssi, Dbm::measured(-71));
        assert_eq!(hex::encode(received.payload), "0201060303aafe0516aafe30ee");
    }

    #[test]
    fn the_app_s_service_uuid_is_written_the_way_the_decoder_reads_it() {
        let uuid = "593942a4-10e3-d457-6d36-2c08e9eb802c".to_owned();
        let changes = properties(vec![("RSSI", Box::new(-60i16)), ("UUIDs", Box::new(vec![uuid]))]);
        let received = receive(&mut device(), changes).unwrap();
        let said: Vec<_> = crate::pipeline::advert::identifiers(&received.payload).collect();
        assert_eq!(said.len(), 1, "{said:?}");
    }

    #[test]
    fn what_comes_out_of_bluez_s_memory_is_no_advertisement() {
        let cached = properties(vec![
            ("AddressType", Box::new("random".to_owned())),
            ("Name", Box::new("kettle".to_owned())),
            ("UUIDs", Box::new(vec!["0000180f-0000-1000-8000-00805f9b34fb".to_owned()])),
        ]);
        assert_eq!(receive(&mut device(), cached), None);
    }

    #[test]
    fn a_phone_that_is_bonded_is_received_under_its_identity_address() {
        let mut phone = device();
        let before = receive(&mut phone, listed(&APP[..1])).unwrap().address;
        assert_eq!(before.kind, AddressKind::Random);
        let bonded = properties(vec![
            ("Address", Box::new("AC:DE:48:00:11:22".to_owned())),
            ("AddressType", Box::new("public".to_owned())),
        ]);
        assert_eq!(receive(&mut phone, bonded), None);
        let after = receive(&mut phone, repeated()).unwrap();
        let octets = [0xac, 0xde, 0x48, 0x00, 0x11, 0x22];
        assert_eq!(after.address, Address { kind: AddressKind::Public, octets });
        assert_eq!(echoes(&after), [(1, 7)], "its token still counts");
    }

    const APP: [&str; 3] = [
        "593942a4-17e3-d457-6d36-2c08e9eb802c",
        "593942a4-16e3-d457-6d36-2c08e9eb802c",
        "593942a4-29e3-d457-6d36-2c08e9eb802c",
    ];

    /// The signal of an advertisement after which `BlueZ` knows these service UUIDs.
    fn listed(uuids: &[&str]) -> PropMap {
        let uuids: Vec<String> = uuids.iter().map(|uuid| (*uuid).to_owned()).collect();
        properties(vec![("RSSI", Box::new(-60i16)), ("UUIDs", Box::new(uuids))])
    }

    fn repeated() -> PropMap {
        properties(vec![("RSSI", Box::new(-61i16))])
    }

    /// The zones and levels of the echoes in an advertisement, in order.
    fn echoes(received: &Advertisement) -> Vec<(u8, u8)> {
        let echo = |said| match said {
            Identifier::Token { echo, .. } => Some((echo.zone, echo.level)),
            _ => None,
        };
        crate::pipeline::advert::identifiers(&received.payload).filter_map(echo).collect()
    }

    #[test]
    fn old_echoes_of_an_iphone_are_not_received_again() {
        let mut phone = device();
        for (known, echo) in [(1, (1, 7)), (2, (1, 6)), (3, (2, 9))] {
            let received = receive(&mut phone, listed(&APP[..known])).unwrap();
            assert_eq!(echoes(&received), [echo]);
            assert_eq!(echoes(&receive(&mut phone, repeated()).unwrap()), [echo]);
        }
    }

    #[test]
    fn two_echoes_in_one_signal_are_in_the_order_they_came() {
        let mut phone = device();
        receive(&mut phone, listed(&APP[..1]));
        assert_eq!(echoes(&receive(&mut phone, listed(&APP)).unwrap()), [(1, 6), (2, 9)]);
    }

    #[test]
    fn gatt_services_are_not_advertised() {
        let mut phone = device();
        (1..=2).for_each(|known| drop(receive(&mut phone, listed(&APP[..known]))));
        let gatt = vec!["00001800-0000-1000-8000-00805f9b34fb".to_owned()];
        assert_eq!(receive(&mut phone, properties(vec![("UUIDs", Box::new(gatt))])), None);
        assert_eq!(echoes(&receive(&mut phone, repeated()).unwrap()), [(1, 6)]);
    }

    #[test]
    fn bluez_s_memory_at_the_start_ends_with_the_newest_echo() {
        let mut phone = device();
        let cached = APP.map(str::to_owned).to_vec();
        assert_eq!(receive(&mut phone, properties(vec![("UUIDs", Box::new(cached))])), None);
        assert_eq!(echoes(&receive(&mut phone, repeated()).unwrap()).last(), Some(&(2, 9)));
    }

    #[test]
    fn an_ibeacon_beside_data_that_changes_is_received_each_time() {
        let mut device = device();
        for count in 0..3u8 {
            let data = variants(vec![(0x004cu16, vec![2, 0x15]), (0xffff, vec![count])]);
            let both =
                properties(vec![("RSSI", Box::new(-61i16)), ("ManufacturerData", Box::new(data))]);
            let payload = receive(&mut device, both).unwrap().payload;
            assert_eq!(hex::encode(payload), format!("05ff4c00021504ffffff{count:02x}"));
        }
    }
}
