//! One connection after the other, and leave taken of the last.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::sleep;

use super::{Client, Connection, Phase, RetainedDelivery};
use crate::mqtt::backoff::{self, Backoff};
use crate::mqtt::link::{Dial, Down, Link, Message, News};
use crate::mqtt::payload::{self, GatewayState, Status};
use crate::telemetry::brief;

/// To the last word: systemd waits longer.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// How long after a lost connection the session at the broker may still be there. Resuming it keeps
/// the broker from publishing the last will. Later, or where a broker does not let go of the
/// session (a cluster that lost a node), a clean one begins.
const RESUME_WITHIN: Duration = Duration::from_secs(10);

impl Client {
    pub(super) fn dial(&mut self) {
        let Some(broker) = self.peer.brokers.get(self.place) else { return };
        let topic = self.peer.here.status();
        let now = self.clocks.now();
        self.connected_at = now.clock.known().map(|at| at.to_string());
        let payload = self.offline(None);
        let will = Message { topic: &topic, payload: &payload, retain: true, expiry: None };
        let dial = Dial {
            will: Some(&will),
            resume: now.tick.since(self.lost_at) < RESUME_WITHIN,
            without_retain: self.without_retain,
        };
        self.link = Some(Link::dial(broker, &self.peer.identity, dial));
    }

    pub(super) fn on_news(&mut self, news: News) {
        match news {
            News::Up => self.on_up(),
            News::Listening { refused } => {
                self.backoff.succeeded();
                self.awaited_subacks = self.awaited_subacks.saturating_sub(1);
                if refused > 0 {
                    tracing::warn!(
                        refused,
                        "the broker does not let this gateway listen everywhere"
                    );
                }
            }
            News::Answered(ticket, answer) => self.on_answer(&ticket, answer),
            News::Heard { topic, payload, retained } => self.on_heard(&topic, &payload, retained),
            News::Down(down) => self.on_down(down),
        }
    }

    fn on_up(&mut self) {
        self.lines.counts.connections.one();
        self.complaints.clear();
        let broker = self.broker();
        tracing::info!(broker, "connected to the broker");
        let retained = RetainedDelivery::Unknown;
        self.lines.connection.send_replace(Connection::Connected { broker, retained });
        if let Some(link) = &self.link {
            let packets = self.peer.here.subscriptions();
            self.awaited_subacks = packets.len();
            for filters in packets {
                link.listen(filters);
            }
        }
        self.begin_probe();
        self.keep_status();
        let now = self.clocks.now();
        let of_message = |message| self.peer.here.topics.of_message(message);
        let queued: BTreeSet<String> = self.outbox.messages().map(of_message).collect();
        let topics = self.retained.topics(now).filter(|topic| !queued.contains(*topic));
        self.asserting = topics.chain(self.stale.keys()).cloned().collect();
    }

    /// The next broker is tried soon; after the last one there is a pause.
    pub(super) fn on_down(&mut self, down: Down) {
        if self.link.as_ref().is_some_and(Link::is_up) {
            self.lost_at = self.clocks.now().tick;
        }
        self.link = None;
        self.probe = None;
        self.asserting.clear();
        self.outbox.disconnected();
        if down == Down::WithoutRetain && !self.without_retain {
            self.without_retain = true;
            self.retry = Box::pin(sleep(backoff::SOON));
            return;
        }
        let refused = matches!(down, Down::Refused(_) | Down::WithoutRetain);
        if self.phase != Phase::HungUp {
            self.tell(down);
        }
        self.without_retain = false;
        self.place += 1;
        let wait = if self.place < self.peer.brokers.len() {
            backoff::SOON
        } else {
            self.place = 0;
            if refused { Backoff::refused() } else { self.backoff.unreachable() }
        };
        self.retry = Box::pin(sleep(wait));
    }

    /// Logs what keeps it from a broker once, however often it is found again.
    fn tell(&mut self, down: Down) {
        let broker = self.broker();
        let before = self.complaints.insert(broker.clone(), down.clone());
        let is_news = before.as_ref() != Some(&down);
        let why = brief::line(&down.reason());
        let state = match down {
            Down::Refused(_) | Down::WithoutRetain => {
                if is_news {
                    tracing::error!(broker, why, "the broker refuses this gateway");
                }
                Connection::Refused { broker, why }
            }
            Down::Unreachable(_) => {
                if is_news {
                    tracing::warn!(broker, why, "no connection to the broker");
                }
                Connection::Unreachable { broker, why }
            }
        };
        self.lines.connection.send_if_modified(|before| {
            let changed = *before != state;
            *before = state;
            changed
        });
    }

    /// The daemon stops.
    pub(super) fn on_stop(&mut self) {
        self.phase = Phase::Flushing;
        self.leave = Box::pin(sleep(LEAVE_WITHIN));
    }

    /// Takes leave, step by step, once the daemon stops.
    pub(super) fn wind_up(&mut self) -> ControlFlow<()> {
        if self.phase == Phase::Working {
            return ControlFlow::Continue(());
        }
        let Some(link) = self.link.as_ref().filter(|link| link.is_up()) else {
            return ControlFlow::Break(());
        };
        let quiet = link.unanswered() == 0 && self.asserting.is_empty();
        match self.phase {
            Phase::Flushing if quiet && !self.outbox.is_busy() => {
                let since = Some(self.clocks.now().clock.reading().to_string());
                let offline = self.offline(since);
                self.keep(self.peer.here.status(), offline, true);
                self.phase = Phase::Parting;
                self.submit();
            }
            Phase::Parting if quiet => {
                link.hang_up();
                self.phase = Phase::HungUp;
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn offline(&self, since: Option<String>) -> Vec<u8> {
        let status = self.lines.status.borrow().clone();
        let connected_at = self.connected_at.clone();
        payload::encode(&Status { state: GatewayState::Offline, since, connected_at, ..status })
    }

    pub(super) fn broker(&self) -> String {
        let broker = self.peer.brokers.get(self.place);
        broker.map(ToString::to_string).unwrap_or_default()
    }
}

/// What happens on the connection; nothing ever, where there is none.
pub(super) async fn news(link: &mut Option<Link>) -> News {
    match link {
        Some(link) => link.news().await,
        None => std::future::pending().await,
    }
}
