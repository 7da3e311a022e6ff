//! Reads LE advertising reports from HCI events, legacy (0x02) and extended (0x0D).
//!
//! Layouts: Core, Vol 4 Part E 7.7.65.2 and 7.7.65.13; several reports in one event follow each
//! other, as Linux and Zephyr read them.
//!
//! Invariant: decoders never index and never allocate; what is cut short or too long is an error of
//! that event alone.

use super::byte_reader::{CutShort, take, take_address, take_slice};
use super::report::{Pdu, Report, Status};
use crate::pipeline::event::{Address, AddressKind};
use crate::pipeline::units::Dbm;

/// H4's packet indicator of an event (Core, Vol 4 Part A 2).
pub const H4_EVENT: u8 = 0x04;

/// The longest advertising data of a legacy PDU (Core, Vol 4 Part E 7.7.65.2).
const LONGEST_LEGACY: usize = 31;

const LE_META: u8 = 0x3e;
const ADVERTISING_REPORT: u8 = 0x02;
const EXTENDED_ADVERTISING_REPORT: u8 = 0x0d;

/// The reports in one H4 packet; none where it is no event, or an event of another kind.
pub fn h4_reports(packet: &[u8]) -> Reports<'_> {
    match packet.split_first() {
        Some((&H4_EVENT, event)) => reports(event),
        _ => Reports::NONE,
    }
}

/// The reports in one event, from its event code on; none where it is of another kind.
pub fn reports(event: &[u8]) -> Reports<'_> {
    let [LE_META, length, rest @ ..] = event else { return Reports::NONE };
    let parameters = rest.get(..usize::from(*length)).unwrap_or(rest);
    let [subevent, count, rest @ ..] = parameters else { return Reports::NONE };
    let read: Layout = match *subevent {
        ADVERTISING_REPORT => legacy,
        EXTENDED_ADVERTISING_REPORT => extended,
        _ => return Reports::NONE,
    };
    Reports { left: *count, rest, read }
}

/// Why a report cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// The event ends before the report does, so there is no way to a next one.
    #[error("an advertising report is cut short")]
    CutShort,
    /// More data than a legacy PDU carries.
    #[error("a legacy advertising report of {0} octets (at most {LONGEST_LEGACY})")]
    TooLong(usize),
}

impl From<CutShort> for Damaged {
    fn from(_: CutShort) -> Self {
        Self::CutShort
    }
}

/// Reads one report from an event's octets; `None` inside for a reserved event type.
type Layout = for<'a> fn(&mut &'a [u8]) -> Result<Option<Report<'a>>, Damaged>;

/// Iterates over the reports of one event; ends after the first that is cut short.
#[derive(Debug, Clone)]
pub struct Reports<'a> {
    left: u8,
    rest: &'a [u8],
    read: Layout,
}

impl Reports<'_> {
    const NONE: Self = Self { left: 0, rest: &[], read: legacy };
}

impl<'a> Iterator for Reports<'a> {
    type Item = Result<Report<'a>, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 {
            self.left -= 1;
            let read = (self.read)(&mut self.rest);
            if read == Err(Damaged::CutShort) {
                self.left = 0;
            }
            if let Some(report) = read.transpose() {
                return Some(report);
            }
        }
        None
    }
}

/// Event type, address type, address, data length, data, RSSI.
fn legacy<'a>(rest: &mut &'a [u8]) -> Result<Option<Report<'a>>, Damaged> {
    let [event_type, kind] = take(rest)?;
    let octets = take_address(rest)?;
    let [length] = take(rest)?;
    let payload = take_slice(rest, usize::from(length))?;
    let [rssi] = take(rest)?;
    if payload.len() > LONGEST_LEGACY {
        return Err(Damaged::TooLong(payload.len()));
    }
    Ok(Pdu::from_hci(event_type).map(|pdu| Report {
        pdu,
        address: address(kind, octets),
        rssi: dbm(rssi),
        payload,
        status: Status::Complete,
        set: None,
        is_first: true,
    }))
}

/// Event type (16 bits), address type, address, two PHYs, set, TX power, RSSI, periodic
/// interval (16 bits), direct address type, direct address, data length, data.
fn extended<'a>(rest: &mut &'a [u8]) -> Result<Option<Report<'a>>, Damaged> {
    let [event_type, _, kind] = take(rest)?;
    let octets = take_address(rest)?;
    let [_, _, set, _, rssi] = take(rest)?;
    take::<9>(rest)?;
    let [length] = take(rest)?;
    let payload = take_slice(rest, usize::from(length))?;
    let pdu = extended_pdu(event_type);
    if pdu != Pdu::Extended && payload.len() > LONGEST_LEGACY {
        return Err(Damaged::TooLong(payload.len()));
    }
    Ok(Some(Report {
        pdu,
        address: address(kind, octets),
        rssi: dbm(rssi),
        payload,
        status: match event_type >> 5 & 0b11 {
            0 => Status::Complete,
            1 => Status::MoreToCome,
            _ => Status::Truncated,
        },
        // 0xff: no set is given.
        set: (set != 0xff).then_some(u16::from(set)),
        is_first: false,
    }))
}

/// Event type bits: 0 connectable, 1 scannable, 2 directed, 3 scan response, 4 legacy PDU.
const fn extended_pdu(event_type: u8) -> Pdu {
    match event_type & 0b1_1111 {
        0b1_0011 => Pdu::Ind,
        0b1_0101 => Pdu::DirectInd,
        0b1_0010 => Pdu::ScanInd,
        0b1_0000 => Pdu::NonconnInd,
        0b1_1010 | 0b1_1011 => Pdu::ScanRsp,
        _ => Pdu::Extended,
    }
}

/// 0 and 2 are public (the latter resolved by the controller); 1 and 3 random; 0xfe random that
/// could not be resolved; 0xff anonymous, whose address the controller leaves zero.
const fn address(kind: u8, octets: [u8; 6]) -> Address {
    match kind {
        0 | 2 => Address { kind: AddressKind::Public, octets },
        0xff => Address { kind: AddressKind::Random, octets: [0; 6] },
        _ => Address { kind: AddressKind::Random, octets },
    }
}

fn dbm(raw: u8) -> Option<Dbm> {
    Dbm::measured(i16::from(raw.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two reports in one event: a Govee thermometer (from csacca/horizon-74-at-ble) and an
    /// empty directed one, RSSI unknown.
    const TWO: &str = "3e310202 0400ab6fbf38c1a41b1aff4c000215494e54454c4c495f524f434b535f485750\
                       72f2ffc2cf 0101665544332211007f";

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex.replace(' ', "")).unwrap()
    }

    fn extended_event(event_type: u8, data: &[u8]) -> Vec<u8> {
        let length = u8::try_from(data.len()).unwrap();
        let mut event = vec![LE_META, length + 26, EXTENDED_ADVERTISING_REPORT, 1, event_type, 0];
        event.extend([1, 0x55, 0x44, 0x33, 0x22, 0x11, 0x5a, 1, 0, 3, 0x7f, 0xb9]);
        event.extend([0; 9]);
        event.push(length);
        event.extend(data);
        event
    }

    #[test]
    fn every_report_of_an_event_is_read() {
        let event = bytes(TWO);
        let both: Vec<_> = reports(&event).map(Result::unwrap).collect();
        let [beacon, directed] = both.as_slice() else { panic!("{} reports", both.len()) };
        assert_eq!(beacon.pdu, Pdu::ScanRsp);
        assert_eq!(beacon.address.kind, AddressKind::Public);
        assert_eq!(beacon.address.octets, [0xa4, 0xc1, 0x38, 0xbf, 0x6f, 0xab]);
        assert_eq!(beacon.rssi, Dbm::measured(-49));
        assert!(beacon.payload.starts_with(&[0x1a, 0xff, 0x4c, 0x00, 0x02, 0x15]));
        assert_eq!(directed.pdu, Pdu::DirectInd);
        assert_eq!((directed.rssi, directed.payload), (None, &[][..]));
    }

    #[test]
    fn an_event_cut_anywhere_yields_whole_reports_and_then_one_error() {
        let event = bytes(TWO);
        for length in 4..event.len() {
            let read: Vec<_> = reports(&event[..length]).collect();
            let whole = read.iter().filter(|r| r.is_ok()).count();
            assert_eq!(read.len(), whole + 1, "cut at {length}");
            assert!(read.last().unwrap().is_err());
        }
    }

    #[test]
    fn a_legacy_report_of_more_than_31_octets_is_damaged_and_the_next_is_read() {
        let mut event = vec![LE_META, 0, ADVERTISING_REPORT, 2];
        for length in [32, 31] {
            event.extend([0, 0, 1, 2, 3, 4, 5, 6, length]);
            event.resize(event.len() + usize::from(length) + 1, 0);
        }
        event[1] = u8::try_from(event.len() - 2).unwrap();
        let read: Vec<_> = reports(&event).map(|r| r.map(|r| r.payload.len())).collect();
        assert_eq!(read, [Err(Damaged::TooLong(32)), Ok(31)]);
        let extended = extended_event(0b1_0011, &[0; 32]);
        assert_eq!(reports(&extended).next(), Some(Err(Damaged::TooLong(32))));
    }

    #[test]
    fn octets_past_the_events_length_are_not_read() {
        let mut event = bytes(TWO);
        event[1] = 0x31 - 10;
        assert_eq!(reports(&event).flatten().count(), 1);
    }

    #[test]
    fn an_extended_report_says_what_it_is_and_whether_more_follows() {
        let event = extended_event(0b0010_0000, b"abc");
        let report = reports(&event).next().unwrap().unwrap();
        assert_eq!((report.pdu, report.status), (Pdu::Extended, Status::MoreToCome));
        assert_eq!(report.address.octets, [0x5a, 0x11, 0x22, 0x33, 0x44, 0x55]);
        assert_eq!((report.rssi, report.set), (Dbm::measured(-71), Some(3)));
        assert_eq!(report.payload, b"abc");
        let event = extended_event(0b1_0011, b"abc");
        let report = reports(&event).next().unwrap().unwrap();
        assert_eq!((report.pdu, report.status), (Pdu::Ind, Status::Complete));
    }

    #[test]
    fn other_packets_hold_no_reports() {
        for packet in [&b""[..], b"\x04", b"\x02\x3e\x05", b"\x04\x0e\x04\x01\x03\x0c\x00"] {
            assert_eq!(h4_reports(packet).count(), 0);
        }
    }
}
