//! Bytes to what was said: decodes AD structures and the formats that can identify somebody.
//!
//! Invariant: decoders never index, never unwrap, never allocate on the radio's path.

pub mod altbeacon;
pub mod apple;
mod describe;
pub mod eddystone;
pub mod exposure;
pub mod ibeacon;
pub mod structure;
pub mod token;

pub use describe::{Ad, Beacon, Description, Ours, ServiceUuid, describe};

use altbeacon::AltBeacon;
use apple::{Message, Messages};
use eddystone::{Frame, Telemetry};
use ibeacon::IBeacon;
use structure::{Structure, Structures, kind};
use token::Token;

use super::units::Dbm;

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

    /// Of the beacon of `zone`, heard at `rssi`.
    pub fn hearing(zone: u8, rssi: Dbm) -> Self {
        let level = (i16::from(rssi.value()) + 102).div_euclid(4).clamp(1, 15);
        Self { zone: zone & 0x0f, level: u8::try_from(level).unwrap_or_default() }
    }

    /// About how loud the phone hears that beacon; `None` where it did not say.
    pub fn rssi(self) -> Option<Dbm> {
        let level = i16::from(self.level & 0x0f);
        if level == 0 { None } else { Dbm::measured(level * 4 - 100) }
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
        token: Token,
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
    /// Eddystone-TLM: a beacon's health. Tells the shop's own beacons' batteries; nobody is
    /// identified by it.
    Telemetry(Telemetry),
    /// Apple's overflow area shows the bit of grelot's service UUID: it may be our app.
    OverflowHint,
}

/// Everything in `payload` (AD structures) that could identify somebody, in order; at most one
/// from each structure.
///
/// The radio's path: no allocation; most advertisements say nothing and cost a few dozen
/// instructions. What stands before a malformed structure counts.
#[inline]
pub fn said(payload: &[u8]) -> impl Iterator<Item = Said> + '_ {
    Structures::new(payload).filter_map(said_by)
}

/// What a structure says.
#[inline]
pub(super) fn said_by(structure: Structure<'_>) -> Option<Said> {
    match structure.kind {
        kind::MANUFACTURER => said_by_manufacturer(structure.data),
        kind::SERVICE_DATA_16 => said_by_service(structure.data),
        _ => token_by(structure).map(|(token, echo)| Said::Token { token, echo }),
    }
}

/// The token that a structure says, and its echo: [`Said::Token`] without all the other cases.
#[inline]
pub(super) fn token_by(Structure { kind, data }: Structure<'_>) -> Option<(Token, Echo)> {
    match kind {
        kind::SERVICE_DATA_128 => token::from_service_data(data),
        kind::UUIDS_128_SOME | kind::UUIDS_128_ALL => token::from_service_uuids(data),
        _ => None,
    }
}

fn said_by_manufacturer(data: &[u8]) -> Option<Said> {
    let (&company, data) = data.split_first_chunk()?;
    let company = u16::from_le_bytes(company);
    if let Some(AltBeacon { id, .. }) = AltBeacon::from_manufacturer_data(company, data) {
        return Some(Said::AltBeacon(id));
    }
    if company != apple::COMPANY {
        return None;
    }
    Messages::new(data).find_map(|message| match message {
        Message::Other { kind: ibeacon::TYPE, data } => {
            let IBeacon { uuid, major, minor, .. } = IBeacon::from_message(data)?;
            Some(Said::IBeacon { uuid, major, minor })
        }
        Message::Overflow(mask) => mask.shows(token::OVERFLOW_BIT).then_some(Said::OverflowHint),
        Message::Other { .. } => None,
    })
}

fn said_by_service(data: &[u8]) -> Option<Said> {
    let data = data.strip_prefix(&eddystone::UUID.to_le_bytes())?;
    match Frame::from_service_data(data)? {
        Frame::Eid(frame) => Some(Said::Eid(frame.eid)),
        Frame::Uid(eddystone::Uid { namespace, instance, .. }) => {
            Some(Said::EddystoneUid { namespace, instance })
        }
        Frame::Tlm(telemetry) => Some(Said::Telemetry(telemetry)),
        Frame::Url(_) | Frame::EncryptedTlm(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(payload: &[u8]) -> Vec<Said> {
        said(payload).collect()
    }

    #[test]
    fn every_beacon_that_grelot_sends_is_understood() {
        let beacon =
            IBeacon { uuid: *b"BlueCharmBeacons", major: 3838, minor: 4949, tx_power: -59 };
        let IBeacon { uuid, major, minor, .. } = beacon;
        assert_eq!(heard(&beacon.advertisement()), [Said::IBeacon { uuid, major, minor }]);

        let beacon = AltBeacon { company: 0x0118, id: [7; 20], tx_power: -60, mfg_reserved: 0 };
        assert_eq!(heard(&beacon.advertisement()), [Said::AltBeacon([7; 20])]);

        let uid = eddystone::Uid { namespace: [1; 10], instance: [2; 6], tx_power: -20 };
        assert_eq!(
            heard(&uid.advertisement()),
            [Said::EddystoneUid { namespace: [1; 10], instance: [2; 6] }]
        );

        let eid = eddystone::Eid { eid: [3; 8], tx_power: -20 };
        assert_eq!(heard(&eid.advertisement()), [Said::Eid([3; 8])]);

        let telemetry = Telemetry {
            voltage_mv: 2950,
            temperature_256: Some(5376),
            adv_count: 69,
            uptime_ds: 600,
        };
        assert_eq!(heard(&telemetry.advertisement()), [Said::Telemetry(telemetry)]);
        let mains = Telemetry { voltage_mv: 0, temperature_256: None, ..telemetry };
        assert_eq!(heard(&mains.advertisement()), [Said::Telemetry(mains)]);
    }

    #[test]
    fn another_company_cannot_send_an_ibeacon() {
        let mut advertisement =
            IBeacon { uuid: [0; 16], major: 1, minor: 1, tx_power: 0 }.advertisement();
        advertisement[5] = 0x15;
        assert_eq!(heard(&advertisement), []);
    }

    #[test]
    fn an_echo_rounds_to_four_decibels() {
        let level = |dbm| Echo::hearing(1, Dbm::measured(dbm).unwrap()).level;
        assert_eq!([-127, -99, -94, -60, -58, -40, -1].map(level), [1, 1, 2, 10, 11, 15, 15]);
        assert_eq!(Echo { zone: 1, level: 10 }.rssi(), Dbm::measured(-60));
        assert_eq!(Echo { zone: 1, level: 0 }.rssi(), None);
    }

    #[test]
    fn an_echo_survives_its_byte() {
        for byte in 0..=u8::MAX {
            assert_eq!(Echo::from_byte(byte).to_byte(), byte);
        }
    }
}
