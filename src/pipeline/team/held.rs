//! Arrivals that staff have not been told of yet: another gateway may be about to tell them.
//!
//! Every gateway says at once that it is about to announce somebody, and waits. Whoever hears of
//! an earlier one gives way, which it knows by the same rule as its rival: the smaller
//! `(arrived_at, gateway)` goes first. If the rival dies meanwhile, the other announces after all.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pipeline::event::Visit;
use crate::pipeline::identity::CustomerIndex;
use crate::pipeline::presence::Grounds;
use crate::pipeline::units::{Tick, WallTime};

/// Whoever hears the customer best tells first...
const HEARS_BEST: Duration = Duration::from_millis(300);
/// ... and mostly spares the others from telling.
const HEARS_WORSE: Duration = Duration::from_millis(500);
/// A rival who went first has told the broker by then, or never will.
const GIVES_WAY: Duration = Duration::from_millis(1_500);

/// When somebody arrived, and according to which gateway.
type Key = (WallTime, String);

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// As it will be announced.
    pub visit: Visit,
    /// The customer may have been here before the gateway began to listen.
    pub unfollowed: bool,
    /// From the first contact to the arrival.
    pub heard_for: Duration,
    /// What it rests on.
    pub grounds: Grounds,
}

/// All of them.
#[derive(Debug, Default)]
pub struct HeldArrivals {
    mine: BTreeMap<CustomerIndex, (Tick, Key, Held)>,
    /// What rivals are about to announce, and until when that is to be believed.
    rivals: BTreeMap<CustomerIndex, (Tick, Key)>,
}

impl HeldArrivals {
    /// Waits for the others' word; less long where this gateway hears the customer best.
    pub fn hold(&mut self, who: CustomerIndex, held: Held, key: Key, best: bool, now: Tick) {
        let wait = now.plus(if best { HEARS_BEST } else { HEARS_WORSE });
        let rival = self.rivals.get(&who).filter(|(until, first)| *until > now && *first < key);
        let until = rival.map_or(wait, |(until, _)| wait.max(*until));
        self.mine.insert(who, (until, key, held));
    }

    /// Another gateway is about to announce this customer.
    pub fn yield_to(&mut self, who: CustomerIndex, first: Key, now: Tick) {
        self.rivals.retain(|_, (until, _)| *until > now);
        let rival = now.plus(GIVES_WAY);
        if let Some((until, _, _)) = self.mine.get_mut(&who).filter(|(_, key, _)| first < *key) {
            *until = rival.max(*until);
        }
        match self.rivals.get_mut(&who) {
            Some((_, known)) if *known < first => {}
            _ => {
                self.rivals.insert(who, (rival, first));
            }
        }
    }

    /// Another gateway has told, or the customer is to be forgotten.
    pub fn drop(&mut self, who: CustomerIndex) -> Option<Held> {
        self.rivals.remove(&who);
        self.mine.remove(&who).map(|(_, _, held)| held)
    }

    /// The next that has waited long enough.
    pub fn pop_due(&mut self, now: Tick) -> Option<(CustomerIndex, Held)> {
        let who = *self.mine.iter().find(|(_, (until, _, _))| *until <= now)?.0;
        self.drop(who).map(|held| (who, held))
    }

    /// When [`HeldArrivals::pop_due`] should be called at the latest.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.mine.values().map(|(until, _, _)| *until).min()
    }

    /// The registry changed: every customer's place goes through `moved`.
    pub fn reindex(&mut self, moved: impl Fn(CustomerIndex) -> Option<CustomerIndex>) {
        self.rivals.clear();
        let mine = std::mem::take(&mut self.mine);
        self.mine = mine.into_iter().filter_map(|(who, held)| Some((moved(who)?, held))).collect();
    }
}
