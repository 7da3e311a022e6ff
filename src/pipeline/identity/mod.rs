//! From an advertisement to an enrolled customer: the registry and its look-up tables.
//!
//! An advertisement costs one table look-up, independent of the number of customers. Tables of
//! rotating identifiers are built ahead of time, in slices of less than 1 ms that
//! [`Identity::advance`] does between advertisements, so that a registry of a million customers
//! does not delay the radio.
//!
//! Invariant: no data of devices that are not enrolled is kept, except addresses that were tried
//! against `irk` keys; they are deleted within the hour (see [`irk`]).

pub mod beacon;
pub mod clones;
mod compact_hash_table;
pub mod customer;
mod customer_table;
pub mod eid;
pub mod enrolment;
mod gatt_sessions;
mod index_table;
pub mod irk;
pub mod key;
mod loader;
pub mod phone_model;
pub mod registry;
mod rpa_cache;
pub mod token;
pub mod window;
mod window_tables;

pub use customer::{Agreement, Customer, CustomerIndex, Match, Quiet};
pub use enrolment::{Consent, Credential, EidCard, Enrolment};
pub use loader::{LineError, Loader, Reason, Report, Skipped, TooManyIrks};
pub use phone_model::PhoneModel;
pub use registry::Registry;

use std::time::Duration;

use subtle::ConstantTimeEq;

use super::advert::beacon::Section;
use super::advert::structure::Structures;
use super::advert::token::Token;
use super::advert::{self, Echo, Identifier};
use super::units::{Clock, Dbm, Now, Tick, WallTime};
use crate::pipeline::address::Address;
use crate::pipeline::sighting::Sighting;
use customer::Sender;
use gatt_sessions::GattSessionCache;
use key::Message;
use window_tables::Priority;

/// Interval between two slices that are built ahead: for a million customers all slices take 100 s
/// of 600.
const PACE: Duration = Duration::from_millis(20);

/// Delay before the next urgent slice: other inputs come first.
const SOON: Duration = Duration::from_micros(1);

/// The registry with its look-up tables.
#[derive(Debug)]
pub struct Identity {
    registry: Registry,
    /// The wall clock at the last plan.
    planned: Clock,
    /// The plan holds until then, unless the clock is stepped.
    replan_at: WallTime,
    due: Option<Tick>,
    gatt_sessions: GattSessionCache,
    /// Registries that were replaced, until they are wiped.
    retired: Vec<Registry>,
}

impl Identity {
    /// Builds the tables that `now` needs, unless the registry has them.
    pub fn new(_store: u16, mut registry: Registry, now: Now) -> Self {
        registry.prepare(now.clock);
        let (planned, replan_at) = plan_of(now.clock);
        let gatt_sessions = GattSessionCache::default();
        let retired = Vec::new();
        let mut identity = Self { registry, planned, replan_at, due: None, gatt_sessions, retired };
        identity.schedule(now);
        identity
    }

    /// The enrolled customer who sent this, if any. On the radio's path: one look-up, no allocation.
    #[inline]
    pub fn identify(&mut self, now: Now, sighting: &Sighting<'_>) -> Option<Match> {
        if self.is_outdated(now.clock) {
            self.due = Some(now.tick.plus(SOON));
        }
        if self.registry.has_expired(now.clock) {
            return None;
        }
        let mut newest = None;
        for structure in Structures::new(sighting.payload) {
            let Some(section) = Section::of(structure) else {
                newest = advert::token_in(structure).or(newest);
                continue;
            };
            if let Some(said) = advert::identifier_in_section(section)
                && let Some(found) = self.recognise(&said, now.clock)
            {
                return self.admitted(found, now.clock);
            }
        }
        // A merged advertisement lists a phone's earlier tokens first.
        if let Some((token, echo)) = newest
            && let Some(found) = self.who_says(&token, echo, now.clock)
        {
            return self.admitted(found, now.clock);
        }
        if let Some(found) = self.recall(sighting.address, now) {
            return Some(found);
        }
        self.resolve(sighting.address, now)
    }

    /// Whether an answer to a challenge over GATT (version, echo, token and proof) is a customer's:
    /// the token counts now, and the proof shows that it is not a copy.
    pub fn check_answer(&self, now: Now, nonce: &[u8; 16], answer: &[u8; 21]) -> Option<Match> {
        let [advert::token::VERSION, echo, rest @ ..] = answer else { return None };
        if self.registry.has_expired(now.clock) {
            return None;
        }
        let (token, proof) = rest.split_first_chunk::<11>()?;
        let tokens = &self.registry.tokens;
        let (credential, window) = tokens.credentials.find(token, now.clock)?;
        let message = Message::challenge(nonce, *echo, token);
        let tag = tokens.credentials.midstates(credential, window)?.tag(&message);
        if !bool::from(tag.get(..proof.len())?.ct_eq(proof)) {
            return None;
        }
        let customer = CustomerIndex(tokens.owners.of(credential)?);
        let found = Match::new(customer, Sender::Phone).with_echo(Some(Echo::from_byte(*echo)));
        self.admitted(found, now.clock)
    }

    /// Checks an answer, and remembers the phone's address for as long as the phone uses it.
    pub fn accept_answer(
        &mut self,
        now: Now,
        address: Address,
        nonce: &[u8; 16],
        answer: &[u8; 21],
    ) -> Option<Match> {
        let found = self.check_answer(now, nonce, answer)?;
        self.gatt_sessions.add(address, found.customer, now.tick);
        Some(found)
    }

    /// The match and its RSSI as if an average phone had sent it; unchanged where the phone's model is
    /// not known, or no phone sent it.
    pub fn as_average(&self, found: Match, rssi: Option<Dbm>) -> (Match, Option<Dbm>) {
        if found.sender != Sender::Phone {
            return (found, rssi);
        }
        let model = self.registry.customers.phone(found.customer.0);
        let echo = found.echo.map(|echo| model.average_echo(echo));
        (found.with_echo(echo), rssi.map(|rssi| model.average_rssi(rssi)))
    }

    /// Whether the registry says how loud the model of the customer's phone is. A contact of another
    /// gateway counts as the phone's.
    pub fn knows_model(&self, found: &Match) -> bool {
        matches!(found.sender, Sender::Phone | Sender::Unknown)
            && self.registry.customers.phone(found.customer.0) != PhoneModel::default()
    }

    /// The customer at `index`; `None` after they withdrew.
    pub fn customer(&self, index: CustomerIndex) -> Option<Customer> {
        self.registry.customers.customer(index)
    }

    /// What the customer at `index` agreed to; `None` after they withdrew.
    pub fn agreement(&self, index: CustomerIndex, clock: Clock) -> Option<Agreement<'_>> {
        self.registry.customers.agreement(index.0, clock.reading())
    }

    /// The customer whose app advertises `token` now.
    pub fn who_proves(&self, token: &Token, clock: Clock) -> Option<CustomerIndex> {
        let found = self.who_says(token, Echo::from_byte(0), clock)?;
        self.admitted(found, clock).map(|found| found.customer)
    }

    /// The index of `client` in the current registry.
    pub fn index_of(&self, client: &str) -> Option<CustomerIndex> {
        let customers = &self.registry.customers;
        customers.position(client).filter(|at| customers.is_present(*at)).map(CustomerIndex)
    }

    /// Replaces the registry at once; earlier indices are invalid afterwards.
    pub fn replace(&mut self, registry: Registry, now: Now) {
        let retired = std::mem::replace(&mut self.registry, registry);
        self.recall_clocks(&retired);
        let customers = &self.registry.customers;
        self.gatt_sessions.moved(|was| {
            let client = retired.customers.customer(was)?.client;
            customers.position(&client).map(CustomerIndex)
        });
        self.retired.push(retired);
        self.plan(now);
    }

    /// Removes `client`, who cannot be matched from here on.
    pub fn withdraw(&mut self, client: &str) {
        if let Some(at) = self.registry.customers.position(client) {
            self.registry.remove(at);
        }
    }

    /// The next time to call [`Identity::advance`].
    pub fn next_deadline(&self) -> Option<Tick> {
        self.due
    }

    /// Builds a slice (at most 1 ms) of the next window's tables, and drops outdated ones.
    pub fn advance(&mut self, now: Now) {
        if self.is_outdated(now.clock) {
            self.registry.irks.credentials.forget_unheard(now.tick);
            self.plan(now);
        } else if self.registry.irks.credentials.priority() == Priority::Now {
            self.registry.irks.credentials.work(now.tick);
        } else if self.registry.work(now.clock) == Priority::None {
            self.wipe_retired();
        }
        self.schedule(now);
    }

    /// The registry in force.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    #[inline]
    fn who_says(&self, token: &Token, echo: Echo, clock: Clock) -> Option<Match> {
        let tokens = &self.registry.tokens;
        let (credential, _) = tokens.credentials.find(token, clock)?;
        let customer = CustomerIndex(tokens.owners.of(credential)?);
        Some(Match::new(customer, Sender::Phone).with_echo(Some(echo)))
    }

    #[inline]
    fn recognise(&mut self, said: &Identifier, clock: Clock) -> Option<Match> {
        let registry = &mut self.registry;
        let customer = match *said {
            Identifier::Eid(eid) => {
                let card = registry.eids.credentials.find(eid, clock)?;
                let customer = CustomerIndex(registry.eids.owners.of(card)?);
                return Some(Match::new(customer, Sender::Card));
            }
            Identifier::Beacon { identity, .. } => {
                let card = registry.beacons.credentials.find(&identity?)?;
                registry.beacons.owners.of(card)?
            }
            // Tokens are looked up elsewhere; a hint identifies no customer.
            Identifier::Token { .. } | Identifier::OverflowHint => return None,
        };
        Some(Match::new(CustomerIndex(customer), Sender::FixedCard))
    }

    /// A phone that answered a challenge, as long as it keeps its address. The content of its
    /// advertisement does not matter: `BlueZ` reports no new service UUIDs of a phone whose GATT
    /// services it knows, so the token of an app that comes to the foreground then is not received.
    fn recall(&mut self, address: Address, now: Now) -> Option<Match> {
        let customer = self.gatt_sessions.who(address, now.tick)?;
        self.admitted(Match::new(customer, Sender::Phone), now.clock)
    }

    #[inline]
    fn resolve(&mut self, address: Address, now: Now) -> Option<Match> {
        let irks = &mut self.registry.irks;
        let found = irks.credentials.find(address, now.tick);
        if irks.credentials.priority() == Priority::Now {
            self.due = Some(now.tick.plus(SOON));
        }
        let customer = CustomerIndex(irks.owners.of(found?)?);
        self.admitted(Match::new(customer, Sender::Phone), now.clock)
    }

    /// `None` for customers who withdrew, or whose consent has ended since the registry was loaded.
    fn admitted(&self, found: Match, clock: Clock) -> Option<Match> {
        self.registry.customers.is_admitted(found.customer.0, clock.known()).then_some(found)
    }

    /// Whether the clock left the time that the tables were planned for, or was stepped.
    fn is_outdated(&self, clock: Clock) -> bool {
        let set = |clock: &Clock| matches!(clock, Clock::Set(_));
        let reading = clock.reading();
        reading < self.planned.reading()
            || reading >= self.replan_at
            || set(&clock) != set(&self.planned)
    }

    fn plan(&mut self, now: Now) {
        self.registry.plan(now.clock);
        (self.planned, self.replan_at) = plan_of(now.clock);
        self.schedule(now);
    }

    fn schedule(&mut self, now: Now) {
        let irks = self.registry.irks.credentials.priority();
        let mut priority = self.registry.priority(now.clock).max(irks);
        if !self.retired.is_empty() {
            priority = priority.max(Priority::Ahead);
        }
        self.due = match priority {
            Priority::Now => Some(now.tick.plus(SOON)),
            Priority::Ahead => Some(now.tick.plus(PACE)),
            Priority::None if self.registry.ages() => {
                let left = self.replan_at.unix_millis() - now.clock.reading().unix_millis();
                Some(now.tick.plus(Duration::from_millis(left.max(0).unsigned_abs())))
            }
            Priority::None => None,
        };
    }

    /// The clock offsets learned from received cards apply to the new registry too, unless head
    /// office has measured the offset again.
    fn recall_clocks(&mut self, before: &Registry) {
        for (card, learned) in before.eids.credentials.learned() {
            let given = before.eids.credentials.given_offset_s(card);
            let customer = before.eids.owners.of(card).map(CustomerIndex);
            let client = customer.and_then(|index| before.customers.customer(index));
            let Some(at) = client.and_then(|c| self.registry.customers.position(&c.client)) else {
                continue;
            };
            for card in self.registry.eids.owners.credentials_of(at) {
                if self.registry.eids.credentials.given_offset_s(card) == given {
                    self.registry.eids.credentials.recall(card, learned);
                }
            }
        }
    }

    fn wipe_retired(&mut self) {
        if let Some(registry) = self.retired.last_mut()
            && !registry.zeroize_slice()
        {
            self.retired.pop();
        }
    }
}

fn plan_of(clock: Clock) -> (Clock, WallTime) {
    (clock, clock.reading().plus(window::unchanged_for(clock)))
}
