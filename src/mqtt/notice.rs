//! What effects say to the outside: each becomes none, one or two notices.

use std::sync::Arc;
use std::time::Duration;

use super::payload;
use super::topics::Topics;
use crate::pipeline::event::{Announcement, Visit};
use crate::pipeline::units::{Now, WallTime};
use crate::pipeline::{Effect, Settings, VisitId};

/// A message that must reach the broker: at least once, until its time is over.
#[derive(Clone, PartialEq, Eq)]
pub struct Notice {
    /// The full topic.
    pub topic: String,
    /// JSON; empty to clear a retained message.
    pub payload: Arc<[u8]>,
    /// Whether the broker keeps it for who comes later.
    pub retain: bool,
    /// When it began to be true.
    pub from: WallTime,
    /// How long after `from` it is worth something.
    pub lifetime: Duration,
    /// The visit it is about.
    pub visit: VisitId,
    /// The customer whose data it carries; `None` where it carries none.
    pub client: Option<Arc<str>>,
}

/// The payload may carry a customer's name, so it is not shown.
impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Notice({}, {} octets)", self.topic, self.payload.len())
    }
}

impl Notice {
    /// What is left of its lifetime; never more than the whole, even if the wall clock went back.
    pub fn remaining(&self, now: Now) -> Duration {
        let age = now.clock.reading().unix_millis().saturating_sub(self.from.unix_millis());
        self.lifetime.saturating_sub(Duration::from_millis(u64::try_from(age).unwrap_or(0)))
    }

    /// Whether it takes the place of `older`: it says something newer on the same topic about the
    /// same visit.
    pub fn replaces(&self, older: &Self) -> bool {
        self.visit == older.visit && self.topic == older.topic
    }

    /// Whether it clears a retained message.
    pub fn clears(&self) -> bool {
        self.retain && self.payload.is_empty()
    }
}

/// Turns a store's effects into notices.
#[derive(Debug, Clone, Copy)]
pub struct Announcer<'a> {
    /// Store, gateways, and how long things live.
    pub settings: &'a Settings,
    /// When the effects came about.
    pub now: Now,
}

impl Announcer<'_> {
    /// What `effect` says to the outside, in the order it shall be said.
    pub fn notices(self, effect: &Effect) -> Vec<Notice> {
        match effect {
            Effect::Arrived { visit, announcement: Announcement::Alert { ttl } } => {
                vec![self.alert(visit, *ttl), self.state(visit)]
            }
            Effect::Arrived { visit, announcement: Announcement::Silent(_) }
            | Effect::Changed(visit)
            | Effect::Returned(visit) => vec![self.state(visit)],
            Effect::Departed { visit, at, reason } => {
                let farewell = payload::Departure::of(visit, *at, *reason);
                let notice = Notice {
                    topic: self.topics().departures(),
                    payload: payload::encode(&farewell).into(),
                    retain: false,
                    from: *at,
                    lifetime: self.settings.policy.alert_ttl,
                    visit: visit.id,
                    client: Some(visit.client.clone()),
                };
                vec![notice, self.cleared(visit.id)]
            }
            Effect::Erased { visit } => vec![self.cleared(*visit)],
            Effect::Forget { .. }
            | Effect::Alerted { .. }
            | Effect::Learned(_)
            | Effect::Unlearned { .. }
            | Effect::Passed { .. }
            | Effect::CardCopied { .. }
            | Effect::ClockSet(_)
            | Effect::Overheard(_)
            | Effect::Beacon(_)
            | Effect::Explained(_) => Vec::new(),
        }
    }

    /// The retained state of an open visit; cleared where staff dismissed it.
    pub fn state(self, visit: &Visit) -> Notice {
        if visit.dismissed {
            return self.cleared(visit.id);
        }
        let state = payload::Visit::of(visit, self.gateway(visit));
        Notice {
            topic: self.topics().visit(visit.id),
            payload: payload::encode(&state).into(),
            retain: true,
            from: visit.arrived_at,
            lifetime: self.settings.presence.longest_visit,
            visit: visit.id,
            client: Some(visit.client.clone()),
        }
    }

    fn alert(self, visit: &Visit, ttl: Duration) -> Notice {
        Notice {
            topic: self.topics().arrivals(),
            payload: payload::encode(&payload::Arrival::of(visit, self.gateway(visit))).into(),
            retain: false,
            from: visit.arrived_at,
            lifetime: ttl,
            visit: visit.id,
            client: Some(visit.client.clone()),
        }
    }

    /// Worth as long as the state it clears can live at the broker.
    fn cleared(self, visit: VisitId) -> Notice {
        Notice {
            topic: self.topics().visit(visit),
            payload: Arc::default(),
            retain: true,
            from: self.now.clock.reading(),
            lifetime: self.settings.presence.longest_visit,
            visit,
            client: None,
        }
    }

    const fn topics(self) -> Topics {
        Topics::of(self.settings.store)
    }

    /// The name of the gateway that opened `visit`; this one's where that one is gone from the
    /// configuration.
    fn gateway(&self, visit: &Visit) -> &str {
        let gateways = &self.settings.gateways;
        let opener = gateways.get(usize::from(visit.gateway.0)).or_else(|| gateways.first());
        opener.map_or("", |gateway| gateway.name.as_str())
    }
}
