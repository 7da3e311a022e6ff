//! Changes of an input: the log that both the disk and the outbox apply.

use std::sync::Arc;

use super::Heartbeat;
use super::published::Published;
use crate::mqtt::notice::{Announcer, Notice};
use crate::pipeline::event::{Announcement, GatewayIndex, KnownPhone, Visit};
use crate::pipeline::units::{ClockStep, Now, WallTime};
use crate::pipeline::{Effect, Settings, VisitId};

/// A notice on its way, by its place in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Grows with every notice, across restarts.
    pub id: u64,
    /// What to say.
    pub notice: Notice,
}

/// One thing to store or to delete.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A visit as it is now.
    Visit {
        /// The visit.
        visit: Box<Visit>,
        /// The name of the gateway that opened it.
        gateway: Arc<str>,
        /// When it was closed; `None` while it is open.
        departed_at: Option<WallTime>,
    },
    /// A customer was alerted about.
    Alerted {
        /// The customer's handle.
        client: Arc<str>,
        /// When.
        at: WallTime,
    },
    /// The RSSI offset of a customer's phone.
    Learned(KnownPhone),
    /// The RSSI offset of a customer's phone is deleted.
    Unlearned(Arc<str>),
    /// Staff said whether a visit's customer was here.
    Labelled {
        /// Which visit.
        visit: VisitId,
        /// What they said.
        was_here: bool,
        /// When.
        at: WallTime,
    },
    /// The broker is about to keep a state of this.
    Published(Published),
    /// The broker keeps a state of this no longer.
    Cleared(Published),
    /// A notice takes its place at the queue's end, and that of any older one it replaces.
    Queued(Row),
    /// A notice was acknowledged, or its time was over.
    Done(u64),
    /// A visit vanishes, with all that is queued about it.
    Erased(VisitId),
    /// A customer vanishes: visits, caps, everything queued that carries their data.
    Forgotten(Arc<str>),
    /// It became known where a customer is: for the audit alone.
    Recognised {
        /// The customer's handle.
        client: Arc<str>,
        /// When.
        at: WallTime,
        /// `arrived`, `returned`, `departed` or `passed`.
        what: &'static str,
        /// The name of the gateway that decided it.
        gateway: Arc<str>,
    },
    /// A customer withdrew consent; remembered for good.
    Withdrawn {
        /// The customer's handle.
        client: Arc<str>,
        /// When this gateway heard of it.
        at: WallTime,
    },
    /// The wall clock was set: times that were read from it before are corrected.
    ClockSet(ClockStep),
    /// grelot is alive, and what is too old to matter goes.
    Heartbeat {
        /// When.
        heartbeat: Heartbeat,
        /// Visits closed before this cannot be continued any more.
        closed_before: WallTime,
        /// Alerts before this cap nothing any more.
        alerted_before: WallTime,
        /// What visits taught before this is forgotten.
        learned_before: WallTime,
    },
}

/// What `effects` change, in their order; `next_id` numbers the notices.
pub fn changes(
    settings: &Settings,
    now: Now,
    effects: &[Effect],
    mut next_id: impl FnMut() -> u64,
) -> Vec<Change> {
    let announcer = Announcer { settings, now };
    let mut changes = Vec::new();
    for effect in effects {
        remember(settings, effect, &mut changes);
        changes.extend(recognised(settings, effect, now.clock.reading()));
        let notices = announcer.notices(effect).into_iter();
        changes.extend(notices.map(|notice| Change::Queued(Row { id: next_id(), notice })));
    }
    changes
}

/// What a heartbeat changes.
pub fn heartbeat(settings: &Settings, heartbeat: Heartbeat) -> Change {
    let at = heartbeat.at;
    Change::Heartbeat {
        heartbeat,
        closed_before: at.minus(settings.presence.rejoin),
        alerted_before: at.minus(settings.policy.between_alerts),
        learned_before: at.minus(settings.presence.known_for),
    }
}

/// What the audit notes.
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
        Effect::Changed(visit) | Effect::Returned(visit) => changes.push(as_it_is(visit, None)),
        Effect::Departed { visit, at, .. } => changes.push(as_it_is(visit, Some(*at))),
        Effect::Erased { visit } => changes.push(Change::Erased(*visit)),
        Effect::Forget { client } => changes.push(Change::Forgotten(client.clone())),
        Effect::Alerted { client, at } => {
            changes.push(Change::Alerted { client: client.clone(), at: *at });
        }
        Effect::Learned(phone) => changes.push(Change::Learned(phone.clone())),
        Effect::ClockSet(step) => changes.push(Change::ClockSet(*step)),
        Effect::Unlearned { client } => changes.push(Change::Unlearned(client.clone())),
        Effect::Passed { .. }
        | Effect::CardCopied { .. }
        | Effect::Beacon(_)
        | Effect::Overheard(_)
        | Effect::Explained(_) => {}
    }
}
