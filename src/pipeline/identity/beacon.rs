//! Scheme `beacon`: cards with a fixed identity.

use super::index_table::{IndexTable, hash};
use crate::pipeline::advert::BeaconIdentity;

/// All `beacon` credentials of the registry; their table never changes.
#[derive(Debug, Default)]
pub struct Beacons {
    identities: Vec<BeaconIdentity>,
    index: IndexTable,
}

impl Beacons {
    pub fn new(mut identities: Vec<BeaconIdentity>) -> Self {
        identities.shrink_to_fit();
        let mut index = IndexTable::default();
        if !identities.is_empty() {
            index = IndexTable::with_capacity(identities.len());
            for (at, identity) in (0..).zip(&identities) {
                index.insert(hash(identity.octets()), at);
            }
        }
        Self { identities, index }
    }

    /// The credential with that identity.
    pub fn find(&self, identity: &BeaconIdentity) -> Option<u32> {
        if self.identities.is_empty() {
            return None;
        }
        let is_it = |at| self.identities.get(at as usize) == Some(identity);
        self.index.find(hash(identity.octets()), is_it)
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.identities.len()
    }

    /// Octets on the heap.
    pub const fn octets(&self) -> usize {
        self.identities.capacity() * size_of::<BeaconIdentity>() + self.index.octets()
    }

    /// Wipes a credential: its identity is never found again.
    pub fn remove(&mut self, at: u32) {
        if let Some(identity) = self.identities.get_mut(at as usize) {
            *identity = BeaconIdentity::NONE;
        }
    }

    /// Frees a slice; true while more is left.
    pub fn zeroize_slice(&mut self) -> bool {
        super::window_tables::zeroize_slice(&mut self.identities, 4096)
            | self.index.zeroize_slice(2048)
    }
}
