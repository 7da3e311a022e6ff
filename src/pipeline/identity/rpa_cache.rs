//! Cache of resolved private addresses (RPA), bounded in number and time.

use std::time::Duration;

use crate::pipeline::units::Tick;

/// Sets of [`WAYS`] addresses each: 4,096 addresses, 96 KiB.
const SETS: usize = 512;
const WAYS: usize = 8;
/// A phone keeps its address for about 15 minutes; after this much silence it is gone.
const FORGET_AFTER: Duration = Duration::from_mins(20);

/// The result of trying an address against all keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resolution {
    /// It belongs to no enrolled customer.
    #[default]
    NoMatch,
    /// It belongs to the owner of this key.
    Key(u32),
    /// More than one key fits, so that no customer is assumed.
    Ambiguous,
}

impl Resolution {
    /// The key, if there is exactly one.
    pub const fn key(self) -> Option<u32> {
        match self {
            Self::Key(key) => Some(key),
            Self::NoMatch | Self::Ambiguous => None,
        }
    }

    /// Adds a further key that fits.
    pub fn add(&mut self, key: usize) {
        *self = match (*self, u32::try_from(key)) {
            (Self::NoMatch, Ok(key)) => Self::Key(key),
            _ => Self::Ambiguous,
        };
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    address: u64,
    answer: Resolution,
    heard: Tick,
}

/// Recently received addresses. A new one replaces the oldest of its set.
#[derive(Debug, Default)]
pub struct RpaCache {
    sets: Vec<[Option<Entry>; WAYS]>,
}

impl RpaCache {
    /// Allocates the whole cache at once.
    pub fn with_room() -> Self {
        Self { sets: vec![[None; WAYS]; SETS] }
    }

    /// The resolution of `address`, which was just received.
    pub fn recall(&mut self, address: u64, now: Tick) -> Option<Resolution> {
        let entry =
            self.set(address)?.iter_mut().flatten().find(|entry| entry.address == address)?;
        entry.heard = now;
        Some(entry.answer)
    }

    /// Stores the resolution of `address`.
    pub fn remember(&mut self, address: u64, answer: Resolution, now: Tick) {
        let entry = Entry { address, answer, heard: now };
        let oldest = self.set(address).into_iter().flatten().min_by_key(|way| match way {
            Some(same) if same.address == address => (0, Tick::ZERO),
            None => (1, Tick::ZERO),
            Some(other) => (2, other.heard),
        });
        if let Some(oldest) = oldest {
            *oldest = Some(entry);
        }
    }

    /// Removes addresses that were not received for [`FORGET_AFTER`].
    pub fn forget_unheard(&mut self, now: Tick) {
        for way in self.sets.iter_mut().flatten() {
            if way.is_some_and(|entry| now.since(entry.heard) > FORGET_AFTER) {
                *way = None;
            }
        }
    }

    /// Octets on the heap.
    pub const fn octets(&self) -> usize {
        self.sets.capacity() * size_of::<[Option<Entry>; WAYS]>()
    }

    fn set(&mut self, address: u64) -> Option<&mut [Option<Entry>; WAYS]> {
        let hash = super::index_table::hash(&address.to_be_bytes());
        let count = self.sets.len() as u64;
        self.sets.get_mut(usize::try_from(hash.checked_rem(count)?).ok()?)
    }
}
