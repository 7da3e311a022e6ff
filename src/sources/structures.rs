//! Writes AD structures, for sources whose platform reports parsed fields instead of octets.

use uuid::Uuid;

use crate::pipeline::advert::structure::kind;

/// `0000xxxx-0000-1000-8000-00805f9b34fb`: what a 16-bit UUID stands for (Core, Vol 3 Part B 2.5.1).
const BASE: u128 = 0x0000_0000_0000_1000_8000_0080_5f9b_34fb;

/// AD structures, in the order in which they are added.
#[derive(Debug, Default)]
pub struct Structures(Vec<u8>);

impl Structures {
    /// Room for a legacy advertisement and its scan response.
    pub fn new() -> Self {
        Self(Vec::with_capacity(64))
    }

    pub fn into_payload(self) -> Vec<u8> {
        self.0
    }

    /// Flags, which btleplug does not report.
    #[cfg(target_os = "linux")]
    pub fn flags(&mut self, flags: u8) {
        self.add(kind::FLAGS, &[&[flags]]);
    }

    pub fn name(&mut self, name: &str) {
        self.add(kind::NAME, &[name.as_bytes()]);
    }

    /// TX power level in dBm; left out where it is none.
    pub fn tx_power(&mut self, level: i16) {
        if let Ok(level) = i8::try_from(level) {
            self.add(kind::TX_POWER, &[&level.to_le_bytes()]);
        }
    }

    /// Service UUIDs: the short ones in one structure, each long one in its own.
    pub fn service_uuids(&mut self, uuids: impl Iterator<Item = Uuid> + Clone) {
        let list: Vec<u8> = uuids.clone().filter_map(short).flatten().collect();
        if !list.is_empty() {
            self.add(kind::UUIDS_16_ALL, &[&list]);
        }
        for uuid in uuids.filter(|uuid| short(*uuid).is_none()) {
            self.add(kind::UUIDS_128_ALL, &[&uuid.as_u128().to_le_bytes()]);
        }
    }

    pub fn service_data(&mut self, uuid: Uuid, data: &[u8]) {
        match short(uuid) {
            Some(octets) => self.add(kind::SERVICE_DATA_16, &[&octets, data]),
            None => self.add(kind::SERVICE_DATA_128, &[&uuid.as_u128().to_le_bytes(), data]),
        }
    }

    pub fn manufacturer_data(&mut self, company: u16, data: &[u8]) {
        self.add(kind::MANUFACTURER, &[&company.to_le_bytes(), data]);
    }

    /// Appends one structure; one that is too long for its length octet is left out.
    fn add(&mut self, kind: u8, parts: &[&[u8]]) {
        let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
        let Ok(length) = u8::try_from(length) else { return };
        self.0.extend([length, kind]);
        for part in parts {
            self.0.extend_from_slice(part);
        }
    }
}

/// The 16-bit form of a UUID, as on the air, where it has one.
fn short(uuid: Uuid) -> Option<[u8; 2]> {
    let uuid = uuid.as_u128();
    let short = u16::try_from(uuid >> 96).ok()?;
    (u128::from(short) << 96 | BASE == uuid).then(|| short.to_le_bytes())
}
