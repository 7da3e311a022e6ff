//! Connecting, reconnecting, and the orderly end of the last connection.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::sleep;

use super::inbound::Received;
use super::{Client, Phase};
use crate::mqtt::backoff::{self, Backoff};
use crate::mqtt::connection_state::{Abilities, ConnectionState, ConsentState};
use crate::mqtt::link::{ConnectOptions, ConnectionEvent, Disconnect, Link, Message, Terms};
use crate::payload::{self, GatewayState, Status};
use crate::telemetry::brief;

/// For the offline status and DISCONNECT; systemd waits longer.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// How long after a lost connection the session at the broker may still be there. Resuming it keeps
/// the broker from publishing the last will. Later, or where a broker does not let go of the
/// session (a cluster that lost a node), a clean one begins.
const RESUME_WITHIN: Duration = Duration::from_secs(10);

impl Client {
    pub(super) fn connect(&mut self) {
        let Some(broker) = self.peer.brokers.get(self.place) else { return };
        let topic = self.peer.here.status();
        let now = self.clocks.now();
        self.connected_at = now.clock.known().map(|at| at.to_string());
        let payload = self.offline(None);
        let will = Message { topic: &topic, payload: &payload, retain: true, expiry: None };
        let dial = ConnectOptions {
            will: Some(&will),
            resume: now.tick.since(self.lost_at) < RESUME_WITHIN,
            without_retain: self.without_retain,
            terms: Terms::SHOP,
        };
        self.link = Some(Link::connect(broker, &self.peer.identity, dial));
    }

    pub(super) fn on_event(&mut self, news: ConnectionEvent) {
        match news {
            ConnectionEvent::Connected => self.on_connected(),
            ConnectionEvent::Subscribed { refused } => {
                self.backoff.succeeded();
                self.awaited_subacks = self.awaited_subacks.saturating_sub(1);
                if refused > 0 {
                    tracing::warn!(
                        refused,
                        "the broker refuses some of this gateway's subscriptions"
                    );
                }
            }
            ConnectionEvent::Acknowledged(message, answer) => {
                self.on_acknowledged(&message, answer);
            }
            ConnectionEvent::Received { topic, payload, retained, expiry, response_topic } => {
                self.on_received(Received { topic, payload, retained, expiry, response_topic });
            }
            ConnectionEvent::Disconnected(disconnect) => self.on_disconnected(&disconnect),
        }
    }

    fn on_connected(&mut self) {
        self.channels.counts.connections.one();
        self.last_errors.clear();
        let broker = self.broker();
        tracing::info!(broker, "connected to the broker");
        let (abilities, consent) = (Abilities::default(), ConsentState::Asking);
        let connected = ConnectionState::Connected { broker, abilities, consent };
        self.channels.connection.send_replace(connected);
        if let Some(link) = &self.link {
            let packets = self.peer.here.subscriptions();
            self.awaited_subacks = packets.len();
            for filters in packets {
                link.subscribe(filters);
            }
        }
        self.begin_consent(self.consent_before);
        self.begin_probe();
        self.set_status_message();
        let now = self.clocks.now();
        let of_message = |message| self.peer.here.of_message(message);
        let queued: BTreeSet<String> = self.outbox.messages().map(of_message).collect();
        let topics = self.retained.topics(now).filter(|topic| !queued.contains(*topic));
        self.to_republish = topics.chain(self.stale.keys()).cloned().collect();
    }

    /// The next broker is tried soon; after the last one the client waits longer.
    pub(super) fn on_disconnected(&mut self, disconnect: &Disconnect) {
        if self.link.as_ref().is_some_and(Link::is_connected) {
            self.lost_at = self.clocks.now().tick;
        }
        self.link = None;
        self.probe = None;
        self.end_consent();
        self.end_sync();
        self.to_republish.clear();
        self.outbox.disconnected();
        if *disconnect == Disconnect::WithoutRetain && !self.without_retain {
            self.without_retain = true;
            self.retry = Box::pin(sleep(backoff::SOON));
            return;
        }
        let refused = matches!(disconnect, Disconnect::Refused(_) | Disconnect::WithoutRetain);
        if self.phase != Phase::Disconnecting {
            self.report(disconnect);
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

    /// Logs an error of a broker once, not at each attempt.
    fn report(&mut self, disconnect: &Disconnect) {
        let broker = self.broker();
        let before = self.last_errors.insert(broker.clone(), disconnect.clone());
        let is_new = before.as_ref() != Some(disconnect);
        let why = brief::line(&disconnect.reason());
        let state = match disconnect {
            Disconnect::Refused(_) | Disconnect::WithoutRetain => {
                if is_new {
                    tracing::error!(broker, why, "the broker refuses this gateway");
                }
                ConnectionState::Refused { broker, why }
            }
            Disconnect::Unreachable(_) => {
                if is_new {
                    tracing::warn!(broker, why, "no connection to the broker");
                }
                ConnectionState::Unreachable { broker, why }
            }
        };
        self.channels.connection.send_if_modified(|before| {
            let changed = *before != state;
            *before = state;
            changed
        });
    }

    /// Begins the orderly end: flush, announce that the gateway is offline, disconnect.
    pub(super) fn on_stop(&mut self) {
        self.phase = Phase::Flushing;
        self.leave = Box::pin(sleep(LEAVE_WITHIN));
    }

    /// One step of the orderly end, once the daemon stops.
    pub(super) fn shut_down(&mut self) -> ControlFlow<()> {
        if self.phase == Phase::Working {
            return ControlFlow::Continue(());
        }
        let Some(link) = self.link.as_ref().filter(|link| link.is_connected()) else {
            return ControlFlow::Break(());
        };
        let idle = link.in_flight() == 0 && !self.can_republish();
        match self.phase {
            Phase::Flushing if idle && !self.outbox.is_busy() => {
                let since = Some(self.clocks.now().clock.reading().to_string());
                let offline = self.offline(since);
                self.set_retained(self.peer.here.status(), offline, true);
                self.phase = Phase::AnnouncingOffline;
                self.submit();
            }
            Phase::AnnouncingOffline if idle => {
                link.disconnect();
                self.phase = Phase::Disconnecting;
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn offline(&self, since: Option<String>) -> Vec<u8> {
        let status = self.channels.status.borrow().clone();
        let connected_at = self.connected_at.clone();
        payload::encode(&Status { state: GatewayState::Offline, since, connected_at, ..status })
    }

    pub(super) fn broker(&self) -> String {
        let broker = self.peer.brokers.get(self.place);
        broker.map(ToString::to_string).unwrap_or_default()
    }
}

/// The next event of the connection; pending for ever without one.
pub(super) async fn next_event(link: &mut Option<Link>) -> ConnectionEvent {
    match link {
        Some(link) => link.next_event().await,
        None => std::future::pending().await,
    }
}
