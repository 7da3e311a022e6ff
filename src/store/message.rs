//! A message for staff, as it is stored until the broker has acknowledged it.

use std::sync::Arc;
use std::time::Duration;

use crate::pipeline::VisitId;
use crate::pipeline::units::{Now, WallTime};

/// A message that must reach the broker at least once while its lifetime lasts.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboundMessage {
    /// What it is about; decides where it is published.
    pub kind: MessageKind,
    /// The visit it is about.
    pub visit: VisitId,
    /// JSON; empty to clear the visit's state.
    pub payload: Arc<[u8]>,
    /// When it became true.
    pub from: WallTime,
    /// How long after `from` it is worth publishing.
    pub lifetime: Duration,
    /// The customer whose data the payload carries; `None` where it carries none.
    pub client: Option<Arc<str>>,
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageKind {
    /// A customer arrived; staff are alerted.
    Arrival,
    /// No one claimed the visit in time.
    Escalation,
    Departure,
    /// The state of a visit, which the broker retains.
    VisitState,
    /// The gateway's synthetic customer arrived: not for staff, and in no count.
    Canary,
}

/// A message and its place in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Grows with every message, across restarts.
    pub id: u64,
    pub message: OutboundMessage,
}

/// What messages have in common that replace each other, or wait together for a subscriber.
pub type Subject = (MessageKind, Option<VisitId>);

/// The payload may carry a customer's name, so it is not shown.
impl std::fmt::Debug for OutboundMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let octets = self.payload.len();
        write!(f, "OutboundMessage({:?}, {}, {octets} octets)", self.kind, self.visit)
    }
}

impl MessageKind {
    const ALL: [Self; 5] =
        [Self::Arrival, Self::Escalation, Self::Departure, Self::VisitState, Self::Canary];

    /// The word in the store's file.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Arrival => "arrival",
            Self::Escalation => "escalation",
            Self::Departure => "departure",
            Self::VisitState => "visit_state",
            Self::Canary => "canary",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

impl OutboundMessage {
    /// The rest of its lifetime; never more than the whole, even if the wall clock went back.
    pub fn remaining(&self, now: Now) -> Duration {
        let age = now.clock.reading().unix_millis().saturating_sub(self.from.unix_millis());
        self.lifetime.saturating_sub(Duration::from_millis(u64::try_from(age).unwrap_or(0)))
    }

    /// Whether it has newer content of the same kind about the same visit.
    pub fn replaces(&self, older: &Self) -> bool {
        self.visit == older.visit && self.kind == older.kind
    }

    /// Whether the broker keeps it for clients that subscribe later.
    pub fn is_retained(&self) -> bool {
        self.kind == MessageKind::VisitState
    }

    /// Whether it is published again until a subscriber has received it.
    pub fn waits_for_subscriber(&self) -> bool {
        matches!(self.kind, MessageKind::Arrival | MessageKind::Departure)
    }

    /// Whether it is the gateway's own canary.
    pub fn is_canary(&self) -> bool {
        self.kind == MessageKind::Canary
    }

    /// Whether it clears a retained message.
    pub fn clears(&self) -> bool {
        self.is_retained() && self.payload.is_empty()
    }

    /// The messages that wait together with this one: those of one topic.
    pub fn subject(&self) -> Subject {
        (self.kind, self.is_retained().then_some(self.visit))
    }
}
