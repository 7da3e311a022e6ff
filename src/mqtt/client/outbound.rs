//! Publications and their acknowledgements.

use super::{Client, Publication};
use crate::mqtt::inbound::Inbound;
use crate::mqtt::link::{Disconnect, InFlight, Link, Message, PublishOutcome};
use crate::payload::{self, Status};
use crate::store::worker::Request;
use crate::store::{Change, MessageKind, OutboundMessage};

impl Client {
    pub(super) fn on_committed(&mut self, changes: Option<Vec<Change>>) {
        let Some(changes) = changes else { return self.on_stop() };
        let now = self.clocks.now();
        for change in &changes {
            if let Change::Queued(queued) = change {
                self.retained.follow(&self.peer.here, &queued.message, now);
            }
            if let Some(evicted) = self.outbox.apply(change, now) {
                self.channels.counts.shed.one();
                self.unrecorded.push(Change::Done(evicted));
            }
        }
    }

    pub(super) fn on_publication(&mut self, publication: Publication) {
        match publication {
            Publication::Once { topic, payload } => {
                let message =
                    Message { topic: &topic, payload: &payload, retain: false, expiry: None };
                let _ = self.link.as_ref().is_some_and(|link| link.publish_qos0(&message));
            }
            Publication::Retained { topic, payload } => self.set_retained(topic, payload, false),
            Publication::RegistryMade(at) => self.on_registry(at),
        }
    }

    pub(super) fn set_status_message(&mut self) {
        let status = self.channels.status.borrow_and_update().clone();
        let connected_at = self.connected_at.clone();
        let status = payload::encode(&Status { connected_at, ..status });
        self.set_retained(self.peer.here.status(), status, true);
    }

    pub(super) fn set_retained(&mut self, topic: String, payload: Vec<u8>, at_least_once: bool) {
        self.retained.set(topic.clone(), payload, at_least_once);
        self.republish(topic);
    }

    /// Publishes a retained message on this connection; each new connection publishes all of them.
    pub(super) fn republish(&mut self, topic: String) {
        let up = self.link.as_ref().is_some_and(Link::is_connected);
        if up && !self.to_republish.contains(&topic) {
            self.to_republish.push_back(topic);
        }
    }

    pub(super) fn on_acknowledged(&mut self, ticket: &InFlight, answer: PublishOutcome) {
        let id = match ticket {
            InFlight::Queued(id) => *id,
            InFlight::Retained(topic) => return self.on_retained_acknowledged(topic, answer),
            InFlight::Repeatable => return,
        };
        let waits = self.outbox.waits_for_subscriber(id);
        match answer {
            PublishOutcome::Accepted => self.done(id),
            PublishOutcome::NoSubscribers if !waits => self.done(id),
            PublishOutcome::NoSubscribers => self.outbox.no_subscribers(id),
            PublishOutcome::Refused(why) => {
                tracing::warn!(why, "the broker does not accept a message; it is retried");
                self.outbox.no_subscribers(id);
            }
        }
    }

    fn on_retained_acknowledged(&mut self, topic: &str, answer: PublishOutcome) {
        if let PublishOutcome::Refused(why) = answer {
            tracing::warn!(topic, why, "the broker does not accept a retained message");
            return;
        }
        self.probe_after(topic);
        if let Some(cleared) = self.stale.remove(topic) {
            tracing::info!(topic, "cleared what an earlier name of this gateway left behind");
            self.unrecorded.push(Change::Cleared(cleared));
        }
    }

    fn done(&mut self, id: u64) {
        let Some(message) = self.outbox.delivered(id) else { return };
        self.unrecorded.push(Change::Done(id));
        if message.is_canary() {
            return self.pending.push_back(Inbound::CanaryAcknowledged(message.visit));
        }
        self.channels.counts.delivered.one();
        if message.kind == MessageKind::Arrival {
            self.channels.timings.acknowledged(message.visit, self.clocks.now().tick);
        }
    }

    pub(super) fn needs_tick(&self) -> bool {
        !self.outbox.is_empty()
            || !self.unrecorded.is_empty()
            || self.link.as_ref().is_some_and(|link| link.in_flight() > 0)
            || self.channels.trouble.borrow().is_some()
    }

    pub(super) fn on_tick(&mut self) {
        let tick = self.outbox.tick(self.clocks.now());
        self.channels.counts.expired.more(tick.lost);
        self.unrecorded.extend(tick.expired.into_iter().map(Change::Done));
        if self.channels.trouble.borrow().is_some() {
            let _ = self.channels.store_requests.try_send(Request::Record(Vec::new()));
        }
        if tick.stalled {
            self.on_disconnected(&Disconnect::Unreachable("it does not acknowledge".to_owned()));
        }
    }

    /// Reports to the store what was delivered; later, if it is busy.
    pub(super) fn record(&mut self) {
        self.channels.counts.queued.set(self.outbox.len());
        self.channels.counts.repeated.set(usize::try_from(self.outbox.repeated()).unwrap_or(0));
        if self.unrecorded.is_empty() {
            return;
        }
        if let Ok(place) = self.channels.store_requests.try_reserve() {
            place.send(Request::Record(std::mem::take(&mut self.unrecorded)));
        }
    }

    /// Publishes what waits while the window is open: queued messages first, then retained ones.
    pub(super) fn submit(&mut self) {
        while self.awaited_subacks == 0 && self.link.as_ref().is_some_and(Link::can_publish) {
            let published = self.submit_queued()
                || self.submit_retained()
                || self.submit_withdrawals()
                || self.submit_sync_answer();
            if !published {
                break;
            }
        }
    }

    fn submit_queued(&mut self) -> bool {
        let (known, withdrawals) = (self.is_consent_known(), &self.withdrawals);
        let may_publish = |message: &OutboundMessage| match &message.client {
            Some(client) if !message.clears() => known && !withdrawals.contains(client),
            _ => true,
        };
        let Some((id, queued, worth)) = self.outbox.next(self.clocks.now(), may_publish) else {
            return false;
        };
        let Some(link) = &mut self.link else { return false };
        let topic = self.peer.here.of_message(queued);
        let octets = queued.payload.len();
        let message = Message {
            topic: &topic,
            payload: &queued.payload,
            retain: queued.is_retained(),
            expiry: Some(self.clocks.real(worth)),
        };
        if !link.fits(&message) {
            tracing::error!(octets, "the message is too long for the broker and is dropped");
            self.channels.counts.shed.one();
            self.outbox.delivered(id);
            self.unrecorded.push(Change::Done(id));
        } else if !link.publish(InFlight::Queued(id), &message) {
            self.outbox.no_subscribers(id);
        }
        true
    }

    /// The place of the next retained message that may be published.
    fn next_to_republish(&self) -> Option<usize> {
        self.to_republish.iter().position(|topic| {
            let client = self.retained.get(topic).and_then(|kept| kept.client.as_ref());
            self.may_show(client)
        })
    }

    pub(super) fn can_republish(&self) -> bool {
        self.next_to_republish().is_some()
    }

    fn submit_retained(&mut self) -> bool {
        let Some(place) = self.next_to_republish() else { return false };
        let Some(topic) = self.to_republish.remove(place) else { return false };
        let Some(link) = &mut self.link else { return false };
        let now = self.clocks.now();
        let kept = self.retained.get(&topic);
        let message = Message {
            topic: &topic,
            payload: kept.map_or(&[][..], |kept| &kept.payload),
            retain: true,
            expiry: kept
                .and_then(|kept| kept.until)
                .map(|until| self.clocks.real(until.since(now.tick))),
        };
        if !link.fits(&message) {
            let octets = message.payload.len();
            tracing::error!(topic, octets, "too long for the broker; it is not published");
        } else if kept.is_none_or(|kept| kept.at_least_once) {
            link.publish(InFlight::Retained(topic.clone()), &message);
        } else {
            link.publish_qos0(&message);
        }
        true
    }
}
