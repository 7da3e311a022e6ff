//! Arrivals that staff have not been told of yet: another gateway may be about to tell them.
//!
//! Every gateway says at once that it is about to announce somebody, and waits. Whoever hears of
//! an earlier one gives way, which it knows by the same rule as its rival: the smaller
//! `(arrived_at, gateway)` goes first. If the rival dies meanwhile, the other announces after all.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::presence::Grounds;
use crate::pipeline::units::{ClockStep, Tick, WallTime};
use crate::pipeline::visit::Visit;

/// Whoever hears the customer best tells first...
const HEARS_BEST: Duration = Duration::from_millis(300);
/// ... and mostly spares the others from telling.
const HEARS_WORSE: Duration = Duration::from_millis(500);
/// A rival who went first has told the broker by then, or never will.
const GIVES_WAY: Duration = Duration::from_millis(1_500);
/// However many rivals say that they are about to announce.
const LONGEST: Duration = Duration::from_secs(3);

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
    mine: BTreeMap<CustomerIndex, Pending>,
    /// What rivals are about to announce, and until when that is to be believed.
    rivals: BTreeMap<CustomerIndex, (Tick, Key)>,
}

#[derive(Debug)]
struct Pending {
    until: Tick,
    /// Not longer.
    latest: Tick,
    key: Key,
    held: Held,
}

impl HeldArrivals {
    /// Waits for the others' word; less long where this gateway hears the customer best.
    pub fn hold(&mut self, who: CustomerIndex, held: Held, key: Key, best: bool, now: Tick) {
        let wait = now.plus(if best { HEARS_BEST } else { HEARS_WORSE });
        let rival = self.rivals.get(&who).filter(|(until, first)| *until > now && *first < key);
        let until = rival.map_or(wait, |(until, _)| wait.max(*until));
        self.mine.insert(who, Pending { until, latest: now.plus(LONGEST), key, held });
    }

    /// Another gateway is about to announce this customer.
    pub fn yield_to(&mut self, who: CustomerIndex, first: Key, now: Tick) {
        self.rivals.retain(|_, (until, _)| *until > now);
        let rival = now.plus(GIVES_WAY);
        if let Some(mine) = self.mine.get_mut(&who).filter(|mine| first < mine.key) {
            mine.until = rival.max(mine.until).min(mine.latest);
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
        self.mine.remove(&who).map(|mine| mine.held)
    }

    /// The next that has waited long enough.
    pub fn pop_due(&mut self, now: Tick) -> Option<(CustomerIndex, Held)> {
        let who = *self.mine.iter().find(|(_, mine)| mine.until <= now)?.0;
        self.drop(who).map(|held| (who, held))
    }

    /// When [`HeldArrivals::pop_due`] should be called at the latest.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.mine.values().map(|mine| mine.until).min()
    }

    /// The wall clock was set.
    pub fn set_clock(&mut self, step: ClockStep) {
        for mine in self.mine.values_mut() {
            mine.key.0 = step.applied(mine.key.0);
            mine.held.visit.set_clock(step);
        }
    }

    /// The registry changed: every customer's place goes through `moved`.
    pub fn reindex(&mut self, moved: impl Fn(CustomerIndex) -> Option<CustomerIndex>) {
        self.rivals.clear();
        let mine = std::mem::take(&mut self.mine);
        self.mine = mine.into_iter().filter_map(|(who, held)| Some((moved(who)?, held))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::gateway::GatewayIndex;
    use crate::pipeline::presence::loudness::Loudness;
    use crate::pipeline::visit_id::VisitId;

    fn at(millis: u64) -> Tick {
        Tick::from_micros(millis * 1_000)
    }

    #[test]
    fn rivals_that_never_announce_do_not_silence_an_arrival() {
        let arrived_at = WallTime::from_unix_secs(1_767_603_600);
        let visit = Visit {
            id: VisitId::of(42, "c-1", arrived_at, "door"),
            client: "c-1".into(),
            tier: "gold".into(),
            card: None,
            discreet: false,
            gateway: GatewayIndex(0),
            arrived_at,
            confidence: 0.97,
            claim: None,
            dismissed: false,
            announced: false,
            revision: 0,
        };
        let grounds = Grounds { level: None, echo: None, phone: Loudness::UNKNOWN };
        let held = Held { visit, unfollowed: false, heard_for: Duration::ZERO, grounds };
        let who = CustomerIndex(0);
        let mut arrivals = HeldArrivals::default();
        arrivals.hold(who, held, (arrived_at, "door".to_owned()), true, at(0));
        let mut announced = None;
        for now in (0..20_000).step_by(200) {
            let earlier = (WallTime::from_unix_secs(0), "attic".to_owned());
            arrivals.yield_to(who, earlier, at(now));
            announced = announced.or(arrivals.pop_due(at(now)).map(|_| now));
        }
        assert_eq!(announced, Some(3_000));
    }
}
