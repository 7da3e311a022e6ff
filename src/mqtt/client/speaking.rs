//! What is said, and what the broker answers.

use super::{Client, Remark};
use crate::mqtt::link::{Answer, Down, Link, Message, Ticket};
use crate::mqtt::payload::{self, Status};
use crate::store::Change;
use crate::store::worker::Request;

impl Client {
    pub(super) fn on_committed(&mut self, changes: Option<Vec<Change>>) {
        let Some(changes) = changes else { return self.on_stop() };
        let now = self.clocks.now();
        for change in &changes {
            if let Change::Queued(queued) = change {
                self.retained.follow(&self.peer.here.topics, &queued.message, now);
            }
            if let Some(evicted) = self.outbox.apply(change, now) {
                self.lines.counts.shed.one();
                self.unrecorded.push(Change::Done(evicted));
            }
        }
    }

    pub(super) fn on_remark(&mut self, remark: Remark) {
        match remark {
            Remark::Mention { topic, payload } => {
                let message =
                    Message { topic: &topic, payload: &payload, retain: false, expiry: None };
                let _ = self.link.as_ref().is_some_and(|link| link.mention(&message));
            }
            Remark::Keep { topic, payload } => self.keep(topic, payload, false),
        }
    }

    pub(super) fn keep_status(&mut self) {
        let status = self.lines.status.borrow_and_update().clone();
        let connected_at = self.connected_at.clone();
        let status = payload::encode(&Status { connected_at, ..status });
        self.keep(self.peer.here.status(), status, true);
    }

    pub(super) fn keep(&mut self, topic: String, payload: Vec<u8>, assured: bool) {
        self.retained.set(topic.clone(), payload, assured);
        self.assert(topic);
    }

    /// Says a retained message on this connection; on the next one they are all said anyway.
    pub(super) fn assert(&mut self, topic: String) {
        let up = self.link.as_ref().is_some_and(Link::is_up);
        if up && !self.asserting.contains(&topic) {
            self.asserting.push_back(topic);
        }
    }

    pub(super) fn on_answer(&mut self, ticket: &Ticket, answer: Answer) {
        let id = match ticket {
            Ticket::Notice(id) => *id,
            Ticket::Retained(topic) => return self.on_retained_answer(topic, answer),
        };
        let kept = self.outbox.is_retained(id).unwrap_or(true);
        match answer {
            Answer::Taken => self.done(id),
            Answer::NobodyListens if kept => self.done(id),
            Answer::NobodyListens => self.outbox.unheard(id),
            Answer::Refused(why) => {
                tracing::warn!(why, "the broker does not take a notice; it is tried again");
                self.outbox.unheard(id);
            }
        }
    }

    fn on_retained_answer(&mut self, topic: &str, answer: Answer) {
        if let Answer::Refused(why) = answer {
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
        if self.outbox.delivered(id) {
            self.lines.counts.delivered.one();
            self.unrecorded.push(Change::Done(id));
        }
    }

    pub(super) fn needs_beat(&self) -> bool {
        !self.outbox.is_empty()
            || !self.unrecorded.is_empty()
            || self.link.as_ref().is_some_and(|link| link.unanswered() > 0)
            || self.lines.trouble.borrow().is_some()
    }

    pub(super) fn on_beat(&mut self) {
        let beat = self.outbox.beat(self.clocks.now());
        self.lines.counts.expired.more(u64::try_from(beat.expired.len()).unwrap_or(0));
        self.unrecorded.extend(beat.expired.into_iter().map(Change::Done));
        if self.lines.trouble.borrow().is_some() {
            let _ = self.lines.store_requests.try_send(Request::Record(Vec::new()));
        }
        if beat.stalled {
            self.on_down(Down::Unreachable("it does not acknowledge".to_owned()));
        }
    }

    /// Tells the store what was delivered; later, if it is busy.
    pub(super) fn record(&mut self) {
        self.lines.counts.queued.set(self.outbox.len());
        self.lines.counts.repeated.set(usize::try_from(self.outbox.repeated()).unwrap_or(0));
        if self.unrecorded.is_empty() {
            return;
        }
        if let Ok(place) = self.lines.store_requests.try_reserve() {
            place.send(Request::Record(std::mem::take(&mut self.unrecorded)));
        }
    }

    /// Hands over what waits while the connection takes it: alerts first, then old states.
    pub(super) fn submit(&mut self) {
        while self.awaited_subacks == 0 && self.link.as_ref().is_some_and(Link::has_room) {
            if !self.submit_notice() && !self.submit_retained() {
                break;
            }
        }
    }

    fn submit_notice(&mut self) -> bool {
        let Some(link) = &mut self.link else { return false };
        let Some((id, queued, worth)) = self.outbox.next(self.clocks.now()) else { return false };
        let topic = self.peer.here.topics.of_message(queued);
        let octets = queued.payload.len();
        let message = Message {
            topic: &topic,
            payload: &queued.payload,
            retain: queued.is_retained(),
            expiry: Some(self.clocks.real(worth)),
        };
        if !link.fits(&message) {
            tracing::error!(octets, "no broker takes so long a notice");
            self.lines.counts.shed.one();
            self.outbox.delivered(id);
            self.unrecorded.push(Change::Done(id));
        } else if !link.say(Ticket::Notice(id), &message) {
            self.outbox.unheard(id);
        }
        true
    }

    fn submit_retained(&mut self) -> bool {
        let Some(topic) = self.asserting.pop_front() else { return false };
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
        } else if kept.is_none_or(|kept| kept.assured) {
            link.say(Ticket::Retained(topic.clone()), &message);
        } else {
            link.mention(&message);
        }
        true
    }
}
