//! The enrolled, consenting customers of this store, and the owner of each credential.

use super::beacon::Beacons;
use super::customer_table::CustomerTable;
use super::eid::Eids;
use super::irk::Irks;
use super::token::Tokens;
use super::window_tables::{Priority, zeroize_slice};
use crate::pipeline::units::{Clock, WallTime};

/// The enrolled, consenting customers of this store, checked and ready to be matched.
///
/// A [`super::Loader`] makes it with its tables on another thread, so that an [`super::Identity`]
/// can use it at once.
#[derive(Debug, Default)]
pub struct Registry {
    pub(super) customers: CustomerTable,
    pub(super) tokens: Owned<Tokens>,
    pub(super) eids: Owned<Eids>,
    pub(super) beacons: Owned<Beacons>,
    pub(super) irks: Owned<Irks>,
    pub(super) enrolled: usize,
    /// From then on no customer is recognised.
    pub(super) valid_until: Option<WallTime>,
}

/// Credentials of one scheme, and their owners.
#[derive(Debug, Default)]
pub struct Owned<T> {
    pub(super) credentials: T,
    pub(super) owners: Owners,
}

/// The owner of each credential. Empty while the n-th credential belongs to the n-th customer.
#[derive(Debug, Default)]
pub struct Owners {
    len: u32,
    each: Vec<u32>,
}

impl Owners {
    /// Sets the owner of the next credential.
    pub fn push(&mut self, owner: u32) {
        if self.each.is_empty() && owner != self.len {
            self.each = (0..self.len).collect();
        }
        if owner != self.len || !self.each.is_empty() {
            self.each.push(owner);
        }
        self.len += 1;
    }

    /// The owner of a credential.
    pub fn of(&self, credential: u32) -> Option<u32> {
        if self.each.is_empty() {
            return (credential < self.len).then_some(credential);
        }
        self.each.get(credential as usize).copied()
    }

    /// The credentials of a customer.
    pub fn credentials_of(&self, owner: u32) -> Vec<u32> {
        if self.each.is_empty() {
            return (owner < self.len).then_some(owner).into_iter().collect();
        }
        (0..).zip(&self.each).filter(|(_, of)| **of == owner).map(|(at, _)| at).collect()
    }
}

impl Registry {
    /// The customers alone, for a pipeline that takes its contacts from another one.
    #[must_use]
    pub fn without_credentials(&self) -> Self {
        let (customers, enrolled, valid_until) =
            (self.customers.clone(), self.enrolled, self.valid_until);
        Self { customers, enrolled, valid_until, ..Self::default() }
    }

    /// Number of customers who can be matched.
    pub const fn len(&self) -> usize {
        self.enrolled
    }

    pub const fn is_empty(&self) -> bool {
        self.enrolled == 0
    }

    /// The days (since 1970) that there are `token` keys for.
    pub fn days(&self) -> impl Iterator<Item = u32> {
        self.tokens.credentials.days()
    }

    /// Whether the registry is too old to be used. A clock that is not set is late rather than
    /// early.
    pub fn has_expired(&self, clock: Clock) -> bool {
        self.valid_until.is_some_and(|end| end <= clock.reading())
    }

    /// Octets on the heap, approximately.
    pub fn octets(&self) -> usize {
        let owners = |owners: &Owners| owners.each.capacity() * 4;
        self.customers.octets()
            + self.tokens.credentials.octets()
            + self.eids.credentials.octets()
            + self.beacons.credentials.octets()
            + self.irks.credentials.octets()
            + owners(&self.tokens.owners)
            + owners(&self.eids.owners)
            + owners(&self.beacons.owners)
            + owners(&self.irks.owners)
    }

    /// Builds every table that `clock` needs, now and next. Takes a second for a million customers,
    /// so it does not belong on the radio's path.
    pub fn prepare(&mut self, clock: Clock) {
        self.plan(clock);
        while self.work(clock) != Priority::None {}
    }

    /// Begins the tables that will be needed.
    pub(super) fn plan(&mut self, clock: Clock) {
        self.tokens.credentials.plan(clock);
        self.eids.credentials.plan(clock);
    }

    /// Builds a slice of the most urgent table; says how urgent the next one is.
    pub(super) fn work(&mut self, clock: Clock) -> Priority {
        let (tokens, eids) = (&mut self.tokens.credentials, &mut self.eids.credentials);
        if tokens.priority(clock) >= eids.priority(clock) {
            tokens.work(clock).max(eids.priority(clock))
        } else {
            eids.work(clock).max(tokens.priority(clock))
        }
    }

    /// How urgent the next slice is.
    pub(super) fn priority(&self, clock: Clock) -> Priority {
        self.tokens.credentials.priority(clock).max(self.eids.credentials.priority(clock))
    }

    /// Whether anything in it changes with time.
    pub(super) const fn ages(&self) -> bool {
        self.tokens.credentials.count()
            + self.eids.credentials.count()
            + self.irks.credentials.count()
            > 0
    }

    /// Removes a customer and wipes their keys.
    pub(super) fn remove(&mut self, at: u32) {
        if !self.customers.is_present(at) {
            return;
        }
        self.customers.remove(at);
        self.enrolled = self.enrolled.saturating_sub(1);
        for credential in self.tokens.owners.credentials_of(at) {
            self.tokens.credentials.remove(credential);
        }
        for credential in self.eids.owners.credentials_of(at) {
            self.eids.credentials.remove(credential);
        }
        for credential in self.beacons.owners.credentials_of(at) {
            self.beacons.credentials.remove(credential);
        }
        for credential in self.irks.owners.credentials_of(at) {
            self.irks.credentials.remove(credential);
        }
    }

    /// Wipes and frees a slice; true while more is left.
    pub(super) fn zeroize_slice(&mut self) -> bool {
        let owners = |owners: &mut Owners| zeroize_slice(&mut owners.each, 1 << 14);
        self.tokens.credentials.zeroize_slice()
            || self.eids.credentials.zeroize_slice()
            || self.irks.credentials.zeroize_slice()
            || self.beacons.credentials.zeroize_slice()
            || owners(&mut self.tokens.owners)
            || owners(&mut self.eids.owners)
            || owners(&mut self.beacons.owners)
            || owners(&mut self.irks.owners)
            || self.customers.zeroize_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_written_down_only_when_somebody_has_two_credentials() {
        let mut owners = Owners::default();
        owners.push(0);
        owners.push(1);
        assert!(owners.each.is_empty());
        owners.push(1);
        owners.push(2);
        assert_eq!(
            (0..5).map(|at| owners.of(at)).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(1), Some(2), None]
        );
        assert_eq!(owners.credentials_of(1), [1, 2]);
        let mut owners = Owners::default();
        owners.push(7);
        assert_eq!((owners.of(0), owners.credentials_of(7)), (Some(7), vec![0]));
    }
}
