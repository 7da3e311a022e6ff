//! The tablets' own way to the broker: notices in, what staff say out.
//!
//! It starts over with every connection, as everything that matters is retained: the broker
//! tells again who is here. It listens to `arrivals` only while somebody looks on, so that the
//! broker never takes an empty room for an audience and acknowledges an alert that nobody heard.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::BrokerAccess;
use super::board::{Link as Way, Notice};
use super::hear;
use super::hub::Hub;
use super::words::{Action, Verdict};
use crate::clock::Clocks;
use crate::config::BrokerUrl;
use crate::mqtt::backoff::Backoff;
use crate::mqtt::link::{
    ConnectOptions, ConnectionEvent, Disconnect, Link, Message, PublishOutcome,
};
use crate::mqtt::payload;
use crate::mqtt::topics::{Filter, Topic, Topics};
use crate::pipeline::VisitId;

/// Of what staff say; a tap is answered within [`PATIENCE`], so few can wait.
const MOST_WAITING: usize = 32;

/// Longer than this a member of staff does not look at a button.
const PATIENCE: Duration = Duration::from_secs(4);

/// When everything retained should have been heard after a connection: the broker sends it at
/// once, gateways that lost the broker at the same time say it again within seconds.
const REPLAY: Duration = Duration::from_secs(10);

/// To the last word.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// Why what a member of staff said did not reach a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The broker cannot be reached, or did not answer in time.
    #[error("the broker is away")]
    BrokerAway,
    /// The broker knows no gateway that listens.
    #[error("no gateway listens")]
    NobodyListens,
}

/// Speaks to the gateways for staff.
#[derive(Debug, Clone)]
pub struct Mouth {
    topics: Topics,
    words: mpsc::Sender<Word>,
}

#[derive(Debug)]
struct Word {
    topic: String,
    payload: Vec<u8>,
    /// Dropped where it cannot be said.
    answer: oneshot::Sender<PublishOutcome>,
}

#[derive(Serialize)]
struct ClaimWire<'a> {
    v: u8,
    by: &'a str,
    action: Action,
}

#[derive(Serialize)]
struct FeedbackWire {
    v: u8,
    verdict: Verdict,
}

impl Mouth {
    /// Asks the visit's gateway; its answer is the visit's new state.
    pub async fn claim(&self, visit: VisitId, by: &str, action: Action) -> Result<(), NotSent> {
        let payload = payload::encode(&ClaimWire { v: payload::VERSION, by, action });
        self.say(self.topics.claim(visit), payload).await
    }

    /// Says whether the customer was really here.
    pub async fn feedback(&self, visit: VisitId, verdict: Verdict) -> Result<(), NotSent> {
        let payload = payload::encode(&FeedbackWire { v: payload::VERSION, verdict });
        self.say(self.topics.feedback(visit), payload).await
    }

    async fn say(&self, topic: String, payload: Vec<u8>) -> Result<(), NotSent> {
        let (answer, answered) = oneshot::channel();
        let word = Word { topic, payload, answer };
        self.words.try_send(word).map_err(|_| NotSent::BrokerAway)?;
        match timeout(PATIENCE, answered).await {
            Ok(Ok(PublishOutcome::Accepted)) => Ok(()),
            Ok(Ok(PublishOutcome::NoSubscribers)) => Err(NotSent::NobodyListens),
            Ok(Ok(PublishOutcome::Refused(why))) => {
                tracing::error!(%why, "the broker refuses what staff say");
                Err(NotSent::BrokerAway)
            }
            Ok(Err(_)) | Err(_) => Err(NotSent::BrokerAway),
        }
    }
}

/// The subscriber. One task owns it and its connection.
pub struct Feed {
    broker: BrokerAccess,
    topics: Topics,
    hub: Arc<Hub>,
    clocks: Clocks,
    words: mpsc::Receiver<Word>,
    /// How many look on.
    audience: watch::Receiver<usize>,
    /// Whether the broker was asked for `arrivals`.
    attending: bool,
    /// When all that is retained should have been heard.
    replay: Option<Pin<Box<Sleep>>>,
    stop: CancellationToken,
}

impl Feed {
    /// A feed, and who speaks through it.
    pub fn new(
        broker: BrokerAccess,
        topics: Topics,
        hub: Arc<Hub>,
        clocks: Clocks,
        audience: watch::Receiver<usize>,
        stop: CancellationToken,
    ) -> (Self, Mouth) {
        let (sender, words) = mpsc::channel(MOST_WAITING);
        let mouth = Mouth { topics: topics.clone(), words: sender };
        let (attending, replay) = (false, None);
        (Self { broker, topics, hub, clocks, words, audience, attending, replay, stop }, mouth)
    }

    /// Connects, listens, and connects again, until told to stop.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        let mut backoff = Backoff::default();
        for broker in self.broker.brokers.clone().iter().cycle() {
            let mut link = Link::connect(broker, &self.broker.identity, ConnectOptions::default());
            let down = tokio::select! {
                () = stop.cancelled() => return leave(link).await,
                down = self.attend_to(&mut link, &mut backoff) => down,
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
    async fn attend_to(
        &mut self,
        link: &mut Link<oneshot::Sender<PublishOutcome>>,
        backoff: &mut Backoff,
    ) -> Disconnect {
        loop {
            tokio::select! {
                news = link.next_event() => match news {
                    ConnectionEvent::Connected => {
                        backoff.succeeded();
                        self.begin(link);
                    }
                    ConnectionEvent::Received { topic, payload, .. } => self.heard(&topic, &payload),
                    ConnectionEvent::Acknowledged(answer, said) => drop(answer.send(said)),
                    ConnectionEvent::Subscribed { refused: 0 } => {}
                    ConnectionEvent::Subscribed { refused } => {
                        tracing::error!(refused, "the broker does not let the tablets' page listen");
                    }
                    ConnectionEvent::Disconnected(down) => return down,
                },
                Some(word) = self.words.recv() => say(link, word),
                Ok(()) = self.audience.changed() => self.attend(link),
                () = replayed(&mut self.replay) => self.tell(Notice::Replayed),
            }
        }
    }

    fn begin(&mut self, link: &Link<oneshot::Sender<PublishOutcome>>) {
        self.tell(Notice::Link(Way::Live));
        self.replay = Some(Box::pin(sleep(REPLAY)));
        self.attending = false;
        let topics = [Topic::Visit, Topic::Departures, Topic::Status, Topic::Withdrawn];
        link.subscribe(topics.map(|topic| Filter::new(self.topics.topic(topic, &[]))));
        self.attend(link);
        tracing::info!("the tablets' page hears the broker");
    }

    /// Listens to alerts while there is somebody to hear them.
    fn attend(&mut self, link: &Link<oneshot::Sender<PublishOutcome>>) {
        let attended = *self.audience.borrow_and_update() > 0;
        if !link.is_connected() || attended == self.attending {
            return;
        }
        let arrivals = self.topics.arrivals();
        let asked = if attended {
            link.subscribe([Filter::new(arrivals)])
        } else {
            link.unsubscribe(arrivals)
        };
        if asked {
            self.attending = attended;
        }
    }

    fn heard(&self, topic: &[u8], payload: &[u8]) {
        let topic = std::str::from_utf8(topic).ok();
        if let Some(notice) = topic.and_then(|topic| hear::notice(&self.topics, topic, payload)) {
            self.tell(notice);
        } else {
            tracing::debug!(octets = payload.len(), "a notice made no sense");
        }
    }

    fn tell(&self, notice: Notice) {
        self.hub.hear(self.clocks.now().clock.reading(), notice);
    }

    fn lost(&mut self, broker: &BrokerUrl, down: &Disconnect) {
        let why = down.reason();
        let broker = &broker.host;
        let was_live = self.hub.board().broker().0 == Way::Live;
        if was_live {
            self.tell(Notice::Link(Way::Away));
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
        self.attending = false;
        self.replay = None;
    }

    /// Waits before the next attempt; whoever speaks meanwhile is told at once that it is in vain.
    async fn pause(&mut self, wait: Duration) {
        let mut over = std::pin::pin!(sleep(wait));
        loop {
            tokio::select! {
                () = &mut over => return,
                Some(word) = self.words.recv() => drop(word),
            }
        }
    }
}

fn say(link: &mut Link<oneshot::Sender<PublishOutcome>>, word: Word) {
    let message = Message {
        topic: &word.topic,
        payload: &word.payload,
        retain: false,
        expiry: Some(PATIENCE),
    };
    // Said later than its patience it would surprise whoever said it: now or not at all.
    if link.can_publish() && link.fits(&message) {
        link.publish(word.answer, &message);
    }
}

async fn replayed(replay: &mut Option<Pin<Box<Sleep>>>) {
    match replay {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
    *replay = None;
}

/// Takes leave of the broker.
async fn leave(mut link: Link<oneshot::Sender<PublishOutcome>>) {
    link.disconnect();
    let gone =
        async { while !matches!(link.next_event().await, ConnectionEvent::Disconnected(_)) {} };
    drop(timeout(LEAVE_WITHIN, gone).await);
}
