//! What a gateway received of a device whose owner is not known yet.

use std::fmt;

use super::address::Address;
use super::gateway::GatewayIndex;
use super::units::Dbm;

/// One advertisement that one gateway received. It is not kept.
#[derive(Clone, Copy)]
pub struct Sighting<'a> {
    /// The gateway that received it.
    pub gateway: GatewayIndex,
    pub address: Address,
    /// `None` where the driver gave none.
    pub rssi: Option<Dbm>,
    /// AD structures, as they were on the air.
    pub payload: &'a [u8],
}

impl fmt::Debug for Sighting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sighting({:?}, {} octets)", self.gateway, self.payload.len())
    }
}

/// A phone's answer to a GATT challenge. It was challenged because its advertisement only hinted
/// that it might be a customer's.
#[derive(Clone, Copy)]
pub struct Answer {
    /// The gateway that challenged it.
    pub gateway: GatewayIndex,
    pub address: Address,
    /// RSSI of the advertisement that hinted.
    pub rssi: Option<Dbm>,
    pub nonce: [u8; 16],
    /// Version, echo, token and proof (see `docs/app-protocol.md`, carrier GATT).
    pub octets: [u8; 21],
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({:?})", self.gateway)
    }
}
