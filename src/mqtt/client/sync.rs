//! The current state, for a client that asks: what this gateway would have the broker retain. Not
//! every broker delivers retained messages.

use std::collections::{BTreeMap, VecDeque};

use super::Client;
use crate::mqtt::inbound::{self, Inbound};
use crate::mqtt::link::{InFlight, Message};
use crate::mqtt::topics::{ROOT, Topic};
use crate::payload;

/// Clients that wait for an answer; the next ones ask again with their next connection.
const MOST_ASKING: usize = 64;

/// Octets of the payloads in one part of an answer, about.
const PART: usize = 32 * 1024;

/// Answers that are to be given, by the topic that each client named for it.
#[derive(Debug, Default)]
pub(super) struct SyncAnswers(VecDeque<(String, payload::SyncAnswer)>);

impl Client {
    /// A client asks to be answered on `response_topic`, which must be a topic for answers.
    pub(super) fn on_sync(&mut self, response_topic: Option<String>) {
        let Some(topic) = response_topic else { return };
        let is_own = topic == self.peer.here.sync_answers();
        let waits = self.sync_answers.0.iter().any(|(waiting, _)| *waiting == topic);
        if is_own || waits || self.sync_answers.0.len() >= MOST_ASKING {
            return;
        }
        if !matches!(Topic::parse(&topic), Some((Topic::SyncAnswer, parameters))
            if parameters.first().is_some_and(|store| store.parse() == Ok(self.peer.here.topics.store())))
        {
            self.channels.counts.refused.one();
            tracing::warn!("a client wants the state on a topic that is not for it");
            return;
        }
        for part in self.state() {
            self.sync_answers.0.push_back((topic.clone(), part));
        }
    }

    /// Publishes a part of an answer.
    pub(super) fn submit_sync_answer(&mut self) -> bool {
        let Some((topic, part)) = self.sync_answers.0.pop_front() else { return false };
        let Some(link) = &mut self.link else { return false };
        let payload = payload::encode(&part);
        let message = Message { topic: &topic, payload: &payload, retain: false, expiry: None };
        link.publish(InFlight::Repeatable, &message);
        true
    }

    pub(super) fn end_sync(&mut self) {
        self.sync_answers.0.clear();
    }

    fn state(&mut self) -> Vec<payload::SyncAnswer> {
        let prefix = format!("{ROOT}/{}/", self.peer.here.topics.store());
        let now = self.clocks.now();
        let topics: Vec<String> = self.retained.topics(now).cloned().collect();
        let mut parts = vec![self.empty_part()];
        let mut octets = 0;
        for topic in topics {
            let Some(kept) = self.retained.get(&topic) else { continue };
            if !self.may_show(kept.client.as_ref()) {
                continue;
            }
            let Some(below) = topic.strip_prefix(&prefix) else { continue };
            let Ok(payload) = serde_json::from_slice(&kept.payload) else { continue };
            octets += below.len() + kept.payload.len();
            if octets > PART {
                octets = 0;
                parts.push(self.empty_part());
            }
            if let Some(part) = parts.last_mut() {
                part.retained.insert(below.to_owned(), payload);
            }
        }
        if let Some(last) = parts.last_mut() {
            last.last = true;
        }
        parts
    }

    fn empty_part(&self) -> payload::SyncAnswer {
        payload::SyncAnswer {
            v: payload::VERSION,
            gateway: self.peer.here.gateway.clone(),
            retained: BTreeMap::new(),
            last: false,
        }
    }

    /// Another gateway's answer, as the retained messages that it stands for.
    pub(super) fn on_sync_answer(&mut self, answer: payload::SyncAnswer) -> Vec<Inbound> {
        let mut all = Vec::new();
        for (below, payload) in answer.retained {
            let topic = self.peer.here.topics.under(&below);
            let payload = payload::encode(&payload);
            match inbound::parse(&self.peer.here, topic.as_bytes(), &payload) {
                Ok(state @ (Inbound::Visit { .. } | Inbound::Peer { .. })) => {
                    all.extend(self.relevant(state, true));
                }
                Ok(_) => {}
                Err(refused) => {
                    self.channels.counts.refused.one();
                    tracing::warn!(%refused, "a part of a gateway's state is refused");
                }
            }
        }
        all
    }
}
