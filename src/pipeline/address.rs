//! Device addresses.

use std::fmt;

/// Whether the IEEE assigned an address or its device made it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressKind {
    /// Assigned by the IEEE, fixed.
    Public,
    /// Static random, resolvable private or non-resolvable private.
    Random,
}

/// A Bluetooth device address, most significant octet first (as it is written).
///
/// Its `Debug` shows only the kind: addresses of strangers must not reach a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub kind: AddressKind,
    /// `5a:11:22:33:44:55` is `[0x5a, 0x11, 0x22, 0x33, 0x44, 0x55]`.
    pub octets: [u8; 6],
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({:?})", self.kind)
    }
}
