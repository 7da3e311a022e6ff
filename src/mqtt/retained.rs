//! What the broker ought to be keeping for who comes later: said again on each connection,
//! because a broker may have forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::topics::Topics;
use crate::pipeline::units::{Now, Tick};
use crate::store::OutboundMessage;

/// Retained messages by topic.
#[derive(Debug, Default)]
pub struct Retained(BTreeMap<String, Kept>);

/// One retained message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it says.
    pub payload: Arc<[u8]>,
    /// When it loses its meaning; `None` for never.
    pub until: Option<Tick>,
    /// Whether it is worth an acknowledgement (`QoS` 1).
    pub assured: bool,
}

impl Retained {
    /// Follows what a message sets or clears.
    pub fn follow(&mut self, topics: &Topics, message: &OutboundMessage, now: Now) {
        let topic = topics.of_message(message);
        if message.clears() {
            self.0.remove(&topic);
        } else if message.is_retained() {
            let until = Some(now.tick.plus(message.remaining(now)));
            let kept = Kept { payload: message.payload.clone(), until, assured: true };
            self.0.insert(topic, kept);
        }
    }

    /// Sets what stays until it is set anew.
    pub fn set(&mut self, topic: String, payload: Vec<u8>, assured: bool) {
        self.0.insert(topic, Kept { payload: payload.into(), until: None, assured });
    }

    /// It is for somebody else to say.
    pub fn forget(&mut self, topic: &str) {
        self.0.remove(topic);
    }

    /// The message of a topic.
    pub fn get(&self, topic: &str) -> Option<&Kept> {
        self.0.get(topic)
    }

    /// Drops what has lost its meaning, and names the rest.
    pub fn topics(&mut self, now: Now) -> impl Iterator<Item = &String> {
        self.0.retain(|_, kept| kept.until.is_none_or(|until| now.tick < until));
        self.0.keys()
    }
}
