//! The queue of messages: decides what to publish next, and handles acknowledgements.
//!
//! Invariant: it holds what the table on disk holds; both apply the same [`Change`]s.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::pipeline::VisitId;
use crate::pipeline::units::{Now, Tick};
use crate::store::{Change, OutboundMessage, Queued, Subject};

/// More messages than hours without a broker bring; beyond that, the oldest alert is dropped.
const MAX_MESSAGES: usize = 5_000;

/// How often [`Outbox::tick`] is called while the queue is not empty.
pub const TICK_EVERY: Duration = Duration::from_millis(250);

/// Ticks without an acknowledgement after which a connection is dead: 5 s.
const MAX_TICKS: u8 = 20;

/// The most ticks between two attempts while there is no subscriber: 2 s.
const MAX_REST: u8 = 8;

/// Messages by their place in the queue.
#[derive(Debug, Default)]
pub struct Outbox {
    entries: BTreeMap<u64, Entry>,
    /// Subjects without a subscriber, and how long they still wait.
    resting: BTreeMap<Subject, Rest>,
    /// Messages published again because a connection broke before their acknowledgement.
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
    Sent { ticks: u8 },
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    left: u8,
    whole: u8,
}

/// The result of a tick.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Messages that expired and are removed.
    pub expired: Vec<u64>,
    /// How many of them were for staff.
    pub lost: u64,
    /// The broker has not acknowledged for `MAX_TICKS`.
    pub stalled: bool,
}

impl Outbox {
    /// The outbox with the messages on disk.
    pub fn of(rows: Vec<Queued>, now: Now) -> Self {
        let mut outbox = Self::default();
        for row in rows {
            outbox.queue(&row, now);
        }
        outbox
    }

    /// Applies a change as the disk does; returns the message that was dropped to make room.
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
            | Change::Surveyed(_)
            | Change::Unlearned(_)
            | Change::Labelled { .. }
            | Change::Recognised { .. }
            | Change::Withdrawn { .. }
            | Change::WithdrawnUpTo { .. }
            | Change::Published(_)
            | Change::Cleared(_)
            | Change::ClockSet(_)
            | Change::WebhookQueued(_)
            | Change::WebhookDone(_)
            | Change::WebhookDead { .. }
            | Change::Heartbeat { .. } => {}
        }
        None
    }

    fn queue(&mut self, Queued { id, message }: &Queued, now: Now) -> Option<u64> {
        self.entries.retain(|_, entry| !message.replaces(&entry.message));
        // Counted only where it can be full: the count looks at each message.
        let may_be_full = !message.is_canary() && self.entries.len() >= MAX_MESSAGES;
        let is_full = may_be_full && self.len() >= MAX_MESSAGES;
        let evicted = is_full.then(|| self.least_worth()).flatten();
        if let Some(id) = evicted {
            self.entries.remove(&id);
        }
        let until = now.tick.plus(message.remaining(now));
        let message = message.clone();
        self.entries.insert(*id, Entry { message, until, state: State::Waiting, tried: false });
        evicted
    }

    fn least_worth(&self) -> Option<u64> {
        let oldest_alert = self.for_staff().find(|(_, entry)| !entry.message.is_retained());
        oldest_alert.or_else(|| self.for_staff().next()).map(|(id, _)| *id)
    }

    /// The next message to publish, and its remaining lifetime; it counts as sent.
    ///
    /// A departure waits for the arrival of the same visit, so that staff see them in order. So
    /// does a message that `may_publish` denies. A canary is published once: a broker that ends the
    /// connection for it does not end the next.
    pub fn next(
        &mut self,
        now: Now,
        may_publish: impl Fn(&OutboundMessage) -> bool,
    ) -> Option<(u64, &OutboundMessage, Duration)> {
        let mut no_subscribers = BTreeSet::<VisitId>::new();
        let (id, entry) = self.entries.iter_mut().find(|(_, entry)| {
            let spoken = entry.message.waits_for_subscriber();
            let held = spoken && !no_subscribers.insert(entry.message.visit);
            let rests = entry.tried && rests(&self.resting, entry.message.subject());
            let waits = entry.state == State::Waiting && now.tick < entry.until;
            let once = entry.tried && entry.message.is_canary();
            waits && !once && !held && !rests && may_publish(&entry.message)
        })?;
        entry.state = State::Sent { ticks: 0 };
        entry.tried = true;
        Some((*id, &entry.message, entry.until.since(now.tick)))
    }

    /// The broker has it, and there is a subscriber (or it is retained). Returns the message if it was
    /// still queued.
    pub fn delivered(&mut self, id: u64) -> Option<OutboundMessage> {
        let entry = self.entries.remove(&id)?;
        self.resting.remove(&entry.message.subject());
        Some(entry.message)
    }

    /// The broker dropped it, because it has no subscriber or refuses it. It is published again
    /// soon, then less often.
    pub fn no_subscribers(&mut self, id: u64) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.state = State::Waiting;
        let rest =
            self.resting.entry(entry.message.subject()).or_insert(Rest { left: 0, whole: 0 });
        if rest.left == 0 {
            rest.whole = (rest.whole * 2).clamp(1, MAX_REST);
            rest.left = rest.whole;
        }
    }

    /// Whether a queued message is published again until a subscriber has received it.
    pub fn waits_for_subscriber(&self, id: u64) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.message.waits_for_subscriber())
    }

    /// The connection is lost: messages that were not acknowledged count as unsent.
    pub fn disconnected(&mut self) {
        for entry in self.entries.values_mut() {
            if matches!(entry.state, State::Sent { .. }) {
                entry.state = State::Waiting;
                self.repeated += u64::from(!entry.message.is_canary());
            }
        }
        self.resting.clear();
    }

    /// To be called every [`TICK_EVERY`].
    pub fn tick(&mut self, now: Now) -> Ticked {
        let mut ticked = Ticked::default();
        for (id, entry) in &mut self.entries {
            if now.tick >= entry.until {
                ticked.expired.push(*id);
                ticked.lost += u64::from(!entry.message.is_canary());
            } else if let State::Sent { ticks } = &mut entry.state {
                *ticks = ticks.saturating_add(1);
                ticked.stalled |= *ticks > MAX_TICKS;
            }
        }
        for id in &ticked.expired {
            self.entries.remove(id);
        }
        for rest in self.resting.values_mut() {
            rest.left = rest.left.saturating_sub(1);
        }
        ticked
    }

    /// The messages not yet acknowledged, in their order.
    pub fn messages(&self) -> impl Iterator<Item = &OutboundMessage> {
        self.entries.values().map(|entry| &entry.message)
    }

    /// The places of the messages not yet acknowledged, in their order.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.entries.keys().copied()
    }

    /// All but the canary, in their order.
    fn for_staff(&self) -> impl Iterator<Item = (&u64, &Entry)> {
        self.entries.iter().filter(|(_, entry)| !entry.message.is_canary())
    }

    /// Messages for staff not yet acknowledged.
    pub fn len(&self) -> usize {
        self.for_staff().count()
    }

    /// Whether everything is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether anything for staff can be published or acknowledged now.
    pub fn is_busy(&self) -> bool {
        self.for_staff().any(|(_, entry)| {
            entry.state != State::Waiting || !rests(&self.resting, entry.message.subject())
        })
    }

    /// Messages published again because a connection broke before their acknowledgement.
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
                "escalations" => MessageKind::Escalation,
                "canary" => MessageKind::Canary,
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
        outbox.next(now, |_| true).map(|(id, ..)| id)
    }

    fn ticks(outbox: &mut Outbox, n: usize) -> bool {
        (0..n).any(|_| outbox.tick(at(0)).stalled)
    }

    #[test]
    fn messages_are_published_in_order_and_once() {
        let rows = vec![row(1, "arrivals", 1), row(2, "state", 1), row(3, "arrivals", 2)];
        let mut outbox = Outbox::of(rows, at(0));
        let said: Vec<_> = std::iter::from_fn(|| next(&mut outbox, at(0))).collect();
        assert_eq!(said, [1, 2, 3]);
        assert!(outbox.delivered(1).is_some() && outbox.delivered(1).is_none());
        assert_eq!(outbox.len(), 2);
    }

    #[test]
    fn a_newer_state_takes_the_place_of_an_older_one() {
        let mut outbox = Outbox::of(vec![row(1, "state", 1)], at(0));
        assert_eq!(next(&mut outbox, at(0)), Some(1));
        outbox.apply(&Change::Queued(row(2, "state", 1)), at(0));
        assert_eq!(next(&mut outbox, at(0)), Some(2), "although the older is on its way");
        assert!(outbox.delivered(1).is_none(), "the acknowledgement of the older one is ignored");
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn a_message_without_subscribers_waits_longer_each_time_while_others_go_on() {
        let rows = vec![row(1, "arrivals", 1), row(2, "state", 1)];
        let mut outbox = Outbox::of(rows, at(0));
        for rest in [1, 2, 4, 8, 8] {
            assert_eq!(next(&mut outbox, at(0)), Some(1));
            outbox.no_subscribers(1);
            next(&mut outbox, at(0));
            for _ in 0..rest {
                assert_eq!(next(&mut outbox, at(0)), None);
                outbox.tick(at(0));
            }
        }
        outbox.apply(&Change::Queued(row(3, "arrivals", 2)), at(0));
        assert_eq!(next(&mut outbox, at(0)), Some(1));
        outbox.no_subscribers(1);
        assert_eq!(next(&mut outbox, at(0)), Some(3), "a new message is tried at once");
        outbox.delivered(3);
        assert_eq!(next(&mut outbox, at(0)), Some(1), "there is a subscriber again");
    }

    #[test]
    fn an_escalation_without_a_subscriber_delays_no_other_message() {
        let rows = vec![row(1, "escalations", 1), row(2, "departures", 1)];
        let mut outbox = Outbox::of(rows, at(0));
        assert!(!outbox.waits_for_subscriber(1) && outbox.waits_for_subscriber(2));
        assert_eq!(next(&mut outbox, at(0)), Some(1));
        assert_eq!(next(&mut outbox, at(0)), Some(2));
    }

    #[test]
    fn a_departure_waits_for_the_arrival() {
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
        assert_eq!(
            outbox.next(at(119), |_| true).map(|(.., worth)| worth),
            Some(Duration::from_secs(1))
        );
        outbox.disconnected();
        assert_eq!(next(&mut outbox, at(120)), None);
        assert_eq!(outbox.tick(at(120)).expired, [1]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_wall_clock_that_jumps_does_not_change_the_life_of_an_alert() {
        let mut outbox = Outbox::of(vec![row(1, "arrivals", 1)], at(0));
        let far = Clock::Set(WallTime::from_unix_secs(4_000_000_000));
        assert_eq!(next(&mut outbox, Now { clock: far, ..at(1) }), Some(1));
        let back = Clock::Set(WallTime::from_unix_secs(-50));
        let outbox = &mut Outbox::of(vec![row(1, "arrivals", 1)], Now { clock: back, ..at(0) });
        assert_eq!(outbox.tick(at(120)).expired, [1], "never longer than its lifetime");
    }

    #[test]
    fn a_canary_is_published_once_and_takes_no_alerts_place_or_count() {
        let mut outbox = Outbox::of(vec![row(1, "canary", 1)], at(0));
        assert_eq!((outbox.len(), outbox.is_busy(), outbox.is_empty()), (0, false, false));
        assert_eq!(next(&mut outbox, at(0)), Some(1));
        outbox.disconnected();
        assert_eq!((next(&mut outbox, at(0)), outbox.repeated()), (None, 0));
        for id in 2..5_002 {
            let change = Change::Queued(row(id, "arrivals", u128::from(id)));
            assert_eq!(outbox.apply(&change, at(0)), None);
        }
        assert_eq!(outbox.apply(&Change::Queued(row(5_002, "canary", 5_002)), at(0)), None);
        let one_more = Change::Queued(row(5_003, "arrivals", 5_003));
        assert_eq!(outbox.apply(&one_more, at(0)), Some(2), "the oldest alert, as without it");
        let ticked = outbox.tick(at(120));
        assert_eq!((ticked.expired.len(), ticked.lost), (5_002, 5_000));
    }

    #[test]
    fn a_broker_that_stops_answering_is_noticed() {
        let mut outbox = Outbox::of(vec![row(1, "arrivals", 1)], at(0));
        assert!(!ticks(&mut outbox, 100), "nothing is on its way");
        next(&mut outbox, at(0));
        assert!(!ticks(&mut outbox, usize::from(MAX_TICKS)));
        assert!(ticks(&mut outbox, 1));
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
        assert_eq!(outbox.len(), MAX_MESSAGES);
    }
}
