//! Builds messages for staff from a domain effect.

use std::sync::Arc;
use std::time::Duration;

use crate::payload;
use crate::pipeline::event::{Announcement, Visit};
use crate::pipeline::units::{Now, WallTime};
use crate::pipeline::{Effect, Settings, VisitId};
use crate::store::{MessageKind, OutboundMessage};

/// Builds the messages of one input's effects.
#[derive(Debug, Clone, Copy)]
pub struct MessageBuilder<'a> {
    /// For the names of gateways and the lifetimes of messages.
    pub settings: &'a Settings,
    /// The time of the input.
    pub now: Now,
}

impl MessageBuilder<'_> {
    /// None, one or two messages, in the order of publication.
    pub fn messages(self, effect: &Effect) -> Vec<OutboundMessage> {
        match effect {
            Effect::Arrived { visit, announcement: Announcement::Alert { ttl } } => {
                vec![self.alert(visit, *ttl), self.state(visit)]
            }
            Effect::Arrived { visit, announcement: Announcement::Silent(_) }
            | Effect::Changed(visit)
            | Effect::Returned(visit) => vec![self.state(visit)],
            Effect::Departed { visit, at, reason } => {
                let departure = payload::encode(&payload::Departure::of(visit, *at, *reason));
                let lifetime = self.settings.policy.alert_ttl;
                let departed = message(MessageKind::Departure, visit, departure, *at, lifetime);
                vec![departed, self.cleared(visit.id)]
            }
            Effect::Escalated(visit) => vec![self.escalation(visit), self.state(visit)],
            Effect::Erased { visit } => vec![self.cleared(*visit)],
            Effect::Forget { .. }
            | Effect::Alerted { .. }
            | Effect::Learned(_)
            | Effect::Surveyed(_)
            | Effect::Unlearned { .. }
            | Effect::Passed { .. }
            | Effect::CardCopied { .. }
            | Effect::ClockSet(_)
            | Effect::PeerContacts(_)
            | Effect::Beacon(_)
            | Effect::Explained(_) => Vec::new(),
        }
    }

    /// The state of an open visit; cleared where staff dismissed it.
    pub fn state(self, visit: &Visit) -> OutboundMessage {
        if visit.dismissed {
            return self.cleared(visit.id);
        }
        let state =
            payload::encode(&payload::Visit::of(visit, self.gateway(visit), self.tier_name(visit)));
        let lifetime = self.settings.presence.longest_visit;
        message(MessageKind::VisitState, visit, state, visit.arrived_at, lifetime)
    }

    fn alert(self, visit: &Visit, ttl: Duration) -> OutboundMessage {
        message(MessageKind::Arrival, visit, self.arrival(visit), visit.arrived_at, ttl)
    }

    /// The alert again, when no one claimed the visit in time.
    fn escalation(self, visit: &Visit) -> OutboundMessage {
        let (now, ttl) = (self.now.clock.reading(), self.settings.policy.alert_ttl);
        message(MessageKind::Escalation, visit, self.arrival(visit), now, ttl)
    }

    fn arrival(self, visit: &Visit) -> Vec<u8> {
        let (gateway, tier_name) = (self.gateway(visit), self.tier_name(visit));
        payload::encode(&payload::Arrival::of(visit, gateway, tier_name))
    }

    fn tier_name(&self, visit: &Visit) -> Option<&str> {
        self.settings.policy.tier_names.get(&*visit.tier).map(String::as_str)
    }

    /// Its lifetime is as long as the broker can retain the state that it clears.
    fn cleared(self, visit: VisitId) -> OutboundMessage {
        OutboundMessage {
            kind: MessageKind::VisitState,
            visit,
            payload: Arc::default(),
            from: self.now.clock.reading(),
            lifetime: self.settings.presence.longest_visit,
            client: None,
        }
    }

    /// The name of the gateway that opened `visit`; this gateway's where that one is no longer
    /// configured.
    fn gateway(&self, visit: &Visit) -> &str {
        let gateways = &self.settings.gateways;
        let opener = gateways.get(usize::from(visit.gateway.0)).or_else(|| gateways.first());
        opener.map_or("", |gateway| gateway.name.as_str())
    }
}

fn message(
    kind: MessageKind,
    visit: &Visit,
    payload: Vec<u8>,
    from: WallTime,
    lifetime: Duration,
) -> OutboundMessage {
    let client = Some(visit.client.clone());
    OutboundMessage { kind, visit: visit.id, payload: payload.into(), from, lifetime, client }
}
