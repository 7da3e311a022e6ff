//! Counts of what one adapter or stream received lately. They hold no address.

use crate::pipeline::event::Address;
use crate::pipeline::units::Dbm;
use crate::sources::Advertisement;

/// What was received between two samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActivitySample {
    /// Number of advertisements.
    pub received: u64,
    /// Of these, advertisements whose address and length were received within the last seconds.
    pub repeated: u64,
    /// One bit for each of 64 classes of addresses: a rough count of devices.
    pub devices: u64,
    pub strongest: Option<Dbm>,
}

impl ActivitySample {
    /// Adds a later sample.
    pub fn add(&mut self, later: Self) {
        self.received += later.received;
        self.repeated += later.repeated;
        self.devices |= later.devices;
        self.strongest = self.strongest.max(later.strongest);
    }

    pub fn record(&mut self, address: Address, rssi: Option<Dbm>) {
        self.received += 1;
        self.devices |= 1 << (hash(address) >> 58);
        self.strongest = self.strongest.max(rssi);
    }
}

/// Fibonacci hashing: the top bits depend on every octet of the address.
fn hash(address: Address) -> u64 {
    let octets = address.octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet));
    octets.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The devices that advertised lately: a bit for each of 4,096 classes of address and length (so a
/// scan response is no repetition).
#[derive(Debug)]
pub struct RecentAddresses([u64; 64]);

impl RecentAddresses {
    /// Adds the class of `received`; returns whether it was there already.
    pub fn insert(&mut self, received: &Advertisement) -> bool {
        let length = (received.payload.len() as u64) << 52;
        let class = (hash(received.address) ^ length) >> 52;
        let Some(word) = usize::try_from(class >> 6).ok().and_then(|at| self.0.get_mut(at)) else {
            return false;
        };
        let bit = 1 << (class & 63);
        let before = *word & bit != 0;
        *word |= bit;
        before
    }
}

impl Default for RecentAddresses {
    fn default() -> Self {
        Self([0; 64])
    }
}
