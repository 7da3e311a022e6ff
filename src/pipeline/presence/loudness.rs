//! How loud a customer's phone is: learned from visit to visit, so that the next one need not
//! guess it.
//!
//! Phones differ by some 4 dB, as much as the window from the till. What a visit said moves what
//! is known by a bounded weight, for the next time the phone may be carried otherwise, and one
//! day it is another phone.

use std::collections::BTreeMap;
use std::time::Duration;

use super::site_model::Reading;
use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::units::Tick;

/// What is known before the first visit weighs as much as so many: most phones are usual ones.
const USUAL_WEIGHS: f32 = 1.0;
/// Earlier visits weigh no more than so many, whatever their number: another phone is learned
/// within a few.
const MOST_VISITS: u8 = 3;
/// No more than this is taken off: what is usual in a shop is not known that well.
const MOST_DB: f32 = 6.0;
/// Shorter visits teach nothing.
const SHORTEST_S: f32 = 10.0;
/// Readings further apart than this do not speak for the time between them.
const SPEAKS_FOR_S: f32 = 2.0;

/// How loud one customer's phone usually is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loudness {
    /// From what is usual among phones, in dB.
    pub above_usual_db: f32,
    /// How many visits say so; those before the last few are not counted any more.
    pub visits: u8,
}

impl Loudness {
    /// Of a phone that was never heard: as loud as most.
    pub const UNKNOWN: Self = Self { above_usual_db: 0.0, visits: 0 };

    /// The same after one more visit, during which the phone was `heard_db` above the usual.
    fn learn(self, heard_db: f32) -> Self {
        let visits = self.visits.min(MOST_VISITS);
        let weight = 1.0 / (USUAL_WEIGHS + 1.0 + f32::from(visits));
        let above_usual_db = self.above_usual_db + weight * (heard_db - self.above_usual_db);
        Self { above_usual_db, visits: (visits + 1).min(MOST_VISITS) }
    }

    /// `reading` as of a usual phone.
    pub fn discount<'a>(self, reading: &Reading<'a>) -> Reading<'a> {
        let known_db = self.above_usual_db.clamp(-MOST_DB, MOST_DB);
        let rssi_dbm = reading.rssi_dbm.map(|rssi_dbm| rssi_dbm - known_db);
        Reading { rssi_dbm, ..*reading }
    }
}

/// What one visit says of the phone's loudness: its mean over the time it was heard.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Voice {
    sum_db_s: f32,
    heard_s: f32,
}

impl Voice {
    /// The phone seemed `heard_db` above the usual, `since` the reading before, if the customer
    /// was inside, which is so `sure`.
    pub fn hear(&mut self, heard_db: f32, since: Duration, sure: f32) {
        let seconds = sure * since.as_secs_f32().min(SPEAKS_FOR_S);
        self.sum_db_s += seconds * heard_db;
        self.heard_s += seconds;
    }

    /// What to think of the phone from now on, if the visit said enough.
    pub fn teach(self, known: Loudness) -> Option<Loudness> {
        (self.heard_s >= SHORTEST_S).then(|| known.learn(self.sum_db_s / self.heard_s))
    }
}

/// The phones that are known: at most one for each customer.
#[derive(Debug, Default)]
pub struct Phones {
    /// Until when what is known.
    by_customer: BTreeMap<CustomerIndex, (Tick, Loudness)>,
}

impl Phones {
    /// The phone of `who`; a usual one where it is not known.
    pub fn of(&self, who: CustomerIndex, now: Tick) -> Loudness {
        let known = self.by_customer.get(&who).filter(|(until, _)| now < *until);
        known.map_or(Loudness::UNKNOWN, |(_, loudness)| *loudness)
    }

    /// Remembers the phone of `who` until `until`.
    pub fn remember(&mut self, who: CustomerIndex, loudness: Loudness, until: Tick) {
        self.by_customer.insert(who, (until, loudness));
    }

    /// Forgets what has been remembered for long enough.
    pub fn age(&mut self, now: Tick) {
        self.by_customer.retain(|_, (until, _)| now < *until);
    }

    /// The registry changed: every customer's place goes through `moved`; who has none is
    /// forgotten.
    pub fn reindex(&mut self, moved: impl Fn(CustomerIndex) -> Option<CustomerIndex>) {
        let known = std::mem::take(&mut self.by_customer);
        let moved = known.into_iter().filter_map(|(who, known)| Some((moved(who)?, known)));
        self.by_customer = moved.collect();
    }

    /// Forgets a customer's.
    pub fn forget(&mut self, who: CustomerIndex) {
        self.by_customer.remove(&who);
    }

    /// Whose phones are known.
    pub fn customers(&self) -> impl Iterator<Item = CustomerIndex> + '_ {
        self.by_customer.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minute of readings, each so far above the usual.
    fn visit(heard_db: f32) -> Voice {
        let mut voice = Voice::default();
        (0..60).for_each(|_| voice.hear(heard_db, Duration::from_secs(1), 1.0));
        voice
    }

    fn after(visits: &[f32]) -> Loudness {
        visits.iter().fold(Loudness::UNKNOWN, |known, heard_db| {
            visit(*heard_db).teach(known).expect("it was long enough")
        })
    }

    #[test]
    fn what_visits_agree_on_is_believed() {
        let once = after(&[4.0]).above_usual_db;
        let often = after(&[4.0; 5]).above_usual_db;
        assert!((1.0..3.0).contains(&once), "one visit is not enough: {once}");
        assert!((3.0..4.0).contains(&often), "{often}");
    }

    #[test]
    fn another_phone_is_learned_within_a_few_visits() {
        let loud = [5.0; 100];
        assert!(after(&[&loud[..], &[-5.0; 4]].concat()).above_usual_db < 0.0);
    }

    #[test]
    fn a_short_visit_teaches_nothing() {
        let mut voice = Voice::default();
        (0..9).for_each(|_| voice.hear(4.0, Duration::from_secs(1), 1.0));
        assert_eq!(voice.teach(Loudness::UNKNOWN), None);
        voice.hear(4.0, Duration::from_hours(1), 1.0);
        assert!(voice.teach(Loudness::UNKNOWN).is_some());
    }

    #[test]
    fn what_was_learned_is_forgotten_in_time_and_moves_with_its_customer() {
        let (lea, max) = (CustomerIndex(0), CustomerIndex(1));
        let (loud, later) = (after(&[4.0]), Tick::ZERO.plus(Duration::from_hours(1)));
        let mut phones = Phones::default();
        phones.remember(lea, loud, later);
        phones.reindex(|who| (who == lea).then_some(max));
        let just_before = Tick::from_micros(later.as_micros() - 1);
        assert_eq!(phones.of(max, just_before), loud);
        assert_eq!(phones.of(lea, just_before), Loudness::UNKNOWN);
        assert_eq!(phones.of(max, later), Loudness::UNKNOWN);
        phones.reindex(|_| None);
        assert_eq!(phones.customers().count(), 0);
    }
}
