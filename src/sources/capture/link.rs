//! The header before a packet in each kind of capture, and the packet behind it.

use crate::pipeline::units::Dbm;
use crate::sources::ReplayError;
use crate::sources::hci::{self, Reports};
use crate::sources::link_layer::{Crc, Packet, Reception};

/// How a frame's octets are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkType {
    /// HCI with H4's packet indicator (pcap 187, btsnoop 1002).
    H4,
    /// The same after four octets of direction (pcap 201).
    H4WithDirection,
    /// An HCI event from its event code on (btsnoop 1001 and 2001).
    Event,
    /// Linux' monitor: adapter and opcode, then what the opcode announces (pcap 254).
    LinuxMonitor,
    /// An LE link-layer packet (pcap 251).
    LinkLayer,
    /// The same after channel, RSSI and flags of the receiver (pcap 256).
    LinkLayerWithReception,
    /// nRF Sniffer for Bluetooth LE (pcap 272), protocol versions 1 to 3.
    NordicSniffer,
    /// Per-Packet Information before an LE link-layer packet, as Ubertooth writes it (pcap 192).
    PerPacketInformation,
    /// A packet that cannot hold advertisements.
    Other,
}

impl LinkType {
    /// From pcap's link type (tcpdump.org/linktypes.html).
    pub const fn of_linktype(linktype: u32) -> Option<Self> {
        Some(match linktype {
            187 => Self::H4,
            192 => Self::PerPacketInformation,
            201 => Self::H4WithDirection,
            251 => Self::LinkLayer,
            254 => Self::LinuxMonitor,
            256 => Self::LinkLayerWithReception,
            272 => Self::NordicSniffer,
            _ => return None,
        })
    }

    /// Why a capture with this link type is refused.
    pub(super) fn unknown(linktype: u32) -> ReplayError {
        ReplayError::NotARecording(format!(
            "link type {linktype} holds no Bluetooth advertisements: HCI (187, 201, 254), \
             LE link layer (251, 256, PPI 192) or nRF Sniffer (272) do"
        ))
    }

    /// The content of a frame.
    pub fn read(self, octets: &[u8]) -> Content<'_> {
        const MONITOR_EVENT: [u8; 2] = 3_u16.to_be_bytes();
        let packet = match (self, octets) {
            (Self::H4, packet) | (Self::H4WithDirection, [_, _, _, _, packet @ ..]) => {
                return Content::Event(hci::h4_reports(packet));
            }
            (Self::Event, event) => return Content::Event(hci::reports(event)),
            (Self::LinuxMonitor, [_, _, a, b, event @ ..]) if [*a, *b] == MONITOR_EVENT => {
                return Content::Event(hci::reports(event));
            }
            (Self::LinkLayer, packet) => Ok(Packet::read(packet, Reception::default())),
            (Self::LinkLayerWithReception, octets) => with_reception(octets),
            (Self::NordicSniffer, octets) => nordic(octets),
            (Self::PerPacketInformation, octets) => per_packet_information(octets),
            (Self::H4WithDirection | Self::LinuxMonitor | Self::Other, _) => Ok(None),
        };
        match packet {
            Ok(Some(packet)) => Content::Packet(packet),
            Ok(None) => Content::Other,
            Err(Unsupported) => Content::Unsupported,
        }
    }

    /// The adapter that the frame came through, where one log has several.
    pub fn adapter(self, octets: &[u8]) -> u16 {
        match (self, octets) {
            (Self::LinuxMonitor, [high, low, ..]) => u16::from_be_bytes([*high, *low]),
            (Self::NordicSniffer, [board, ..]) => u16::from(*board),
            _ => 0,
        }
    }
}

/// The content of a frame.
#[derive(Debug)]
pub enum Content<'a> {
    /// An HCI event with advertising reports, or with none.
    Event(Reports<'a>),
    /// A packet on an advertising channel, which may be damaged.
    Packet(Packet<'a>),
    /// Anything else, which holds no advertisement.
    Other,
    /// A header that this program does not know.
    Unsupported,
}

struct Unsupported;

/// A packet on an advertising channel; `None` for one on a data channel.
type Unwrapped<'a> = Result<Option<Packet<'a>>, Unsupported>;

/// Channel, signal, noise, offences, reference access address, flags; then the packet.
fn with_reception(octets: &[u8]) -> Unwrapped<'_> {
    const DEWHITENED: u16 = 0x0001;
    const SIGNAL_VALID: u16 = 0x0002;
    const CRC_CHECKED: u16 = 0x0400;
    const CRC_VALID: u16 = 0x0800;
    const PHY: u16 = 0xc000;
    const CODED: u16 = 0x8000;
    let Some((&[channel, signal, _, _, _, _, _, _, flags_low, flags_high], packet)) =
        octets.split_first_chunk()
    else {
        return Err(Unsupported);
    };
    let flags = u16::from_le_bytes([flags_low, flags_high]);
    if flags & DEWHITENED == 0 {
        return Err(Unsupported);
    }
    let signal = (flags & SIGNAL_VALID != 0).then(|| i16::from(signal.cast_signed()));
    let crc = (flags & CRC_CHECKED != 0).then_some(match flags & CRC_VALID {
        0 => Crc::Wrong,
        _ => Crc::Correct,
    });
    let rssi = signal.and_then(Dbm::measured);
    let (channel, coded) = (channel_index(channel), flags & PHY == CODED);
    Ok(Packet::read(packet, Reception { rssi, channel, crc, coded }))
}

/// From the RF channel, 2 MHz apart from 2,402 MHz on (Core, Vol 6 Part B 1.4.1).
const fn channel_index(rf_channel: u8) -> Option<u8> {
    match rf_channel {
        0 => Some(37),
        12 => Some(38),
        39 => Some(39),
        1..=11 => Some(rf_channel - 1),
        13..=38 => Some(rf_channel - 2),
        _ => None,
    }
}

/// Board, six octets of serial header with the protocol's version third and the packet's id
/// last, then the length of what follows before the packet: flags, channel, RSSI (its size),
/// counter and time. Format: the note that Wireshark's dissector of it opens with, which reads
/// the packet's id from version 3 on only.
fn nordic(octets: &[u8]) -> Unwrapped<'_> {
    const ADVERTISING_EVENT: u8 = 2;
    const DATA_EVENT: u8 = 6;
    let &[_, _, _, version, _, _, event, length, flags, channel, rssi, ..] = octets else {
        return Err(Unsupported);
    };
    match (version, event) {
        (1 | 2, _) | (3, ADVERTISING_EVENT) => {}
        (3, DATA_EVENT) => return Ok(None),
        _ => return Err(Unsupported),
    }
    let reception = Reception {
        rssi: Dbm::measured(-i16::from(rssi)),
        channel: (channel < 40).then_some(channel),
        crc: Some(if flags & 1 == 1 { Crc::Correct } else { Crc::Wrong }),
        coded: flags >> 4 & 0b111 == 2,
    };
    let packet = octets.get(7 + usize::from(length)..).ok_or(Unsupported)?;
    Ok(Packet::read(packet, reception))
}

/// Version, flags, length of the whole header, data link (32 bits); then fields, each with type
/// and length (16 bits); least significant octet first. Ubertooth's field holds a version, the
/// frequency in MHz, seven octets of time, then the highest, lowest and mean RSSI. Format: CACE's
/// "PPI Header format 1.0.1" and Wireshark's `packet-ppi.c`.
fn per_packet_information(octets: &[u8]) -> Unwrapped<'_> {
    const BTLE: u16 = 30_006;
    /// LE link layer as such, and the number that Ubertooth used before it had one.
    const LINK_LAYER: [u32; 2] = [251, 147];
    let (Some(length), Some(data_link)) = (
        octets.get(2..).and_then(<[u8]>::first_chunk),
        octets.get(4..).and_then(<[u8]>::first_chunk),
    ) else {
        return Err(Unsupported);
    };
    let length = usize::from(u16::from_le_bytes(*length));
    let (Some(mut fields), Some(packet)) = (octets.get(8..length), octets.get(length..)) else {
        return Err(Unsupported);
    };
    if !LINK_LAYER.contains(&u32::from_le_bytes(*data_link)) {
        return Err(Unsupported);
    }
    let mut reception = Reception::default();
    while let Some(([k0, k1, length @ ..], rest)) = fields.split_first_chunk::<4>() {
        let (kind, length) = (u16::from_le_bytes([*k0, *k1]), u16::from_le_bytes(*length));
        let Some((field, after)) = rest.split_at_checked(usize::from(length)) else { break };
        if let (BTLE, &[_, low, high, _, _, _, _, _, _, _, mean, ..]) = (kind, field) {
            let offset = u16::from_le_bytes([low, high]).checked_sub(2402);
            let rf_channel = offset.and_then(|offset| u8::try_from(offset / 2).ok());
            reception.channel = rf_channel.and_then(channel_index);
            reception.rssi = Dbm::measured(i16::from(mean.cast_signed()));
        }
        fields = after;
    }
    Ok(Packet::read(packet, reception))
}
