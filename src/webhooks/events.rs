//! Turns an effect of the pipeline into messages for webhooks.
//!
//! They carry the customer's handle and tier, never the card: what a customer lets staff see is not
//! meant for other systems.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Webhook;
use crate::pipeline::event::{Announcement, Visit};
use crate::pipeline::units::{Now, WallTime};
use crate::pipeline::{Effect, Settings};
use crate::store::WebhookMessage;

/// What happened to a visit.
struct Event<'a> {
    /// `arrival`, `claim`, `departure` or `escalation`.
    kind: &'static str,
    visit: &'a Visit,
    at: WallTime,
    /// What only events of this kind say.
    more: Value,
}

/// The messages that `hooks` get of `effect`; `next_id` numbers them.
pub fn messages(
    hooks: &[Webhook],
    settings: &Settings,
    now: Now,
    effect: &Effect,
    mut next_id: impl FnMut() -> u64,
) -> Vec<WebhookMessage> {
    let Some(event) = hooks.first().and_then(|_| event(effect, now)) else { return Vec::new() };
    let key = key(settings.store, &event);
    let payload: Arc<[u8]> = payload(settings, &event).to_string().into_bytes().into();
    let takers = hooks.iter().filter(|hook| hook.events.contains(&event.kind));
    let message = |hook: &Webhook| WebhookMessage {
        id: next_id(),
        hook: Arc::clone(&hook.name),
        event: event.kind,
        key: Arc::clone(&key),
        payload: Arc::clone(&payload),
        from: event.at,
        lifetime: hook.lifetime,
        visit: event.visit.id,
        client: Arc::clone(&event.visit.client),
    };
    takers.map(message).collect()
}

/// Only for visits that alerted staff: quiet hours, caps and customers' settings apply.
fn event(effect: &Effect, now: Now) -> Option<Event<'_>> {
    let (kind, visit, at, more) = match effect {
        Effect::Arrived { visit, announcement: Announcement::Alert { .. } } => {
            ("arrival", visit, visit.arrived_at, Value::Null)
        }
        Effect::Changed(visit) => {
            let claim = visit.claim.as_ref()?;
            // A state that is published again is no new claim.
            if claim.since != now.clock.reading() {
                return None;
            }
            ("claim", visit, claim.since, json!({ "by": &*claim.by }))
        }
        Effect::Escalated(visit) => ("escalation", visit, now.clock.reading(), Value::Null),
        Effect::Departed { visit, at, reason } => {
            let more = json!({ "departed_at": at.to_string(), "reason": reason.word() });
            ("departure", visit, *at, more)
        }
        _ => return None,
    };
    visit.announced.then_some(Event { kind, visit, at, more })
}

/// The same for the same event, also after a restart.
fn key(store: u16, event: &Event<'_>) -> Arc<str> {
    let by = event.visit.claim.as_ref().filter(|_| event.kind == "claim");
    let by = by.map(|claim| format!("{}/{}", claim.since.unix_millis(), claim.by));
    let (visit, by) = (event.visit.id, by.unwrap_or_default());
    let hash = Sha256::digest(format!("grelot/1/webhook/{store}/{visit}/{}/{by}", event.kind));
    let hex: String = hex::encode(hash).chars().take(32).collect();
    format!("msg_{hex}").into()
}

fn payload(settings: &Settings, event: &Event<'_>) -> Value {
    let visit = event.visit;
    let gateway = settings.gateways.get(usize::from(visit.gateway.0));
    let mut data = json!({
        "store": settings.store,
        "visit": visit.id.to_string(),
        "client": &*visit.client,
        "tier": &*visit.tier,
        "gateway": gateway.map(|gateway| gateway.name.as_str()),
        "arrived_at": visit.arrived_at.to_string(),
        "confidence": (f64::from(visit.confidence) * 1e4).round() / 1e4,
    });
    if let (Value::Object(data), Value::Object(more)) = (&mut data, event.more.clone()) {
        data.extend(more);
    }
    json!({ "type": event.kind, "timestamp": event.at.to_string(), "data": data })
}
