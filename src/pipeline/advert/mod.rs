//! Decodes AD structures and the formats that can identify a customer.
//!
//! Invariant: decoders never index, never unwrap, never allocate on the radio's path.

pub mod apple;
pub mod beacon;
mod describe;
pub mod echo;
pub mod structure;
pub mod token;

pub use beacon::{Beacon, BeaconHealth, BeaconIdentity, altbeacon, eddystone, ibeacon};
pub use describe::{Ad, Description, Ours, ServiceUuid, describe};

pub use echo::Echo;

use apple::{Message, Messages};
use beacon::Section;
use eddystone::Frame;
use structure::{Structure, Structures, kind};
use token::Token;

/// Part of an advertisement that can identify a customer, or one of the shop's own beacons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identifier {
    /// The app's rotating token, scheme `token`, in either advertised carrier.
    Token {
        /// 11 octets, big-endian as derived.
        token: Token,
        /// The beacon of the shop that the phone receives best.
        echo: Echo,
    },
    /// Eddystone-EID, scheme `eid`.
    Eid([u8; 8]),
    /// A beacon that has an identity (scheme `beacon`, the shop's own beacons), or reports its condition,
    /// or both.
    Beacon {
        /// `None` for Eddystone-TLM: it belongs to its sender's other advertisements.
        identity: Option<BeaconIdentity>,
        /// Its battery and temperature.
        health: Option<BeaconHealth>,
    },
    /// Apple's overflow area has the bit of grelot's service UUID: it may be the app.
    OverflowHint,
}

/// Everything in `payload` (AD structures) that could identify a customer, in order; at most one
/// from each structure.
///
/// The hot path: no allocation; most advertisements have none and cost a few dozen instructions.
/// Structures before a malformed one count.
#[inline]
pub fn identifiers(payload: &[u8]) -> impl Iterator<Item = Identifier> + '_ {
    Structures::new(payload).filter_map(identifier_in)
}

/// The identifier in a structure.
#[inline]
pub(super) fn identifier_in(structure: Structure<'_>) -> Option<Identifier> {
    match Section::of(structure) {
        Some(section) => identifier_in_section(section),
        None => token_in(structure).map(|(token, echo)| Identifier::Token { token, echo }),
    }
}

/// The identifier in manufacturer or service data: [`identifier_in`] without tokens.
#[inline]
pub(super) fn identifier_in_section(section: Section<'_>) -> Option<Identifier> {
    Beacon::read(section).and_then(identifier_of).or_else(|| hint(section))
}

/// The token in a structure, and its echo: [`Identifier::Token`] without all the other cases.
#[inline]
pub(super) fn token_in(Structure { kind, data }: Structure<'_>) -> Option<(Token, Echo)> {
    match kind {
        kind::SERVICE_DATA_128 => token::from_service_data(data),
        kind::UUIDS_128_SOME | kind::UUIDS_128_ALL => token::from_service_uuids(data),
        _ => None,
    }
}

fn identifier_of(beacon: Beacon<'_>) -> Option<Identifier> {
    if let Beacon::Eddystone(Frame::Eid(frame)) = beacon {
        return Some(Identifier::Eid(frame.eid));
    }
    let (identity, health) = (beacon.identity(), beacon.health());
    (identity.is_some() || health.is_some()).then_some(Identifier::Beacon { identity, health })
}

/// The app's bit in Apple's overflow area.
#[inline]
fn hint(section: Section<'_>) -> Option<Identifier> {
    let Section::Manufacturer(apple::COMPANY, data) = section else { return None };
    let shows =
        |message| matches!(message, Message::Overflow(mask) if mask.shows(token::OVERFLOW_BIT));
    Messages::new(data).any(shows).then_some(Identifier::OverflowHint)
}

#[cfg(test)]
mod tests {
    use super::eddystone::Telemetry;
    use super::ibeacon::IBeacon;
    use super::*;
    use crate::pipeline::units::Dbm;

    fn heard(payload: &[u8]) -> Vec<Identifier> {
        identifiers(payload).collect()
    }

    #[test]
    fn what_a_beacon_says_of_itself_is_understood() {
        let telemetry = Telemetry {
            voltage_mv: 2950,
            temperature_256: Some(5376),
            adv_count: 69,
            uptime_ds: 600,
        };
        let health = BeaconHealth { battery_mv: Some(2950), temperature_mc: Some(21_000) };
        let said = Identifier::Beacon { identity: None, health: Some(health) };
        assert_eq!(heard(&telemetry.advertisement()), [said]);
        let mains = Telemetry { voltage_mv: 0, temperature_256: None, ..telemetry };
        let said = Identifier::Beacon { identity: None, health: Some(BeaconHealth::default()) };
        assert_eq!(heard(&mains.advertisement()), [said]);
        let eid = eddystone::Eid { eid: [3; 8], tx_power: -20 };
        assert_eq!(heard(&eid.advertisement()), [Identifier::Eid([3; 8])]);
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
