//! pcap: what tcpdump writes, in either byte order, with microseconds or nanoseconds.
//!
//! Layout: draft-ietf-opsawg-pcap.

use super::link::LinkType;
use super::octets::{LONGEST_FRAME, Octets, too_long};
use super::{Frame, Frames};
use crate::sources::ReplayError;
use crate::sources::byte_reader::take;

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;

pub(super) struct Pcap {
    octets: Octets,
    word: fn([u8; 4]) -> u32,
    nanoseconds: bool,
    link: LinkType,
    number: u64,
}

impl Pcap {
    pub(super) fn open(mut octets: Octets) -> Result<Self, ReplayError> {
        let short = || ReplayError::NotARecording("pcap: the header is cut short".into());
        let magic = octets.header()?.ok_or_else(short)?;
        let little_endian =
            magic != MICROSECONDS.to_be_bytes() && magic != NANOSECONDS.to_be_bytes();
        let word = if little_endian { u32::from_le_bytes } else { u32::from_be_bytes };
        let nanoseconds = word(magic) == NANOSECONDS;
        // Version, zone, accuracy, longest capture.
        octets.header::<16>()?.ok_or_else(short)?;
        let network = octets.header()?.ok_or_else(short)?;
        // The upper bits describe frame check sequences, which no link here has.
        let linktype = word(network) & 0xffff;
        let link = LinkType::of_linktype(linktype).ok_or_else(|| LinkType::unknown(linktype))?;
        Ok(Self { octets, word, nanoseconds, link, number: 0 })
    }
}

impl Frames for Pcap {
    fn next_frame(&mut self) -> Result<Option<Frame<'_>>, ReplayError> {
        let Some(header) = self.octets.header::<16>()? else { return Ok(None) };
        self.number += 1;
        let rest = &mut &header[..];
        let seconds = i64::from((self.word)(take(rest)?));
        let fraction = i64::from((self.word)(take(rest)?));
        let length = (self.word)(take(rest)?) as usize;
        if length > LONGEST_FRAME {
            return Err(too_long(self.number, length));
        }
        let micros = if self.nanoseconds { fraction / 1000 } else { fraction };
        let octets = self.octets.piece(length)?;
        let unix_micros = seconds * 1_000_000 + micros;
        Ok(Some(Frame { number: self.number, unix_micros, link: self.link, interface: 0, octets }))
    }
}
