//! The notices on their way, as the client sees them: what to send next, what an answer means.
//!
//! Invariant: it holds what the outbox on the disk holds; both apply the same [`Change`]s.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::pipeline::VisitId;
use crate::pipeline::units::{Now, Tick};
use crate::store::{Change, OutboundMessage, Queued, Subject};

/// More notices than hours without a broker can bring; then the oldest alert goes.
const MOST: usize = 5_000;

/// How often [`Outbox::beat`] wants to be called while there is anything in it.
pub const BEAT: Duration = Duration::from_millis(250);

/// Beats without an answer after which a connection is dead: 5 s.
const PATIENCE: u8 = 20;

/// Beats between two attempts while nobody listens, at most: 2 s.
const LONGEST_REST: u8 = 8;

/// Notices by their place in the queue.
#[derive(Debug, Default)]
pub struct Outbox {
    entries: BTreeMap<u64, Entry>,
    /// Topics that nobody listens to, by how long they still rest.
    resting: BTreeMap<Subject, Rest>,
    /// Notices sent a second time because a connection died before their answer.
    repeated: u64,
}

#[derive(Debug)]
struct Entry {
    message: OutboundMessage,
    until: Tick,
    state: State,
    tried: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Sent { beats: u8 },
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    left: u8,
    whole: u8,
}

/// What a beat found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// Notices whose time is over; they are gone.
    pub expired: Vec<u64>,
    /// The broker has not answered for too long.
    pub stalled: bool,
}

impl Outbox {
    /// The outbox as the disk remembers it.
    pub fn of(rows: Vec<Queued>, now: Now) -> Self {
        let mut outbox = Self::default();
        for row in rows {
            outbox.queue(&row, now);
        }
        outbox
    }

    /// Does to the queue what the disk does; tells which notice had to make room, if any.
    pub fn apply(&mut self, change: &Change, now: Now) -> Option<u64> {
        match change {
            Change::Queued(row) => return self.queue(row, now),
            Change::Done(id) => drop(self.entries.remove(id)),
            Change::Erased(visit) => self.entries.retain(|_, e| e.message.visit != *visit),
            Change::Forgotten(client) => {
                self.entries.retain(|_, e| e.message.client.as_ref() != Some(client));
            }
            Change::Visit { .. }
            | Change::Alerted { .. }
            | Change::Learned(_)
            | Change::Unlearned(_)
            | Change::Labelled { .. }
            | Change::Recognised { .. }
            | Change::Withdrawn { .. }
            | Change::Published(_)
            | Change::Cleared(_)
            | Change::ClockSet(_)
            | Change::Heartbeat { .. } => {}
        }
        None
    }

    fn queue(&mut self, Queued { id, message }: &Queued, now: Now) -> Option<u64> {
        self.entries.retain(|_, entry| !message.replaces(&entry.message));
        let evicted = (self.entries.len() >= MOST).then(|| self.least_worth()).flatten();
        if let Some(id) = evicted {
            self.entries.remove(&id);
        }
        let until = now.tick.plus(message.remaining(now));
        let message = message.clone();
        self.entries.insert(*id, Entry { message, until, state: State::Waiting, tried: false });
        evicted
    }

    fn least_worth(&self) -> Option<u64> {
        let oldest_alert = self.entries.iter().find(|(_, entry)| !entry.message.is_retained());
        oldest_alert.or_else(|| self.entries.first_key_value()).map(|(id, _)| *id)
    }

    /// The next notice to send, and how long it is still worth something; it counts as sent.
    ///
    /// A farewell waits for the greeting of the same visit: staff shall not see them reversed.
    pub fn next(&mut self, now: Now) -> Option<(u64, &OutboundMessage, Duration)> {
        let mut unheard = BTreeSet::<VisitId>::new();
        let (id, entry) = self.entries.iter_mut().find(|(_, entry)| {
            let spoken = !entry.message.is_retained();
            let held = spoken && !unheard.insert(entry.message.visit);
            let rests = entry.tried && rests(&self.resting, entry.message.subject());
            entry.state == State::Waiting && now.tick < entry.until && !held && !rests
        })?;
        entry.state = State::Sent { beats: 0 };
        entry.tried = true;
        Some((*id, &entry.message, entry.until.since(now.tick)))
    }

    /// The broker has it, and somebody listens (or it is kept for whoever comes). Whether it was
    /// still wanted.
    pub fn delivered(&mut self, id: u64) -> bool {
        let Some(entry) = self.entries.remove(&id) else { return false };
        self.resting.remove(&entry.message.subject());
        true
    }

    /// The broker dropped it, because nobody listens or because it may not be said: it is said
    /// again, soon, then less often.
    pub fn unheard(&mut self, id: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.state = State::Waiting;
        let rest =
            self.resting.entry(entry.message.subject()).or_insert(Rest { left: 0, whole: 0 });
        if rest.left == 0 {
            rest.whole = (rest.whole * 2).clamp(1, LONGEST_REST);
            rest.left = rest.whole;
        }
    }

    /// Whether a notice clears or sets a retained message; `None` where it is gone meanwhile.
    pub fn is_retained(&self, id: u64) -> Option<bool> {
        self.entries.get(&id).map(|entry| entry.message.is_retained())
    }

    /// The connection is gone: whatever was not answered counts as unsent.
    pub fn disconnected(&mut self) {
        for entry in self.entries.values_mut() {
            if matches!(entry.state, State::Sent { .. }) {
                entry.state = State::Waiting;
                self.repeated += 1;
            }
        }
        self.resting.clear();
    }

    /// [`BEAT`] has passed.
    pub fn beat(&mut self, now: Now) -> Beat {
        let mut beat = Beat::default();
        for (id, entry) in &mut self.entries {
            if now.tick >= entry.until {
                beat.expired.push(*id);
            } else if let State::Sent { beats } = &mut entry.state {
                *beats = beats.saturating_add(1);
                beat.stalled |= *beats > PATIENCE;
            }
        }
        for id in &beat.expired {
            self.entries.remove(id);
        }
        for rest in self.resting.values_mut() {
            rest.left = rest.left.saturating_sub(1);
        }
        beat
    }

    /// The messages not yet acknowledged, in their order.
    pub fn messages(&self) -> impl Iterator<Item = &OutboundMessage> {
        self.entries.values().map(|entry| &entry.message)
    }

    /// The places of the notices not yet acknowledged, in their order.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.entries.keys().copied()
    }

    /// Notices not yet acknowledged.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether everything is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether anything could go out, or be answered, at once.
    pub fn is_busy(&self) -> bool {
        self.entries.values().any(|entry| {
            entry.state != State::Waiting || !rests(&self.resting, entry.message.subject())
        })
    }

    /// Notices sent a second time because a connection died before their answer.
    pub const fn repeated(&self) -> u64 {
        self.repeated
    }
}

fn rests(resting: &BTreeMap<Subject, Rest>, subject: Subject) -> bool {
    resting.get(&subject).is_some_and(|rest| rest.left > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::units::{Clock, WallTime};
    use crate::store::MessageKind;

    fn at(secs: u64) -> Now {
        let tick = Tick::ZERO.plus(Duration::from_secs(secs));
        Now { tick, clock: Clock::Set(WallTime::from_unix_secs(0).plus(tick.since(Tick::ZERO))) }
    }

    fn row(id: u64, kind: &str, visit: u128) -> Queued {
        let message = OutboundMessage {
            kind: match kind {
                "arrivals" => MessageKind::Arrival,
                "departures" => MessageKind::Departure,
                _ => MessageKind::VisitState,
            },
            payload: b"{}".as_slice().into(),
            from: WallTime::from_unix_secs(0),
            lifetime: Duration::from_mins(2),
            visit: VisitId(uuid::Uuid::from_u128(visit)),
            client: None,
        };
        Queued { id, message }
    }

    fn next(outbox: &mut Outbox, now: Now) -> Option<u64> {
        outbox.next(now).map(|(id, ..)| id)
    }

    fn beats(outbox: &mut Outbox, n: usize) -> bool {
        (0..n).any(|_| outbox.beat(at(0)).stalled)
    }

    #[test]
    fn notices_go_out_in_their_order_and_once() {
        let rows = vec![row(1, "arrivals", 1), row(2, "state", 1), row(3, "arrivals", 2)];
        let mut outbox = Outbox::of(rows, at(0));
        let said: Vec<_> = std::iter::from_fn(|| next(&mut outbox, at(0))).collect();
        assert_eq!(said, [1, 2, 3]);
        assert!(outbox.delivered(1) && !outbox.delivered(1));
        assert_eq!(outbox.len(), 2);
    }

    #[test]
    fn a_newer_state_takes_the_place_of_an_older_one() {
        let mut outbox = Outbox::of(vec![row(1, "state", 1)], at(0));
        assert_eq!(next(&mut outbox, at(0)), Some(1));
        outbox.apply(&Change::Queued(row(2, "state", 1)), at(0));
        assert_eq!(next(&mut outbox, at(0)), Some(2), "although the older is on its way");
        assert!(!outbox.delivered(1), "the older one's answer means nothing any more");
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn what_nobody_hears_rests_longer_each_time_while_other_topics_go_on() {
        let rows = vec![row(1, "arrivals", 1), row(2, "state", 1)];
        let mut outbox = Outbox::of(rows, at(0));
        for rest in [1, 2, 4, 8, 8] {
            assert_eq!(next(&mut outbox, at(0)), Some(1));
            outbox.unheard(1);
            next(&mut outbox, at(0));
            for _ in 0..rest {
                assert_eq!(next(&mut outbox, at(0)), None);
                outbox.beat(at(0));
            }
        }
        outbox.apply(&Change::Queued(row(3, "arrivals", 2)), at(0));
        assert_eq!(next(&mut outbox, at(0)), Some(1));
        outbox.unheard(1);
        assert_eq!(next(&mut outbox, at(0)), Some(3), "what is new asks for listeners at once");
        outbox.delivered(3);
        assert_eq!(next(&mut outbox, at(0)), Some(1), "somebody listens again");
    }

    #[test]
    fn a_farewell_waits_for_the_greeting() {
        let rows = vec![row(1, "arrivals", 1), row(2, "departures", 1), row(3, "departures", 2)];
        let mut outbox = Outbox::of(rows, at(0));
        assert_eq!(next(&mut outbox, at(0)), Some(1));
        assert_eq!(next(&mut outbox, at(0)), Some(3));
        assert_eq!(next(&mut outbox, at(0)), None);
        outbox.delivered(1);
        assert_eq!(next(&mut outbox, at(0)), Some(2));
    }

    #[test]
    fn a_lost_connection_makes_the_unanswered_unsent_and_counts_it() {
        let mut outbox = Outbox::of(vec![row(1, "arrivals", 1), row(2, "arrivals", 2)], at(0));
        next(&mut outbox, at(0));
        outbox.disconnected();
        assert_eq!(outbox.repeated(), 1);
        assert_eq!(next(&mut outbox, at(0)), Some(1));
    }

    #[test]
    fn what_is_too_old_is_dropped_and_never_sent() {
        let mut outbox = Outbox::of(vec![row(1, "arrivals", 1)], at(10));
        assert_eq!(outbox.next(at(119)).map(|(.., worth)| worth), Some(Duration::from_secs(1)));
        outbox.disconnected();
        assert_eq!(next(&mut outbox, at(120)), None);
        assert_eq!(outbox.beat(at(120)).expired, [1]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_wall_clock_that_jumps_neither_drops_nor_prolongs_an_alert() {
        let mut outbox = Outbox::of(vec![row(1, "arrivals", 1)], at(0));
        let far = Clock::Set(WallTime::from_unix_secs(4_000_000_000));
        assert_eq!(next(&mut outbox, Now { clock: far, ..at(1) }), Some(1));
        let back = Clock::Set(WallTime::from_unix_secs(-50));
        let outbox = &mut Outbox::of(vec![row(1, "arrivals", 1)], Now { clock: back, ..at(0) });
        assert_eq!(outbox.beat(at(120)).expired, [1], "never longer than its lifetime");
    }

    #[test]
    fn a_broker_that_stops_answering_is_noticed() {
        let mut outbox = Outbox::of(vec![row(1, "arrivals", 1)], at(0));
        assert!(!beats(&mut outbox, 100), "nothing is on its way");
        next(&mut outbox, at(0));
        assert!(!beats(&mut outbox, usize::from(PATIENCE)));
        assert!(beats(&mut outbox, 1));
    }

    #[test]
    fn a_full_outbox_gives_up_the_oldest_alert_not_a_state() {
        let mut outbox = Outbox::default();
        outbox.apply(&Change::Queued(row(1, "state", 1)), at(0));
        for id in 2..=5_000 {
            let change = Change::Queued(row(id, "arrivals", u128::from(id)));
            assert_eq!(outbox.apply(&change, at(0)), None);
        }
        let one_more = Change::Queued(row(5_001, "arrivals", 5_001));
        assert_eq!(outbox.apply(&one_more, at(0)), Some(2));
        assert_eq!(outbox.len(), MOST);
    }
}
