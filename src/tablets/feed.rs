//! The tablets' own way to the broker: notices in, what staff say out.
//!
//! Every connection is a fresh client with a clean start, as everything that matters is retained:
//! after a broken connection the broker tells again who is here. It listens to `arrivals` only
//! while somebody looks on, so that the broker never takes an empty room for an audience and
//! acknowledges an alert that nobody has heard.

use std::collections::{BTreeMap, VecDeque};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, PubAckReason, Publish};
use rumqttc::v5::{AsyncClient, ClientError, ConnectionError, Event, MqttOptions};
use rumqttc::{Outgoing, TlsConfiguration, Transport};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::BrokerAccess;
use super::board::{Link, Notice};
use super::hear;
use super::hub::Hub;
use super::words::{Action, Verdict};
use crate::config::{BrokerUrl, Secret};
use crate::daemon::clock::Clocks;
use crate::mqtt::payload;
use crate::mqtt::topics::Topics;
use crate::pipeline::VisitId;

/// Of what staff say; a tap is answered or refused within [`ANSWER`], so few can wait.
const MOST_WAITING: usize = 32;

/// Longer than this a member of staff does not look at a button.
const ANSWER: Duration = Duration::from_secs(4);

/// Between two attempts to reach a broker.
const RETRY: Duration = Duration::from_secs(2);

/// No notice of a store is longer.
const LONGEST_MESSAGE: u32 = 64 * 1024;

/// When everything retained should have been heard after a connection: the broker sends it at
/// once, gateways that lost the broker at the same time say it again within seconds.
const REPLAY: Duration = Duration::from_secs(10);

/// Between signs of life; a silent broker is given up after twice as long.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

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
    heard: oneshot::Sender<Result<(), NotSent>>,
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
        let (heard, answer) = oneshot::channel();
        let word = Word { topic, payload, heard };
        self.words.try_send(word).map_err(|_| NotSent::BrokerAway)?;
        match timeout(ANSWER, answer).await {
            Ok(Ok(answer)) => answer,
            _ => Err(NotSent::BrokerAway),
        }
    }
}

/// The subscriber. One task owns it and its connection.
#[derive(Debug)]
pub struct Feed {
    broker: BrokerAccess,
    topics: Topics,
    hub: Arc<Hub>,
    clocks: Clocks,
    /// How many look on.
    audience: watch::Receiver<usize>,
    stop: CancellationToken,
    words: mpsc::Receiver<Word>,
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
        (Self { broker, topics, hub, clocks, audience, stop, words }, mouth)
    }

    /// Connects, listens, and connects again, until told to stop.
    pub async fn run(mut self) {
        let stop = self.stop.clone();
        let urls = self.broker.urls.clone();
        for url in urls.iter().cycle() {
            tokio::select! {
                () = stop.cancelled() => return,
                error = self.connection(url) => self.lost(url, &error),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.pause() => {}
            }
        }
    }

    /// One connection, until it breaks.
    async fn connection(&mut self, url: &BrokerUrl) -> ConnectionError {
        let (client, mut events) = AsyncClient::new(self.options(url), 2 * MOST_WAITING);
        let mut line = Line::new(client);
        loop {
            let event = {
                // Polled to its end whatever else happens: it may hold half a packet.
                let mut event = pin!(events.poll());
                loop {
                    tokio::select! {
                        event = &mut event => break event,
                        Some(word) = self.words.recv() => line.say(word),
                        Ok(()) = self.audience.changed() => {
                            let attended = *self.audience.borrow_and_update() > 0;
                            line.attend(&self.topics, attended);
                        }
                        () = &mut line.replay, if line.replaying => {
                            line.replaying = false;
                            self.hear(Notice::Replayed);
                        }
                    }
                }
            };
            match event {
                Err(error) => return error,
                Ok(Event::Incoming(packet)) => self.incoming(&mut line, packet),
                Ok(Event::Outgoing(Outgoing::Publish(pkid))) => line.sent(pkid),
                Ok(Event::Outgoing(_)) => {}
            }
        }
    }

    fn incoming(&self, line: &mut Line, packet: Packet) {
        match packet {
            Packet::ConnAck(_) => {
                self.hear(Notice::Link(Link::Live));
                line.open(&self.topics, *self.audience.borrow() > 0);
                tracing::info!("the tablets' page hears the broker");
            }
            Packet::Publish(publish) => self.publish(&publish),
            Packet::PubAck(ack) => line.acknowledged(ack.pkid, ack.reason),
            _ => {}
        }
    }

    fn publish(&self, publish: &Publish) {
        let topic = std::str::from_utf8(&publish.topic).ok();
        let notice = topic.and_then(|topic| hear::notice(&self.topics, topic, &publish.payload));
        if let Some(notice) = notice {
            self.hear(notice);
        } else {
            tracing::debug!(octets = publish.payload.len(), "a notice made no sense");
        }
    }

    fn hear(&self, notice: Notice) {
        self.hub.hear(self.clocks.now().clock.reading(), notice);
    }

    fn lost(&self, url: &BrokerUrl, error: &ConnectionError) {
        let broker = &url.host;
        if self.hub.board().broker().0 == Link::Live {
            tracing::warn!(%error, %broker, "the tablets' page lost the broker");
            self.hear(Notice::Link(Link::Away));
        } else {
            tracing::debug!(%error, %broker, "the tablets' page cannot reach the broker");
        }
    }

    /// Waits before the next attempt; whoever speaks meanwhile is told at once.
    async fn pause(&mut self) {
        let mut pause = pin!(sleep(RETRY));
        loop {
            tokio::select! {
                () = &mut pause => return,
                Some(word) = self.words.recv() => word.refused(NotSent::BrokerAway),
            }
        }
    }

    fn options(&self, url: &BrokerUrl) -> MqttOptions {
        let id = format!("grelot-tablets-{:08x}", getrandom::u32().unwrap_or_default());
        let mut options = MqttOptions::new(id, &url.host, url.port);
        options.set_keep_alive(KEEP_ALIVE);
        options.set_clean_start(true);
        options.set_max_packet_size(Some(LONGEST_MESSAGE));
        let mut network = options.network_options();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        if let Some(username) = &self.broker.username {
            let password = self.broker.password.as_ref().map_or("", |Secret(password)| password);
            options.set_credentials(username, password);
        }
        if let (true, Some(tls)) = (url.tls, &self.broker.tls) {
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(
                Arc::clone(tls),
            )));
        }
        options
    }
}

impl Word {
    fn refused(self, why: NotSent) {
        self.answer(Err(why));
    }

    /// Whoever asked may have stopped waiting.
    fn answer(self, answer: Result<(), NotSent>) {
        let _ = self.heard.send(answer);
    }
}

/// One connection's own state.
struct Line {
    client: AsyncClient,
    open: bool,
    attended: bool,
    replaying: bool,
    replay: Pin<Box<Sleep>>,
    /// Handed to the client, not yet on the wire.
    waiting: VecDeque<Word>,
    /// On the wire, not yet acknowledged, by packet id.
    unacknowledged: BTreeMap<u16, Word>,
}

impl Line {
    fn new(client: AsyncClient) -> Self {
        Self {
            client,
            open: false,
            attended: false,
            replaying: false,
            replay: Box::pin(sleep(REPLAY)),
            waiting: VecDeque::new(),
            unacknowledged: BTreeMap::new(),
        }
    }

    fn open(&mut self, topics: &Topics, attended: bool) {
        let filters = ["visits/+", "departures", "gateways/+/status", "withdrawn/+"];
        let filters = filters.map(|below| Filter::new(topics.under(below), QoS::AtLeastOnce));
        Self::requested(self.client.try_subscribe_many(filters));
        self.open = true;
        self.attend(topics, attended);
        self.replaying = true;
        self.replay = Box::pin(sleep(REPLAY));
    }

    /// Listens to alerts while there is somebody to hear them.
    fn attend(&mut self, topics: &Topics, attended: bool) {
        if !self.open || self.attended == attended {
            return;
        }
        self.attended = attended;
        let arrivals = topics.arrivals();
        Self::requested(if attended {
            self.client.try_subscribe(arrivals, QoS::AtLeastOnce)
        } else {
            self.client.try_unsubscribe(arrivals)
        });
    }

    fn say(&mut self, word: Word) {
        let full = self.waiting.len() + self.unacknowledged.len() >= MOST_WAITING;
        if !self.open || full {
            return word.refused(NotSent::BrokerAway);
        }
        let said =
            self.client.try_publish(&word.topic, QoS::AtLeastOnce, false, word.payload.clone());
        match said {
            Ok(()) => self.waiting.push_back(word),
            Err(_) => word.refused(NotSent::BrokerAway),
        }
    }

    fn sent(&mut self, pkid: u16) {
        if let Some(word) = self.waiting.pop_front() {
            self.unacknowledged.insert(pkid, word);
        }
    }

    fn acknowledged(&mut self, pkid: u16, reason: PubAckReason) {
        let Some(word) = self.unacknowledged.remove(&pkid) else { return };
        match reason {
            PubAckReason::Success => word.answer(Ok(())),
            PubAckReason::NoMatchingSubscribers => word.refused(NotSent::NobodyListens),
            _ => word.refused(NotSent::BrokerAway),
        }
    }

    /// The client's queue holds more than is ever asked of it at once.
    fn requested(request: Result<(), ClientError>) {
        if let Err(error) = request {
            tracing::warn!(%error, "a request to the broker was not taken");
        }
    }
}
