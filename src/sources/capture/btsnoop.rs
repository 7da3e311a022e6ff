//! btsnoop: what `btmon -w` and Android's HCI log write.
//!
//! Layout: RFC 1761's, big-endian, with Bluetooth's data links and times (`BlueZ`,
//! `src/shared/btsnoop.h`).

use super::link::LinkType;
use super::octets::{LONGEST_FRAME, Octets, too_long};
use super::{Frame, Frames};
use crate::sources::ReplayError;
use crate::sources::byte_reader::take;

/// Microseconds from year 0, which btsnoop counts from, to 1970.
const UNIX_EPOCH: i64 = 0x00dc_ddb3_0f2f_8000;

/// The data link of Linux' monitor.
const MONITOR: u32 = 2001;

pub(super) struct Btsnoop {
    octets: Octets,
    datalink: u32,
    number: u64,
}

impl Btsnoop {
    pub(super) fn open(mut octets: Octets) -> Result<Self, ReplayError> {
        let short = || ReplayError::NotARecording("btsnoop: the header is cut short".into());
        octets.header::<8>()?.ok_or_else(short)?;
        let version = u32::from_be_bytes(octets.header()?.ok_or_else(short)?);
        let datalink = u32::from_be_bytes(octets.header()?.ok_or_else(short)?);
        if version != 1 {
            return Err(ReplayError::NotARecording(format!("btsnoop version {version}, not 1")));
        }
        if !matches!(datalink, 1001 | 1002 | MONITOR) {
            return Err(ReplayError::NotARecording(format!(
                "btsnoop data link {datalink}: not HCI (1001), HCI H4 (1002) or monitor (2001)"
            )));
        }
        Ok(Self { octets, datalink, number: 0 })
    }

    /// The link type that the flags of a record mean.
    const fn link(&self, flags: u32) -> LinkType {
        // Unencapsulated: bit 0 received, bit 1 command or event.
        const EVENT: u32 = 0b11;
        // Monitor: the low half is the opcode, the high half the adapter.
        const MONITOR_EVENT: u32 = 3;
        match self.datalink {
            1002 => LinkType::H4,
            1001 if flags & EVENT == EVENT => LinkType::Event,
            MONITOR if flags & 0xffff == MONITOR_EVENT => LinkType::Event,
            _ => LinkType::Other,
        }
    }
}

impl Frames for Btsnoop {
    fn next_frame(&mut self) -> Result<Option<Frame<'_>>, ReplayError> {
        let Some(header) = self.octets.header::<24>()? else { return Ok(None) };
        self.number += 1;
        let rest = &mut &header[..];
        let _original_length: [u8; 4] = take(rest)?;
        let length = u32::from_be_bytes(take(rest)?) as usize;
        let flags = u32::from_be_bytes(take(rest)?);
        let _drops: [u8; 4] = take(rest)?;
        let unix_micros = i64::from_be_bytes(take(rest)?).saturating_sub(UNIX_EPOCH);
        if length > LONGEST_FRAME {
            return Err(too_long(self.number, length));
        }
        let link = self.link(flags);
        let interface = if self.datalink == MONITOR { (flags >> 16) as u16 } else { 0 };
        let octets = self.octets.piece(length)?;
        Ok(Some(Frame { number: self.number, unix_micros, link, interface, octets }))
    }
}
