//! The page's own MQTT client: messages in, commands of staff out.
//!
//! It keeps no session: the broker retains everything that matters and sends it again after each
//! connection. It subscribes to `arrivals` only while an event stream is open; otherwise the broker
//! would acknowledge alerts that no tablet shows.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::board::{BrokerLink, InboundMessage};
use super::board_state::BoardState;
use super::decode;
use super::settings::BrokerAccess;
use super::staff::{Action, Feedback, Member};
use crate::clock::Clocks;
use crate::config::BrokerUrl;
use crate::mqtt::backoff::Backoff;
use crate::mqtt::link::{
    ConnectOptions, ConnectionEvent, Disconnect, Link, Message, PublishOutcome,
};
use crate::mqtt::topics::{Filter, Topic, Topics};
use crate::payload;
use crate::pipeline::VisitId;

/// Commands that wait to be published; each waits at most [`COMMAND_TIMEOUT`].
const MOST_WAITING: usize = 32;

/// For the broker's answer to a command: staff do not wait longer.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(4);

/// After a connection, retained messages have arrived by then: the broker sends them at once, and
/// gateways that lost the broker at the same time publish theirs within seconds.
const RETAINED_WITHIN: Duration = Duration::from_secs(10);

/// For the broker's answer to DISCONNECT.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a command did not reach a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The broker cannot be reached, or did not answer in time.
    #[error("the broker is away")]
    BrokerAway,
    /// The broker has no subscriber for the command.
    #[error("no gateway has subscribed")]
    NoSubscriber,
}

/// Publishes commands of staff.
#[derive(Debug, Clone)]
pub struct CommandSender {
    topics: Topics,
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
struct Command {
    topic: String,
    payload: Vec<u8>,
    /// Dropped if the command cannot be published.
    answer: oneshot::Sender<PublishOutcome>,
}

#[derive(Serialize)]
struct ClaimWire<'a> {
    v: u8,
    #[serde(flatten)]
    by: &'a Member,
    action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a Member>,
}

#[derive(Serialize)]
struct FeedbackWire {
    v: u8,
    verdict: Feedback,
}

impl CommandSender {
    /// Publishes a staff action on a visit, for a hand-over with the colleague in `to`. The visit's gateway
    /// decides, and publishes the visit's new state.
    ///
    /// # Errors
    /// If the broker does not acknowledge it in time, or has no subscriber for it.
    pub async fn claim(
        &self,
        visit: VisitId,
        by: &Member,
        action: Action,
        to: Option<&Member>,
    ) -> Result<(), NotSent> {
        let payload = payload::encode(&ClaimWire { v: payload::VERSION, by, action, to });
        self.publish(self.topics.claim(visit), payload).await
    }

    /// Publishes whether the customer was really here.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub async fn feedback(&self, visit: VisitId, verdict: Feedback) -> Result<(), NotSent> {
        let payload = payload::encode(&FeedbackWire { v: payload::VERSION, verdict });
        self.publish(self.topics.feedback(visit), payload).await
    }

    async fn publish(&self, topic: String, payload: Vec<u8>) -> Result<(), NotSent> {
        let (answer, answered) = oneshot::channel();
        let command = Command { topic, payload, answer };
        self.commands.try_send(command).map_err(|_| NotSent::BrokerAway)?;
        match timeout(COMMAND_TIMEOUT, answered).await {
            Ok(Ok(PublishOutcome::Accepted)) => Ok(()),
            Ok(Ok(PublishOutcome::NoSubscribers)) => Err(NotSent::NoSubscriber),
            Ok(Ok(PublishOutcome::Refused(why))) => {
                tracing::error!(%why, "the broker refuses a command of staff");
                Err(NotSent::BrokerAway)
            }
            Ok(Err(_)) | Err(_) => Err(NotSent::BrokerAway),
        }
    }
}

/// The subscriber. One task owns it and its connection.
pub struct BrokerSubscriber {
    broker: BrokerAccess,
    topics: Topics,
    board_state: Arc<BoardState>,
    clocks: Clocks,
    commands: mpsc::Receiver<Command>,
    /// How many event streams are open.
    clients: watch::Receiver<usize>,
    /// Whether `arrivals` is subscribed.
    arrivals_subscribed: bool,
    /// When all retained messages should have arrived.
    replay: Option<Pin<Box<Sleep>>>,
    stop: CancellationToken,
}

impl BrokerSubscriber {
    /// A subscriber, and the sender of commands through its connection.
    pub fn new(
        broker: BrokerAccess,
        topics: Topics,
        board_state: Arc<BoardState>,
        clocks: Clocks,
        clients: watch::Receiver<usize>,
        stop: CancellationToken,
    ) -> (Self, CommandSender) {
        let (sender, commands) = mpsc::channel(MOST_WAITING);
        let sender = CommandSender { topics: topics.clone(), commands: sender };
        let (arrivals_subscribed, replay) = (false, None);
        (
            Self {
                broker,
                topics,
                board_state,
                clocks,
                commands,
                clients,
                arrivals_subscribed,
                replay,
                stop,
            },
            sender,
        )
    }

    /// Connects, subscribes, and reconnects, until the stop token is cancelled.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        let mut backoff = Backoff::default();
        for broker in self.broker.brokers.clone().iter().cycle() {
            let mut link = Link::connect(broker, &self.broker.identity, ConnectOptions::default());
            let down = tokio::select! {
                () = stop.cancelled() => return leave(link).await,
                down = self.serve(&mut link, &mut backoff) => down,
            };
            self.lost(broker, &down);
            let wait = match down {
                Disconnect::Unreachable(_) => backoff.unreachable(),
                Disconnect::Refused(_) | Disconnect::WithoutRetain => Backoff::refused(),
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.pause(wait) => {}
            }
        }
    }

    /// One connection, until it breaks.
    async fn serve(
        &mut self,
        link: &mut Link<oneshot::Sender<PublishOutcome>>,
        backoff: &mut Backoff,
    ) -> Disconnect {
        loop {
            tokio::select! {
                event = link.next_event() => match event {
                    ConnectionEvent::Connected => {
                        backoff.succeeded();
                        self.begin(link);
                    }
                    ConnectionEvent::Received { topic, payload, .. } => self.received(&topic, &payload),
                    ConnectionEvent::Acknowledged(answer, outcome) => drop(answer.send(outcome)),
                    ConnectionEvent::Subscribed { refused: 0 } => {}
                    ConnectionEvent::Subscribed { refused } => {
                        tracing::error!(refused, "the broker refuses subscriptions of the tablets' page");
                    }
                    ConnectionEvent::Disconnected(down) => return down,
                },
                Some(command) = self.commands.recv() => say(link, command),
                Ok(()) = self.clients.changed() => self.subscribe_arrivals(link),
                () = replayed(&mut self.replay) => self.apply(InboundMessage::Replayed),
            }
        }
    }

    fn begin(&mut self, link: &Link<oneshot::Sender<PublishOutcome>>) {
        self.apply(InboundMessage::BrokerLink(BrokerLink::Live));
        self.replay = Some(Box::pin(sleep(RETAINED_WITHIN)));
        self.arrivals_subscribed = false;
        let topics =
            [Topic::Visit, Topic::Claim, Topic::Departures, Topic::Status, Topic::Withdrawn];
        let answers = self.answers();
        let filters = topics.map(|topic| self.topics.topic(topic, &[]));
        link.subscribe(filters.into_iter().chain([answers.clone()]).map(Filter::new));
        // Not every broker delivers retained messages.
        let question = payload::encode(&serde_json::json!({"v": payload::VERSION}));
        link.ask(&self.topics.sync(), &question, &answers);
        self.subscribe_arrivals(link);
        tracing::info!("the tablets' page is connected to the broker");
    }

    /// Subscribes to `arrivals` if an event stream is open, else unsubscribes.
    fn subscribe_arrivals(&mut self, link: &Link<oneshot::Sender<PublishOutcome>>) {
        let wanted = *self.clients.borrow_and_update() > 0;
        if !link.is_connected() || wanted == self.arrivals_subscribed {
            return;
        }
        let arrivals = self.topics.arrivals();
        let asked = if wanted {
            link.subscribe([Filter::new(arrivals)])
        } else {
            link.unsubscribe(arrivals)
        };
        if asked {
            self.arrivals_subscribed = wanted;
        }
    }

    /// Where gateways answer this client.
    fn answers(&self) -> String {
        self.topics.topic(Topic::SyncAnswer, &[&self.broker.identity.client_id])
    }

    fn received(&self, topic: &[u8], payload: &[u8]) {
        let topic = std::str::from_utf8(topic).ok();
        if topic == Some(&*self.answers()) {
            for message in decode::answer(&self.topics, payload) {
                self.apply(message);
            }
            return;
        }
        if let Some(message) = topic.and_then(|topic| decode::message(&self.topics, topic, payload))
        {
            self.apply(message);
        } else {
            tracing::debug!(octets = payload.len(), "cannot decode a message");
        }
    }

    fn apply(&self, message: InboundMessage) {
        self.board_state.apply(self.clocks.now().clock.reading(), message);
    }

    fn lost(&mut self, broker: &BrokerUrl, down: &Disconnect) {
        let why = down.reason();
        let broker = &broker.host;
        let was_live = self.board_state.board().broker().0 == BrokerLink::Live;
        if was_live {
            self.apply(InboundMessage::BrokerLink(BrokerLink::Away));
        }
        match down {
            Disconnect::Refused(_) | Disconnect::WithoutRetain => {
                tracing::error!(%broker, why, "the broker refuses the tablets' page");
            }
            Disconnect::Unreachable(_) if was_live => {
                tracing::warn!(%broker, why, "the tablets' page lost the broker");
            }
            Disconnect::Unreachable(_) => {
                tracing::debug!(%broker, why, "the tablets' page cannot reach the broker");
            }
        }
        self.arrivals_subscribed = false;
        self.replay = None;
    }

    /// Waits before the next attempt; commands meanwhile fail at once.
    async fn pause(&mut self, wait: Duration) {
        let mut over = std::pin::pin!(sleep(wait));
        loop {
            tokio::select! {
                () = &mut over => return,
                Some(command) = self.commands.recv() => drop(command),
            }
        }
    }
}

fn say(link: &mut Link<oneshot::Sender<PublishOutcome>>, command: Command) {
    let message = Message {
        topic: &command.topic,
        payload: &command.payload,
        retain: false,
        expiry: Some(COMMAND_TIMEOUT),
    };
    // Published late it would surprise the member of staff: now or not at all.
    if link.can_publish() && link.fits(&message) {
        link.publish(command.answer, &message);
    }
}

async fn replayed(replay: &mut Option<Pin<Box<Sleep>>>) {
    match replay {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
    *replay = None;
}

/// Disconnects, so that the broker publishes no will.
async fn leave(mut link: Link<oneshot::Sender<PublishOutcome>>) {
    link.disconnect();
    let gone =
        async { while !matches!(link.next_event().await, ConnectionEvent::Disconnected(_)) {} };
    drop(timeout(DISCONNECT_TIMEOUT, gone).await);
}
