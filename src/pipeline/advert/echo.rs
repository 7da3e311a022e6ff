//! What a phone reports of the shop's beacons.

use crate::pipeline::units::Dbm;

/// The shop's beacon that a phone receives best: one byte beside its token.
///
/// A hint like everything else, and kept no longer than the contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// The zone (1 to 15) of that beacon; 0 is none or unknown.
    pub zone: u8,
    /// How well: `clamp(round((rssi_dbm + 100) / 4), 1, 15)`; 0 is unknown.
    pub level: u8,
}

impl Echo {
    /// From its byte: zone in the high half, level in the low one.
    pub const fn from_byte(byte: u8) -> Self {
        Self { zone: byte >> 4, level: byte & 0x0f }
    }

    /// The echo of the beacon of `zone`, received at `rssi`.
    pub fn hearing(zone: u8, rssi: Dbm) -> Self {
        let level = (i16::from(rssi.value()) + 102).div_euclid(4).clamp(1, 15);
        Self { zone: zone & 0x0f, level: u8::try_from(level).unwrap_or_default() }
    }

    /// RSSI of that beacon at the phone, to within 2 dB; `None` where it is not reported.
    pub fn rssi(self) -> Option<Dbm> {
        let level = i16::from(self.level & 0x0f);
        if level == 0 { None } else { Dbm::measured(level * 4 - 100) }
    }

    pub const fn to_byte(self) -> u8 {
        self.zone << 4 | (self.level & 0x0f)
    }
}
