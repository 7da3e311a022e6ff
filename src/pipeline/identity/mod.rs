//! What was said to who: the registry of enrolled customers and its look-up tables.

use std::sync::Arc;

use super::advert::Echo;
use super::event::{Card, Sighting};
use super::units::{Now, Tick, WallTime};

/// The enrolled, consenting customers of this store, checked and ready to be matched.
#[derive(Debug, Default)]
pub struct Registry {}

/// A customer's place in the current registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerIndex(pub u32);

/// What the rest of the pipeline may know of a customer.
#[derive(Debug, Clone)]
pub struct Customer {
    /// Opaque handle.
    pub client: Arc<str>,
    /// Tier.
    pub tier: Arc<str>,
    /// Present only where consent allows showing it.
    pub card: Option<Arc<Card>>,
    /// When consent ends.
    pub consent_expires_at: WallTime,
    /// What the customer asked for.
    pub quiet: Option<Quiet>,
}

/// A customer's wish not to be greeted for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quiet {
    /// Not recognised on this day, in the store's time zone.
    Today(jiff::civil::Date),
    /// Not recognised before this time.
    Until(WallTime),
    /// Staff see a discreet, silent entry.
    GreetOnlyIfAsked,
}

/// A sighting that was matched to a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// Who.
    pub customer: CustomerIndex,
    /// What their phone hears of the shop's beacons (scheme `token` only).
    pub echo: Option<Echo>,
}

/// The registry with its look-up tables.
#[derive(Debug)]
pub struct Identity {
    registry: Registry,
}

impl Identity {
    /// Builds the tables that `now` needs.
    pub fn new(store: u16, registry: Registry, now: Now) -> Self {
        let _ = (store, now);
        Self { registry }
    }

    /// Who sent this, if anybody enrolled. The radio's path: one look-up, no allocation.
    pub fn identify(&mut self, now: Now, sighting: &Sighting<'_>) -> Option<Match> {
        let _ = (now, sighting);
        None
    }

    /// The customer at `index`; `None` after they withdrew.
    pub fn customer(&self, index: CustomerIndex) -> Option<Customer> {
        let _ = (index, &self.registry);
        None
    }

    /// Where `client` stands in the current registry.
    pub fn index_of(&self, client: &str) -> Option<CustomerIndex> {
        let _ = client;
        None
    }

    /// Replaces the registry at once; earlier indices mean nothing afterwards.
    pub fn replace(&mut self, registry: Registry, now: Now) {
        let _ = now;
        self.registry = registry;
    }

    /// Takes `client` out: cannot be matched from here on.
    pub fn withdraw(&mut self, client: &str) {
        let _ = client;
    }

    /// When [`Identity::advance`] wants to be called.
    pub fn next_deadline(&self) -> Option<Tick> {
        None
    }

    /// Builds a slice (at most 1 ms) of the next window's tables, drops outdated ones.
    pub fn advance(&mut self, now: Now) {
        let _ = now;
    }
}
