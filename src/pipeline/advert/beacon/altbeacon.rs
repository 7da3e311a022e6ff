//! `AltBeacon` (altbeacon.org, specification 1.0): manufacturer data of any company that begins
//! with the beacon code `be ac`.

use super::format::{Described, Format, Section, Value};
use super::identity::{BeaconIdentity, IdentityFormat, Part};
use crate::pipeline::advert::structure::joined;

pub(super) const IDENTITY: IdentityFormat = IdentityFormat {
    number: 3,
    word: "altbeacon",
    key: "altbeacon",
    parts: &[("id", Part::Hex(20))],
    advertisement: |id| {
        // Radius Networks, who published the format.
        let beacon = AltBeacon { company: 0x0118, id: *id, tx_power: -59, mfg_reserved: 0 };
        beacon.advertisement().into()
    },
};

impl Format<'_> for AltBeacon {
    #[inline]
    fn read(section: Section<'_>) -> Option<Self> {
        let Section::Manufacturer(company, data) = section else { return None };
        Self::from_manufacturer_data(company, data)
    }

    fn describe(&self) -> Described {
        let fields = vec![
            ("company", Value::Code(self.company)),
            ("uuid", Value::uuid(self.uuid())),
            ("major", Value::Number(self.major().into())),
            ("minor", Value::Number(self.minor().into())),
            ("tx_power", Value::Dbm(self.tx_power)),
            ("mfg_reserved", Value::Number(self.mfg_reserved.into())),
        ];
        Described { kind: "altbeacon", name: "AltBeacon", fields }
    }

    #[inline]
    fn identity(&self) -> Option<BeaconIdentity> {
        Some(IDENTITY.identity(&[&self.id]))
    }
}

/// Specification 1.0: tells an `AltBeacon` from other manufacturer data.
const CODE: [u8; 2] = [0xbe, 0xac];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AltBeacon {
    /// The maker's company identifier.
    pub company: u16,
    /// Beacon id: by custom a UUID, a major and a minor number.
    pub id: [u8; 20],
    /// RSSI at 1 m, in dBm.
    pub tx_power: i8,
    /// For the maker's use.
    pub mfg_reserved: u8,
}

impl AltBeacon {
    /// From manufacturer data after the company identifier. Octets beyond the format are
    /// ignored.
    #[inline]
    fn from_manufacturer_data(company: u16, data: &[u8]) -> Option<Self> {
        let (&id, rest) = data.strip_prefix(&CODE)?.split_first_chunk()?;
        let &[tx_power, mfg_reserved, ..] = rest else { return None };
        Some(Self { company, id, tx_power: tx_power.cast_signed(), mfg_reserved })
    }

    /// The id's first 16 octets.
    pub fn uuid(&self) -> [u8; 16] {
        self.id.first_chunk().copied().unwrap_or_default()
    }

    /// The id's next two octets.
    pub const fn major(&self) -> u16 {
        let [.., high, low, _, _] = self.id;
        u16::from_be_bytes([high, low])
    }

    /// The id's last two octets.
    pub const fn minor(&self) -> u16 {
        let [.., high, low] = self.id;
        u16::from_be_bytes([high, low])
    }

    /// AD structures of a whole advertisement, Flags included.
    pub fn advertisement(&self) -> [u8; 31] {
        joined(&[
            &[2, 0x01, 0x06, 27, 0xff],
            &self.company.to_le_bytes(),
            &CODE,
            &self.id,
            &self.tx_power.to_be_bytes(),
            &[self.mfg_reserved],
        ])
    }
}
