//! The task that stands in for head office: answers gateways that ask for withdrawals of consent,
//! and repeats to each what it has not acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::documents::Document;
use super::roll_out::RollOuts;
use super::store::{FleetError, FleetStore, Said, Withdrawal};
use crate::clock::Clocks;
use crate::config::BrokerUrl;
use crate::mqtt::Identity;
use crate::mqtt::backoff::Backoff;
use crate::mqtt::client::consent;
use crate::mqtt::link::{ConnectOptions, ConnectionEvent, Disconnect, Link, Message};
use crate::mqtt::topics::{Filter, Topic, Topics, is_level};
use crate::payload;
use crate::pipeline::units::Tick;
use crate::telemetry::brief;

/// Interval of checks for entries that are not acknowledged yet.
const REPEAT_EVERY: Duration = Duration::from_secs(10);

/// Interval of checks of documents that may be taken back, while no gateway has taken one back.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// For how long reports are kept, in days.
const KEEP_DAYS: u32 = 90;

/// For how long traces of contacts are kept, in days.
const KEEP_TRACES_DAYS: u32 = 30;

/// Interval of checks for reports that are too old.
const AGE_EVERY: Duration = Duration::from_mins(10);

/// Withdrawals of one gateway that are repeated at once; the rest follows.
const MOST_REPEATED: u32 = 100;

/// Messages that wait to be published; what does not fit is repeated later.
const MOST_WAITING: usize = 10_000;

/// An answer is of no use to a later connection.
const LIFE: Duration = Duration::from_mins(1);

/// Least time between two publications of one document: one message reaches all its gateways.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// Head office's name, where it asks stores for their state.
const NAME: &str = "head-office";

/// Head office's standing connection.
pub struct Keeper {
    store: FleetStore,
    brokers: Vec<BrokerUrl>,
    identity: Identity,
    clocks: Clocks,
    waiting: VecDeque<Waiting>,
    /// When each document was published last, by its topic.
    published: BTreeMap<String, Tick>,
    /// For how long reports are kept, in days.
    keep_days: u32,
    /// For how long traces of contacts are kept, in days.
    keep_traces_days: u32,
    /// Of documents that may be taken back.
    roll_outs: RollOuts,
    /// When they are looked at next.
    look_at: Tick,
}

struct Waiting {
    topic: String,
    payload: Vec<u8>,
    retain: bool,
    expiry: Option<Duration>,
}

impl Keeper {
    /// With head office's file, and the brokers of the cluster in the order that they are tried.
    pub fn new(
        store: FleetStore,
        brokers: Vec<BrokerUrl>,
        identity: Identity,
        clocks: Clocks,
    ) -> Self {
        Self {
            store,
            brokers,
            identity,
            clocks,
            waiting: VecDeque::new(),
            published: BTreeMap::new(),
            keep_days: KEEP_DAYS,
            keep_traces_days: KEEP_TRACES_DAYS,
            roll_outs: RollOuts::default(),
            look_at: Tick::ZERO,
        }
    }

    /// Deletes reports, and traces of contacts, after these numbers of days.
    #[must_use]
    pub fn keeping(self, days: u32, traces_days: u32) -> Self {
        Self { keep_days: days, keep_traces_days: traces_days, ..self }
    }

    /// Connects, answers and repeats until `stop`.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), FleetError> {
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
        loop {
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
                        self.received(link, &topic, &payload, retained)?;
                    }
                    ConnectionEvent::Disconnected(lost) => return Ok(lost),
                    _ => {}
                },
                _ = repeat.tick(), if link.is_connected() => self.repeat()?,
                _ = age.tick() => self.age()?,
            }
        }
    }

    fn received(
        &mut self,
        link: &Link<()>,
        topic: &[u8],
        payload: &[u8],
        retained: bool,
    ) -> Result<(), FleetError> {
        let Some((topic, store, gateway)) = said_by(topic) else { return Ok(()) };
        let now = self.clocks.now().clock.reading();
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let taken: Option<()> = match topic {
            Topic::Consent if retained => return Ok(()),
            Topic::Consent => match read::<payload::Consent>(payload) {
                Some(said) => return self.consent(store, gateway, &said),
                None => None,
            },
            // An empty one retires the gateway; `fleet status` shows when it last reported.
            Topic::Status if payload.is_empty() => return Ok(()),
            Topic::Status => match read::<payload::Status>(payload) {
                Some(status) => return self.status(store, gateway, text, &status),
                None => None,
            },
            Topic::Health => match read::<payload::Health>(payload) {
                Some(_) => {
                    self.store.heard(store, gateway, Said::Health(text), now)?;
                    return self.ask_for_status(link, store, gateway);
                }
                None => None,
            },
            // The client's name is head office's own; the gateway's is in the answer.
            Topic::SyncAnswer => match read::<payload::SyncAnswer>(payload) {
                Some(answer) => return self.synced(store, &answer),
                None => None,
            },
            Topic::Reports => match reports(payload) {
                Some(Reported { batch, last, unreadable }) => {
                    if unreadable > 0 {
                        tracing::warn!(store, gateway, unreadable, "reports are refused");
                    }
                    let new = self.store.report(store, gateway, &batch)?;
                    tracing::debug!(store, gateway, new, "reports");
                    self.confirm(store, gateway, batch.queue, last);
                    return Ok(());
                }
                None => None,
            },
            _ => return Ok(()),
        };
        if taken.is_none() {
            tracing::warn!(store, gateway, ?topic, "a gateway's message is refused");
        }
        Ok(())
    }

    /// A gateway's status with the settings that it has: it is sent newer ones.
    fn status(
        &mut self,
        store: u16,
        gateway: &str,
        text: &str,
        status: &payload::Status,
    ) -> Result<(), FleetError> {
        let now = self.clocks.now();
        self.store.heard(store, gateway, Said::Status(text), now.clock.reading())?;
        if status.documents.iter().any(|one| one.state == payload::DocumentState::FellBack) {
            self.look_at = Tick::ZERO;
        }
        if status.state == payload::GatewayState::Offline {
            return Ok(());
        }
        let topics = Topics::of(store);
        let group = status.group.as_ref().map(|group| Topic::GroupSettings.of(&[group]));
        for (reach, topic) in [
            ("fleet", Some(Topic::FleetSettings.of(&[]))),
            ("group", group),
            ("store", Some(topics.topic(Topic::StoreSettings, &[]))),
            ("gateway", Some(topics.topic(Topic::GatewaySettings, &[gateway]))),
        ] {
            let Some(topic) = topic else { continue };
            let known = status.documents.iter().find(|known| known.reach == reach);
            let known = known.and_then(|known| known.serial).unwrap_or(0);
            let recently = |at: &Tick| now.tick.since(*at) < AGAIN_AFTER;
            if self.published.get(&topic).is_some_and(recently) {
                continue;
            }
            if let Some(document) = self.store.newest(&topic)?
                && document.serial > known
            {
                tracing::info!(topic, serial = document.serial, "settings are published again");
                self.published.insert(topic.clone(), now.tick);
                let payload = document.text.into_bytes();
                self.wait(Waiting { topic, payload, retain: true, expiry: None });
            }
        }
        Ok(())
    }

    /// The status of a gateway that is known only from other messages: not every broker retains it.
    fn ask_for_status(&self, link: &Link<()>, store: u16, gateway: &str) -> Result<(), FleetError> {
        if !self.store.has_status(store, gateway)? {
            let question = payload::encode(&serde_json::json!({"v": payload::VERSION}));
            let topics = Topics::of(store);
            let answers = topics.topic(Topic::SyncAnswer, &[NAME]);
            link.ask(&topics.sync(), &question, &answers);
        }
        Ok(())
    }

    fn synced(&mut self, store: u16, answer: &payload::SyncAnswer) -> Result<(), FleetError> {
        let below = format!("gateways/{}/status", answer.gateway);
        let status = answer.retained.get(&below).filter(|_| is_level(&answer.gateway));
        let Some(payload) = status.map(payload::encode) else { return Ok(()) };
        let text = String::from_utf8_lossy(&payload).into_owned();
        match read::<payload::Status>(&payload) {
            Some(status) => self.status(store, &answer.gateway, &text, &status),
            None => Ok(()),
        }
    }

    /// The gateway may forget its reports.
    fn confirm(&mut self, store: u16, gateway: &str, queue: String, n: u64) {
        let reported = payload::Reported { v: payload::VERSION, queue, n };
        self.wait(Waiting {
            topic: Topics::of(store).topic(Topic::Reported, &[gateway]),
            payload: payload::encode(&reported),
            retain: false,
            expiry: Some(LIFE),
        });
    }

    /// The withdrawals that a gateway knows: it is sent the rest.
    fn consent(
        &mut self,
        store: u16,
        gateway: &str,
        said: &payload::Consent,
    ) -> Result<(), FleetError> {
        let now = self.clocks.now().clock.reading();
        self.store.acknowledged(store, gateway, said.list.as_deref(), said.serial, now)?;
        let known = if said.list.as_deref() == Some(self.store.list()) { said.serial } else { 0 };
        match &said.ask {
            Some(ask) if is_level(ask) => self.answer(store, gateway, ask, known),
            _ => self.tell(store, known),
        }
    }

    fn answer(
        &mut self,
        store: u16,
        gateway: &str,
        ask: &str,
        known: u64,
    ) -> Result<(), FleetError> {
        let rest = self.store.withdrawals(store, known, u32::MAX)?;
        let serial = rest.last().map_or(known, |last| last.serial);
        tracing::info!(
            store,
            gateway,
            withdrawals = rest.len(),
            "a gateway asks who has withdrawn"
        );
        let clients: Vec<String> = rest.into_iter().map(|one| one.client).collect();
        let list = self.store.list().to_owned();
        let topic = Topics::of(store).withdrawals(gateway);
        for part in consent::parts(ask, Some(&list), serial, &clients) {
            self.wait(Waiting {
                topic: topic.clone(),
                payload: payload::encode(&part),
                retain: false,
                expiry: Some(LIFE),
            });
        }
        Ok(())
    }

    /// Publishes the withdrawals of a store after number `known`.
    fn tell(&mut self, store: u16, known: u64) -> Result<(), FleetError> {
        for one in self.store.withdrawals(store, known, MOST_REPEATED)? {
            let (topic, payload) = withdrawal(store, self.store.list(), &one);
            if !self.waiting.iter().any(|waiting| waiting.topic == topic) {
                self.wait(Waiting { topic, payload, retain: true, expiry: None });
            }
        }
        Ok(())
    }

    /// What gateways have not acknowledged.
    fn repeat(&mut self) -> Result<(), FleetError> {
        let behind = self.store.behind()?;
        if !behind.is_empty() {
            tracing::info!(gateways = behind.len(), "withdrawals are not acknowledged everywhere");
        }
        for gateway in behind {
            self.tell(gateway.store, gateway.serial)?;
        }
        self.look_at_roll_outs()
    }

    /// Takes documents back that a share of their gateways has taken back, or that surely exceed a
    /// limit.
    fn look_at_roll_outs(&mut self) -> Result<(), FleetError> {
        let now = self.clocks.now();
        let open = if now.tick < self.look_at { Vec::new() } else { self.store.open_guards()? };
        if open.is_empty() {
            return Ok(());
        }
        self.look_at = now.tick.plus(LOOK_EVERY);
        let (now, gateways) = (now.clock.reading(), self.store.overview(now.clock.reading())?);
        for document in open {
            let verdict = self.roll_outs.verdict(&mut self.store, &document, &gateways, now)?;
            let Some(why) = verdict else { continue };
            tracing::error!(serial = document.serial, why, "settings are taken back everywhere");
            let back = self.store.take_back(document.serial, &why, &now.to_string())?;
            if let Some(Document { topic, text, .. }) = back {
                let payload = text.into_bytes();
                self.wait(Waiting { topic, payload, retain: true, expiry: None });
            }
        }
        Ok(())
    }

    /// Deletes what is too old.
    fn age(&mut self) -> Result<(), FleetError> {
        let deleted = self.store.age(self.clocks.now().clock.reading(), self.keep_days)?;
        let now = self.clocks.now().clock.reading();
        let deleted = deleted + self.store.age_traces(now, self.keep_traces_days)?;
        if deleted > 0 {
            tracing::info!(deleted, "old reports are deleted");
        }
        Ok(())
    }

    fn wait(&mut self, waiting: Waiting) {
        if self.waiting.len() < MOST_WAITING {
            self.waiting.push_back(waiting);
        }
    }

    fn submit(&mut self, link: &mut Link<()>) {
        while link.can_publish()
            && let Some(Waiting { topic, payload, retain, expiry }) = self.waiting.pop_front()
        {
            link.publish((), &Message { topic: &topic, payload: &payload, retain, expiry });
        }
    }
}

/// A topic under `gateways/`, with the store and the gateway.
fn said_by(topic: &[u8]) -> Option<(Topic, u16, &str)> {
    let (topic, parameters) = Topic::parse(std::str::from_utf8(topic).ok()?)?;
    let [store, gateway] = parameters.as_slice() else { return None };
    Some((topic, store.parse().ok()?, gateway))
}

/// A payload of the version that this program knows.
fn read<T: DeserializeOwned>(payload: &[u8]) -> Option<T> {
    read_value(serde_json::from_slice(payload).ok()?)
}

fn read_value<T: DeserializeOwned>(value: serde_json::Value) -> Option<T> {
    if value.get("v")?.as_u64()? != u64::from(payload::VERSION) {
        return None;
    }
    serde_json::from_value(value).ok()
}

/// A gateway's message of reports.
struct Reported {
    /// What can be read of it.
    batch: payload::ReportBatch,
    /// The number of the last report, readable or not: the rest must not wait for one that never
    /// will be.
    last: u64,
    unreadable: usize,
}

fn reports(payload: &[u8]) -> Option<Reported> {
    let mut value: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let all = value.get_mut("reports")?.as_array_mut()?;
    let last = all.last()?.get("n")?.as_u64()?;
    let sent = all.len();
    all.retain(|one| <payload::Report as serde::Deserialize>::deserialize(one).is_ok());
    let unreadable = sent - all.len();
    let batch: payload::ReportBatch = read_value(value)?;
    Some(Reported { batch, last, unreadable })
}

/// Topic and payload of a numbered withdrawal.
pub fn withdrawal(store: u16, list: &str, one: &Withdrawal) -> (String, Vec<u8>) {
    let payload = payload::Withdrawal {
        v: payload::VERSION,
        withdrawn_at: Some(one.at.clone()),
        list: Some(list.to_owned()),
        serial: Some(one.serial),
    };
    (Topics::of(store).withdrawn(&one.client), payload::encode(&payload))
}
