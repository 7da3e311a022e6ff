//! The enrolled customers, in columns: a few dozen octets for each customer, and no heap object.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::enrolment::Enrolment;
use super::index_table::{IndexTable, hash};
use super::phone_model::PhoneModel;
use super::window_tables::zeroize_slice;
use crate::pipeline::card::Card;
use crate::pipeline::identity::customer::{Agreement, Customer, CustomerIndex, Quiet};
use crate::pipeline::units::WallTime;

/// Number of different pairs of language and note that are shared; most customers have neither.
const SHARED_PHRASES: usize = 4096;

/// Longer than a bundle of head office is valid. Consent that ends later needs no check.
const FORESEEN: Duration = Duration::from_hours(72);

/// A card's language and note.
type Phrase = (Option<String>, Option<String>);

#[derive(Debug, Clone, Default)]
pub struct CustomerTable {
    /// Each customer's handle, then their card.
    text: Vec<u8>,
    /// Where each customer's text ends.
    ends: Vec<u32>,
    /// When consent ends, in Unix seconds.
    expires: Vec<u32>,
    /// Index into `tiers`.
    tier: Vec<u16>,
    tiers: Vec<Arc<str>>,
    phrases: Vec<Phrase>,
    /// The wishes of the few customers who have one.
    quiet: BTreeMap<u32, Quiet>,
    /// Each customer's model of phone; shorter than the other columns where the last ones have none.
    phones: Vec<PhoneModel>,
    by_handle: IndexTable,
    /// Withdrawn, or refused after loading: one bit for each customer.
    gone: Vec<u64>,
    /// Gone, or consent ends before `foreseen_until`: one bit for each customer. Other customers
    /// are admitted without reading the other columns, which are in no processor cache.
    doubtful: Vec<u64>,
    foreseen_until: Option<WallTime>,
}

impl CustomerTable {
    /// Number of customers, gone ones included.
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Number of customers who may be matched.
    pub fn present(&self) -> usize {
        self.len() - self.gone.iter().map(|word| word.count_ones() as usize).sum::<usize>()
    }

    /// Approximate size on the heap, in octets.
    pub const fn octets(&self) -> usize {
        self.text.capacity()
            + self.ends.capacity() * 4
            + self.expires.capacity() * 4
            + (self.tier.capacity() + self.phones.capacity()) * 2
            + (self.gone.capacity() + self.doubtful.capacity()) * 8
            + self.by_handle.octets()
    }

    /// Index of the customer with that handle, gone or not.
    pub fn position(&self, handle: &str) -> Option<u32> {
        self.by_handle.find(hash(handle.as_bytes()), |at| {
            self.text_of(at).is_some_and(|text| handle_in(text) == handle.as_bytes())
        })
    }

    /// Whether the customer may be matched at all.
    pub fn is_present(&self, at: u32) -> bool {
        bit(&self.gone, at) == Some(false)
    }

    /// Whether the customer is present and has consent at `now`, if that is known.
    #[inline]
    pub fn is_admitted(&self, at: u32, now: Option<WallTime>) -> bool {
        self.is_undoubted(at, now) || self.is_admitted_in_doubt(at, now)
    }

    /// Whether it is known without a look at the other columns that the customer may be matched
    /// now.
    fn is_undoubted(&self, at: u32, now: Option<WallTime>) -> bool {
        let foreseen = |until| now.is_none_or(|now| now < until);
        self.foreseen_until.is_some_and(foreseen) && bit(&self.doubtful, at) == Some(false)
    }

    #[cold]
    fn is_admitted_in_doubt(&self, at: u32, now: Option<WallTime>) -> bool {
        let goes_on = |end| now.is_none_or(|now| now < end);
        self.is_present(at) && self.expires_at(at).is_some_and(goes_on)
    }

    /// Takes a customer out.
    pub fn remove(&mut self, at: u32) {
        set_bit(&mut self.gone, at);
        set_bit(&mut self.doubtful, at);
        self.quiet.remove(&at);
        if let Some(phone) = self.phones.get_mut(at as usize) {
            *phone = PhoneModel::default();
        }
    }

    /// When the customer's consent ends.
    pub fn expires_at(&self, at: u32) -> Option<WallTime> {
        self.expires.get(at as usize).map(|secs| WallTime::from_unix_secs(i64::from(*secs)))
    }

    /// The agreement of a customer who is not gone.
    pub fn agreement(&self, at: u32, now: WallTime) -> Option<Agreement<'_>> {
        let expires_at = match (self.is_undoubted(at, Some(now)), self.is_present(at)) {
            (true, _) => None,
            (false, true) => Some(self.expires_at(at)?),
            (false, false) => return None,
        };
        Some(Agreement { expires_at, quiet: self.quiet.get(&at) })
    }

    /// The customer's model of phone; the average one where it is not known.
    pub fn phone(&self, at: u32) -> PhoneModel {
        self.phones.get(at as usize).copied().unwrap_or_default()
    }

    /// Everything that may be known of a customer who is not gone.
    pub fn customer(&self, index: CustomerIndex) -> Option<Customer> {
        let at = index.0;
        if !self.is_present(at) {
            return None;
        }
        let text = self.text_of(at)?;
        let tier = self.tiers.get(usize::from(*self.tier.get(at as usize)?))?;
        Some(Customer {
            client: str::from_utf8(handle_in(text)).ok()?.into(),
            tier: Arc::clone(tier),
            card: self.card_in(text).map(Arc::new),
            consent_expires_at: self.expires_at(at)?,
            quiet: self.quiet.get(&at).cloned(),
        })
    }

    fn foresee(&mut self, until: WallTime) {
        self.foreseen_until = Some(until);
        self.doubtful.clone_from(&self.gone);
        for (at, end) in (0..).zip(&self.expires) {
            if WallTime::from_unix_secs(i64::from(*end)) < until {
                set_bit(&mut self.doubtful, at);
            }
        }
    }

    /// Wipes and frees a slice; true while more is left.
    pub fn zeroize_slice(&mut self) -> bool {
        const SLICE: usize = 1 << 16;
        if !self.quiet.is_empty() {
            for _ in 0..SLICE / 64 {
                self.quiet.pop_first();
            }
            return true;
        }
        self.phrases.clear();
        self.phones = Vec::new();
        zeroize_slice(&mut self.text, SLICE)
            || zeroize_slice(&mut self.ends, SLICE / 4)
            || zeroize_slice(&mut self.expires, SLICE / 4)
            || zeroize_slice(&mut self.tier, SLICE / 2)
            || self.by_handle.zeroize_slice(SLICE / 64)
    }

    fn text_of(&self, at: u32) -> Option<&[u8]> {
        let at = at as usize;
        let start = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.text.get(start..*self.ends.get(at)? as usize)
    }

    /// The text after the handle: nothing, or the phrase's number and the name.
    fn card_in(&self, text: &[u8]) -> Option<Card> {
        let card = text.get(1 + handle_in(text).len()..)?;
        let (number, name) = card.split_first_chunk::<2>()?;
        let (language, note) = self.phrases.get(usize::from(u16::from_le_bytes(*number)))?;
        let (name, own_note) = match note {
            Some(_) => (name, None),
            None => split_note(name),
        };
        Some(Card {
            name: str::from_utf8(name).ok()?.to_owned(),
            language: language.clone(),
            note: note.clone().or(own_note),
        })
    }
}

#[inline]
fn bit(bits: &[u64], at: u32) -> Option<bool> {
    bits.get(at as usize / 64).map(|word| word >> (at % 64) & 1 == 1)
}

fn set_bit(bits: &mut [u64], at: u32) {
    if let Some(word) = bits.get_mut(at as usize / 64) {
        *word |= 1 << (at % 64);
    }
}

/// The handle, which follows its length.
fn handle_in(text: &[u8]) -> &[u8] {
    match text.split_first() {
        Some((length, rest)) => rest.get(..usize::from(*length)).unwrap_or_default(),
        None => &[],
    }
}

/// A name, and after a NUL the note that only this customer has.
fn split_note(text: &[u8]) -> (&[u8], Option<String>) {
    match text.iter().position(|octet| *octet == 0) {
        Some(at) => {
            let (name, note) = text.split_at(at);
            let note = note.get(1..).and_then(|note| str::from_utf8(note).ok());
            (name, note.map(str::to_owned))
        }
        None => (text, None),
    }
}

/// Why a customer could not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnrolmentError {
    /// Their handle is known already, with another tier, card, wish or end of consent.
    Contradiction,
    /// More text, tiers or customers than a registry can hold.
    TooMany,
}

/// Adds customers one by one.
#[derive(Debug, Default)]
pub struct CustomerTableBuilder {
    customers: CustomerTable,
    tier_numbers: BTreeMap<Arc<str>, u16>,
    phrase_numbers: BTreeMap<Phrase, u16>,
}

impl CustomerTableBuilder {
    pub const fn customers(&self) -> &CustomerTable {
        &self.customers
    }

    pub const fn customers_mut(&mut self) -> &mut CustomerTable {
        &mut self.customers
    }

    /// Adds the customer of `enrolment`, which has consent. A known customer keeps their index, so
    /// that a phone and a card of theirs are one customer.
    ///
    /// # Errors
    /// The customer contradicts an earlier line, or the table is full.
    pub fn add(&mut self, enrolment: &Enrolment) -> Result<u32, EnrolmentError> {
        let consent = enrolment.consent.as_ref();
        let card = enrolment.card.as_ref().filter(|_| consent.is_some_and(|c| c.show_name));
        let expires = consent.map_or(0, |consent| {
            u32::try_from(consent.expires_at.unix_secs().max(0)).unwrap_or(u32::MAX)
        });
        if let Some(at) = self.customers.position(&enrolment.client) {
            let known = self.customers.customer(CustomerIndex(at));
            let same = known.is_some_and(|known| {
                known.tier.as_ref() == enrolment.tier
                    && known.card.as_deref() == card
                    && known.quiet == enrolment.quiet
                    && known.consent_expires_at == WallTime::from_unix_secs(i64::from(expires))
            });
            if !same {
                return Err(EnrolmentError::Contradiction);
            }
            self.set_phone(at, enrolment.phone);
            return Ok(at);
        }
        let at = u32::try_from(self.customers.len()).map_err(|_| EnrolmentError::TooMany)?;
        let tier = self.tier_number(&enrolment.tier).ok_or(EnrolmentError::TooMany)?;
        self.write_text(enrolment, card)?;
        let customers = &mut self.customers;
        customers.expires.push(expires);
        customers.tier.push(tier);
        if at.is_multiple_of(64) {
            customers.gone.push(0);
        }
        if let Some(quiet) = &enrolment.quiet {
            customers.quiet.insert(at, quiet.clone());
        }
        self.set_phone(at, enrolment.phone);
        self.index(at, &enrolment.client);
        Ok(at)
    }

    /// Of several lines of one customer the last one that names a model counts.
    fn set_phone(&mut self, at: u32, phone: Option<PhoneModel>) {
        let Some(phone) = phone else { return };
        let (phones, at) = (&mut self.customers.phones, at as usize);
        if phones.len() <= at {
            phones.resize(at + 1, PhoneModel::default());
        }
        if let Some(place) = phones.get_mut(at) {
            *place = phone;
        }
    }

    /// Releases spare capacity, and marks the customers whose consent ends soon.
    pub fn finish(mut self, now: WallTime) -> CustomerTable {
        let customers = &mut self.customers;
        customers.foresee(now.plus(FORESEEN));
        customers.text.shrink_to_fit();
        customers.ends.shrink_to_fit();
        customers.expires.shrink_to_fit();
        customers.tier.shrink_to_fit();
        customers.phones.shrink_to_fit();
        customers.gone.shrink_to_fit();
        self.rebuild_index(self.customers.len());
        self.customers
    }

    fn tier_number(&mut self, tier: &str) -> Option<u16> {
        if let Some(number) = self.tier_numbers.get(tier) {
            return Some(*number);
        }
        let number = u16::try_from(self.customers.tiers.len()).ok()?;
        let tier: Arc<str> = tier.into();
        self.customers.tiers.push(Arc::clone(&tier));
        self.tier_numbers.insert(tier, number);
        Some(number)
    }

    fn write_text(
        &mut self,
        enrolment: &Enrolment,
        card: Option<&Card>,
    ) -> Result<(), EnrolmentError> {
        let start = self.customers.text.len();
        let length = u8::try_from(enrolment.client.len()).map_err(|_| EnrolmentError::TooMany)?;
        self.customers.text.push(length);
        self.customers.text.extend_from_slice(enrolment.client.as_bytes());
        if let Some(card) = card {
            let (number, own_note) = self.phrase_number(card);
            self.customers.text.extend_from_slice(&number.to_le_bytes());
            self.customers.text.extend_from_slice(card.name.as_bytes());
            if let Some(note) = own_note {
                self.customers.text.push(0);
                self.customers.text.extend_from_slice(note.as_bytes());
            }
        }
        if let Ok(end) = u32::try_from(self.customers.text.len()) {
            self.customers.ends.push(end);
            return Ok(());
        }
        self.customers.text.truncate(start);
        Err(EnrolmentError::TooMany)
    }

    /// The number of the card's language and note; and the note, where it is not shared.
    fn phrase_number<'a>(&mut self, card: &'a Card) -> (u16, Option<&'a str>) {
        let mut phrase = (card.language.clone(), card.note.clone());
        let mut own_note = None;
        if !self.phrase_numbers.contains_key(&phrase) && self.phrases() >= SHARED_PHRASES {
            phrase.1 = None;
            own_note = card.note.as_deref();
        }
        if let Some(number) = self.phrase_numbers.get(&phrase) {
            return (*number, own_note);
        }
        // Languages alone are few; if a hostile file names 60,000, the last ones share one.
        let number = u16::try_from(self.phrases()).unwrap_or(u16::MAX);
        if number < u16::MAX {
            self.customers.phrases.push(phrase.clone());
            self.phrase_numbers.insert(phrase, number);
        }
        (number, own_note)
    }

    const fn phrases(&self) -> usize {
        self.customers.phrases.len()
    }

    fn index(&mut self, at: u32, handle: &str) {
        let room = self.customers.by_handle.room();
        if at as usize >= room {
            self.rebuild_index((room * 2).max(1024));
        } else {
            self.customers.by_handle.insert(hash(handle.as_bytes()), at);
        }
    }

    fn rebuild_index(&mut self, room: usize) {
        let mut index = IndexTable::with_capacity(room);
        for at in 0..u32::try_from(self.customers.len()).unwrap_or(u32::MAX) {
            if let Some(text) = self.customers.text_of(at) {
                index.insert(hash(handle_in(text)), at);
            }
        }
        self.customers.by_handle = index;
    }
}
