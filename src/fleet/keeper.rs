//! The task that stands in for head office: it passes on what gateways say, repeats to each what it has
//! not acknowledged, and goes on while the database is away.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::database::FleetError;
use super::inbox::{Inbox, Received};
use super::responder::{Job, KeepDays, Publication, Reply, Responder};
use super::store::FleetStore;
use crate::clock::Clocks;
use crate::config::BrokerUrl;
use crate::mqtt::Identity;
use crate::mqtt::backoff::Backoff;
use crate::mqtt::link::{ConnectOptions, ConnectionEvent, Disconnect, Link, Message};
use crate::mqtt::topics::{Filter, Topic, Topics, is_level};
use crate::payload;
use crate::pipeline::units::Tick;
use crate::telemetry::brief;

/// Interval of checks for entries that are not acknowledged yet.
const REPEAT_EVERY: Duration = Duration::from_secs(10);

/// Interval of checks for reports that are too old.
const AGE_EVERY: Duration = Duration::from_mins(10);

/// Messages of gateways that are committed together.
const MOST_TOGETHER: usize = 200;

/// Messages that wait to be published; what does not fit is repeated later.
const MOST_WAITING: usize = 10_000;

/// Before the database is tried again.
const DATABASE_AGAIN: Duration = Duration::from_secs(1);

/// Head office's name, where it asks stores for their state.
const NAME: &str = "head-office";

/// Head office's standing connection.
pub struct Keeper {
    brokers: Vec<BrokerUrl>,
    identity: Identity,
    clocks: Clocks,
    inbox: Inbox,
    desk: Desk,
    waiting: VecDeque<Publication>,
    /// Stores that are asked for their state.
    asked: BTreeSet<u16>,
}

/// The responder at work, or ready for it.
struct Desk {
    responder: Option<Responder>,
    working: Option<JoinHandle<Worked>>,
    repeat_is_due: bool,
    age_is_due: bool,
    /// When the database is tried again, where it is away.
    away_until: Option<Tick>,
    inbox_is_full: bool,
}

struct Worked {
    responder: Responder,
    job: Job,
    result: Result<Vec<Reply>, FleetError>,
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
        let responder = Responder::new(store, clocks.clone(), keep);
        let desk = Desk {
            responder: Some(responder),
            working: None,
            repeat_is_due: false,
            age_is_due: false,
            away_until: None,
            inbox_is_full: false,
        };
        let (waiting, asked) = (VecDeque::new(), BTreeSet::new());
        Self { brokers, identity, clocks, inbox: Inbox::default(), desk, waiting, asked }
    }

    /// Connects, answers and repeats until `stop`.
    ///
    /// # Errors
    /// Where the database cannot be read or written, except while its server is away.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), FleetError> {
        let served = self.serve_all(stop).await;
        // What was begun is committed.
        if let Some(working) = self.desk.working.take() {
            let _ = working.await;
        }
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
        loop {
            let now = self.clocks.now().tick;
            self.desk.begin(&mut self.inbox, now);
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
                    ConnectionEvent::Disconnected(lost) => return Ok(lost),
                    _ => {}
                },
                worked = self.desk.progress(now) => if let Some(worked) = worked {
                    self.answer(worked)?;
                },
                _ = repeat.tick(), if link.is_connected() => self.desk.repeat_is_due = true,
                _ = age.tick() => self.desk.age_is_due = true,
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
        let message = Received { topic, store, gateway, payload, at };
        if !self.inbox.put(message) && !self.desk.inbox_is_full {
            self.desk.inbox_is_full = true;
            tracing::error!("what gateways say fills the memory set aside for it: it is not taken");
        }
    }

    /// A job is done, or is to be done again.
    fn answer(&mut self, worked: Worked) -> Result<(), FleetError> {
        let Worked { responder, job, result } = worked;
        self.desk.responder = Some(responder);
        match result {
            Ok(replies) => {
                if self.desk.away_until.take().is_some() {
                    tracing::info!("head office's database is back");
                }
                self.desk.inbox_is_full = false;
                for reply in replies {
                    self.reply(reply);
                }
                Ok(())
            }
            Err(error) if error.may_pass() => {
                if self.desk.away_until.is_none() {
                    let why = brief::line(&error);
                    tracing::error!(why, "head office's database is away: what gateways say waits");
                }
                self.desk.away_until = Some(self.clocks.now().tick.plus(DATABASE_AGAIN));
                match job {
                    Job::Messages(messages) => self.inbox.put_back(messages),
                    Job::Repeat => self.desk.repeat_is_due = true,
                    Job::Age => self.desk.age_is_due = true,
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
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

impl Desk {
    /// Begins the next job, if there is one and the responder is ready.
    fn begin(&mut self, inbox: &mut Inbox, now: Tick) {
        if self.away_until.is_some_and(|until| now < until) {
            return;
        }
        let Some(mut responder) = self.responder.take() else { return };
        let Some(job) = self.next(inbox) else {
            self.responder = Some(responder);
            return;
        };
        self.working = Some(tokio::task::spawn_blocking(move || {
            let result = responder.work(&job);
            Worked { responder, job, result }
        }));
    }

    fn next(&mut self, inbox: &mut Inbox) -> Option<Job> {
        if std::mem::take(&mut self.repeat_is_due) {
            return Some(Job::Repeat);
        }
        if std::mem::take(&mut self.age_is_due) {
            return Some(Job::Age);
        }
        (!inbox.is_empty()).then(|| Job::Messages(inbox.take(MOST_TOGETHER)))
    }

    /// The job that is done; `None` once the database, which is away, is tried again. Cancel-safe.
    async fn progress(&mut self, now: Tick) -> Option<Worked> {
        let Some(working) = &mut self.working else {
            match self.away_until {
                Some(until) => sleep(until.since(now)).await,
                None => std::future::pending().await,
            }
            return None;
        };
        let ended = working.await;
        self.working = None;
        match ended {
            Ok(worked) => Some(worked),
            // It has panicked: so does the task that waited for it.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// A topic under `gateways/`, with the store and the gateway.
fn said_by(topic: &[u8]) -> Option<(Topic, u16, &str)> {
    let (topic, parameters) = Topic::parse(std::str::from_utf8(topic).ok()?)?;
    let [store, gateway] = parameters.as_slice() else { return None };
    is_level(gateway).then_some((topic, store.parse().ok()?, *gateway))
}
