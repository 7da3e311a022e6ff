//! The changes of an input: the log that both the disk and the outbox apply.

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
        visit: Box<Visit>,
        /// The name of the gateway that opened it.
        gateway: Arc<str>,
        /// When it was closed; `None` while it is open.
        departed_at: Option<WallTime>,
    },
    /// Staff were alerted of a customer.
    Alerted { client: Arc<str>, at: WallTime },
    /// The RSSI offset of a customer's phone.
    Learned(KnownPhone),
    /// The statistics of the shop's own traffic, complete.
    Surveyed(Survey),
    /// The RSSI offset of a customer's phone is deleted.
    Unlearned(Arc<str>),
    /// Staff said whether a visit's customer was here.
    Labelled {
        visit: VisitId,
        /// `None` takes an earlier answer back.
        was_here: Option<bool>,
        at: WallTime,
    },
    /// The broker is about to retain a state of this.
    Published(Published),
    /// The broker no longer retains a state of this.
    Cleared(Published),
    /// A message joins the end of the queue, and takes the place of an older one that it replaces.
    Queued(Queued),
    /// A message was acknowledged, or has expired.
    Done(u64),
    /// A message waits for a webhook.
    WebhookQueued(WebhookMessage),
    /// A webhook has taken a message.
    WebhookDone(u64),
    /// A message for a webhook was given up.
    WebhookDead {
        id: u64,
        at: WallTime,
        /// What went wrong.
        why: String,
    },
    /// A visit is deleted, with every queued message about it.
    Erased(VisitId),
    /// A customer is deleted: visits, caps, every queued message with their data.
    Forgotten(Arc<str>),
    /// A decision about where a customer is: for the audit alone.
    Recognised {
        client: Arc<str>,
        at: WallTime,
        /// `arrived`, `returned`, `departed` or `passed`.
        what: &'static str,
        /// The name of the gateway that decided it.
        gateway: Arc<str>,
    },
    /// A customer withdrew consent; kept for good.
    Withdrawn {
        client: Arc<str>,
        /// When this gateway received it.
        at: WallTime,
    },
    /// Every withdrawal of head office's list up to this one is known.
    WithdrawnUpTo {
        list: Arc<str>,
        /// Its last known number.
        serial: u64,
    },
    /// The wall clock was set: times that were read from it before are corrected.
    ClockSet(ClockStep),
    /// grelot is running; rows that are too old are deleted.
    Heartbeat {
        heartbeat: Heartbeat,
        /// Visits that were closed before this cannot continue.
        closed_before: WallTime,
        /// Alerts before this no longer count for a cap.
        alerted_before: WallTime,
        /// RSSI offsets from before this are deleted.
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
