//! What gateways said and is not in the database yet.
//!
//! A gateway's newer message takes the place of its older one of the same kind, so that the database
//! may be away for long. That loses nothing: a gateway repeats reports and questions until they are
//! answered.

use std::collections::{HashMap, VecDeque};

use crate::pipeline::units::WallTime;
use crate::topics::Topic;

/// Octets of messages that wait, at most: those of ten thousand gateways, twice.
const MOST: usize = 128 << 20;

/// Of a message, beside its payload.
const OVERHEAD: usize = 256;

/// A message of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) topic: Topic,
    pub(super) store: u16,
    pub(super) gateway: String,
    pub(super) payload: Vec<u8>,
    /// When it came.
    pub(super) at: WallTime,
}

/// Topic, store, gateway; and a number where messages of the same topic are of different gateways.
type Key = (Topic, u16, String, u64);

/// The messages that wait, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    order: VecDeque<Key>,
    said: HashMap<Key, (Vec<u8>, WallTime)>,
    octets: usize,
    answers: u64,
}

impl Inbox {
    /// False where there is no room: the message is not taken.
    pub(super) fn put(&mut self, message: Received) -> bool {
        let (key, said) = self.keyed(message);
        let before = self.said.get(&key).map(|(before, _)| before.len() + OVERHEAD);
        let octets = self.octets - before.unwrap_or(0) + said.0.len() + OVERHEAD;
        if octets > MOST {
            return false;
        }
        self.octets = octets;
        if self.said.insert(key.clone(), said).is_none() {
            self.order.push_back(key);
        }
        true
    }

    /// The oldest messages, at most `most`.
    pub(super) fn take(&mut self, most: usize) -> Vec<Received> {
        let keys = self.order.drain(..most.min(self.order.len()));
        let taken = keys.filter_map(|key| {
            let (payload, at) = self.said.remove(&key)?;
            self.octets = self.octets.saturating_sub(payload.len() + OVERHEAD);
            let (topic, store, gateway, _) = key;
            Some(Received { topic, store, gateway, payload, at })
        });
        taken.collect()
    }

    /// Messages that were taken come back to the front, but for those that a newer one has replaced.
    pub(super) fn put_back(&mut self, messages: Vec<Received>) {
        for message in messages.into_iter().rev() {
            let (key, said) = self.keyed(message);
            if !self.said.contains_key(&key) {
                self.octets += said.0.len() + OVERHEAD;
                self.said.insert(key.clone(), said);
                self.order.push_front(key);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn keyed(&mut self, message: Received) -> (Key, (Vec<u8>, WallTime)) {
        let Received { topic, store, gateway, payload, at } = message;
        // All gateways of a store answer head office on one topic.
        if topic == Topic::SyncAnswer {
            self.answers += 1;
        }
        let number = if topic == Topic::SyncAnswer { self.answers } else { 0 };
        ((topic, store, gateway, number), (payload, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: Topic, store: u16, text: &str) -> Received {
        let (gateway, at) = ("door".to_owned(), WallTime::from_unix_secs(0));
        Received { topic, store, gateway, payload: text.into(), at }
    }

    fn taken(inbox: &mut Inbox, most: usize) -> Vec<String> {
        let all = inbox.take(most).into_iter();
        all.map(|one| String::from_utf8(one.payload).unwrap()).collect()
    }

    #[test]
    fn the_newest_of_a_gateway_waits_and_one_that_comes_back_replaces_no_newer_one() {
        let mut inbox = Inbox::default();
        for (topic, store, text) in [
            (Topic::Health, 1, "a"),
            (Topic::Health, 2, "b"),
            (Topic::Status, 1, "c"),
            (Topic::Health, 1, "d"),
            (Topic::SyncAnswer, 1, "e"),
            (Topic::SyncAnswer, 1, "f"),
        ] {
            assert!(inbox.put(message(topic, store, text)));
        }
        let all = inbox.take(3);
        assert_eq!(all.iter().map(|one| &*one.payload).collect::<Vec<_>>(), [b"d", b"b", b"c"]);
        inbox.put(message(Topic::Health, 2, "newer"));
        inbox.put_back(all);
        assert_eq!(taken(&mut inbox, 10), ["d", "c", "e", "f", "newer"]);
        assert!(inbox.is_empty() && inbox.octets == 0);
    }

    #[test]
    fn a_flood_is_not_taken_in() {
        let mut inbox = Inbox::default();
        let large = "x".repeat(1 << 20);
        let put = (0..200).filter(|store| inbox.put(message(Topic::Health, *store, &large)));
        assert_eq!(put.count(), 127);
        assert_eq!(taken(&mut inbox, 1).len(), 1);
        assert!(inbox.put(message(Topic::Health, 500, &large)));
    }
}
