//! What stands before a packet in each kind of capture, and how to get at it.

use crate::pipeline::units::Dbm;
use crate::sources::ScriptError;
use crate::sources::hci::{self, CutShort, Reports};
use crate::sources::link_layer::{Crc, Packet, Reception};
use crate::sources::report::Report;

/// How a frame's octets are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// HCI with H4's packet indicator (pcap 187, btsnoop 1002).
    H4,
    /// The same after four octets of direction (pcap 201).
    H4WithDirection,
    /// An HCI event from its event code on (btsnoop 1001 and 2001).
    Event,
    /// Linux' monitor: adapter and opcode, then what the opcode says (pcap 254).
    LinuxMonitor,
    /// An LE link-layer packet (pcap 251).
    LinkLayer,
    /// The same after what the receiver says of it (pcap 256).
    LinkLayerWithReception,
    /// nRF Sniffer for Bluetooth LE (pcap 272), protocol versions 1 to 3.
    NordicSniffer,
    /// A packet that cannot hold advertisements.
    Other,
}

impl Link {
    /// From pcap's link type (tcpdump.org/linktypes.html).
    pub const fn of_linktype(linktype: u32) -> Option<Self> {
        Some(match linktype {
            187 => Self::H4,
            201 => Self::H4WithDirection,
            251 => Self::LinkLayer,
            254 => Self::LinuxMonitor,
            256 => Self::LinkLayerWithReception,
            272 => Self::NordicSniffer,
            _ => return None,
        })
    }

    /// Why a capture with this link type is refused.
    pub(super) fn unknown(linktype: u32) -> ScriptError {
        ScriptError::NotARecording(format!(
            "link type {linktype} holds no Bluetooth advertisements: HCI (187, 201, 254), \
             LE link layer (251, 256) or nRF Sniffer (272) do"
        ))
    }

    /// The advertising reports of one frame.
    pub fn reports(self, octets: &[u8]) -> LinkReports<'_> {
        match self.event_reports(octets) {
            Some(reports) => LinkReports::Hci(reports),
            None => LinkReports::Air(self.packet(octets).and_then(|packet| packet.report())),
        }
    }

    fn event_reports(self, octets: &[u8]) -> Option<Reports<'_>> {
        const MONITOR_EVENT: [u8; 2] = 3_u16.to_be_bytes();
        Some(match (self, octets) {
            (Self::H4, packet) | (Self::H4WithDirection, [_, _, _, _, packet @ ..]) => {
                hci::h4_reports(packet)
            }
            (Self::Event, event) => hci::reports(event),
            (Self::LinuxMonitor, [_, _, a, b, event @ ..]) if [*a, *b] == MONITOR_EVENT => {
                hci::reports(event)
            }
            _ => return None,
        })
    }

    /// The packet on an advertising channel that a sniffer's frame holds, damaged ones too.
    pub fn packet(self, octets: &[u8]) -> Option<Packet<'_>> {
        match self {
            Self::LinkLayer => Packet::read(octets, Reception::default()),
            Self::LinkLayerWithReception => with_reception(octets),
            Self::NordicSniffer => nordic(octets),
            _ => None,
        }
    }
}

/// Channel, signal, noise, offences, reference access address, flags; then the packet.
fn with_reception(octets: &[u8]) -> Option<Packet<'_>> {
    const DEWHITENED: u16 = 0x0001;
    const SIGNAL_VALID: u16 = 0x0002;
    const CRC_CHECKED: u16 = 0x0400;
    const CRC_VALID: u16 = 0x0800;
    const PHY: u16 = 0xc000;
    const CODED: u16 = 0x8000;
    let (&[_, signal, _, _, _, _, _, _, flags_low, flags_high], packet) =
        octets.split_first_chunk()?;
    let flags = u16::from_le_bytes([flags_low, flags_high]);
    if flags & DEWHITENED == 0 {
        return None;
    }
    let signal = (flags & SIGNAL_VALID != 0).then(|| i16::from(signal.cast_signed()));
    let crc = (flags & CRC_CHECKED != 0).then_some(match flags & CRC_VALID {
        0 => Crc::Wrong,
        _ => Crc::Correct,
    });
    let rssi = signal.and_then(Dbm::measured);
    Packet::read(packet, Reception { rssi, crc, coded: flags & PHY == CODED })
}

/// Board, six octets of serial header with the protocol's version third and the packet's id
/// last, then the length of what follows before the packet: flags, channel, RSSI (its size),
/// counter and time. Format: the note that Nordic's own dissector opens with.
fn nordic(octets: &[u8]) -> Option<Packet<'_>> {
    const ADVERTISING_EVENT: u8 = 2;
    const PACKET_EVENT: u8 = 6;
    let &[_, _, _, version, _, _, event, length, flags, _, rssi, ..] = octets else {
        return None;
    };
    if !matches!((version, event), (1 | 2, PACKET_EVENT) | (3, ADVERTISING_EVENT)) {
        return None;
    }
    let reception = Reception {
        rssi: Dbm::measured(-i16::from(rssi)),
        crc: Some(if flags & 1 == 1 { Crc::Correct } else { Crc::Wrong }),
        coded: flags >> 4 & 0b111 == 2,
    };
    Packet::read(octets.get(7 + usize::from(length)..)?, reception)
}

/// Iterates over the reports of one frame.
#[derive(Debug)]
pub enum LinkReports<'a> {
    /// Of an HCI event: several.
    Hci(Reports<'a>),
    /// Of a packet from the air: one at most.
    Air(Option<Report<'a>>),
}

impl<'a> Iterator for LinkReports<'a> {
    type Item = Result<Report<'a>, CutShort>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Hci(reports) => reports.next(),
            Self::Air(report) => report.take().map(Ok),
        }
    }
}
