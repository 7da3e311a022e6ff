//! AD structures: the length-type-data triplets that an advertisement is made of
//! (Core specification, Vol 3, Part C, 11; types from the Assigned Numbers).

/// AD types that grelot reads.
pub mod kind {
    pub const FLAGS: u8 = 0x01;
    /// Incomplete list of 16-bit service UUIDs.
    pub const UUIDS_16_SOME: u8 = 0x02;
    /// Complete list of 16-bit service UUIDs.
    pub const UUIDS_16_ALL: u8 = 0x03;
    /// Incomplete list of 32-bit service UUIDs.
    pub const UUIDS_32_SOME: u8 = 0x04;
    /// Complete list of 32-bit service UUIDs.
    pub const UUIDS_32_ALL: u8 = 0x05;
    /// Incomplete list of 128-bit service UUIDs.
    pub const UUIDS_128_SOME: u8 = 0x06;
    /// Complete list of 128-bit service UUIDs.
    pub const UUIDS_128_ALL: u8 = 0x07;
    pub const NAME_SHORT: u8 = 0x08;
    /// Complete local name.
    pub const NAME: u8 = 0x09;
    pub const TX_POWER: u8 = 0x0a;
    /// Service data, 16-bit UUID.
    pub const SERVICE_DATA_16: u8 = 0x16;
    pub const APPEARANCE: u8 = 0x19;
    /// Service data, 32-bit UUID.
    pub const SERVICE_DATA_32: u8 = 0x20;
    /// Service data, 128-bit UUID.
    pub const SERVICE_DATA_128: u8 = 0x21;
    pub const URI: u8 = 0x24;
    pub const MANUFACTURER: u8 = 0xff;
}

/// One AD structure, without its length octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Structure<'a> {
    /// AD type, see [`kind`].
    pub kind: u8,
    /// Everything after the type.
    pub data: &'a [u8],
}

/// Walks the AD structures of an advertisement; ends at the first that is not whole, or at the
/// zero length that marks the end of the significant part.
#[derive(Debug, Clone)]
pub struct Structures<'a> {
    rest: &'a [u8],
}

impl<'a> Structures<'a> {
    /// Walks `payload`, the AD structures as they were on the air.
    pub const fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// What the walk has not consumed; once it has ended, this shows why.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Structures<'a> {
    type Item = Structure<'a>;

    #[inline]
    fn next(&mut self) -> Option<Structure<'a>> {
        let (&length, rest) = self.rest.split_first()?;
        let (body, rest) = rest.split_at_checked(usize::from(length))?;
        let (&kind, data) = body.split_first()?;
        self.rest = rest;
        Some(Structure { kind, data })
    }
}

/// Why an advertisement is not what the Core specification allows. Everything that was whole before
/// (and, except for [`Malformed::Overrun`], after) the fault is still read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A structure claims more octets than there are.
    #[error("the structure at octet {at} claims {claimed} octets, but {left} are left")]
    Overrun {
        /// Index of its length octet.
        at: usize,
        /// The value of that octet.
        claimed: u8,
        /// Number of octets that follow it.
        left: usize,
    },
    /// After the zero length that ends the significant part, every octet must be zero.
    #[error("the padding that begins at octet {at} is not all zero")]
    Padding {
        /// Index of the zero length.
        at: usize,
    },
    /// A structure's data cannot be of its type.
    #[error(
        "the structure at octet {at} cannot be of type {kind:#04x} with {octets} octets of data"
    )]
    Size {
        /// Index of its length octet.
        at: usize,
        /// Its AD type.
        kind: u8,
        /// How much data it has.
        octets: usize,
    },
}

/// The first fault of `payload`; `None` where it is well formed.
pub fn fault(payload: &[u8]) -> Option<Malformed> {
    let mut structures = Structures::new(payload);
    let mut at = 0;
    while let Some(Structure { kind, data }) = structures.next() {
        if !fits(kind, data.len()) {
            return Some(Malformed::Size { at, kind, octets: data.len() });
        }
        at = payload.len() - structures.rest().len();
    }
    match structures.rest() {
        [] => None,
        [0, padding @ ..] if padding.iter().all(|&octet| octet == 0) => None,
        [0, ..] => Some(Malformed::Padding { at }),
        [claimed, left @ ..] => {
            Some(Malformed::Overrun { at, claimed: *claimed, left: left.len() })
        }
    }
}

/// Whether data of a type that fixes its size can have `octets` octets.
const fn fits(kind: u8, octets: usize) -> bool {
    match kind {
        kind::FLAGS | kind::URI => octets >= 1,
        kind::UUIDS_16_SOME | kind::UUIDS_16_ALL => octets.is_multiple_of(2),
        kind::UUIDS_32_SOME | kind::UUIDS_32_ALL => octets.is_multiple_of(4),
        kind::UUIDS_128_SOME | kind::UUIDS_128_ALL => octets.is_multiple_of(16),
        kind::TX_POWER => octets == 1,
        kind::APPEARANCE => octets == 2,
        kind::SERVICE_DATA_16 | kind::MANUFACTURER => octets >= 2,
        kind::SERVICE_DATA_32 => octets >= 4,
        kind::SERVICE_DATA_128 => octets >= 16,
        _ => true,
    }
}

/// `parts` one after the other; they must fill `N` octets exactly.
pub(crate) fn joined<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    debug_assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), N);
    let mut whole = [0; N];
    for (slot, &octet) in whole.iter_mut().zip(parts.iter().copied().flatten()) {
        *slot = octet;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(payload: &[u8]) -> Vec<u8> {
        Structures::new(payload).map(|structure| structure.kind).collect()
    }

    #[test]
    fn structures_come_in_the_order_of_the_air() {
        let payload = [2, 1, 6, 3, 3, 0xaa, 0xfe, 1, 9];
        assert_eq!(kinds(&payload), [1, 3, 9]);
        assert_eq!(fault(&payload), None);
    }

    #[test]
    fn what_is_whole_before_an_overrun_is_read() {
        let payload = [2, 1, 6, 26, 0xff, 0x4c];
        assert_eq!(kinds(&payload), [1]);
        assert_eq!(fault(&payload), Some(Malformed::Overrun { at: 3, claimed: 26, left: 2 }));
    }

    #[test]
    fn zeros_end_the_significant_part() {
        assert_eq!(kinds(&[2, 1, 6, 0, 0, 0]), [1]);
        assert_eq!(fault(&[2, 1, 6, 0, 0, 0]), None);
        assert_eq!(fault(&[]), None);
        assert_eq!(fault(&[2, 1, 6, 0, 2, 1, 6]), Some(Malformed::Padding { at: 3 }));
    }

    #[test]
    fn a_type_that_fixes_its_size_is_held_to_it() {
        let fault_at_3 = |tail: &[u8]| fault(&[&[2, 1, 6], tail].concat());
        assert_eq!(
            fault_at_3(&[4, 3, 1, 2, 3]),
            Some(Malformed::Size { at: 3, kind: 3, octets: 3 })
        );
        assert_eq!(
            fault_at_3(&[2, 0xff, 0x4c]),
            Some(Malformed::Size { at: 3, kind: 255, octets: 1 })
        );
        assert_eq!(fault_at_3(&[3, 0xff, 0x4c, 0]), None);
        assert_eq!(fault_at_3(&[1, 3]), None, "an empty list of all services says: none");
    }
}
