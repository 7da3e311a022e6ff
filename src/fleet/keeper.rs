//! The task that stands in for head office: it passes on what gateways say, repeats to each what it has
//! not acknowledged, and goes on while the database is away.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::database::FleetError;
use super::desk::Desk;
use super::inbox::Received;
use super::responder::{KeepDays, Publication, Reply, Responder};
use super::store::FleetStore;
use crate::clock::Clocks;
use crate::config::BrokerUrl;
use crate::mqtt::Identity;
use crate::mqtt::backoff::Backoff;
use crate::mqtt::link::{
    ConnectOptions, ConnectionEvent, Disconnect, Link, Message, PublishOutcome,
};
use crate::mqtt::topics::{Filter, Topic, Topics, is_level};
use crate::payload;
use crate::telemetry::brief;

/// Interval of checks for entries that are not acknowledged yet.
const REPEAT_EVERY: Duration = Duration::from_secs(10);

/// Interval of checks for reports that are too old.
const AGE_EVERY: Duration = Duration::from_mins(10);

/// Messages that wait to be published; what does not fit is repeated later.
const MOST_WAITING: usize = 10_000;

/// Head office's name, where it asks stores for their state.
const NAME: &str = "head-office";

/// Head office's standing connection.
pub struct Keeper {
    brokers: Vec<BrokerUrl>,
    identity: Identity,
    clocks: Clocks,
    desk: Desk,
    waiting: VecDeque<Publication>,
    /// Stores that are asked for their state.
    asked: BTreeSet<u16>,
}

impl Keeper {
    /// With head office's database, and the brokers of the cluster in the order that they are tried.
    pub fn new(
        store: FleetStore,
        brokers: Vec<BrokerUrl>,
        identity: Identity,
        clocks: Clocks,
        keep: KeepDays,
    ) -> Self {
        let desk = Desk::new(Responder::new(store, clocks.clone(), keep));
        let (waiting, asked) = (VecDeque::new(), BTreeSet::new());
        Self { brokers, identity, clocks, desk, waiting, asked }
    }

    /// Connects, answers and repeats until `stop`.
    ///
    /// # Errors
    /// Where the database cannot be read or written, except while its server is away.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), FleetError> {
        let served = self.serve_all(stop).await;
        self.desk.end().await;
        served
    }

    async fn serve_all(&mut self, stop: CancellationToken) -> Result<(), FleetError> {
        let mut backoff = Backoff::default();
        let mut place = 0;
        while let Some(broker) = self.brokers.get(place % self.brokers.len().max(1)).cloned() {
            let mut link = Link::connect(&broker, &self.identity, ConnectOptions::default());
            let lost = tokio::select! {
                () = stop.cancelled() => {
                    link.disconnect();
                    return Ok(());
                }
                lost = self.serve(&mut link, &broker, &mut backoff) => lost?,
            };
            let why = brief::line(&lost.reason());
            tracing::warn!(%broker, why, "no connection to the broker");
            let wait = match lost {
                Disconnect::Unreachable(_) => backoff.unreachable(),
                Disconnect::Refused(_) | Disconnect::WithoutRetain => Backoff::refused(),
            };
            place += 1;
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep(wait) => {}
            }
        }
        Ok(())
    }

    /// One connection, until it breaks.
    async fn serve(
        &mut self,
        link: &mut Link<()>,
        broker: &BrokerUrl,
        backoff: &mut Backoff,
    ) -> Result<Disconnect, FleetError> {
        let mut repeat = interval(REPEAT_EVERY);
        repeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut age = interval(AGE_EVERY);
        age.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.waiting.clear();
        self.asked.clear();
        let mut refused = false;
        loop {
            let now = self.clocks.now().tick;
            self.desk.begin(now);
            self.submit(link);
            tokio::select! {
                event = link.next_event() => match event {
                    ConnectionEvent::Connected => {
                        backoff.succeeded();
                        tracing::info!(%broker, "connected to the broker");
                        let said = [Topic::Consent, Topic::Status, Topic::Health, Topic::Reports];
                        let answers = Topic::SyncAnswer.of(&["+", NAME]);
                        let said = said.map(|topic| topic.of(&[])).into_iter().chain([answers]);
                        link.subscribe(said.map(Filter::new));
                        repeat.reset_immediately();
                    }
                    ConnectionEvent::Subscribed { refused: 1.. } => {
                        let why = "it does not let this login read what gateways say".to_owned();
                        return Ok(Disconnect::Refused(why));
                    }
                    ConnectionEvent::Received { topic, payload, retained, .. } => {
                        self.received(&topic, payload, retained);
                    }
                    ConnectionEvent::Acknowledged((), PublishOutcome::Refused(why)) if !refused => {
                        refused = true;
                        tracing::warn!(why, "the broker does not accept what head office sends: see its access rules");
                    }
                    ConnectionEvent::Disconnected(lost) => return Ok(lost),
                    _ => {}
                },
                replies = self.desk.progress(now) => {
                    for reply in replies? {
                        self.reply(reply);
                    }
                }
                _ = repeat.tick(), if link.is_connected() => self.desk.repeat(),
                _ = age.tick() => self.desk.age(),
            }
        }
    }

    fn received(&mut self, topic: &[u8], payload: Vec<u8>, retained: bool) {
        let Some((topic, store, gateway)) = said_by(topic) else { return };
        // Retained, it is of an earlier time.
        if topic == Topic::Consent && retained {
            return;
        }
        let (gateway, at) = (gateway.to_owned(), self.clocks.now().clock.reading());
        self.desk.take(Received { topic, store, gateway, payload, at });
    }

    fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::AskForStatus(store) => drop(self.asked.insert(store)),
            Reply::Publish(one) => {
                // A withdrawal that waits is not repeated.
                let waits = one.retain && self.waiting.contains(&one);
                if !waits && self.waiting.len() < MOST_WAITING {
                    self.waiting.push_back(one);
                }
            }
        }
    }

    fn submit(&mut self, link: &mut Link<()>) {
        for store in std::mem::take(&mut self.asked) {
            let question = payload::encode(&serde_json::json!({"v": payload::VERSION}));
            let topics = Topics::of(store);
            link.ask(&topics.sync(), &question, &topics.topic(Topic::SyncAnswer, &[NAME]));
        }
        while link.can_publish()
            && let Some(Publication { topic, payload, retain, expiry }) = self.waiting.pop_front()
        {
            link.publish((), &Message { topic: &topic, payload: &payload, retain, expiry });
        }
    }
}

/// A topic under `gateways/`, with the store and the gateway.
fn said_by(topic: &[u8]) -> Option<(Topic, u16, &str)> {
    let (topic, parameters) = Topic::parse(std::str::from_utf8(topic).ok()?)?;
    let [store, gateway] = parameters.as_slice() else { return None };
    is_level(gateway).then_some((topic, store.parse().ok()?, *gateway))
}
