//! What BlueZ tells of a device, turned back into the advertisement it came from.
//!
//! BlueZ hands over parsed properties, not bytes: the AD structures are written anew from what a
//! message says has just been heard. Values that were in no advertisement (BlueZ's cache) are
//! not sightings.

use std::collections::BTreeMap;

use dbus::arg::{ArgType, Iter};

use super::values::{elements, entries, properties};
use crate::pipeline::event::{Address, AddressKind};
use crate::pipeline::units::Dbm;
use crate::sources::Heard;

/// AD types written here (Assigned Numbers, section 2.3).
mod ad {
    pub const FLAGS: u8 = 0x01;
    pub const UUIDS_16: u8 = 0x03;
    pub const UUIDS_128: u8 = 0x07;
    pub const NAME: u8 = 0x09;
    pub const TX_POWER: u8 = 0x0a;
    pub const SERVICE_DATA_16: u8 = 0x16;
    pub const SERVICE_DATA_128: u8 = 0x21;
    pub const MANUFACTURER: u8 = 0xff;
}

/// `0000xxxx-0000-1000-8000-00805f9b34fb`: what a short UUID stands for.
const BASE: u128 = 0x0000_0000_0000_1000_8000_0080_5f9b_34fb;

/// An advertisement holds 14 short service UUIDs; BlueZ appends to a device's list for as long
/// as it knows the device (an iPhone's app says a new one every ten minutes), so the last count.
const MOST_UUIDS: usize = 14;

/// One message's news of a device.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    kind: Option<AddressKind>,
    rssi: Option<i16>,
    flags: Option<u8>,
    name: Option<String>,
    tx_power: Option<i16>,
    uuids: Option<Vec<u128>>,
    manufacturer: Option<BTreeMap<u16, Vec<u8>>>,
    service: Option<BTreeMap<u128, Vec<u8>>>,
}

impl News {
    /// Reads the properties of `org.bluez.Device1` that an advertisement can set.
    pub fn read(device: Iter<'_>) -> Self {
        let mut news = Self::default();
        for (name, mut value) in properties(device) {
            match name {
                "AddressType" => news.kind = value.get::<&str>().and_then(kind),
                "RSSI" => news.rssi = value.get(),
                "AdvertisingFlags" => {
                    news.flags = value.get::<&[u8]>().and_then(|flags| flags.first().copied());
                }
                "Name" => news.name = value.get::<&str>().map(str::to_owned),
                "TxPower" => news.tx_power = value.get(),
                "UUIDs" => news.uuids = Some(uuids(value)),
                "ManufacturerData" => {
                    news.manufacturer = Some(data(value, |mut key| key.get::<u16>()));
                }
                "ServiceData" => {
                    let key = |mut key: Iter<'_>| key.get::<&str>().and_then(uuid);
                    news.service = Some(data(value, key));
                }
                _ => {}
            }
        }
        news
    }

    /// Whether an advertisement was heard, rather than a name resolved or services discovered.
    fn is_sighting(&self) -> bool {
        self.rssi.is_some() || self.manufacturer.is_some() || self.service.is_some()
    }
}

/// A device BlueZ knows: what its advertisements keep repeating.
#[derive(Debug)]
pub struct Device {
    address: Address,
    flags: Option<u8>,
    name: Option<String>,
    tx_power: Option<i8>,
    uuids: Vec<u128>,
    manufacturer: BTreeMap<u16, Vec<u8>>,
    service: BTreeMap<u128, Vec<u8>>,
}

impl Device {
    /// A device of which nothing is known but its address, most significant octet first.
    pub fn new(octets: [u8; 6]) -> Self {
        Self {
            address: Address { kind: AddressKind::Random, octets },
            flags: None,
            name: None,
            tx_power: None,
            uuids: Vec::new(),
            manufacturer: BTreeMap::new(),
            service: BTreeMap::new(),
        }
    }

    /// Takes in what BlueZ says, and gives the advertisement that must have caused it.
    pub fn hear(&mut self, news: News) -> Option<Heard> {
        let sighting = news.is_sighting();
        let rssi = news.rssi.and_then(Dbm::measured);
        self.address.kind = news.kind.unwrap_or(self.address.kind);
        self.flags = news.flags.or(self.flags);
        self.name = news.name.or(self.name.take());
        self.tx_power = news.tx_power.and_then(|p| i8::try_from(p).ok()).or(self.tx_power);
        self.uuids = news.uuids.unwrap_or_else(|| std::mem::take(&mut self.uuids));
        let payload = sighting.then(|| {
            let mut payload = self.repeated();
            let service = said_now(&self.service, news.service.as_ref());
            service.for_each(|(uuid, data)| write_service_data(&mut payload, uuid, data));
            let manufacturer = said_now(&self.manufacturer, news.manufacturer.as_ref());
            for (company, data) in manufacturer {
                write(&mut payload, ad::MANUFACTURER, &[&company.to_le_bytes(), data]);
            }
            payload
        });
        self.manufacturer = news.manufacturer.unwrap_or(std::mem::take(&mut self.manufacturer));
        self.service = news.service.unwrap_or(std::mem::take(&mut self.service));
        payload.map(|payload| Heard { gateway: None, address: self.address, rssi, payload })
    }

    /// The AD structures BlueZ does not repeat with every advertisement.
    fn repeated(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(64);
        if let Some(flags) = self.flags {
            write(&mut payload, ad::FLAGS, &[&[flags]]);
        }
        let (short, long): (Vec<u128>, Vec<u128>) =
            self.uuids.iter().copied().partition(|uuid| short(*uuid).is_some());
        if !short.is_empty() {
            let list: Vec<u8> = short.into_iter().filter_map(self::short).flatten().collect();
            write(&mut payload, ad::UUIDS_16, &[&list]);
        }
        for uuid in long {
            write(&mut payload, ad::UUIDS_128, &[&uuid.to_le_bytes()]);
        }
        if let Some(name) = &self.name {
            write(&mut payload, ad::NAME, &[name.as_bytes()]);
        }
        if let Some(power) = self.tx_power {
            write(&mut payload, ad::TX_POWER, &[&power.to_le_bytes()]);
        }
        payload
    }
}

/// Of `now`, what the advertisement just heard can have said.
///
/// BlueZ collects data of every company and service it ever heard from a device and repeats the
/// whole collection. Entries that changed are certainly of this advertisement; where none did,
/// the same was said again, and which of them cannot be told.
fn said_now<'n, K: Ord + Copy>(
    before: &BTreeMap<K, Vec<u8>>,
    now: Option<&'n BTreeMap<K, Vec<u8>>>,
) -> impl Iterator<Item = (K, &'n Vec<u8>)> {
    let changed = |key: &K, data: &Vec<u8>| before.get(key) != Some(data);
    let some_changed = now.is_some_and(|now| now.iter().any(|(key, data)| changed(key, data)));
    now.into_iter()
        .flatten()
        .filter(move |(key, data)| !some_changed || changed(key, data))
        .map(|(key, data)| (*key, data))
}

/// Appends one AD structure; one that is too long for its length octet is left out.
fn write(payload: &mut Vec<u8>, ad_type: u8, parts: &[&[u8]]) {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let Ok(length) = u8::try_from(length) else { return };
    payload.extend([length, ad_type]);
    for part in parts {
        payload.extend_from_slice(part);
    }
}

fn write_service_data(payload: &mut Vec<u8>, uuid: u128, data: &[u8]) {
    match short(uuid) {
        Some(octets) => write(payload, ad::SERVICE_DATA_16, &[&octets, data]),
        None => write(payload, ad::SERVICE_DATA_128, &[&uuid.to_le_bytes(), data]),
    }
}

/// The two octets, as on the air, of a UUID that has a 16-bit form.
fn short(uuid: u128) -> Option<[u8; 2]> {
    u16::try_from(uuid >> 96).ok().filter(|_| uuid << 32 == BASE << 32).map(u16::to_le_bytes)
}

fn kind(word: &str) -> Option<AddressKind> {
    match word {
        "public" => Some(AddressKind::Public),
        "random" => Some(AddressKind::Random),
        _ => None,
    }
}

fn uuid(text: &str) -> Option<u128> {
    uuid::Uuid::try_parse(text).ok().map(|uuid| uuid.as_u128())
}

fn uuids(list: Iter<'_>) -> Vec<u128> {
    let mut uuids: Vec<u128> = elements::<&str>(list).filter_map(uuid).collect();
    let oldest = uuids.len().saturating_sub(MOST_UUIDS);
    uuids.drain(..oldest);
    uuids
}

/// A dictionary from whatever `key` reads to octets inside a variant.
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

    fn hear(device: &mut Device, news: PropMap) -> Option<Heard> {
        let message = Message::new_signal("/x", "org.example", "X").unwrap().append1(news);
        device.hear(News::read(message.iter_init()))
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
        let heard = hear(&mut device(), appeared).unwrap();
        assert_eq!(heard.address.kind, AddressKind::Public);
        assert_eq!(heard.rssi, Dbm::measured(-71));
        assert_eq!(hex::encode(heard.payload), "0201060303aafe0516aafe30ee");
    }

    #[test]
    fn the_app_s_service_uuid_is_written_the_way_the_decoder_reads_it() {
        let uuid = "593942a4-10e3-d457-6d36-2c08e9eb802c".to_owned();
        let news = properties(vec![("RSSI", Box::new(-60i16)), ("UUIDs", Box::new(vec![uuid]))]);
        let heard = hear(&mut device(), news).unwrap();
        let said: Vec<_> = crate::pipeline::advert::said(&heard.payload).collect();
        assert_eq!(said.len(), 1, "{said:?}");
    }

    #[test]
    fn what_comes_out_of_bluez_s_cache_is_not_a_sighting() {
        let cached = properties(vec![
            ("AddressType", Box::new("random".to_owned())),
            ("Name", Box::new("kettle".to_owned())),
            ("UUIDs", Box::new(vec!["0000180f-0000-1000-8000-00805f9b34fb".to_owned()])),
        ]);
        assert_eq!(hear(&mut device(), cached), None);
    }

    #[test]
    fn data_said_before_is_not_said_again_with_new_data() {
        let mut device = device();
        let beacon = (0x004cu16, vec![2, 0x15]);
        let first = properties(vec![
            ("RSSI", Box::new(-60i16)),
            ("ManufacturerData", Box::new(variants(vec![beacon.clone()]))),
        ]);
        hear(&mut device, first);
        let both = || {
            let data = variants(vec![beacon.clone(), (0xffff, vec![1])]);
            properties(vec![("RSSI", Box::new(-61i16)), ("ManufacturerData", Box::new(data))])
        };
        let heard = hear(&mut device, both()).unwrap();
        assert_eq!(hex::encode(heard.payload), "04ffffff01");
        // The same again: which of the two it was cannot be told.
        let heard = hear(&mut device, both()).unwrap();
        assert_eq!(hex::encode(heard.payload), "05ff4c00021504ffffff01");
    }
}
