//! What a gateway received of a device, before it is known whose that is.

use std::fmt;

use super::address::Address;
use super::gateway::GatewayIndex;
use super::units::Dbm;

/// One advertisement heard by one gateway. Lives for the call that looks at it.
#[derive(Clone, Copy)]
pub struct Sighting<'a> {
    /// Who heard it.
    pub gateway: GatewayIndex,
    /// Who sent it.
    pub address: Address,
    /// How loud; `None` where the driver did not say.
    pub rssi: Option<Dbm>,
    /// AD structures, as they were on the air.
    pub payload: &'a [u8],
}

impl fmt::Debug for Sighting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sighting({:?}, {} octets)", self.gateway, self.payload.len())
    }
}

/// What a phone answered when it was asked over GATT who it is, because its advertisement only
/// hinted that it might be a customer's.
#[derive(Clone, Copy)]
pub struct Answer {
    /// Who asked.
    pub gateway: GatewayIndex,
    /// Who answered.
    pub address: Address,
    /// How loud its hint was.
    pub rssi: Option<Dbm>,
    /// The challenge.
    pub nonce: [u8; 16],
    /// Version, echo, token and proof (see `docs/app-protocol.md`, carrier GATT).
    pub octets: [u8; 21],
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({:?})", self.gateway)
    }
}
