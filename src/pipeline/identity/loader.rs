//! From enrolments to a registry: the customers who may be recognised, and a reason for the others.

use std::collections::BTreeSet;

use thiserror::Error;
use zeroize::Zeroize;

use super::beacon::Beacons;
use super::customer_table::{CustomerTableBuilder, EnrolmentError};
use super::eid::{Cards, Eids};
use super::enrolment::{Consent, Credential, EidCard, Enrolment};
use super::index_table::{IndexTable, hash};
use super::irk::{Irks, MANY_KEYS, MOST_KEYS};
use super::key::Key;
use super::registry::{Owned, Owners, Registry};
use super::token::{DayKeys, NO_KEY, Tokens};
use super::window::{Day, counting, day_of};
use crate::pipeline::advert::BeaconIdentity;
use crate::pipeline::units::{Clock, WallTime};

/// Number of line errors that are kept; further ones are only counted.
const MOST_ERRORS: usize = 1_000;
/// Days that are kept where the clock is not known to be set: as many as a bundle has, and one to
/// spare.
const DAYS_UNSET: usize = 3;

#[derive(Debug)]
pub struct Loader {
    store: u16,
    clock: Clock,
    every_day: bool,
    valid_until: Option<WallTime>,
    made_at: Option<WallTime>,
    withdrawn: BTreeSet<String>,
    enrolling: CustomerTableBuilder,
    tokens: Collected<DayKeys>,
    eids: Collected<Cards>,
    beacons: Collected<Vec<BeaconIdentity>>,
    irks: Collected<Vec<Key>>,
    report: Report,
}

/// Credentials of one scheme, with their owners and line numbers.
#[derive(Debug, Default)]
struct Collected<T> {
    credentials: T,
    owners: Owners,
    lines: Vec<u32>,
}

/// What became of the lines of a registry.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Customers who can be matched.
    pub loaded: usize,
    /// Of these, customers without any key for today or tomorrow: not recognised.
    pub outdated: usize,
    pub skipped: Skipped,
    /// Lines that could not be read or contradict others.
    pub refused: usize,
    /// The first `MOST_ERRORS` of these, by line.
    pub refusals: Vec<LineError>,
    /// Keys that every new address is tried against.
    pub irks: usize,
}

/// Lines not loaded because the customer must not be recognised here.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Skipped {
    /// There is no consent.
    pub no_consent: usize,
    /// Consent begins in the future.
    pub not_yet: usize,
    pub expired: usize,
    pub withdrawn: usize,
    /// Consent is for other stores.
    pub other_store: usize,
}

impl Skipped {
    /// The number of all of them together.
    pub const fn total(&self) -> usize {
        self.no_consent + self.not_yet + self.expired + self.withdrawn + self.other_store
    }
}

/// A line that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct LineError {
    /// Counted from 1.
    pub line: u32,
    pub reason: Reason,
}

/// Why a line was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    /// Not a registry line.
    #[error("{0}")]
    Unreadable(String),
    /// Another line has the same secret or identity.
    #[error("the same {scheme} identity as line {other}; both are refused")]
    Duplicate {
        scheme: &'static str,
        /// The number of the other line.
        other: u32,
    },
    /// Another line of the same customer contradicts it.
    #[error("the customer is on an earlier line with another tier, card, wish or expiry")]
    Contradiction,
    /// A key of zeros only.
    #[error("the key is all zeros")]
    ZeroKey,
    /// More customers or credentials than this machine can hold.
    #[error("more customers, tiers or text than a registry can hold")]
    TooMany,
}

/// Too many `irk` keys for the rule on false matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "{keys} irk keys would take one stranger in {odds} for a customer; at most {MOST_KEYS} are \
     allowed"
)]
pub struct TooManyIrks {
    /// Number of `irk` keys.
    pub keys: usize,
    odds: usize,
}

impl Loader {
    /// For the registry of `store`, to be used from `clock` on.
    pub fn new(store: u16, clock: Clock) -> Self {
        Self {
            store,
            clock,
            every_day: false,
            valid_until: None,
            made_at: None,
            withdrawn: BTreeSet::new(),
            enrolling: CustomerTableBuilder::default(),
            tokens: Collected::default(),
            eids: Collected::default(),
            beacons: Collected::default(),
            irks: Collected::default(),
            report: Report::default(),
        }
    }

    /// Keeps every day's keys, for virtual time that runs for days. A gateway keeps today's and
    /// tomorrow's only: more would make it worth stealing.
    #[must_use]
    pub fn keeping_every_day(mut self) -> Self {
        self.every_day = true;
        self
    }

    /// From `end` on no customer is recognised.
    #[must_use]
    pub const fn valid_until(mut self, end: WallTime) -> Self {
        self.valid_until = Some(end);
        self
    }

    /// When the registry was made: the current time is no earlier.
    #[must_use]
    pub const fn made_at(mut self, made_at: WallTime) -> Self {
        self.made_at = Some(made_at);
        self
    }

    /// Leaves out customers who withdrew, even if the registry lists them.
    #[must_use]
    pub fn without(mut self, withdrawn: BTreeSet<String>) -> Self {
        self.withdrawn = withdrawn;
        self
    }

    /// Notes a line that could not be read.
    pub fn refuse(&mut self, line: u32, reason: Reason) {
        self.report.refuse(line, reason);
    }

    /// Adds the customer and credential of `enrolment`.
    pub fn enrol(&mut self, line: u32, enrolment: &Enrolment) {
        if !self.may_load(enrolment) {
            return;
        }
        if has_zero_key(&enrolment.credential) {
            return self.refuse(line, Reason::ZeroKey);
        }
        match self.enrolling.add(enrolment) {
            Ok(owner) => self.keep(line, owner, &enrolment.credential),
            Err(EnrolmentError::Contradiction) => self.refuse(line, Reason::Contradiction),
            Err(EnrolmentError::TooMany) => self.refuse(line, Reason::TooMany),
        }
    }

    /// The registry with its tables built, and what became of the lines.
    ///
    /// # Errors
    /// There are more `irk` keys than the rule on false matches allows.
    pub fn finish(mut self) -> Result<(Registry, Report), TooManyIrks> {
        self.refuse_duplicates();
        let keys = self.irks.credentials.len();
        if keys > MOST_KEYS {
            return Err(TooManyIrks { keys, odds: (1 << 24) / keys });
        }
        let ciphers = self.irks.credentials.iter().map(Irks::expanded).collect();
        let customers = self.enrolling.finish(self.clock.reading());
        let mut registry = Registry {
            valid_until: self.valid_until,
            enrolled: customers.present(),
            customers,
            tokens: self.tokens.owned(Tokens::new),
            eids: self.eids.owned(Eids::new),
            beacons: self.beacons.owned(Beacons::new),
            irks: Owned { credentials: Irks::new(ciphers), owners: self.irks.owners },
        };
        registry.prepare(self.clock);
        self.report.loaded = registry.len();
        self.report.irks = keys;
        Ok((registry, self.report))
    }

    fn may_load(&mut self, enrolment: &Enrolment) -> bool {
        let skipped = &mut self.report.skipped;
        let now = self.clock.reading();
        // A clock that is not set may be late, but the registry was made before now.
        let latest = self.made_at.filter(|_| self.clock.known().is_none()).unwrap_or(now).max(now);
        let expired = |consent: &Consent| consent.expires_at <= now;
        let not_yet = |consent: &Consent| consent.given_at.is_some_and(|given| given > latest);
        let elsewhere = |consent: &Consent| {
            consent.stores.as_ref().is_some_and(|stores| !stores.contains(&self.store))
        };
        let counted = match &enrolment.consent {
            None => &mut skipped.no_consent,
            Some(consent) if consent.withdrawn => &mut skipped.withdrawn,
            Some(_) if self.withdrawn.contains(&enrolment.client) => &mut skipped.withdrawn,
            Some(consent) if not_yet(consent) => &mut skipped.not_yet,
            Some(consent) if expired(consent) => &mut skipped.expired,
            Some(consent) if elsewhere(consent) => &mut skipped.other_store,
            Some(_) => return true,
        };
        *counted += 1;
        false
    }

    fn keep(&mut self, line: u32, owner: u32, credential: &Credential) {
        let (owners, lines) = match credential {
            Credential::Token(days) => {
                let days: Vec<_> =
                    days.iter().filter(|(day, _)| self.keeps_day(*day)).cloned().collect();
                self.report.outdated += usize::from(days.is_empty());
                self.tokens.credentials.push(&days);
                (&mut self.tokens.owners, &mut self.tokens.lines)
            }
            Credential::Eid(card) => {
                let card = self.as_of_today(card);
                self.report.outdated += usize::from(card.keys.is_empty());
                self.eids.credentials.push(&card, today(self.clock));
                (&mut self.eids.owners, &mut self.eids.lines)
            }
            Credential::Beacon(identity) => {
                self.beacons.credentials.push(*identity);
                (&mut self.beacons.owners, &mut self.beacons.lines)
            }
            Credential::Irk(key) => {
                self.irks.credentials.push(key.clone());
                (&mut self.irks.owners, &mut self.irks.lines)
            }
        };
        owners.push(owner);
        lines.push(line);
    }

    fn keeps_day(&self, day: Day) -> bool {
        if self.every_day {
            return true;
        }
        let first = day_of(*counting(self.clock).start());
        match self.clock {
            Clock::Set(_) => (first..=today(self.clock) + 1).contains(&day),
            Clock::Unset(_) => {
                let mut known = self.tokens.credentials.days();
                day >= first
                    && (self.tokens.credentials.days().count() < DAYS_UNSET
                        || known.any(|own| own == day))
            }
        }
    }

    /// The card with its clock's offset in the right sign, and the keys that will be needed.
    ///
    /// Some tools write the offset as Unix time less the card's clock. The keys show which one is
    /// meant: each names the top half of the clock that it is for.
    fn as_of_today(&self, card: &EidCard) -> EidCard {
        /// Six periods of the slowest rotation.
        const MARGIN_S: i64 = 6 << 15;
        const DAY_S: i64 = 86_400;
        let now = self.clock.reading().unix_secs();
        let tops = |offset: i64| {
            let top = |time: i64| time.saturating_add(offset) >> 16;
            let until = today_ends(self.clock) + DAY_S + MARGIN_S;
            top(now.saturating_sub(MARGIN_S))..=top(until)
        };
        let covered = |offset| {
            let tops = tops(offset);
            card.keys.iter().filter(|(top, _)| tops.contains(&i64::from(*top))).count()
        };
        let mut card = card.clone();
        if let Some(reverse) = card.offset_s.checked_neg()
            && covered(card.offset_s) == 0
            && covered(reverse) > 0
        {
            card.offset_s = reverse;
        }
        if !self.every_day && matches!(self.clock, Clock::Set(_)) {
            let tops = tops(card.offset_s);
            card.keys.retain(|(top, _)| tops.contains(&i64::from(*top)));
        }
        card
    }

    /// Refuses credentials that are on two lines, and customers who have none left.
    fn refuse_duplicates(&mut self) {
        let report = &mut self.report;
        let tokens = self.tokens.refuse(&same_tokens(&self.tokens.credentials), "token", report);
        let eids = self.eids.refuse(&same_cards(&self.eids.credentials), "eid", report);
        let beacons =
            self.beacons.refuse(&same_beacons(&self.beacons.credentials), "beacon", report);
        let irks = self.irks.refuse(&same_irks(&self.irks.credentials), "irk", report);
        if [&tokens, &eids, &beacons, &irks].iter().all(|refused| refused.is_empty()) {
            return;
        }
        let mut left = vec![0_u32; self.enrolling.customers().len()];
        self.tokens.count(&tokens, &mut left);
        self.eids.count(&eids, &mut left);
        self.beacons.count(&beacons, &mut left);
        self.irks.count(&irks, &mut left);
        for (at, _) in (0..).zip(left).filter(|(_, left)| *left == 0) {
            self.enrolling.customers_mut().remove(at);
        }
        for at in tokens {
            self.tokens.credentials.remove(at);
        }
        for at in eids {
            self.eids.credentials.remove(at);
        }
        for at in beacons {
            if let Some(identity) = self.beacons.credentials.get_mut(at as usize) {
                *identity = BeaconIdentity::NONE;
            }
        }
        for at in irks {
            if let Some(key) = self.irks.credentials.get_mut(at as usize) {
                key.zeroize();
            }
        }
    }
}

impl<T> Collected<T> {
    fn owned<U>(self, tables: impl FnOnce(T) -> U) -> Owned<U> {
        Owned { credentials: tables(self.credentials), owners: self.owners }
    }

    /// Reports both lines of each pair; returns the credentials on them.
    fn refuse(&self, pairs: &[Pair], scheme: &'static str, report: &mut Report) -> BTreeSet<u32> {
        let line = |at: u32| self.lines.get(at as usize).copied().unwrap_or_default();
        let mut refused = BTreeSet::new();
        for (earlier, later) in pairs {
            for (at, other) in [(*earlier, *later), (*later, *earlier)] {
                if refused.insert(at) {
                    report.refuse(line(at), Reason::Duplicate { scheme, other: line(other) });
                }
            }
        }
        refused
    }

    /// Counts each customer's credentials that were not refused.
    fn count(&self, refused: &BTreeSet<u32>, left: &mut [u32]) {
        let count = u32::try_from(self.lines.len()).unwrap_or(u32::MAX);
        for owner in
            (0..count).filter(|at| !refused.contains(at)).filter_map(|at| self.owners.of(at))
        {
            if let Some(left) = left.get_mut(owner as usize) {
                *left += 1;
            }
        }
    }
}

impl Report {
    fn refuse(&mut self, line: u32, reason: Reason) {
        self.refused += 1;
        if self.refusals.len() < MOST_ERRORS {
            let at = self.refusals.partition_point(|refusal| refusal.line <= line);
            self.refusals.insert(at, LineError { line, reason });
        }
    }

    /// Warnings for head office about a registry that is valid.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.irks > MANY_KEYS {
            let odds = (1 << 24) / self.irks;
            let irks = self.irks;
            warnings.push(format!("{irks} irk keys take one stranger in {odds} for a customer"));
        }
        if self.outdated > 0 {
            let outdated = self.outdated;
            warnings.push(format!("{outdated} customers have no key for today or tomorrow"));
        }
        warnings
    }
}

fn today(clock: Clock) -> Day {
    u32::try_from(clock.reading().unix_secs().div_euclid(86_400)).unwrap_or(0)
}

fn today_ends(clock: Clock) -> i64 {
    (i64::from(today(clock)) + 1) * 86_400
}

fn has_zero_key(credential: &Credential) -> bool {
    let zero = |key: &Key| key.0 == NO_KEY;
    match credential {
        Credential::Token(days) => days.iter().any(|(_, key)| zero(key)),
        Credential::Eid(card) => card.keys.iter().any(|(_, key)| zero(key)),
        Credential::Irk(key) => zero(key),
        Credential::Beacon(_) => false,
    }
}

/// Two credentials that are the same, the earlier one first.
type Pair = (u32, u32);

/// Pairs among `len` credentials whose `key` is the same.
fn same<'a>(len: usize, key: impl Fn(u32) -> Option<&'a [u8]>) -> Vec<Pair> {
    let mut seen = IndexTable::with_capacity(len);
    let mut pairs = Vec::new();
    for at in 0..u32::try_from(len).unwrap_or(u32::MAX) {
        let Some(own) = key(at) else { continue };
        let hash = hash(own);
        match seen.find(hash, |other| key(other) == Some(own)) {
            Some(earlier) => pairs.push((earlier, at)),
            None => _ = seen.insert(hash, at),
        }
    }
    pairs
}

fn same_tokens(keys: &DayKeys) -> Vec<Pair> {
    let of_day = |day| same(keys.count(), move |at| keys.key(day, at).map(<[u8; 16]>::as_slice));
    keys.days().flat_map(of_day).collect()
}

fn same_beacons(identities: &[BeaconIdentity]) -> Vec<Pair> {
    same(identities.len(), |at| identities.get(at as usize).map(|it| it.octets().as_slice()))
}

fn same_irks(keys: &[Key]) -> Vec<Pair> {
    same(keys.len(), |at| keys.get(at as usize).map(|key| key.0.as_slice()))
}

/// Cards that share a temporary key have the same identities, now or later.
fn same_cards(cards: &Cards) -> Vec<Pair> {
    let keys = cards.all_keys();
    let pairs = same(keys.len(), |at| keys.get(at as usize).map(|(_, key)| key.as_slice()));
    let card = |at: u32| keys.get(at as usize).map(|(card, _)| *card);
    let of_two_cards = pairs.into_iter().filter_map(|(a, b)| Some((card(a)?, card(b)?)));
    of_two_cards.filter(|(a, b)| a != b).collect()
}
