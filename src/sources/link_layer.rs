//! Advertising physical channel PDUs as a sniffer took them from the air.
//!
//! Layouts: Core, Vol 6 Part B 2.1 (packet), 2.3 (PDUs), 2.3.4 (extended header), 3.1.1 (CRC).

mod extended;

pub use extended::AuxPointers;

use super::byte_reader::{take, take_address};
use super::report::{Pdu, Report, Status};
use crate::pipeline::event::{Address, AddressKind};
use crate::pipeline::units::Dbm;

/// The access address of the primary advertising channels, and of most auxiliary ones.
const ADVERTISING: [u8; 4] = 0x8e89_bed6_u32.to_le_bytes();

/// Bits of a PDU's header.
const SENDER_IS_RANDOM: u8 = 0x40;
const ADDRESSEE_IS_RANDOM: u8 = 0x80;

/// Whether a packet arrived as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crc {
    /// By the sniffer and by the sum that is calculated here.
    Correct,
    /// The packet was damaged: none of its fields is reliable.
    Wrong,
}

/// One packet on an advertising channel. It carries strangers' bytes, so it is never logged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// PDU type: the low four bits of the header.
    pub pdu_type: u8,
    /// Whether it arrived as it was sent.
    pub crc: Crc,
    /// In dBm.
    pub rssi: Option<Dbm>,
    /// The channel index it was received on, where the capture gives it.
    pub channel: Option<u8>,
    header: u8,
    body: &'a [u8],
}

impl std::fmt::Debug for Packet<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packet(type {}, {} octets)", self.pdu_type, self.body.len())
    }
}

/// What the capture holds of a packet besides its octets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reception {
    /// In dBm.
    pub rssi: Option<Dbm>,
    /// The channel index: 37 to 39 are the primary advertising channels.
    pub channel: Option<u8>,
    /// The sniffer's verdict on the CRC. The sum is checked here too, where the capture keeps it.
    pub crc: Option<Crc>,
    /// LE Coded: one octet, the coding indicator, follows the access address.
    pub coded: bool,
}

impl<'a> Packet<'a> {
    /// Reads a packet from its access address to its CRC. `None` for data channels, and for octets
    /// too short for a packet.
    pub fn read(octets: &'a [u8], reception: Reception) -> Option<Self> {
        let mut rest = octets.strip_prefix(&ADVERTISING)?;
        if reception.coded {
            take::<1>(&mut rest).ok()?;
        }
        let [header, length] = take(&mut rest).ok()?;
        let (body, crc) = rest.split_at_checked(usize::from(length)).unwrap_or((rest, &[]));
        let crc = match reception.crc {
            Some(Crc::Wrong) => Crc::Wrong,
            Some(Crc::Correct) | None => check(header, length, body, crc),
        };
        Some(Self {
            pdu_type: header & 0x0f,
            crc,
            rssi: reception.rssi,
            channel: reception.channel,
            header,
            body,
        })
    }

    /// The advertiser that sent it, or that a scan or connection request is for. `None` for
    /// extended advertising, which may leave it out, and for reserved types.
    pub fn advertiser(&self) -> Option<Address> {
        let mut body = self.body;
        let random = match self.pdu_type {
            0 | 1 | 2 | 4 | 6 => SENDER_IS_RANDOM,
            3 | 5 => {
                take_address(&mut body).ok()?;
                ADDRESSEE_IS_RANDOM
            }
            _ => return None,
        };
        Some(self.address(take_address(&mut body).ok()?, random))
    }

    /// The octets after the sender: AD structures, for the PDUs that carry any.
    pub fn legacy_payload(&self) -> &'a [u8] {
        match self.pdu_type {
            0 | 2 | 4 | 6 => self.body.get(6..).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Whether none of its fields is reliable: its CRC is wrong, or its length is one that no
    /// packet of its type has.
    pub fn is_damaged(&self) -> bool {
        self.crc == Crc::Wrong || !self.has_legal_length()
    }

    /// Address and at most 31 octets; `ADV_DIRECT_IND` has two addresses (Core, Vol 6 Part B
    /// 2.3.1).
    fn has_legal_length(&self) -> bool {
        match self.pdu_type {
            0 | 2 | 4 | 6 => (6..=37).contains(&self.body.len()),
            1 => self.body.len() == 12,
            _ => true,
        }
    }

    /// Whether it is extended advertising, which [`AuxPointers`] assembles.
    pub fn is_extended(&self) -> bool {
        Pdu::from_link_layer(self.pdu_type) == Some(Pdu::Extended)
    }

    /// The report of an undamaged legacy advertisement; `None` for scan and connection requests and
    /// for extended advertising.
    pub fn legacy_report(&self) -> Option<Report<'a>> {
        let pdu = Pdu::from_link_layer(self.pdu_type)?;
        if pdu == Pdu::Extended || self.is_damaged() {
            return None;
        }
        Some(Report {
            pdu,
            address: self.advertiser()?,
            rssi: self.rssi,
            payload: self.legacy_payload(),
            status: Status::Complete,
            set: None,
            is_first: true,
        })
    }

    /// `random` is the header's bit for this address.
    const fn address(&self, octets: [u8; 6], random: u8) -> Address {
        match self.header & random {
            0 => Address { kind: AddressKind::Public, octets },
            _ => Address { kind: AddressKind::Random, octets },
        }
    }
}

/// Sniffers that do not keep the CRC write zeros, or nothing.
fn check(header: u8, length: u8, body: &[u8], crc: &[u8]) -> Crc {
    if body.len() != usize::from(length) {
        return Crc::Wrong;
    }
    match crc.first_chunk::<3>() {
        None | Some([0, 0, 0]) => Crc::Correct,
        Some(kept) if *kept == sum(header, length, body) => Crc::Correct,
        Some(_) => Crc::Wrong,
    }
}

/// CRC-24 over the PDU: polynomial 0x65b, preset 0x555555, least significant bit first; here with
/// all registers mirrored.
fn sum(header: u8, length: u8, body: &[u8]) -> [u8; 3] {
    const POLYNOMIAL: u32 = 0x00da_6000;
    const PRESET: u32 = 0x00aa_aaaa;
    let mut register = PRESET;
    for octet in [header, length].iter().chain(body) {
        register ^= u32::from(*octet);
        for _ in 0..8 {
            let carry = register & 1;
            register = (register >> 1) ^ (carry * POLYNOMIAL);
        }
    }
    let [low, middle, high, _] = register.to_le_bytes();
    [low, middle, high]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frame 1 of the conference-room capture of mitll/BLE-RSSI-Various-Static-Configurations.
    const PHONE: &str = "d6be898e4024c9ce38201d6502011a020a080b095465737450686f6e65340bff4c00\
                         1006671e370adf574a9fae";

    #[test]
    fn a_packet_names_its_sender_and_carries_its_payload() {
        let octets = hex::decode(PHONE).unwrap();
        let packet = Packet::read(&octets, Reception::default()).unwrap();
        let report = packet.legacy_report().unwrap();
        assert_eq!(report.pdu, Pdu::Ind);
        assert_eq!(report.address.kind, AddressKind::Random);
        assert_eq!(report.address.octets, [0x65, 0x1d, 0x20, 0x38, 0xce, 0xc9]);
        assert!(report.payload.starts_with(&[2, 1, 0x1a, 2, 0x0a, 8]));
        assert!(report.payload.ends_with(&[0x0a, 0xdf, 0x57]));
    }

    #[test]
    fn a_damaged_packet_is_no_advertisement() {
        let octets = hex::decode(PHONE).unwrap();
        for place in 4..octets.len() {
            let mut damaged = octets.clone();
            damaged[place] ^= 0x10;
            let heard = Packet::read(&damaged, Reception::default());
            assert_eq!(heard.and_then(|p| p.legacy_report()), None, "octet {place}");
        }
    }

    #[test]
    fn a_packet_cut_short_is_no_advertisement() {
        let octets = hex::decode(PHONE).unwrap();
        for length in 0..octets.len() - 3 {
            let heard = Packet::read(&octets[..length], Reception::default());
            assert_eq!(heard.and_then(|p| p.legacy_report()), None, "cut at {length}");
        }
    }

    #[test]
    fn a_legacy_packet_of_more_than_37_octets_is_damaged() {
        for (length, is_damaged) in [(37, false), (38, true), (5, true)] {
            let mut octets = ADVERTISING.to_vec();
            octets.extend([0x42, length]);
            octets.resize(octets.len() + usize::from(length), 0);
            let packet = Packet::read(&octets, Reception::default()).unwrap();
            assert_eq!(packet.is_damaged(), is_damaged, "{length} octets");
            assert_eq!(packet.legacy_report().is_none(), is_damaged, "{length} octets");
        }
    }

    #[test]
    fn a_wrong_checksum_is_damage_although_the_sniffer_accepts_it() {
        let mut octets = hex::decode(PHONE).unwrap();
        let reception = Reception { crc: Some(Crc::Correct), ..Reception::default() };
        assert!(!Packet::read(&octets, reception).unwrap().is_damaged());
        *octets.last_mut().unwrap() ^= 1;
        assert!(Packet::read(&octets, reception).unwrap().is_damaged());
    }
}
