//! Changes of an input: the log that both the disk and the outbox apply.

use std::sync::Arc;

use super::Heartbeat;
use super::message::Queued;
use super::published::Published;
use super::webhooks::WebhookMessage;
use crate::pipeline::event::{KnownPhone, Visit};
use crate::pipeline::presence::Survey;
use crate::pipeline::units::{ClockStep, WallTime};
use crate::pipeline::{Settings, VisitId};

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
    /// What the shop's traffic says of its radio, whole.
    Surveyed(Survey),
    /// The RSSI offset of a customer's phone is deleted.
    Unlearned(Arc<str>),
    /// Staff said whether a visit's customer was here.
    Labelled {
        /// Which visit.
        visit: VisitId,
        /// What they said.
        was_here: Option<bool>,
        /// When.
        at: WallTime,
    },
    /// The broker is about to keep a state of this.
    Published(Published),
    /// The broker keeps a state of this no longer.
    Cleared(Published),
    /// A message takes its place at the queue's end, and that of an older one it replaces.
    Queued(Queued),
    /// A message was acknowledged, or has expired.
    Done(u64),
    /// A message waits for a webhook.
    WebhookQueued(WebhookMessage),
    /// A webhook has taken a message.
    WebhookDone(u64),
    /// A message for a webhook was given up.
    WebhookDead {
        /// Which message.
        id: u64,
        /// When.
        at: WallTime,
        /// Why.
        why: String,
    },
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
        /// When this gateway received it.
        at: WallTime,
    },
    /// Every withdrawal of head office's list up to this one is known.
    WithdrawnUpTo {
        /// Which list.
        list: Arc<str>,
        /// Its last known number.
        serial: u64,
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
