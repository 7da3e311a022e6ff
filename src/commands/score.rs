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
//!   `other` is one of a customer about whom the truth says nothing.
//! - A customer who was `inside` needs no arrival. One within [`SETTLING`] of the recording's
//!   start is neither found nor false: a replay, unlike the daemon, has no warm-up.
//! - A departure during a stay is **false**, unless the customer has stepped out or leaves
//!   within [`EARLY`]. The first from then on is the departure from that stay; its delay counts
//!   from `leave`. Departures at other times belong to false arrivals and count no further.
//!
//! Percentiles are by nearest rank, so that each is a delay that was measured.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::sources::Truth;

/// Light barriers, labels and feet disagree by this much about when a door is crossed.
pub const EARLY: Duration = Duration::from_secs(5);

/// Somebody who was inside already is told from a newcomer after this long.
pub const SETTLING: Duration = Duration::from_secs(60);

/// What is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Since the recording's start.
    pub at: Duration,
    /// What happens.
    pub word: Truth,
    /// To whom.
    pub client: String,
}

/// What the pipeline said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Since the recording's start.
    pub at: Duration,
    /// Arrival or departure.
    pub kind: EventKind,
    /// Of whom.
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
    /// Announced though nobody came in.
    pub false_arrivals: FalseArrivals,
    /// Closed though nobody left.
    pub false_departures: u32,
    /// Announced at the start of the recording, and inside already.
    pub already_inside: u32,
    /// From entering to the announcement, in seconds.
    pub arrival_delays_s: Vec<f64>,
    /// From leaving to the departure, in seconds.
    pub departure_delays_s: Vec<f64>,
}

/// Announced though nobody came in, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FalseArrivals {
    /// Never came in.
    pub pass: u32,
    /// Was announced already, or has just left.
    pub flap: u32,
    /// Was inside long since.
    pub restart: u32,
    /// Came in only later.
    pub early: u32,
    /// Nothing is known.
    pub other: u32,
}

impl FalseArrivals {
    /// Of every kind.
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

    /// The score as `grelot replay --score --json` prints it.
    pub fn line(&self) -> Line {
        Line {
            visits: self.visits,
            found: self.found,
            false_arrivals: self.false_arrivals.total(),
            false_departures: self.false_departures,
            arrival_delay_s: Delays::of(&self.arrival_delays_s),
            departure_delay_s: Delays::of(&self.departure_delays_s),
            false_by_kind: self.false_arrivals,
            found_within_s: Within { ten: self.found_within(10.0), sixty: self.found_within(60.0) },
            already_inside: self.already_inside,
        }
    }

    /// Visits found at most `seconds` after entering.
    pub fn found_within(&self, seconds: f64) -> u32 {
        count(self.arrival_delays_s.iter().filter(|delay| **delay <= seconds))
    }
}

fn count(items: impl Iterator) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

/// A score in its printed form.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the keys are documented with Score")]
pub struct Line {
    pub visits: u32,
    pub found: u32,
    pub false_arrivals: u32,
    pub false_departures: u32,
    pub arrival_delay_s: Delays,
    pub departure_delay_s: Delays,
    pub false_by_kind: FalseArrivals,
    pub found_within_s: Within,
    pub already_inside: u32,
}

/// Delays in seconds, to the millisecond; `None` where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Delays {
    /// Median.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
}

impl Delays {
    /// By nearest rank.
    pub fn of(delays: &[f64]) -> Self {
        let mut sorted = delays.to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = |percent: usize| {
            let index = (percent * sorted.len()).div_ceil(100).saturating_sub(1);
            sorted.get(index).map(|delay| (delay * 1000.0).round() / 1000.0)
        };
        Self { p50: rank(50), p95: rank(95) }
    }
}

/// Visits found soon enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Within {
    /// Within 10 s.
    #[serde(rename = "10")]
    pub ten: u32,
    /// Within a minute.
    #[serde(rename = "60")]
    pub sixty: u32,
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
            (Truth::Enter | Truth::Inside, None) => self.stays.push(Stay {
                from: at,
                entered: fact.word == Truth::Enter,
                left: None,
                outs: Vec::new(),
                announced: false,
                closed: false,
            }),
            (Truth::Leave, Some(stay)) => stay.left = Some(at),
            (Truth::StepOut, Some(stay)) => stay.outs.push((at, None)),
            (Truth::StepIn, Some(stay)) => {
                if let Some((_, until)) = stay.outs.last_mut() {
                    *until = Some(at);
                }
            }
            (Truth::Pass, _) => self.passes.push(at),
            // Entering twice, or leaving without having entered, tells nothing new.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(facts: &[(u64, Truth)]) -> Vec<Fact> {
        let fact = |&(at, word)| Fact { at: Duration::from_secs(at), word, client: "c".into() };
        facts.iter().map(fact).collect()
    }

    fn score(truth: &[(u64, Truth)], arrivals: &[u64], departures: &[u64]) -> Score {
        let event =
            |kind| move |&at| Event { at: Duration::from_secs(at), kind, client: "c".into() };
        let mut events: Vec<_> = arrivals.iter().map(event(EventKind::Arrival)).collect();
        events.extend(departures.iter().map(event(EventKind::Departure)));
        events.sort_by_key(|event| event.at);
        Score::of(&facts(truth), &events)
    }

    const VISIT: [(u64, Truth); 2] = [(100, Truth::Enter), (200, Truth::Leave)];

    #[test]
    fn a_visit_announced_once_and_closed_after_leaving_is_all_there_is_to_find() {
        let score = score(&VISIT, &[102], &[230]);
        assert_eq!((score.visits, score.found, score.false_arrivals.total()), (1, 1, 0));
        assert_eq!((score.arrival_delays_s, score.departure_delays_s), (vec![2.0], vec![30.0]));
        assert_eq!(score.false_departures, 0);
    }

    #[test]
    fn a_visit_never_announced_is_missed() {
        let score = score(&VISIT, &[], &[]);
        assert_eq!((score.visits, score.found), (1, 0));
    }

    #[test]
    fn announcing_the_same_stay_twice_is_a_flap_and_closing_it_early_is_false() {
        let score = score(&VISIT, &[102, 150], &[130, 230]);
        assert_eq!((score.found, score.false_arrivals.flap, score.false_departures), (1, 1, 1));
    }

    #[test]
    fn an_arrival_is_early_by_seconds_or_false() {
        assert_eq!(score(&VISIT, &[96], &[]).arrival_delays_s, [-4.0]);
        let waiting_at_the_window = score(&VISIT, &[60], &[]);
        assert_eq!(waiting_at_the_window.false_arrivals.early, 1);
        assert_eq!(waiting_at_the_window.found, 0);
    }

    #[test]
    fn whoever_only_passed_never_arrived() {
        let score = score(&[(50, Truth::Pass)], &[51], &[90]);
        assert_eq!((score.visits, score.false_arrivals.pass), (0, 1));
        assert_eq!(score.false_departures, 0);
    }

    #[test]
    fn an_arrival_after_leaving_is_a_flap() {
        assert_eq!(score(&VISIT, &[101, 260], &[240]).false_arrivals.flap, 1);
    }

    #[test]
    fn whoever_was_inside_needs_no_arrival_and_is_no_newcomer_later() {
        let truth = [(0, Truth::Inside), (500, Truth::Leave)];
        let at_once = score(&truth, &[3], &[530]);
        assert_eq!((at_once.visits, at_once.already_inside), (0, 1));
        assert_eq!(at_once.false_arrivals.total(), 0);
        assert_eq!(at_once.departure_delays_s, [30.0]);
        assert_eq!(score(&truth, &[300], &[]).false_arrivals.restart, 1);
    }

    #[test]
    fn stepping_out_is_no_new_visit_and_no_false_departure() {
        let [enter, leave] = VISIT;
        let truth = [enter, (130, Truth::StepOut), (160, Truth::StepIn), leave];
        assert_eq!(score(&truth, &[101], &[150, 220]).false_departures, 0);
        assert_eq!(score(&truth, &[101, 161], &[150]).false_arrivals.flap, 1);
        assert_eq!(score(&truth, &[101], &[170]).false_departures, 1);
    }

    #[test]
    fn a_customer_nobody_told_the_truth_about_is_false_of_another_kind() {
        assert_eq!(score(&[], &[10], &[]).false_arrivals.other, 1);
    }

    #[test]
    fn percentiles_are_delays_that_were_measured() {
        let delays: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(Delays::of(&delays), Delays { p50: Some(10.0), p95: Some(19.0) });
        assert_eq!(Delays::of(&[]), Delays { p50: None, p95: None });
    }

    #[test]
    fn the_printed_score_has_the_promised_keys() {
        let line = serde_json::to_value(score(&VISIT, &[102], &[230]).line()).unwrap();
        assert_eq!(line["arrival_delay_s"], serde_json::json!({"p50": 2.0, "p95": 2.0}));
        for key in ["visits", "found", "false_arrivals", "false_departures", "departure_delay_s"] {
            assert!(line.get(key).is_some(), "{key}");
        }
        assert_eq!(line["found_within_s"]["10"], 1);
    }
}
