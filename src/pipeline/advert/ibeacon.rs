//! iBeacon (Apple, "Proximity Beacon Specification"): Apple's message 0x02, 21 octets long.

use super::structure::joined;

/// What an iBeacon says.
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

/// Apple's type of the message.
pub(super) const TYPE: u8 = 0x02;

impl IBeacon {
    /// From the data of Apple's message 0x02.
    #[inline]
    pub(super) fn from_message(data: &[u8]) -> Option<Self> {
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
