//! Scheme `eid`: cards with Eddystone-EID, each with a clock of its own.
//!
//! A card's identity is recomputed on every hit and compared whole, for the periods that its clock
//! may be in now. The table only says which card to try.

use std::collections::BTreeMap;

use aes::Aes128Enc;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::enrolment::EidCard;
use super::index_table::IndexTable;
use super::key::put;
use super::window::{Day, WINDOW_MS, Window, opens_at};
use super::window_tables::{Priority, Table, WindowTables, zeroize_slice};
use crate::pipeline::units::{Clock, WallTime};

/// Identities in a slice.
const SLICE: usize = 200;
/// Buckets laid out, or entries freed, in a slice.
const LAY_OUT: usize = 2048;
const SHRED: usize = 4096;
/// Periods accepted on either side: a card drifts up to 150 ppm, 13 s a day.
const REACH: i64 = 1;
/// Periods accepted on either side of a card that was not received for [`LONG_UNHEARD`] days.
const FAR_REACH: i64 = 6;
/// In days.
const LONG_UNHEARD: u32 = 30;
/// Seconds in a window.
const WINDOW_S: i64 = WINDOW_MS / 1000;
/// Number of rotation exponents.
const EXPONENTS: usize = 16;

/// A card's temporary key, for the 65,536 s in which the top half of its clock is the same.
pub fn temporary_key(identity_key: &[u8; 16], top: u16) -> [u8; 16] {
    let [high, low] = top.to_be_bytes();
    let block = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, high, low];
    encrypt(&Aes128Enc::new(identity_key.into()), block)
}

/// The identity of a card in the rotation period that begins at `start` (a multiple of 2^k) of its
/// clock.
pub fn identity(temporary_key: &[u8; 16], k: u8, start: u32) -> [u8; 8] {
    let mut block = [0; 16];
    put(&mut block, &[&[0; 11], &[k], &start.to_be_bytes()]);
    let [first @ .., _, _, _, _, _, _, _, _] =
        encrypt(&Aes128Enc::new(temporary_key.into()), block);
    first
}

fn encrypt(cipher: &Aes128Enc, block: [u8; 16]) -> [u8; 16] {
    let mut block = block.into();
    cipher.encrypt_block(&mut block);
    block.into()
}

/// All `eid` credentials of the registry, and the tables of the windows that count.
#[derive(Debug, Default)]
pub struct Eids {
    cards: Cards,
    tables: WindowTables<EidTable>,
}

/// The cards, in columns.
#[derive(Debug, Default)]
pub struct Cards {
    k: Vec<u8>,
    offset_s: Vec<i64>,
    /// The day on which each offset was last known to be right.
    known_on: Vec<u16>,
    /// Where each card's keys end in the column of keys.
    key_ends: Vec<u32>,
    keys: Vec<[u8; 16]>,
    /// The top half of the card's clock that each key is for.
    tops: Vec<u16>,
    /// Number of cards by exponent and day, for the size of the tables.
    census: BTreeMap<(u8, u16), usize>,
    learned: BTreeMap<u32, Learned>,
}

/// The clock offset learned from a received card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learned {
    /// The card's clock less Unix time.
    pub offset_s: i64,
    /// The day of its last advertisement.
    pub day: u16,
}

impl Drop for Cards {
    fn drop(&mut self) {
        self.keys.iter_mut().for_each(Zeroize::zeroize);
    }
}

impl Cards {
    /// How many there are.
    pub const fn count(&self) -> usize {
        self.k.len()
    }

    /// Adds a card, whose offset counts as right on `today` unless head office says when it was.
    pub fn push(&mut self, card: &EidCard, today: Day) {
        let known_on = card.offset_at.map_or(today, |at| day(at).min(today));
        let known_on = u16::try_from(known_on).unwrap_or(u16::MAX);
        for (top, key) in &card.keys {
            self.keys.push(key.0);
            self.tops.push(*top);
        }
        self.k.push(card.k);
        self.offset_s.push(card.offset_s);
        self.known_on.push(known_on);
        self.key_ends.push(u32::try_from(self.keys.len()).unwrap_or(u32::MAX));
        *self.census.entry((card.k, known_on)).or_default() += 1;
    }

    /// The key for a moment of the card's clock.
    pub fn key(&self, at: u32, top: u16) -> Option<&[u8; 16]> {
        let range = self.range_of(at)?;
        let tops = self.tops.get(range.clone())?;
        self.keys.get(range)?.get(tops.iter().position(|own| *own == top)?)
    }

    /// Every key, with the card it belongs to.
    pub fn all_keys(&self) -> Vec<(u32, &[u8; 16])> {
        let cards = 0..u32::try_from(self.count()).unwrap_or(u32::MAX);
        let of = |card| {
            let range = self.range_of(card).unwrap_or_default();
            self.keys.get(range).unwrap_or_default().iter().map(move |key| (card, key))
        };
        cards.flat_map(of).collect()
    }

    pub fn k(&self, at: u32) -> Option<u8> {
        self.k.get(at as usize).copied()
    }

    /// Wipes a card's keys.
    pub fn remove(&mut self, at: u32) {
        if let Some(keys) = self.range_of(at).and_then(|range| self.keys.get_mut(range)) {
            keys.iter_mut().for_each(Zeroize::zeroize);
        }
        self.learned.remove(&at);
    }

    fn range_of(&self, at: u32) -> Option<std::ops::Range<usize>> {
        let end = *self.key_ends.get(at as usize)? as usize;
        let start = match at.checked_sub(1) {
            Some(before) => *self.key_ends.get(before as usize)? as usize,
            None => 0,
        };
        Some(start..end)
    }

    fn offset_s(&self, at: u32) -> Option<i64> {
        let learned = self.learned.get(&at).map(|learned| learned.offset_s);
        learned.or_else(|| self.offset_s.get(at as usize).copied())
    }

    fn reach(&self, at: u32, today: Day) -> i64 {
        let learned = self.learned.get(&at).map(|learned| learned.day);
        let known_on = learned.or_else(|| self.known_on.get(at as usize).copied());
        reach_on(known_on.unwrap_or(0), today)
    }

    /// The periods that a card may be in from `from` to `until` (Unix seconds), with its drift.
    fn periods(&self, at: u32, from: i64, until: i64) -> Option<std::ops::RangeInclusive<i64>> {
        let (k, offset) = (self.k(at)?, self.offset_s(at)?);
        let reach = self.reach(at, day(WallTime::from_unix_secs(until)));
        let period = |time: i64| time.saturating_add(offset) >> k;
        Some(period(from) - reach..=period(until) + reach)
    }

    /// The identity of a card in a period, if there is a key for it.
    fn says(&self, at: u32, period: i64) -> Option<[u8; 8]> {
        let k = self.k(at)?;
        let start = u32::try_from(period.checked_shl(u32::from(k))?).ok()?;
        let [high, low, ..] = start.to_be_bytes();
        let key = self.key(at, u16::from_be_bytes([high, low])).filter(|key| **key != [0; 16])?;
        Some(identity(key, k, start))
    }

    /// Moves a card's clock as little as possible, so that it is in `period` now.
    fn learn(&mut self, at: u32, period: i64, now: WallTime) -> Option<()> {
        let (k, offset) = (self.k(at)?, self.offset_s(at)?);
        let shown = now.unix_secs().saturating_add(offset);
        let start = period.checked_shl(u32::from(k))?;
        let heard = shown.clamp(start, start + (1 << k) - 1);
        let day = u16::try_from(day(now)).unwrap_or(u16::MAX);
        self.learned.insert(at, Learned { offset_s: offset + heard - shown, day });
        Some(())
    }

    /// How many identities the table of a window must hold.
    fn identities(&self, window: Window, slack: i64) -> usize {
        let closes = opens_at(window).unix_secs() + WINDOW_S + slack;
        let today = day(WallTime::from_unix_secs(closes));
        let span = WINDOW_S + 2 * slack;
        let of = |(&(k, known_on), cards): (&(u8, u16), &usize)| {
            let periods = (span >> k) + 2 + 2 * reach_on(known_on, today);
            usize::try_from(periods).unwrap_or(0) * cards
        };
        self.census.iter().map(of).sum()
    }
}

fn day(time: WallTime) -> Day {
    u32::try_from(time.unix_secs().div_euclid(86_400)).unwrap_or(0)
}

fn reach_on(known_on: u16, today: Day) -> i64 {
    if today.saturating_sub(u32::from(known_on)) >= LONG_UNHEARD { FAR_REACH } else { REACH }
}

/// How far off this gateway's clock may be, in seconds.
const fn slack(clock: Clock) -> i64 {
    match clock {
        Clock::Set(_) => 0,
        Clock::Unset(_) => WINDOW_S,
    }
}

impl Eids {
    /// The given cards, without any table yet.
    pub fn new(cards: Cards) -> Self {
        Self { cards, tables: WindowTables::default() }
    }

    /// The card whose identity is `eid` now. Learns the card's clock offset where our clock is
    /// known to be set.
    pub fn find(&mut self, eid: [u8; 8], clock: Clock) -> Option<u32> {
        let (now, slack) = (clock.reading(), slack(clock));
        let (from, until) = (now.unix_secs() - slack, now.unix_secs() + slack);
        let cards = &self.cards;
        let mut heard = None;
        let is = |at: u32| {
            let periods = cards.periods(at, from, until).into_iter().flatten();
            heard = periods
                .into_iter()
                .find(|period| cards.says(at, *period).is_some_and(|own| own.ct_eq(&eid).into()));
            heard.is_some()
        };
        let window = super::window::window_at(now);
        let table = self.tables.tables().find(|table| table.window == window)?;
        let card = table.find(eid, is)?;
        if clock.known().is_some() {
            self.learn(card, heard?, now);
        }
        Some(card)
    }

    /// After a card's clock offset changed, some of its identities may be in no table yet.
    fn learn(&mut self, card: u32, period: i64, now: WallTime) {
        let before = self.cards.offset_s(card);
        self.cards.learn(card, period, now);
        if self.cards.offset_s(card) == before {
            return;
        }
        for table in self.tables.tables_mut().filter(|table| table.next > card) {
            table.add(&self.cards, card);
        }
    }

    /// How many cards there are.
    pub const fn count(&self) -> usize {
        self.cards.count()
    }

    /// The clock offsets that were learned.
    pub fn learned(&self) -> impl Iterator<Item = (u32, Learned)> {
        self.cards.learned.iter().map(|(card, learned)| (*card, *learned))
    }

    /// The offset that the registry gives.
    pub fn given_offset_s(&self, card: u32) -> Option<i64> {
        self.cards.offset_s.get(card as usize).copied()
    }

    /// Takes over an offset that was learned before the registry was replaced.
    pub fn recall(&mut self, card: u32, learned: Learned) {
        self.cards.learned.insert(card, learned);
        for table in self.tables.tables_mut().filter(|table| table.next > card) {
            table.add(&self.cards, card);
        }
    }

    /// Octets on the heap, approximately.
    pub fn octets(&self) -> usize {
        self.cards.count() * (1 + 8 + 2 + 4)
            + self.cards.keys.capacity() * 18
            + self.tables.tables().map(|table| table.index.octets()).sum::<usize>()
    }

    /// Wipes a card: it is never found again.
    pub fn remove(&mut self, card: u32) {
        self.cards.remove(card);
    }

    /// Begins the tables that will be needed.
    pub fn plan(&mut self, clock: Clock) {
        if self.cards.count() > 0 {
            let set = Clock::Set(clock.reading());
            self.tables.plan(&self.cards, super::window::wanted(set), clock);
        }
    }

    /// Builds or frees a slice; says how urgent the next one is.
    pub fn work(&mut self, clock: Clock) -> Priority {
        self.tables.work(&mut self.cards, clock)
    }

    /// How urgent the next slice is.
    pub fn priority(&self, clock: Clock) -> Priority {
        self.tables.priority(clock)
    }

    /// Wipes and frees a slice; true while more is left.
    pub fn zeroize_slice(&mut self) -> bool {
        let cards = &mut self.cards;
        cards.learned.clear();
        zeroize_slice(&mut cards.keys, SHRED)
            || zeroize_slice(&mut cards.offset_s, SHRED)
            || zeroize_slice(&mut cards.tops, SHRED)
            || zeroize_slice(&mut cards.key_ends, SHRED)
            || self.tables.zeroize_slice()
    }
}

/// The identities that cards may have during one window.
#[derive(Debug, Default)]
pub struct EidTable {
    window: Window,
    slack: i64,
    /// The first card whose identities are not in the table yet.
    next: u32,
    cards: u32,
    index: IndexTable,
}

impl EidTable {
    fn find(&self, eid: [u8; 8], is: impl FnMut(u32) -> bool) -> Option<u32> {
        if !self.index.is_laid_out() {
            return None;
        }
        self.index.find(u64::from_be_bytes(eid), is)
    }

    /// Adds the identities of a card that are not there yet; returns their number.
    fn add(&mut self, cards: &Cards, card: u32) -> usize {
        let opens = opens_at(self.window).unix_secs();
        let periods = cards.periods(card, opens - self.slack, opens + WINDOW_S + self.slack);
        let mut tried = 0;
        for eid in periods.into_iter().flatten().filter_map(|period| cards.says(card, period)) {
            tried += 1;
            let hash = u64::from_be_bytes(eid);
            if self.index.find(hash, |at| at == card).is_none() {
                self.index.insert(hash, card);
            }
        }
        tried
    }
}

impl Table for EidTable {
    type Source = Cards;

    fn begin(&mut self, cards: &Cards, window: Window, clock: Clock) {
        self.window = window;
        self.slack = slack(clock);
        self.next = 0;
        self.cards = u32::try_from(cards.count()).unwrap_or(u32::MAX);
        let identities = cards.identities(window, self.slack);
        // Cards whose clock offsets change add a few.
        self.index.begin(identities + identities / 64 + EXPONENTS, cards.count());
    }

    fn build(&mut self, cards: &mut Cards) {
        if !self.index.is_laid_out() {
            self.index.lay_out(LAY_OUT);
            return;
        }
        let mut tried = 0;
        while tried < SLICE && self.next < self.cards {
            tried += 1 + self.add(cards, self.next);
            self.next += 1;
        }
    }

    fn is_built(&self) -> bool {
        self.index.is_laid_out() && self.next == self.cards
    }

    fn window(&self) -> Window {
        self.window
    }

    fn zeroize_slice(&mut self) -> bool {
        self.index.zeroize_slice(LAY_OUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vectors_of_eddystone_eid_hold() {
        let ik = hex::decode("00112233445566778899aabbccddeeff").unwrap().try_into().unwrap();
        let key = temporary_key(&ik, 1);
        assert_eq!(hex::encode(identity(&key, 10, 65536)), "f4c6d4d1464d5a60");
        // ephemeral_id: test_resolver
        let ik = hex::decode("7c91330e61dfea4606b5b3ecb4457d76").unwrap().try_into().unwrap();
        let key = temporary_key(&ik, 0);
        assert_eq!(hex::encode(key), "4d7ad123b3f67bb3c7ac3ffd02599f6a");
        assert_eq!(hex::encode(identity(&key, 0, 0)), "436bfe57d5a09505");
    }
}
