//! How good the arrivals and departures were: events against truth.
//!
//! The truth about a customer is a list of **stays**. A stay begins with `enter`, or with
//! `inside` where the recording began in its middle; it ends with `leave` or with the recording.
//! `step_out` and `step_in` interrupt it without ending it. Then:
//!
//! - A stay that began with `enter` is a **visit**; it is **found** by its first arrival from
//!   [`EARLY`] before entering up to leaving. The arrival's delay counts from `enter` and is
//!   negative where it came early.
//! - Every other arrival is **false**, by kind: `flap` is one more in a stay that was announced
//!   already, or one after leaving; `restart` is one of somebody who was inside already;
//!   `pass` is one of somebody who never came in; `early` is one too long before entering;
//!   `other` is one of a customer without ground truth.
//! - A customer who was `inside` needs no arrival. One within [`SETTLING`] of the recording's
//!   start is neither found nor false: a replay, unlike the daemon, has no warm-up.
//! - A departure during a stay is **false**, unless the customer has stepped out or leaves
//!   within [`EARLY`]. The first from then on is the departure from that stay; its delay counts
//!   from `leave`. Departures at other times belong to false arrivals and count no further.
//!
//! Percentiles are by nearest rank, so that each is a delay that was measured.

mod line;
#[cfg(test)]
mod tests;

pub use line::{Delays, Line, Within};

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::sources::GroundTruth;

/// Light barriers, labels and feet disagree by this much about when a door is crossed.
pub const EARLY: Duration = Duration::from_secs(5);

/// Someone who was inside already is distinguished from a newcomer after this long.
pub const SETTLING: Duration = Duration::from_mins(1);

/// An entry of the ground truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Since the recording's start.
    pub at: Duration,
    pub word: GroundTruth,
    pub client: String,
}

/// What the pipeline said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Since the recording's start.
    pub at: Duration,
    pub kind: EventKind,
    pub client: String,
}

/// The two events of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A visit was opened.
    Arrival,
    /// A visit was closed.
    Departure,
}

/// The count of one recording, or of several absorbed into one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Score {
    /// Customers who came in.
    pub visits: u32,
    /// Of these, announced before they left.
    pub found: u32,
    /// Announced though no one came in.
    pub false_arrivals: FalseArrivals,
    /// Closed though no one left.
    pub false_departures: u32,
    /// Announced at the start of the recording, and inside already.
    pub already_inside: u32,
    /// From entering to the announcement, in seconds.
    pub arrival_delays_s: Vec<f64>,
    /// From leaving to the departure, in seconds.
    pub departure_delays_s: Vec<f64>,
}

/// Announced though no one came in, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FalseArrivals {
    /// The customer never came in.
    pub pass: u32,
    /// Was announced already, or has just left.
    pub flap: u32,
    /// Was inside long since.
    pub restart: u32,
    /// Came in only later.
    pub early: u32,
    /// The ground truth has nothing about this customer.
    pub other: u32,
}

impl FalseArrivals {
    pub const fn total(self) -> u32 {
        self.pass + self.flap + self.restart + self.early + self.other
    }
}

impl Score {
    /// Scores the events of one recording; facts and events each in the order of time.
    pub fn of(facts: &[Fact], events: &[Event]) -> Self {
        let mut customers: BTreeMap<&str, Customer> = BTreeMap::new();
        for fact in facts {
            customers.entry(&fact.client).or_default().learn(fact);
        }
        let mut score = Self::default();
        for event in events {
            let customer = customers.entry(&event.client).or_default();
            match event.kind {
                EventKind::Arrival => customer.arrives(event.at, &mut score),
                EventKind::Departure => customer.departs(event.at, &mut score),
            }
        }
        let stays = customers.values().flat_map(|customer| &customer.stays);
        score.visits = count(stays.filter(|stay| stay.entered));
        score
    }

    /// Adds what was counted elsewhere.
    pub fn absorb(&mut self, other: Self) {
        self.visits += other.visits;
        self.found += other.found;
        self.false_arrivals.pass += other.false_arrivals.pass;
        self.false_arrivals.flap += other.false_arrivals.flap;
        self.false_arrivals.restart += other.false_arrivals.restart;
        self.false_arrivals.early += other.false_arrivals.early;
        self.false_arrivals.other += other.false_arrivals.other;
        self.false_departures += other.false_departures;
        self.already_inside += other.already_inside;
        self.arrival_delays_s.extend(other.arrival_delays_s);
        self.departure_delays_s.extend(other.departure_delays_s);
    }

    /// Visits found at most `seconds` after entering.
    pub fn found_within(&self, seconds: f64) -> u32 {
        count(self.arrival_delays_s.iter().filter(|delay| **delay <= seconds))
    }
}

fn count(items: impl Iterator) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

/// What is true of one customer.
#[derive(Debug, Default)]
struct Customer {
    stays: Vec<Stay>,
    passes: Vec<Duration>,
}

#[derive(Debug)]
struct Stay {
    from: Duration,
    /// Came in during the recording.
    entered: bool,
    left: Option<Duration>,
    /// Stepped out from, until (or still).
    outs: Vec<(Duration, Option<Duration>)>,
    announced: bool,
    closed: bool,
}

impl Customer {
    fn learn(&mut self, fact: &Fact) {
        let at = fact.at;
        let open = self.stays.last_mut().filter(|stay| stay.left.is_none());
        match (fact.word, open) {
            (GroundTruth::Enter | GroundTruth::Inside, None) => self.stays.push(Stay {
                from: at,
                entered: fact.word == GroundTruth::Enter,
                left: None,
                outs: Vec::new(),
                announced: false,
                closed: false,
            }),
            (GroundTruth::Leave, Some(stay)) => stay.left = Some(at),
            (GroundTruth::StepOut, Some(stay)) => stay.outs.push((at, None)),
            (GroundTruth::StepIn, Some(stay)) => {
                if let Some((_, until)) = stay.outs.last_mut() {
                    *until = Some(at);
                }
            }
            (GroundTruth::Pass, _) => self.passes.push(at),
            // Entering twice, or leaving without having entered, adds nothing.
            _ => {}
        }
    }

    fn arrives(&mut self, at: Duration, score: &mut Score) {
        let false_arrivals = &mut score.false_arrivals;
        let Some(stay) = self.stays.iter_mut().find(|stay| stay.holds_arrival(at)) else {
            *self.kind_outside(at, false_arrivals) += 1;
            return;
        };
        if std::mem::replace(&mut stay.announced, true) {
            false_arrivals.flap += 1;
        } else if stay.entered {
            score.found += 1;
            score.arrival_delays_s.push(at.as_secs_f64() - stay.from.as_secs_f64());
        } else if at < SETTLING {
            score.already_inside += 1;
        } else {
            false_arrivals.restart += 1;
        }
    }

    /// Which false arrival one outside every stay is: by the last thing that was true before,
    /// else by the first after.
    fn kind_outside<'a>(&self, at: Duration, kinds: &'a mut FalseArrivals) -> &'a mut u32 {
        let left = self.stays.iter().filter_map(|stay| stay.left).rfind(|left| *left <= at);
        let passed = self.passes.iter().copied().rfind(|passed| *passed <= at);
        if left.is_some() && left >= passed {
            &mut kinds.flap
        } else if passed.is_some() {
            &mut kinds.pass
        } else if self.stays.iter().any(|stay| stay.from > at) {
            &mut kinds.early
        } else if self.passes.is_empty() {
            &mut kinds.other
        } else {
            &mut kinds.pass
        }
    }

    fn departs(&mut self, at: Duration, score: &mut Score) {
        let begun = self.stays.iter_mut().rfind(|stay| stay.from <= at);
        let Some(stay) = begun.filter(|stay| !stay.closed) else { return };
        match stay.left {
            Some(left) if at + EARLY >= left => {
                stay.closed = true;
                score.departure_delays_s.push(at.as_secs_f64() - left.as_secs_f64());
            }
            _ if stay.is_out(at) => {}
            _ => score.false_departures += 1,
        }
    }
}

impl Stay {
    fn holds_arrival(&self, at: Duration) -> bool {
        at + EARLY >= self.from && self.left.is_none_or(|left| at <= left)
    }

    fn is_out(&self, at: Duration) -> bool {
        self.outs.iter().any(|(from, until)| *from <= at && until.is_none_or(|until| at < until))
    }
}
