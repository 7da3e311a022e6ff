//! iBeacon (Apple, "Proximity Beacon Specification"): Apple's message 0x02, 21 octets long.

use super::format::{Described, Format, Section, Value};
use super::identity::{BeaconIdentity, IdentityFormat, Part};
use crate::pipeline::advert::apple::{COMPANY, Message, Messages};
use crate::pipeline::advert::structure::joined;

/// UUID, major and minor number.
pub(super) const IDENTITY: IdentityFormat = IdentityFormat {
    number: 1,
    word: "ibeacon",
    key: "ibeacon",
    parts: &[("uuid", Part::Uuid), ("major", Part::Number), ("minor", Part::Number)],
    advertisement: |&[uuid @ .., a, b, c, d]| {
        let (major, minor) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        IBeacon { uuid, major, minor, tx_power: -59 }.advertisement().into()
    },
};

impl Format<'_> for IBeacon {
    #[inline]
    fn read(section: Section<'_>) -> Option<Self> {
        let Section::Manufacturer(COMPANY, data) = section else { return None };
        Messages::new(data).find_map(|message| match message {
            Message::Other { kind: TYPE, data } => Self::from_message(data),
            Message::Other { .. } | Message::Overflow(_) => None,
        })
    }

    fn describe(&self) -> Described {
        let fields = vec![
            ("uuid", Value::uuid(self.uuid)),
            ("major", Value::Number(self.major.into())),
            ("minor", Value::Number(self.minor.into())),
            ("tx_power", Value::Dbm(self.tx_power)),
        ];
        Described { kind: "ibeacon", name: "iBeacon", fields }
    }

    #[inline]
    fn identity(&self) -> Option<BeaconIdentity> {
        let Self { uuid, major, minor, .. } = self;
        Some(IDENTITY.identity(&[uuid, &major.to_be_bytes(), &minor.to_be_bytes()]))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IBeacon {
    /// Proximity UUID, most significant octet first.
    pub uuid: [u8; 16],
    /// Major number: the store, in a shop of the chain.
    pub major: u16,
    /// Minor number: `epoch << 4 | zone`, in a shop of the chain.
    pub minor: u16,
    /// RSSI at 1 m, in dBm, as its maker calibrated it.
    pub tx_power: i8,
}

/// The type of Apple's message.
const TYPE: u8 = 0x02;

impl IBeacon {
    /// From the data of Apple's message 0x02.
    #[inline]
    fn from_message(data: &[u8]) -> Option<Self> {
        let (&uuid, rest) = data.split_first_chunk()?;
        let &[major_high, major_low, minor_high, minor_low, tx_power] = rest else {
            return None;
        };
        Some(Self {
            uuid,
            major: u16::from_be_bytes([major_high, major_low]),
            minor: u16::from_be_bytes([minor_high, minor_low]),
            tx_power: tx_power.cast_signed(),
        })
    }

    /// Manufacturer data after the company identifier 0x004c.
    pub fn manufacturer_data(&self) -> [u8; 23] {
        joined(&[
            &[TYPE, 21],
            &self.uuid,
            &self.major.to_be_bytes(),
            &self.minor.to_be_bytes(),
            &self.tx_power.to_be_bytes(),
        ])
    }

    /// The whole advertisement, with the Flags that Apple prescribes.
    pub fn advertisement(&self) -> [u8; 30] {
        joined(&[&[2, 0x01, 0x06, 26, 0xff, 0x4c, 0x00], &self.manufacturer_data()])
    }
}
