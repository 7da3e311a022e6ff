//! One advertising PDU as a controller or a sniffer reports it, whichever way it came.

use crate::pipeline::event::Address;
use crate::pipeline::units::Dbm;

/// What kind of advertising PDU (Core, Vol 6 Part B 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pdu {
    /// `ADV_IND`: connectable, scannable.
    Ind,
    /// `ADV_DIRECT_IND`: connectable, for one peer; carries no payload.
    DirectInd,
    /// `ADV_NONCONN_IND`: neither connectable nor scannable.
    NonconnInd,
    /// `ADV_SCAN_IND`: scannable.
    ScanInd,
    /// `SCAN_RSP`: the answer to an active scan, with a payload of its own.
    ScanRsp,
    /// `ADV_EXT_IND` and what it points to.
    Extended,
}

impl Pdu {
    /// From the event type of an LE Advertising Report (Core, Vol 4 Part E 7.7.65.2).
    pub const fn from_hci(event_type: u8) -> Option<Self> {
        Some(match event_type {
            0 => Self::Ind,
            1 => Self::DirectInd,
            2 => Self::ScanInd,
            3 => Self::NonconnInd,
            4 => Self::ScanRsp,
            _ => return None,
        })
    }

    /// From the PDU type of an advertising physical channel PDU (Core, Vol 6 Part B 2.3).
    pub const fn from_link_layer(pdu_type: u8) -> Option<Self> {
        Some(match pdu_type {
            0 => Self::Ind,
            1 => Self::DirectInd,
            2 => Self::NonconnInd,
            4 => Self::ScanRsp,
            6 => Self::ScanInd,
            7 => Self::Extended,
            _ => return None,
        })
    }
}

/// Whether more of the payload follows in another report (extended advertising only).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// This is all of it, or the last of it.
    Complete,
    /// More follows.
    MoreToCome,
    /// The controller heard no more of it.
    Truncated,
}

/// One report. It carries strangers' bytes: never logged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Report<'a> {
    /// What kind of PDU.
    pub pdu: Pdu,
    /// Who sent it; all zero and random for anonymous extended advertising.
    pub address: Address,
    /// How loud.
    pub rssi: Option<Dbm>,
    /// AD structures.
    pub payload: &'a [u8],
    /// Whether more follows.
    pub status: Status,
    /// Which of the sender's advertising sets (extended advertising only).
    pub set: Option<u8>,
}

impl std::fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Report({:?}, {} octets)", self.pdu, self.payload.len())
    }
}

/// The most advertising data a set can carry (Core, Vol 6 Part B 4.4.2.10).
const LONGEST_PAYLOAD: usize = 1650;

/// Unfinished payloads kept at a time: one a set in range that uses chains, which few do.
const UNFINISHED: usize = 8;

/// Joins what extended advertising reports in pieces.
///
/// A structure may straddle two pieces, so a piece alone could be read as something nobody
/// said. Memory is bounded: past eight unfinished payloads the oldest is given up, and past
/// the longest payload there can be the rest is left out.
#[derive(Debug, Default)]
pub struct Chains {
    unfinished: Vec<Chain>,
    whole: Vec<u8>,
}

#[derive(Debug)]
struct Chain {
    address: Address,
    set: Option<u8>,
    rssi: Option<Dbm>,
    payload: Vec<u8>,
}

impl Chains {
    /// The report as a whole, once its last piece is here; at once where it is in one piece.
    ///
    /// A joined report is as loud as its first piece.
    pub fn join<'s>(&'s mut self, report: Report<'s>) -> Option<Report<'s>> {
        let begun = self.position(&report);
        match (report.status, begun) {
            (Status::MoreToCome, Some(place)) => self.lengthen(place, report.payload),
            (Status::MoreToCome, None) => self.begin(&report),
            (_, None) => return Some(report),
            (_, Some(place)) => {
                self.lengthen(place, report.payload);
                let chain = self.unfinished.remove(place);
                self.whole = chain.payload;
                return Some(Report { rssi: chain.rssi, payload: &self.whole, ..report });
            }
        }
        None
    }

    fn position(&self, report: &Report<'_>) -> Option<usize> {
        if self.unfinished.is_empty() || report.pdu != Pdu::Extended {
            return None;
        }
        self.unfinished.iter().position(|c| c.address == report.address && c.set == report.set)
    }

    fn begin(&mut self, report: &Report<'_>) {
        if self.unfinished.len() == UNFINISHED {
            self.unfinished.remove(0);
        }
        self.unfinished.push(Chain {
            address: report.address,
            set: report.set,
            rssi: report.rssi,
            payload: report.payload.to_vec(),
        });
    }

    fn lengthen(&mut self, place: usize, piece: &[u8]) {
        if let Some(chain) = self.unfinished.get_mut(place) {
            let room = LONGEST_PAYLOAD.saturating_sub(chain.payload.len());
            chain.payload.extend(piece.iter().take(room));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::event::AddressKind;

    fn piece(sender: u8, status: Status, payload: &[u8]) -> Report<'_> {
        Report {
            pdu: Pdu::Extended,
            address: Address { kind: AddressKind::Random, octets: [sender; 6] },
            rssi: Dbm::measured(-60),
            payload,
            status,
            set: Some(1),
        }
    }

    #[test]
    fn interleaved_pieces_are_joined_to_their_own_senders() {
        let mut chains = Chains::default();
        assert_eq!(chains.join(piece(1, Status::MoreToCome, b"ab")), None);
        assert_eq!(chains.join(piece(2, Status::MoreToCome, b"xy")), None);
        assert_eq!(chains.join(piece(1, Status::MoreToCome, b"cd")), None);
        let second = chains.join(piece(2, Status::Complete, b"z")).map(|r| r.payload.to_vec());
        assert_eq!(second.as_deref(), Some(&b"xyz"[..]));
        let first = chains.join(piece(1, Status::Truncated, b"")).map(|r| r.payload.to_vec());
        assert_eq!(first.as_deref(), Some(&b"abcd"[..]));
    }

    #[test]
    fn a_crowd_of_unfinished_payloads_takes_bounded_memory() {
        let mut chains = Chains::default();
        for sender in 0..100 {
            for _ in 0..20 {
                chains.join(piece(sender, Status::MoreToCome, &[0; 229]));
            }
        }
        assert_eq!(chains.unfinished.len(), UNFINISHED);
        assert!(chains.unfinished.iter().all(|c| c.payload.len() <= LONGEST_PAYLOAD));
    }
}
