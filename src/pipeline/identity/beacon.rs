//! Scheme `beacon`: cards with a fixed identity.

use super::enrolment::BeaconIdentity;
use super::slots::{Slots, hash};

/// An identity, padded to the longest, behind its kind.
pub type Padded = [u8; 21];

impl BeaconIdentity {
    /// The identity as octets that no other identity has.
    pub fn padded(&self) -> Padded {
        let mut padded = [0; 21];
        let kind: u8 = match self {
            Self::IBeacon { .. } => 1,
            Self::EddystoneUid { .. } => 2,
            Self::AltBeacon(_) => 3,
        };
        match self {
            Self::IBeacon { uuid, major, minor } => super::key::put(
                &mut padded,
                &[&[kind], uuid, &major.to_be_bytes(), &minor.to_be_bytes()],
            ),
            Self::EddystoneUid { namespace, instance } => {
                super::key::put(&mut padded, &[&[kind], namespace, instance]);
            }
            Self::AltBeacon(id) => super::key::put(&mut padded, &[&[kind], id]),
        }
        padded
    }
}

/// All `beacon` credentials of the registry; their table never changes.
#[derive(Debug, Default)]
pub struct Beacons {
    identities: Vec<Padded>,
    slots: Slots,
}

impl Beacons {
    /// The given identities.
    pub fn new(mut identities: Vec<Padded>) -> Self {
        identities.shrink_to_fit();
        let mut slots = Slots::default();
        if !identities.is_empty() {
            slots = Slots::with_capacity(identities.len());
            for (at, identity) in (0..).zip(&identities) {
                slots.insert(hash(identity), at);
            }
        }
        Self { identities, slots }
    }

    /// The credential with that identity.
    pub fn find(&self, identity: &BeaconIdentity) -> Option<u32> {
        if self.identities.is_empty() {
            return None;
        }
        let padded = identity.padded();
        self.slots.find(hash(&padded), |at| self.identities.get(at as usize) == Some(&padded))
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.identities.len()
    }

    /// Octets on the heap.
    pub const fn octets(&self) -> usize {
        self.identities.capacity() * size_of::<Padded>() + self.slots.octets()
    }

    /// Wipes a credential.
    pub fn remove(&mut self, at: u32) {
        if let Some(identity) = self.identities.get_mut(at as usize) {
            *identity = [0; 21]; // of no kind: nothing can say it
        }
    }

    /// Frees a slice; true while there is more.
    pub fn shred(&mut self) -> bool {
        super::rolling::shred(&mut self.identities, 4096) | self.slots.shred(2048)
    }
}
