//! What head office does with what gateways say: it enters it in the database, and answers.
//!
//! The database may make it wait: it runs on a thread for work that blocks. Invariant: an answer goes
//! out once everything that it is about is committed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::database::{Database, FleetError, transaction};
use super::documents::Document;
use super::inbox::Received;
use super::roll_out::RollOuts;
use super::store::{FleetStore, Said};
use crate::clock::Clocks;
use crate::mqtt::client::consent;
use crate::mqtt::topics::{Topic, Topics, is_level};
use crate::payload;
use crate::pipeline::units::{Tick, WallTime};

/// Interval of checks of documents that may be taken back, while no gateway has taken one back.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Withdrawals of one gateway that are repeated at once; the rest follows.
const MOST_REPEATED: u32 = 100;

/// An answer is of no use to a later connection.
const LIFE: Duration = Duration::from_mins(1);

/// Settings that a gateway lacks are sent to it again after this long at first, and at most: it may
/// refuse them.
const SEND_AGAIN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(5));

/// Documents that are sent again at once; the rest follows.
const MOST_SENT_AGAIN: usize = 500;

/// For how long what gateways report is kept, in days.
#[derive(Debug, Clone, Copy)]
pub struct KeepDays {
    pub reports: u32,
    /// Traces of contacts.
    pub traces: u32,
}

/// What there is to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Gateways said this.
    Messages(Vec<Received>),
    /// Withdrawals that are not acknowledged are repeated, and roll-outs are examined.
    Repeat,
    /// Reports that are too old are deleted.
    Age,
}

/// What is to go out.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Publish(Publication),
    /// The gateways of this store say their status.
    AskForStatus(u16),
}

/// A message to publish.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Publication {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) retain: bool,
    pub(super) expiry: Option<Duration>,
}

/// A store, a gateway, and the topic of settings.
type Lacking = (u16, String, String);

/// A document that a gateway lacks, as it was sent last.
#[derive(Debug)]
struct Sent {
    serial: u64,
    again_at: Tick,
    wait: Duration,
}

/// Head office's side of all conversations.
pub(super) struct Responder {
    store: FleetStore,
    clocks: Clocks,
    /// Documents that gateways lack.
    lacking: BTreeMap<Lacking, Sent>,
    keep: KeepDays,
    /// Of documents that may be taken back.
    roll_outs: RollOuts,
    /// When they are examined next.
    look_at: Tick,
    replies: Vec<Reply>,
}

impl AsMut<Database> for Responder {
    fn as_mut(&mut self) -> &mut Database {
        self.store.as_mut()
    }
}

impl Responder {
    pub(super) fn new(store: FleetStore, clocks: Clocks, keep: KeepDays) -> Self {
        Self {
            store,
            clocks,
            lacking: BTreeMap::new(),
            keep,
            roll_outs: RollOuts::default(),
            look_at: Tick::ZERO,
            replies: Vec::new(),
        }
    }

    /// All of a job, or nothing of it; what is to go out afterwards.
    pub(super) fn work(&mut self, job: &Job) -> Result<Vec<Reply>, FleetError> {
        self.replies.clear();
        let worked = match job {
            Job::Messages(messages) => transaction(self, |this| {
                messages.iter().try_for_each(|message| this.received(message))
            }),
            Job::Repeat => transaction(self, Self::repeat),
            Job::Age => self.age(),
        };
        if worked.is_err() {
            // None of it went out.
            let now = self.clocks.now().tick;
            self.lacking.values_mut().for_each(|sent| sent.again_at = now);
        }
        worked.map(|()| std::mem::take(&mut self.replies))
    }

    fn received(&mut self, message: &Received) -> Result<(), FleetError> {
        let Received { topic, store, gateway, payload, at } = message;
        let text = std::str::from_utf8(payload).unwrap_or_default();
        let taken: Option<()> = match topic {
            Topic::Consent => match read::<payload::Consent>(payload) {
                Some(said) => return self.consent(*store, gateway, &said, *at),
                None => None,
            },
            // An empty one retires the gateway; `fleet status` shows when it last reported.
            Topic::Status if payload.is_empty() => return Ok(()),
            Topic::Status => match read::<payload::Status>(payload) {
                Some(status) => return self.status(*store, gateway, text, &status, *at),
                None => None,
            },
            Topic::Health => match read::<payload::Health>(payload) {
                Some(_) => return self.health(*store, gateway, text, *at),
                None => None,
            },
            // The client's name is head office's own; the gateway's is in the answer.
            Topic::SyncAnswer => match read::<payload::SyncAnswer>(payload) {
                Some(answer) => return self.synced(*store, &answer, *at),
                None => None,
            },
            Topic::Reports => match reports(payload) {
                Some(reported) => return self.reports(*store, gateway, reported),
                None => None,
            },
            _ => return Ok(()),
        };
        if taken.is_none() {
            tracing::warn!(store, gateway, ?topic, "a gateway's message is refused");
        }
        Ok(())
    }

    /// A gateway's status with the settings that it has: newer ones are sent to it alone, since thousands
    /// of others have them.
    fn status(
        &mut self,
        store: u16,
        gateway: &str,
        text: &str,
        status: &payload::Status,
        at: WallTime,
    ) -> Result<(), FleetError> {
        self.store.heard(store, gateway, Said::Status(text), at)?;
        if status.documents.iter().any(|one| one.state == payload::DocumentState::FellBack) {
            self.look_at = Tick::ZERO;
        }
        if status.state == payload::GatewayState::Offline {
            self.lacking.retain(|(of, name, _), _| (*of, name.as_str()) != (store, gateway));
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
            let newest = self.store.newest(&topic)?.filter(|document| document.serial > known);
            let lacking = (store, gateway.to_owned(), topic);
            let sent = self.lacking.get(&lacking).map(|sent| sent.serial);
            match newest {
                None => drop(self.lacking.remove(&lacking)),
                // The status is new for another reason, or the gateway refuses the document.
                Some(document) if sent == Some(document.serial) => {}
                Some(document) => self.send_to_one(lacking, document, SEND_AGAIN.0),
            }
        }
        Ok(())
    }

    /// Sends a document to the gateway that lacks it, and once more after `wait`.
    fn send_to_one(&mut self, lacking: Lacking, document: Document, wait: Duration) {
        let (store, gateway, topic) = &lacking;
        let Document { serial, text: document, .. } = document;
        tracing::debug!(store, gateway, topic, serial, "a gateway lacks settings");
        let missed =
            payload::MissedSettings { v: payload::VERSION, topic: topic.clone(), document };
        let topic = Topics::of(*store).topic(Topic::MissedSettings, &[gateway]);
        self.publish(topic, payload::encode(&missed), false, Some(LIFE));
        let again_at = self.clocks.now().tick.plus(wait);
        self.lacking.insert(lacking, Sent { serial, again_at, wait });
    }

    /// Sends documents again that were sent a while ago and that no status shows since.
    fn send_again(&mut self) -> Result<(), FleetError> {
        let now = self.clocks.now().tick;
        let due = self.lacking.iter().filter(|(_, sent)| sent.again_at <= now);
        let due: Vec<(Lacking, Duration)> = due
            .map(|(lacking, sent)| (lacking.clone(), (sent.wait * 2).min(SEND_AGAIN.1)))
            .take(MOST_SENT_AGAIN)
            .collect();
        for (lacking, wait) in due {
            match self.store.newest(&lacking.2)? {
                Some(document) => self.send_to_one(lacking, document, wait),
                None => drop(self.lacking.remove(&lacking)),
            }
        }
        Ok(())
    }

    fn health(
        &mut self,
        store: u16,
        gateway: &str,
        text: &str,
        at: WallTime,
    ) -> Result<(), FleetError> {
        // A gateway that is known only from other messages: not every broker retains its status.
        if !self.store.heard(store, gateway, Said::Health(text), at)? {
            self.replies.push(Reply::AskForStatus(store));
        }
        Ok(())
    }

    fn synced(
        &mut self,
        store: u16,
        answer: &payload::SyncAnswer,
        at: WallTime,
    ) -> Result<(), FleetError> {
        let below = format!("gateways/{}/status", answer.gateway);
        let status = answer.retained.get(&below).filter(|_| is_level(&answer.gateway));
        let Some(payload) = status.map(payload::encode) else { return Ok(()) };
        let text = String::from_utf8_lossy(&payload).into_owned();
        match read::<payload::Status>(&payload) {
            Some(status) => self.status(store, &answer.gateway, &text, &status, at),
            None => Ok(()),
        }
    }

    fn reports(
        &mut self,
        store: u16,
        gateway: &str,
        Reported { batch, last, unreadable }: Reported,
    ) -> Result<(), FleetError> {
        if unreadable > 0 {
            tracing::warn!(store, gateway, unreadable, "reports are refused");
        }
        let new = self.store.report(store, gateway, &batch)?;
        tracing::debug!(store, gateway, new, "reports");
        self.confirm(store, gateway, batch.queue, last);
        Ok(())
    }

    /// The gateway may forget its reports.
    fn confirm(&mut self, store: u16, gateway: &str, queue: String, n: u64) {
        let reported = payload::Reported { v: payload::VERSION, queue, n };
        let topic = Topics::of(store).topic(Topic::Reported, &[gateway]);
        self.publish(topic, payload::encode(&reported), false, Some(LIFE));
    }

    /// The withdrawals that a gateway knows: it is sent the rest.
    fn consent(
        &mut self,
        store: u16,
        gateway: &str,
        said: &payload::Consent,
        at: WallTime,
    ) -> Result<(), FleetError> {
        self.store.acknowledged(store, gateway, said.list.as_deref(), said.serial, at)?;
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
            self.publish(topic.clone(), payload::encode(&part), false, Some(LIFE));
        }
        Ok(())
    }

    /// Publishes the withdrawals of a store after number `known`.
    fn tell(&mut self, store: u16, known: u64) -> Result<(), FleetError> {
        for one in self.store.withdrawals(store, known, MOST_REPEATED)? {
            let (topic, payload) = one.message(store, self.store.list());
            self.publish(topic, payload, true, None);
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
        self.send_again()?;
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
                self.publish(topic, text.into_bytes(), true, None);
            }
        }
        Ok(())
    }

    /// Deletes what is too old.
    fn age(&mut self) -> Result<(), FleetError> {
        let now = self.clocks.now().clock.reading();
        let deleted = self.store.age(now, self.keep.reports)?;
        let deleted = deleted + self.store.age_traces(now, self.keep.traces)?;
        if deleted > 0 {
            tracing::info!(deleted, "old reports are deleted");
        }
        Ok(())
    }

    fn publish(&mut self, topic: String, payload: Vec<u8>, retain: bool, expiry: Option<Duration>) {
        self.replies.push(Reply::Publish(Publication { topic, payload, retain, expiry }));
    }
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
    is_level(&batch.queue).then_some(Reported { batch, last, unreadable })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{DocumentState, DocumentStatus, GatewayState, Status};

    fn status(store: u16, serial: u64) -> Received {
        let known = DocumentStatus {
            reach: "fleet".to_owned(),
            serial: Some(serial),
            state: DocumentState::InForce,
            from: None,
            why: None,
        };
        let status = Status {
            v: payload::VERSION,
            state: GatewayState::Online,
            label: None,
            version: "0.1.0".to_owned(),
            config: String::new(),
            since: None,
            connected_at: None,
            refused: Vec::new(),
            warnings: Vec::new(),
            group: None,
            documents: vec![known],
        };
        let (topic, gateway) = (Topic::Status, "door".to_owned());
        let at = WallTime::from_unix_secs(1_767_603_600);
        Received { topic, store, gateway, payload: payload::encode(&status), at }
    }

    #[test]
    fn settings_that_gateways_lack_are_sent_to_them_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FleetStore::open(folder.path().join("fleet.db")).unwrap();
        let text = |n: u64| Ok::<_, FleetError>(format!("[document]\nserial = {n}\n"));
        store.push("grelot/v1/config/fleet", "", "", text).unwrap();
        let keep = KeepDays { reports: 90, traces: 30 };
        let mut responder = Responder::new(store, Clocks::machine(), keep);
        let sent = published(&mut responder, &[status(1, 0), status(2, 1), status(3, 0)]);
        let topics: Vec<&str> = sent.iter().map(|one| one.topic.as_str()).collect();
        assert_eq!(
            topics,
            ["grelot/v1/1/gateways/door/missed", "grelot/v1/3/gateways/door/missed"]
        );
        assert!(sent.iter().all(|one| !one.retain));
        let missed: payload::MissedSettings = serde_json::from_slice(&sent[0].payload).unwrap();
        assert_eq!(missed.topic, "grelot/v1/config/fleet");
        assert!(missed.document.contains("serial = 1"), "{missed:?}");
        assert_eq!(published(&mut responder, &[status(1, 0)]), [], "it refuses them");
        assert_eq!(published(&mut responder, &[status(1, 1)]), [], "it has them");

        // The other one did not get it, and is sent it again after a while, and a longer while.
        assert_eq!(published(&mut responder, &[]), [], "it has time");
        for waits in [SEND_AGAIN.0 * 2, SEND_AGAIN.0 * 4] {
            responder.lacking.values_mut().for_each(|sent| sent.again_at = Tick::ZERO);
            let again = published(&mut responder, &[]);
            assert_eq!(again.len(), 1);
            assert_eq!(again[0].topic, "grelot/v1/3/gateways/door/missed");
            assert!(responder.lacking.values().all(|sent| sent.wait == waits));
        }

        // One that is offline is not; as soon as it returns, it is.
        let mut offline = status(3, 0);
        let mut said: Status = serde_json::from_slice(&offline.payload).unwrap();
        said.state = GatewayState::Offline;
        offline.payload = payload::encode(&said);
        assert_eq!(published(&mut responder, &[offline]), []);
        assert!(responder.lacking.is_empty());
        assert_eq!(published(&mut responder, &[status(3, 0)]).len(), 1);
    }

    /// What goes out because of these messages, or else at the next look at what is not acknowledged.
    fn published(responder: &mut Responder, messages: &[Received]) -> Vec<Publication> {
        let job = if messages.is_empty() { Job::Repeat } else { Job::Messages(messages.to_vec()) };
        let publications =
            responder.work(&job).unwrap().into_iter().filter_map(|reply| match reply {
                Reply::Publish(publication) => Some(publication),
                Reply::AskForStatus(_) => None,
            });
        publications.collect()
    }
}
