//! pcapng: what Wireshark writes; several sections and interfaces, each with a clock of its own.
//!
//! Layout: draft-ietf-opsawg-pcapng.

use std::ops::Range;

use super::link::LinkType;
use super::octets::{LONGEST_FRAME, Octets};
use super::{Frame, Frames};
use crate::sources::ReplayError;
use crate::sources::byte_reader::{CutShort, take, take_slice};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// More interfaces than any capture has: a damaged file must not fill the memory.
const MOST_INTERFACES: usize = 1024;

pub(super) struct PcapNg {
    octets: Octets,
    section: Section,
    number: u64,
    unknown_linktype: Option<u32>,
    readable: bool,
    unsupported: u64,
}

impl PcapNg {
    pub(super) fn new(octets: Octets) -> Self {
        let section = Section { order: Order::LITTLE, interfaces: Vec::new(), last_micros: 0 };
        Self { octets, section, number: 0, unknown_linktype: None, readable: false, unsupported: 0 }
    }

    /// The next block's type, and the lengths of its body and of the repeated length after it.
    fn block(&mut self) -> Result<Option<(u32, u32)>, ReplayError> {
        let Some(kind) = self.octets.header()? else { return Ok(None) };
        let length = self.octets.header()?.unwrap_or_default();
        let mut read: u32 = 8;
        if u32::from_be_bytes(kind) == SECTION {
            let magic = self.octets.header::<4>()?.unwrap_or_default();
            read += 4;
            self.section.order =
                Order::of(magic).ok_or_else(|| self.damaged("a section in no byte order"))?;
            self.section.interfaces.clear();
        }
        let length = self.section.order.word(length);
        let rest = length.checked_sub(read).filter(|rest| length.is_multiple_of(4) && *rest >= 4);
        let rest = rest.ok_or_else(|| self.damaged(&format!("a block of {length} octets")))?;
        Ok(Some((self.section.order.word(kind), rest)))
    }

    /// Reads up to the next packet with a known link type; its octets are in the last piece.
    fn packet(&mut self) -> Result<Option<Packet>, ReplayError> {
        while let Some((kind, length)) = self.block()? {
            if length as usize > LONGEST_FRAME {
                self.octets.skip(u64::from(length))?;
                continue;
            }
            let body = self.octets.piece(length as usize)?;
            let packet = match kind {
                INTERFACE => {
                    match self.section.describe(body)? {
                        Ok(()) => self.readable = true,
                        Err(linktype) => self.unknown_linktype = Some(linktype),
                    }
                    continue;
                }
                ENHANCED_PACKET => self.section.enhanced_packet(body)?,
                SIMPLE_PACKET => self.section.simple_packet(body),
                _ => continue,
            };
            self.number += 1;
            if packet.is_some() {
                return Ok(packet);
            }
            self.unsupported += 1;
        }
        Ok(None)
    }

    fn damaged(&self, what: &str) -> ReplayError {
        let problem = format!("{what}: the file is damaged from here on");
        ReplayError::Line { line: self.number + 1, problem }
    }
}

impl Frames for PcapNg {
    fn next_frame(&mut self) -> Result<Option<Frame<'_>>, ReplayError> {
        let Some(packet) = self.packet()? else {
            return match self.unknown_linktype {
                Some(linktype) if !self.readable => Err(LinkType::unknown(linktype)),
                _ => Ok(None),
            };
        };
        let octets = self.octets.last_piece().get(packet.octets).unwrap_or_default();
        let Packet { unix_micros, link, interface, .. } = packet;
        Ok(Some(Frame { number: self.number, unix_micros, link, interface, octets }))
    }

    fn unsupported(&self) -> u64 {
        self.unsupported
    }
}

/// A packet of an interface whose link is known.
struct Packet {
    unix_micros: i64,
    link: LinkType,
    interface: u16,
    octets: Range<usize>,
}

/// The state of a section, from its header to the next one.
struct Section {
    order: Order,
    /// `None` for interfaces with an unknown link type.
    interfaces: Vec<Option<Interface>>,
    /// Simple packets have no time: they get that of the last packet.
    last_micros: i64,
}

impl Section {
    /// Link type, reserved, longest capture, options. `Err` inside for an unknown link type.
    fn describe(&mut self, mut rest: &[u8]) -> Result<Result<(), u32>, CutShort> {
        let linktype = u32::from(self.order.half(take(&mut rest)?));
        take::<6>(&mut rest)?;
        let link = LinkType::of_linktype(linktype);
        if self.interfaces.len() < MOST_INTERFACES {
            self.interfaces.push(link.map(|link| Interface::read(link, self.order, rest)));
        }
        Ok(link.map(|_| ()).ok_or(linktype))
    }

    /// Interface, time (high, low), captured length, original length, octets. `None` inside
    /// for an interface whose link is unknown.
    fn enhanced_packet(&mut self, mut rest: &[u8]) -> Result<Option<Packet>, CutShort> {
        let number = self.order.word(take(&mut rest)?);
        let high = u64::from(self.order.word(take(&mut rest)?));
        let low = u64::from(self.order.word(take(&mut rest)?));
        let length = self.order.word(take(&mut rest)?) as usize;
        take::<4>(&mut rest)?;
        take_slice(&mut rest, length)?;
        let Some(Some(interface)) = self.interfaces.get(number as usize) else { return Ok(None) };
        self.last_micros = interface.unix_micros((high << 32) | low);
        let octets = 20..20 + length;
        let (link, interface) = (interface.link, u16::try_from(number).unwrap_or(u16::MAX));
        Ok(Some(Packet { unix_micros: self.last_micros, link, interface, octets }))
    }

    /// Original length, octets (all up to the repeated length, padding included).
    fn simple_packet(&self, body: &[u8]) -> Option<Packet> {
        let (length, rest) = body.split_first_chunk::<4>()?;
        let kept = (self.order.word(*length) as usize).min(rest.len().saturating_sub(4));
        let link = self.interfaces.first()?.as_ref()?.link;
        Some(Packet { unix_micros: self.last_micros, link, interface: 0, octets: 4..4 + kept })
    }
}

/// An interface: its link and its clock.
struct Interface {
    link: LinkType,
    ticks_per_second: u64,
    offset_seconds: i64,
}

impl Interface {
    /// Options: code, length, value padded to four octets.
    fn read(link: LinkType, order: Order, mut options: &[u8]) -> Self {
        const RESOLUTION: u16 = 9;
        const OFFSET: u16 = 14;
        let mut interface = Self { link, ticks_per_second: 1_000_000, offset_seconds: 0 };
        while let Ok(code) = take(&mut options) {
            let Ok(length) = take(&mut options) else { break };
            let length = usize::from(order.half(length));
            let Some(value) = options.get(..length) else { break };
            match (order.half(code), value) {
                (RESOLUTION, [exponent]) => interface.resolve(*exponent),
                (OFFSET, value) => {
                    if let Ok(value) = value.try_into() {
                        interface.offset_seconds = order.long(value);
                    }
                }
                _ => {}
            }
            options = options.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        interface
    }

    /// The top bit chooses between powers of two and of ten.
    fn resolve(&mut self, exponent: u8) {
        let base: u64 = if exponent & 0x80 == 0 { 10 } else { 2 };
        if let Some(ticks) = base.checked_pow(u32::from(exponent & 0x7f)) {
            self.ticks_per_second = ticks;
        }
    }

    fn unix_micros(&self, ticks: u64) -> i64 {
        let micros = u128::from(ticks) * 1_000_000 / u128::from(self.ticks_per_second);
        let offset = self.offset_seconds.saturating_mul(1_000_000);
        i64::try_from(micros).unwrap_or(i64::MAX).saturating_add(offset)
    }
}

/// The byte order of a section.
#[derive(Clone, Copy)]
struct Order {
    little: bool,
}

impl Order {
    const LITTLE: Self = Self { little: true };

    fn of(magic: [u8; 4]) -> Option<Self> {
        match u32::from_le_bytes(magic) {
            0x1a2b_3c4d => Some(Self { little: true }),
            0x4d3c_2b1a => Some(Self { little: false }),
            _ => None,
        }
    }

    const fn half(self, octets: [u8; 2]) -> u16 {
        if self.little { u16::from_le_bytes(octets) } else { u16::from_be_bytes(octets) }
    }

    const fn word(self, octets: [u8; 4]) -> u32 {
        if self.little { u32::from_le_bytes(octets) } else { u32::from_be_bytes(octets) }
    }

    const fn long(self, octets: [u8; 8]) -> i64 {
        if self.little { i64::from_le_bytes(octets) } else { i64::from_be_bytes(octets) }
    }
}
