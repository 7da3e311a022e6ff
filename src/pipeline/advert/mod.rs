//! Bytes to what was said: decodes AD structures and the formats that can identify somebody.
//!
//! Invariant: decoders never index, never unwrap, never allocate on the radio's path.

/// What a phone says it hears of the shop's beacons: one byte beside its token.
///
/// A hint like everything else, and kept no longer than the contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// The zone (1 to 15) of the beacon heard best; 0 is none or unknown.
    pub zone: u8,
    /// How well: `clamp(round((rssi_dbm + 100) / 4), 1, 15)`; 0 is unknown.
    pub level: u8,
}

impl Echo {
    /// From its byte: zone in the high half, level in the low one.
    pub const fn from_byte(byte: u8) -> Self {
        Self { zone: byte >> 4, level: byte & 0x0f }
    }

    /// As its byte.
    pub const fn to_byte(self) -> u8 {
        self.zone << 4 | (self.level & 0x0f)
    }
}

/// Something an advertisement says that could identify a customer, or a shop's own beacon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// The app's rotating token, scheme `token`, in either advertised carrier.
    Token {
        /// 11 octets, big-endian as derived.
        token: [u8; 11],
        /// What the phone hears of the shop's beacons.
        echo: Echo,
    },
    /// Eddystone-EID, scheme `eid`.
    Eid([u8; 8]),
    /// iBeacon, scheme `beacon`.
    IBeacon {
        /// Proximity UUID, most significant octet first.
        uuid: [u8; 16],
        /// Major number.
        major: u16,
        /// Minor number.
        minor: u16,
    },
    /// Eddystone-UID, scheme `beacon`.
    EddystoneUid {
        /// Namespace.
        namespace: [u8; 10],
        /// Instance.
        instance: [u8; 6],
    },
    /// `AltBeacon`, scheme `beacon`.
    AltBeacon([u8; 20]),
    /// Apple's overflow area shows the bit of grelot's service UUID: it may be our app.
    OverflowHint,
}

/// Everything in `payload` (AD structures) that could identify somebody, in order.
///
/// The radio's path: no allocation; most advertisements say nothing and cost a few dozen
/// instructions.
pub fn said(payload: &[u8]) -> impl Iterator<Item = Said> + '_ {
    let _ = payload;
    std::iter::empty()
}
