//! Apple's manufacturer data: a list of type-length-data messages ("Continuity"), two of which
//! matter here: 0x02 is iBeacon, 0x01 is the overflow area.
//!
//! The overflow area is everything that an iOS app in the background can advertise: one bit of 128
//! for each of its service UUIDs. It has no length octet. Apple documents none of it; the bit of a
//! UUID was found by observation (CRC-8, see [`overflow_bit`]).

use super::structure::joined;

pub const COMPANY: u16 = 0x004c;

/// The overflow area's type.
const OVERFLOW: u8 = 0x01;

/// A Continuity message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    Overflow(OverflowMask),
    Other {
        /// The message's type; [`name`] has the known ones.
        kind: u8,
        /// After the length octet.
        data: &'a [u8],
    },
}

impl Message<'_> {
    pub const fn kind(&self) -> u8 {
        match *self {
            Self::Overflow(_) => OVERFLOW,
            Self::Other { kind, .. } => kind,
        }
    }
}

/// The name that furiousMAC/continuity gives a message type: Apple documents none.
pub const fn name(kind: u8) -> &'static str {
    match kind {
        OVERFLOW => "overflow area",
        0x02 => "iBeacon",
        0x03 => "AirPrint",
        0x05 => "AirDrop",
        0x06 => "HomeKit",
        0x07 => "proximity pairing",
        0x08 => "Hey Siri",
        0x09 => "AirPlay target",
        0x0a => "AirPlay source",
        0x0b => "Magic Switch",
        0x0c => "Handoff",
        0x0d => "tethering target",
        0x0e => "tethering source",
        0x0f => "nearby action",
        0x10 => "nearby info",
        0x12 => "Find My",
        _ => "unknown",
    }
}

/// Walks Apple's messages; ends at the first that is not whole.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Walks manufacturer data after the company identifier.
    pub const fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    #[inline]
    fn next(&mut self) -> Option<Message<'a>> {
        let (&kind, rest) = self.rest.split_first()?;
        let (message, rest) = if kind == OVERFLOW {
            let (&mask, rest) = rest.split_first_chunk()?;
            (Message::Overflow(OverflowMask(mask)), rest)
        } else {
            let (&length, rest) = rest.split_first()?;
            let (data, rest) = rest.split_at_checked(usize::from(length))?;
            (Message::Other { kind, data }, rest)
        };
        self.rest = rest;
        Some(message)
    }
}

/// The overflow area's 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverflowMask(pub [u8; 16]);

impl OverflowMask {
    /// The overflow area of an app in the background that offers these services, as UUIDs in text
    /// order.
    pub fn showing(uuids: &[[u8; 16]]) -> Self {
        let mut mask = [0; 16];
        for uuid in uuids {
            let bit = overflow_bit(uuid);
            if let Some(octet) = mask.get_mut(usize::from(bit >> 3)) {
                *octet |= 1 << (bit & 7);
            }
        }
        Self(mask)
    }

    /// Whether `bit` (0 to 127) is set. Many UUIDs share a bit.
    #[inline]
    pub fn shows(&self, bit: u8) -> bool {
        self.0.get(usize::from(bit >> 3)).is_some_and(|octet| octet & (1 << (bit & 7)) != 0)
    }

    /// AD structures of an advertisement with this area alone, without Flags.
    pub fn advertisement(&self) -> [u8; 21] {
        joined(&[&[20, 0xff, 0x4c, 0x00, OVERFLOW], &self.0])
    }
}

/// The bit of the overflow area that a service UUID (text order; 16-bit UUIDs expanded) sets:
/// CRC-8, polynomial 0x09, initial value 0, most significant bit first, its low seven bits.
pub const fn overflow_bit(uuid: &[u8; 16]) -> u8 {
    let mut crc = 0_u8;
    let mut rest: &[u8] = uuid;
    while let [octet, tail @ ..] = rest {
        crc ^= *octet;
        let mut shifts = 0;
        while shifts < 8 {
            crc = if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x09 };
            shifts += 1;
        }
        rest = tail;
    }
    crc & 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_uuids_set_their_observed_bits() {
        for (uuid, bit) in [
            ("b82ab3fc-1595-4f6a-80f0-fe094cc218f9", 0),
            ("17e033d3-490e-4bc9-9fe8-2f567643f4d3", 23),
            ("c1f5983c-fa94-4ac8-8e2e-bb86d6de9b21", 78),
            ("0000c007-0000-1000-8000-00805f9b34fb", 36),
            // Seen on the air beside its bit: theheraldproject/herald-for-android.
            ("428132af-4746-42d3-801e-4572d65bfd9b", 85),
            ("47eaa099-2cb6-416d-86dc-283cf0480ff9", 106),
        ] {
            let octets = uuid::Uuid::parse_str(uuid).unwrap().into_bytes();
            assert_eq!(overflow_bit(&octets), bit, "{uuid}");
            let mask = OverflowMask::showing(&[octets]);
            let shown = (0..128).filter(|&bit| mask.shows(bit)).collect::<Vec<_>>();
            assert_eq!(shown, [bit]);
        }
    }

    #[test]
    fn messages_are_walked_until_one_is_not_whole() {
        let messages = |data| Messages::new(data).collect::<Vec<_>>();
        assert_eq!(
            messages(&[0x10, 2, 0xaa, 0xbb, 0x0c, 9, 1]),
            [Message::Other { kind: 0x10, data: &[0xaa, 0xbb] }]
        );
        assert_eq!(messages(&[0xff]), []);
        assert_eq!(messages(&[1, 0, 0]), []);
        let mask = [7; 16];
        assert_eq!(
            messages(&[&[0x10, 0, 1], mask.as_slice()].concat()),
            [Message::Other { kind: 0x10, data: &[] }, Message::Overflow(OverflowMask(mask))]
        );
    }
}
