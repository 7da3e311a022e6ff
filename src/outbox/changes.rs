//! From domain effects to the changes of the store.

use std::sync::Arc;

use super::MessageBuilder;
use crate::pipeline::event::{Announcement, GatewayIndex, Visit};
use crate::pipeline::units::{Now, WallTime};
use crate::pipeline::{Effect, Settings};
use crate::store::{Change, Queued};

/// The changes that `effects` cause, in their order; `next_id` numbers the messages.
pub fn changes(
    settings: &Settings,
    now: Now,
    effects: &[Effect],
    mut next_id: impl FnMut() -> u64,
) -> Vec<Change> {
    let builder = MessageBuilder { settings, now };
    let mut changes = Vec::new();
    for effect in effects {
        remember(settings, effect, &mut changes);
        changes.extend(recognised(settings, effect, now.clock.reading()));
        let messages = builder.messages(effect).into_iter();
        changes.extend(messages.map(|message| Change::Queued(Queued { id: next_id(), message })));
    }
    changes
}

/// The audit's entry for an effect.
fn recognised(settings: &Settings, effect: &Effect, at: WallTime) -> Option<Change> {
    let (client, gateway, what) = match effect {
        Effect::Arrived { visit, .. } => (&visit.client, visit.gateway, "arrived"),
        Effect::Returned(visit) => (&visit.client, visit.gateway, "returned"),
        Effect::Departed { visit, .. } => (&visit.client, visit.gateway, "departed"),
        Effect::Passed { client } => (client, GatewayIndex(0), "passed"),
        _ => return None,
    };
    let gateway = settings.gateways.get(usize::from(gateway.0));
    let gateway = gateway.map_or("", |gateway| gateway.name.as_str()).into();
    Some(Change::Recognised { client: Arc::clone(client), at, what, gateway })
}

fn remember(settings: &Settings, effect: &Effect, changes: &mut Vec<Change>) {
    let as_it_is = |visit: &Visit, departed_at| {
        let gateway = settings.gateways.get(usize::from(visit.gateway.0));
        let gateway = gateway.map_or("", |gateway| gateway.name.as_str()).into();
        Change::Visit { visit: Box::new(visit.clone()), gateway, departed_at }
    };
    match effect {
        Effect::Arrived { visit, announcement } => {
            changes.push(as_it_is(visit, None));
            if matches!(announcement, Announcement::Alert { .. }) {
                let client = visit.client.clone();
                changes.push(Change::Alerted { client, at: visit.arrived_at });
            }
        }
        Effect::Changed(visit) | Effect::Escalated(visit) | Effect::Returned(visit) => {
            changes.push(as_it_is(visit, None));
        }
        Effect::Departed { visit, at, .. } => changes.push(as_it_is(visit, Some(*at))),
        Effect::Erased { visit } => changes.push(Change::Erased(*visit)),
        Effect::Forget { client } => changes.push(Change::Forgotten(client.clone())),
        Effect::Alerted { client, at } => {
            changes.push(Change::Alerted { client: client.clone(), at: *at });
        }
        Effect::Learned(phone) => changes.push(Change::Learned(phone.clone())),
        Effect::Surveyed(survey) => changes.push(Change::Surveyed(survey.clone())),
        Effect::ClockSet(step) => changes.push(Change::ClockSet(*step)),
        Effect::Unlearned { client } => changes.push(Change::Unlearned(client.clone())),
        Effect::Passed { .. }
        | Effect::CardCopied { .. }
        | Effect::Beacon(_)
        | Effect::PeerContacts(_)
        | Effect::Explained(_) => {}
    }
}
