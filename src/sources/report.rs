//! One advertising PDU as a controller or a sniffer reports it, whichever way it came.

use crate::pipeline::event::Address;
use crate::pipeline::units::Dbm;

/// What kind of advertising PDU (Core, Vol 6 Part B 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pdu {
    /// `ADV_IND`: connectable and scannable.
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
    /// More of it follows in another report.
    MoreToCome,
    /// The controller received no more of it.
    Truncated,
}

/// One report. It carries strangers' bytes, so it is never logged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Report<'a> {
    pub pdu: Pdu,
    /// Who sent it; all zero and random for anonymous extended advertising.
    pub address: Address,
    /// Received signal strength; `None` where the controller reports none.
    pub rssi: Option<Dbm>,
    pub payload: &'a [u8],
    /// Whether more of the payload follows.
    pub status: Status,
    /// Which of the sender's advertising sets (extended advertising only): the set id, and the data
    /// id above its four bits where the link layer shows it.
    pub set: Option<u16>,
    /// It is known to be the first fragment of its advertising event. HCI does not say.
    pub is_first: bool,
}

impl std::fmt::Debug for Report<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Report({:?}, {} octets)", self.pdu, self.payload.len())
    }
}
