//! The messages that the broker should retain. They are published again on each connection, because
//! a broker may have lost them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::topics::Addressee;
use crate::pipeline::units::{Now, Tick};
use crate::store::OutboundMessage;

/// Retained messages by topic.
#[derive(Debug, Default)]
pub struct Retained(BTreeMap<String, Kept>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// JSON.
    pub payload: Arc<[u8]>,
    /// When it expires; `None` for never.
    pub until: Option<Tick>,
    /// Published at `QoS` 1 instead of 0.
    pub at_least_once: bool,
    /// The customer whose data the payload carries; `None` where it carries none.
    pub client: Option<Arc<str>>,
}

impl Retained {
    /// Follows what a message sets or clears.
    pub fn follow(&mut self, here: &Addressee, message: &OutboundMessage, now: Now) {
        let topic = here.of_message(message);
        if message.clears() {
            self.0.remove(&topic);
        } else if message.is_retained() {
            let until = Some(now.tick.plus(message.remaining(now)));
            let client = message.client.clone();
            let kept =
                Kept { payload: message.payload.clone(), until, at_least_once: true, client };
            self.0.insert(topic, kept);
        }
    }

    /// Sets a message that does not expire.
    pub fn set(&mut self, topic: String, payload: Vec<u8>, at_least_once: bool) {
        let kept = Kept { payload: payload.into(), until: None, at_least_once, client: None };
        self.0.insert(topic, kept);
    }

    /// Another gateway publishes it.
    pub fn forget(&mut self, topic: &str) {
        self.0.remove(topic);
    }

    /// The message of a topic.
    pub fn get(&self, topic: &str) -> Option<&Kept> {
        self.0.get(topic)
    }

    /// Drops what has expired, and returns the topics of the rest.
    pub fn topics(&mut self, now: Now) -> impl Iterator<Item = &String> {
        self.0.retain(|_, kept| kept.until.is_none_or(|until| now.tick < until));
        self.0.keys()
    }
}
