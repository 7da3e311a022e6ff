//! The messages of one webhook: which one is sent next, and when.
//!
//! Failed messages are tried again less and less often, each on its own, so that one that its
//! receiver cannot process does not hold back the others. A receiver that takes nothing is tried
//! with one message at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pipeline::units::{Now, Tick};
use crate::store::{Change, WebhookMessage};

/// The first pause after a failure; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Messages on their way at once, to a receiver that takes them.
const MOST_SENT: usize = 4;

/// Failures in a row after which a receiver counts as down, ...
const DOWN_AFTER: u32 = 3;

/// ... and the pause between two attempts then.
const DOWN_PAUSE: Duration = Duration::from_secs(1);

/// Messages that wait, by id.
#[derive(Debug, Default)]
pub struct Backlog {
    entries: BTreeMap<u64, Entry>,
    failures: u32,
    rests_until: Option<Tick>,
}

#[derive(Debug)]
struct Entry {
    message: WebhookMessage,
    /// When its lifetime ends.
    until: Tick,
    /// Earliest time of the next attempt.
    due: Tick,
    attempts: u32,
    sent: bool,
}

impl Backlog {
    /// Takes a message; the same one counts once.
    pub fn add(&mut self, message: WebhookMessage, now: Now) {
        if self.entries.values().any(|entry| entry.message.key == message.key) {
            return;
        }
        let until = now.tick.plus(message.remaining(now));
        let entry = Entry { message, until, due: now.tick, attempts: 0, sent: false };
        self.entries.insert(entry.message.id, entry);
    }

    /// A customer or a visit vanished.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Erased(visit) => self.entries.retain(|_, e| e.message.visit != *visit),
            Change::Forgotten(client) => self.entries.retain(|_, e| e.message.client != *client),
            _ => {}
        }
    }

    /// The next message to send now; it counts as sent until it succeeds or fails.
    pub fn next(&mut self, now: Tick) -> Option<WebhookMessage> {
        let sent = self.entries.values().filter(|entry| entry.sent).count();
        let most = if self.is_down() { 1 } else { MOST_SENT };
        if sent >= most || self.rests_until.is_some_and(|until| now < until) {
            return None;
        }
        let ready = |entry: &&mut Entry| !entry.sent && entry.due <= now && now < entry.until;
        let entry = self.entries.values_mut().find(ready)?;
        entry.sent = true;
        entry.attempts += 1;
        Some(entry.message.clone())
    }

    /// The receiver has it. Returns whether it was still wanted.
    pub fn succeeded(&mut self, id: u64) -> bool {
        (self.failures, self.rests_until) = (0, None);
        self.entries.remove(&id).is_some()
    }

    /// The receiver has not taken it, and may ask for a `pause`.
    pub fn failed(&mut self, id: u64, now: Tick, pause: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        if self.is_down() {
            self.rests_until = Some(now.plus(DOWN_PAUSE));
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.sent = false;
        let doubled = FIRST_PAUSE.saturating_mul(1 << entry.attempts.saturating_sub(1).min(16));
        let pause = pause.map_or(doubled, |asked| asked.max(doubled)).min(LONGEST_PAUSE);
        entry.due = now.plus(spread(pause, id));
    }

    /// Takes a message out for good.
    pub fn give_up(&mut self, id: u64) -> Option<WebhookMessage> {
        self.entries.remove(&id).map(|entry| entry.message)
    }

    /// The messages whose lifetime has ended.
    pub fn expired(&self, now: Tick) -> Vec<u64> {
        let over = |entry: &Entry| !entry.sent && entry.until <= now;
        self.entries.iter().filter(|(_, entry)| over(entry)).map(|(id, _)| *id).collect()
    }

    /// The oldest message that is not on its way, to make room.
    pub fn oldest(&self) -> Option<u64> {
        self.entries.iter().find(|(_, entry)| !entry.sent).map(|(id, _)| *id)
    }

    /// Messages that wait or are on their way.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    const fn is_down(&self) -> bool {
        self.failures >= DOWN_AFTER
    }
}

/// Up to an eighth longer, so that a receiver that comes back does not get everything at once.
fn spread(pause: Duration, id: u64) -> Duration {
    pause + pause / 64 * u32::try_from(id % 8).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::VisitId;
    use crate::pipeline::units::{Clock, WallTime};

    const HOUR: Duration = Duration::from_hours(1);

    fn at(secs: u64) -> Now {
        let passed = Duration::from_secs(secs);
        let clock = Clock::Set(WallTime::from_unix_secs(1_767_603_600).plus(passed));
        Now { tick: Tick::ZERO.plus(passed), clock }
    }

    fn message(id: u64) -> WebhookMessage {
        WebhookMessage {
            id,
            hook: "https://till.example/".into(),
            event: "arrival",
            key: format!("msg_{id}").into(),
            payload: b"{}".as_slice().into(),
            from: at(0).clock.reading(),
            lifetime: HOUR,
            visit: VisitId(uuid::Uuid::from_u128(u128::from(id))),
            client: "c-1".into(),
        }
    }

    fn backlog(messages: u64) -> Backlog {
        let mut backlog = Backlog::default();
        (1..=messages).for_each(|id| backlog.add(message(id), at(0)));
        backlog
    }

    fn sent(backlog: &mut Backlog, secs: u64) -> Vec<u64> {
        std::iter::from_fn(|| backlog.next(at(secs).tick)).map(|message| message.id).collect()
    }

    #[test]
    fn four_are_on_their_way_at_once_in_order() {
        let mut backlog = backlog(6);
        assert_eq!(sent(&mut backlog, 0), [1, 2, 3, 4]);
        assert!(backlog.succeeded(1) && !backlog.succeeded(1));
        assert_eq!(sent(&mut backlog, 0), [5]);
    }

    #[test]
    fn a_receiver_that_is_down_is_tried_with_one_message_at_a_time() {
        let mut backlog = backlog(100);
        let mut attempts = 0;
        for secs in 0..600 {
            for id in sent(&mut backlog, secs) {
                backlog.failed(id, at(secs).tick, None);
                attempts += 1;
            }
        }
        assert!(attempts <= 604, "{attempts}");
        let first = sent(&mut backlog, 700);
        assert_eq!(first.len(), 1);
        backlog.succeeded(first[0]);
        assert_eq!(sent(&mut backlog, 1_000).len(), MOST_SENT, "it is back");
    }

    #[test]
    fn one_message_that_is_never_taken_does_not_hold_back_the_others() {
        let mut backlog = backlog(40);
        let mut taken = 0;
        for secs in 0..60 {
            for id in sent(&mut backlog, secs) {
                if id == 1 {
                    backlog.failed(id, at(secs).tick, None);
                } else {
                    taken += usize::from(backlog.succeeded(id));
                }
            }
        }
        assert_eq!((taken, backlog.len()), (39, 1));
    }

    #[test]
    fn pauses_grow_to_five_minutes_and_heed_what_the_receiver_asks_for() {
        let mut backlog = backlog(1);
        let mut secs = 0;
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let since = secs;
            while sent(&mut backlog, secs).is_empty() {
                secs += 1;
            }
            pauses.push(secs - since);
            backlog.failed(1, at(secs).tick, None);
        }
        assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]), "{pauses:?}");
        assert!((300..=340).contains(pauses.last().unwrap()), "{pauses:?}");

        let mut backlog = super::tests::backlog(1);
        sent(&mut backlog, 0);
        backlog.failed(1, at(0).tick, Some(Duration::from_mins(1)));
        assert_eq!(sent(&mut backlog, 59), [0; 0]);
        assert_eq!(sent(&mut backlog, 70), [1]);
    }

    #[test]
    fn a_message_whose_life_is_over_is_given_up_and_never_sent() {
        let mut backlog = backlog(1);
        assert_eq!(backlog.expired(at(3_599).tick), [0; 0]);
        assert_eq!(sent(&mut backlog, 3_600), [0; 0]);
        assert_eq!(backlog.expired(at(3_600).tick), [1]);
        assert!(backlog.give_up(1).is_some() && backlog.is_empty());
    }

    #[test]
    fn a_withdrawn_customers_messages_are_never_sent() {
        let mut backlog = backlog(2);
        backlog.apply(&Change::Forgotten("c-1".into()));
        assert_eq!(sent(&mut backlog, 0), [0; 0]);
    }
}
