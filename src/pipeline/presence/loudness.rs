//! The RSSI offset of a customer's phone: estimated over visits, so that the next visit begins with
//! it.
//!
//! Phones differ by a standard deviation of some 4 dB, as much as the window differs from the till.
//! One visit moves the estimate by a bounded weight: next time the phone may be carried elsewhere,
//! and one day it is another phone.

use std::collections::BTreeMap;
use std::time::Duration;

use super::site_model::Reading;
use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::units::Tick;

/// Weight of the prior (offset 0), in visits.
const USUAL_WEIGHS: f32 = 1.0;
/// The most visits that count as the weight of the estimate: so another phone is learned within a
/// few visits.
const MOST_VISITS: u8 = 3;
/// The largest offset that is subtracted from readings, in dB: the shop's usual levels are not
/// known better.
const MOST_DB: f32 = 6.0;
/// Shorter visits give no estimate, in seconds.
const SHORTEST_S: f32 = 10.0;
/// A reading counts for this long at most, in seconds.
const SPEAKS_FOR_S: f32 = 2.0;

/// The RSSI offset of one customer's phone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loudness {
    /// Relative to an average phone, in dB.
    pub above_usual_db: f32,
    /// Number of visits behind the estimate, at most `MOST_VISITS`.
    pub visits: u8,
}

impl Loudness {
    /// An average phone: nothing is known of it.
    pub const UNKNOWN: Self = Self { above_usual_db: 0.0, visits: 0 };

    /// The estimate after one more visit, during which the phone was `heard_db` above an average
    /// one.
    fn learn(self, heard_db: f32) -> Self {
        let visits = self.visits.min(MOST_VISITS);
        let weight = 1.0 / (USUAL_WEIGHS + 1.0 + f32::from(visits));
        let above_usual_db = self.above_usual_db + weight * (heard_db - self.above_usual_db);
        Self { above_usual_db, visits: (visits + 1).min(MOST_VISITS) }
    }

    /// What is subtracted from readings, in whole dB: the estimate is no better, and the number says
    /// little about which phone it is.
    pub fn discount_db(self) -> i8 {
        #[expect(clippy::cast_possible_truncation, reason = "between -6 and 6")]
        let whole = self.above_usual_db.clamp(-MOST_DB, MOST_DB).round() as i8;
        whole
    }

    /// `reading` as an average phone would have caused it.
    pub fn discount<'a>(self, reading: &Reading<'a>) -> Reading<'a> {
        let known_db = f32::from(self.discount_db());
        let rssi_dbm = reading.rssi_dbm.map(|rssi_dbm| rssi_dbm - known_db);
        Reading { rssi_dbm, ..*reading }
    }
}

/// The same in four octets, for each customer who is followed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompactLoudness {
    /// In 1/128 dB.
    above_usual: i16,
    visits: u8,
}

impl From<Loudness> for CompactLoudness {
    fn from(Loudness { above_usual_db, visits }: Loudness) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "it saturates")]
        let above_usual = (above_usual_db * 128.0).round() as i16;
        Self { above_usual, visits }
    }
}

impl From<CompactLoudness> for Loudness {
    fn from(CompactLoudness { above_usual, visits }: CompactLoudness) -> Self {
        Self { above_usual_db: f32::from(above_usual) / 128.0, visits }
    }
}

/// The estimate of one visit: the mean offset, weighted by time.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Voice {
    sum_db_s: f32,
    heard_s: f32,
}

impl Voice {
    /// Adds a reading with offset `heard_db`, `since` the one before. `sure` is the probability
    /// that the customer was inside; without that the offset means nothing.
    pub fn hear(&mut self, heard_db: f32, since: Duration, sure: f32) {
        let seconds = sure * since.as_secs_f32().min(SPEAKS_FOR_S);
        self.sum_db_s += seconds * heard_db;
        self.heard_s += seconds;
    }

    /// The estimate after this visit; `None` where the visit was too short.
    pub fn teach(self, known: Loudness) -> Option<Loudness> {
        (self.heard_s >= SHORTEST_S).then(|| known.learn(self.sum_db_s / self.heard_s))
    }
}

/// The RSSI offsets of phones: at most one for each customer.
#[derive(Debug, Default)]
pub struct Phones {
    /// With the time at which each is deleted.
    by_customer: BTreeMap<CustomerIndex, (Tick, Loudness)>,
}

impl Phones {
    /// The offset of the phone of `who`; [`Loudness::UNKNOWN`] where there is none.
    pub fn of(&self, who: CustomerIndex, now: Tick) -> Loudness {
        let known = self.by_customer.get(&who).filter(|(until, _)| now < *until);
        known.map_or(Loudness::UNKNOWN, |(_, loudness)| *loudness)
    }

    /// Keeps the offset of the phone of `who` until `until`.
    pub fn remember(&mut self, who: CustomerIndex, loudness: Loudness, until: Tick) {
        self.by_customer.insert(who, (until, loudness));
    }

    /// Deletes what was kept for long enough.
    pub fn age(&mut self, now: Tick) {
        self.by_customer.retain(|_, (until, _)| now < *until);
    }

    /// The registry changed: `moved` gives each customer's new index, or `None` for one who is no
    /// longer enrolled.
    pub fn reindex(&mut self, moved: impl Fn(CustomerIndex) -> Option<CustomerIndex>) {
        let known = std::mem::take(&mut self.by_customer);
        let moved = known.into_iter().filter_map(|(who, known)| Some((moved(who)?, known)));
        self.by_customer = moved.collect();
    }

    pub fn forget(&mut self, who: CustomerIndex) {
        self.by_customer.remove(&who);
    }

    /// The customers whose phones' offsets are known.
    pub fn customers(&self) -> impl Iterator<Item = CustomerIndex> + '_ {
        self.by_customer.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minute of readings with this offset.
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
