//! Scheme `beacon`: cards with a fixed identity.

use super::slots::{Slots, hash};
use crate::pipeline::advert::BeaconIdentity;

/// All `beacon` credentials of the registry; their table never changes.
#[derive(Debug, Default)]
pub struct Beacons {
    identities: Vec<BeaconIdentity>,
    slots: Slots,
}

impl Beacons {
    /// The given identities.
    pub fn new(mut identities: Vec<BeaconIdentity>) -> Self {
        identities.shrink_to_fit();
        let mut slots = Slots::default();
        if !identities.is_empty() {
            slots = Slots::with_capacity(identities.len());
            for (at, identity) in (0..).zip(&identities) {
                slots.insert(hash(identity.octets()), at);
            }
        }
        Self { identities, slots }
    }

    /// The credential with that identity.
    pub fn find(&self, identity: &BeaconIdentity) -> Option<u32> {
        if self.identities.is_empty() {
            return None;
        }
        let is_it = |at| self.identities.get(at as usize) == Some(identity);
        self.slots.find(hash(identity.octets()), is_it)
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.identities.len()
    }

    /// Octets on the heap.
    pub const fn octets(&self) -> usize {
        self.identities.capacity() * size_of::<BeaconIdentity>() + self.slots.octets()
    }

    /// Wipes a credential.
    pub fn remove(&mut self, at: u32) {
        if let Some(identity) = self.identities.get_mut(at as usize) {
            *identity = BeaconIdentity::NONE;
        }
    }

    /// Frees a slice; true while there is more.
    pub fn shred(&mut self) -> bool {
        super::rolling::shred(&mut self.identities, 4096) | self.slots.shred(2048)
    }
}
