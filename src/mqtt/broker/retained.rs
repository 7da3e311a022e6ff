//! What the embedded broker retains: limited in number and octets, and kept in a file over a
//! restart.
//!
//! Visits are not written to the disk: the gateway that opened one publishes it again on its next
//! connection, and a customer's name must not outlive a withdrawal there. A disk that takes
//! nothing delays the file, never a message.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::BoxFuture;
use mqtt5::QoS;
use mqtt5::broker::events::{
    BrokerEventHandler, ClientPublishEvent, PublishAction, RetainedSetEvent,
};
use mqtt5::broker::storage::{DynamicStorage, RetainedMessage, StorageBackend as _};
use mqtt5::packet::publish::PublishPacket;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::config;
use crate::mqtt::inbound;
use crate::mqtt::topics::ROOT;
use crate::state_file;
use crate::tasks;

/// In the state folder.
const FILE: &str = "broker-retained.json";

/// What a damaged file means.
const LOST: &str =
    "head office must push its configuration again, and withdrawals to gateways that were away";

/// Octets of all retained messages, withdrawals excepted.
const MAX_OCTETS: usize = 16 << 20;

/// Octets of all withdrawals.
const MAX_WITHDRAWAL_OCTETS: usize = 4 << 20;

/// Octets of a configuration document.
pub(super) const LONGEST_DOCUMENT: usize = config::LONGEST_DOCUMENT;

/// What a retained message costs beside its topic and payload.
const OVERHEAD: usize = 64;

/// Interval at which a failed write is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What a topic's messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Visit,
    Gateway,
    Beacon,
    Withdrawal,
    Configuration,
    Other,
    /// Never retained, even if its publisher asks for it.
    Fleeting,
}

impl Class {
    fn of(topic: &str) -> Self {
        let below = topic.strip_prefix(ROOT).and_then(|below| below.strip_prefix('/'));
        let levels: Vec<&str> = below.unwrap_or_default().split('/').collect();
        match levels.as_slice() {
            ["config", ..] | [_, "config" | "registry"] | [_, "gateways", _, "config"] => {
                Self::Configuration
            }
            [_, "visits", _] => Self::Visit,
            [_, "withdrawn", _] => Self::Withdrawal,
            [_, "beacons", _] => Self::Beacon,
            [_, "arrivals" | "departures"]
            | [_, "visits", _, _]
            | [_, "contacts", _]
            | [_, "sync", ..]
            | [
                _,
                "gateways",
                _,
                "health" | "consent" | "withdrawals" | "reports" | "reported" | "missed" | "canary",
            ] => Self::Fleeting,
            [_, "gateways", _, _] => Self::Gateway,
            _ => Self::Other,
        }
    }

    /// Most topics that are retained.
    const fn limit(self) -> usize {
        match self {
            Self::Visit => 2_000,
            Self::Withdrawal => 20_000,
            Self::Beacon => 512,
            Self::Gateway | Self::Configuration | Self::Other => 256,
            Self::Fleeting => 0,
        }
    }

    /// Octets of a payload at most.
    const fn longest(self) -> usize {
        match self {
            Self::Configuration => LONGEST_DOCUMENT,
            _ => inbound::LONGEST,
        }
    }

    const fn is_saved(self) -> bool {
        !matches!(self, Self::Visit | Self::Fleeting)
    }
}

/// The topics at most, of all classes.
pub(super) const MAX_TOPICS: usize = 25_000;

#[derive(Serialize, Deserialize)]
struct RetainedFile {
    v: u8,
    messages: Vec<Saved>,
}

/// A message as the file has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Saved {
    topic: String,
    payload: String,
    qos: u8,
    /// Unix time in seconds.
    stored_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expiry_secs: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
}

impl Saved {
    fn of(message: &RetainedMessage) -> Self {
        Self {
            topic: message.topic.clone(),
            payload: String::from_utf8_lossy(&message.payload).into_owned(),
            qos: message.qos as u8,
            stored_at: message.stored_at_secs,
            expiry_secs: message.message_expiry_interval,
            content_type: message.content_type.clone(),
        }
    }

    fn message(&self) -> RetainedMessage {
        let payload = self.payload.clone().into_bytes();
        let packet =
            PublishPacket::new(&self.topic, payload, QoS::from(self.qos)).with_retain(true);
        let mut message = RetainedMessage::new(packet);
        message.stored_at_secs = self.stored_at;
        message.message_expiry_interval = self.expiry_secs;
        message.content_type.clone_from(&self.content_type);
        message.payload_format_indicator = self.content_type.is_some().then_some(true);
        message.recompute_expiry();
        message
    }
}

#[derive(Debug)]
struct Entry {
    octets: usize,
    saved: Option<Arc<Saved>>,
}

#[derive(Debug, Default)]
struct Table {
    entries: BTreeMap<String, Entry>,
    totals: BTreeMap<Class, Total>,
    /// Grows with every change that the file must follow.
    change: u64,
}

/// What is retained of one class.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    topics: usize,
    octets: usize,
}

impl Table {
    fn set(&mut self, topic: &str, entry: Entry) {
        self.remove(topic);
        let class = Class::of(topic);
        let total = self.totals.entry(class).or_default();
        total.topics += 1;
        total.octets += entry.octets;
        self.change += u64::from(class.is_saved());
        self.entries.insert(topic.to_owned(), entry);
    }

    fn remove(&mut self, topic: &str) {
        let Some(entry) = self.entries.remove(topic) else { return };
        let class = Class::of(topic);
        let total = self.totals.entry(class).or_default();
        total.topics = total.topics.saturating_sub(1);
        total.octets = total.octets.saturating_sub(entry.octets);
        self.change += u64::from(class.is_saved());
    }

    fn octets(&self, of_withdrawals: bool) -> usize {
        let counted =
            |(class, _): &(&Class, &Total)| (**class == Class::Withdrawal) == of_withdrawals;
        self.totals.iter().filter(counted).map(|(_, total)| total.octets).sum()
    }

    fn takes(&self, topic: &str, octets: usize) -> bool {
        let is_withdrawal = Class::of(topic) == Class::Withdrawal;
        let limit = if is_withdrawal { MAX_WITHDRAWAL_OCTETS } else { MAX_OCTETS };
        let before = self.entries.get(topic).map_or(0, |entry| entry.octets);
        octets <= before || self.octets(is_withdrawal).saturating_sub(before) + octets <= limit
    }

    fn has_room_for(&self, topic: &str) -> bool {
        let class = Class::of(topic);
        let known = self.totals.get(&class).map_or(0, |total| total.topics);
        class == Class::Fleeting || known < class.limit() || self.entries.contains_key(topic)
    }
}

fn cost(topic: &str, payload: usize) -> usize {
    topic.len() + payload + OVERHEAD
}

/// Watches what the broker retains.
pub(super) struct RetainedMessages {
    storage: Arc<DynamicStorage>,
    table: Arc<Mutex<Table>>,
    /// Wakes the thread that writes.
    wake: SyncSender<()>,
    /// The last change that was written, or that the disk did not take.
    tried: watch::Receiver<u64>,
}

/// Writes the file, on a thread of its own.
pub(super) struct Saver {
    pub(super) thread: JoinHandle<()>,
    /// What is wrong with the disk, if anything.
    pub(super) trouble: watch::Receiver<Option<String>>,
}

impl RetainedMessages {
    /// Loads the file of the state folder `state` into `storage`.
    ///
    /// # Errors
    /// The file exists and cannot be read, or there is no thread to write it.
    pub(super) async fn open(
        state: &Path,
        storage: Arc<DynamicStorage>,
    ) -> std::io::Result<(Arc<Self>, Saver)> {
        let path = state.join(FILE);
        let file = state_file::read::<RetainedFile>(&path, LOST)?;
        let table = Arc::new(Mutex::new(Table::default()));
        let (wake, woken) = sync_channel(1);
        let (trying, tried) = watch::channel(0);
        let (troubled, trouble) = watch::channel(None);
        let writer = Writer { path, table: Arc::clone(&table), trying, troubled };
        let thread = tasks::thread("broker-retained", move || writer.run(&woken))?;
        let retained = Arc::new(Self { storage, table, wake, tried });
        for saved in file.map(|file| file.messages).unwrap_or_default() {
            retained.load(saved).await;
        }
        Ok((retained, Saver { thread, trouble }))
    }

    /// Takes over what another version of the broker kept, and tries to write it to the disk.
    pub(super) async fn import(&self, messages: Vec<RetainedMessage>) {
        for message in messages {
            if Class::of(&message.topic).is_saved() {
                self.load(Saved::of(&message)).await;
            }
        }
        let change = self.table().change;
        self.save(change).await;
    }

    async fn load(&self, saved: Saved) {
        let message = saved.message();
        let (topic, octets) = (saved.topic.clone(), cost(&saved.topic, saved.payload.len()));
        let fits = {
            let table = self.table();
            table.has_room_for(&topic) && table.takes(&topic, octets)
        };
        if !message.is_expired()
            && fits
            && self.storage.store_retained_message(&topic, message).await.is_ok()
        {
            self.table().set(&topic, Entry { octets, saved: Some(Arc::new(saved)) });
        }
    }

    /// Whether a message on this topic could be retained beside the others of its class.
    pub(super) fn has_room_for(&self, topic: &str) -> bool {
        self.table().has_room_for(topic)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the file to be written, and waits until that was tried.
    async fn save(&self, change: u64) {
        let _ = self.wake.try_send(());
        let mut tried = self.tried.clone();
        let _ = tried.wait_for(|tried| *tried >= change).await;
    }

    async fn follow(&self, topic: &str, cleared: bool) {
        let class = Class::of(topic);
        let message = if cleared {
            None
        } else {
            self.storage.get_retained_message(topic).await.ok().flatten()
        };
        let change = {
            let mut table = self.table();
            match message {
                Some(message) => {
                    let octets = cost(topic, message.payload.len());
                    let saved = class.is_saved().then(|| Arc::new(Saved::of(&message)));
                    table.set(topic, Entry { octets, saved });
                }
                None => table.remove(topic),
            }
            table.change
        };
        // A withdrawal is acknowledged once it is on the disk, or the disk has refused it.
        if class == Class::Withdrawal {
            self.save(change).await;
        } else if class.is_saved() {
            let _ = self.wake.try_send(());
        }
    }

    fn judge(&self, event: &ClientPublishEvent) -> PublishAction {
        if !event.retain || event.payload.is_empty() {
            return PublishAction::Continue;
        }
        let (class, octets) = (Class::of(&event.topic), event.payload.len());
        let fleeting = class == Class::Fleeting;
        let takes = || self.table().takes(&event.topic, cost(&event.topic, octets));
        if !fleeting && octets <= class.longest() && takes() {
            return PublishAction::Continue;
        }
        if !fleeting {
            let topic = &*event.topic;
            tracing::error!(topic, "the embedded broker has no room to retain a message");
        }
        let mut packet = PublishPacket::new(&*event.topic, event.payload.to_vec(), event.qos);
        packet.packet_id = event.packet_id;
        PublishAction::Transform(packet)
    }
}

struct Writer {
    path: PathBuf,
    table: Arc<Mutex<Table>>,
    trying: watch::Sender<u64>,
    troubled: watch::Sender<Option<String>>,
}

impl Writer {
    /// Writes until the broker is gone.
    fn run(self, woken: &Receiver<()>) {
        loop {
            let failed = self.troubled.borrow().is_some();
            let next = if failed {
                woken.recv_timeout(RETRY)
            } else {
                woken.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            let last = next == Err(RecvTimeoutError::Disconnected);
            if !last || failed {
                self.write();
            }
            if last {
                return;
            }
        }
    }

    fn write(&self) {
        let (file, change) = {
            let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
            let saved = table.entries.values().filter_map(|entry| entry.saved.as_deref().cloned());
            (RetainedFile { v: 1, messages: saved.collect() }, table.change)
        };
        let trouble = state_file::write(&self.path, &file).err().map(|error| error.to_string());
        if let Some(why) = trouble.as_ref().filter(|_| self.troubled.borrow().is_none()) {
            tracing::error!(why, "the embedded broker keeps retained messages in memory only");
        } else if trouble.is_none() && self.troubled.borrow().is_some() {
            tracing::info!("the embedded broker's retained messages are on the disk again");
        }
        self.troubled.send_replace(trouble);
        self.trying.send_replace(change);
    }
}

impl BrokerEventHandler for RetainedMessages {
    fn on_client_publish(&self, event: ClientPublishEvent) -> BoxFuture<'_, PublishAction> {
        Box::pin(std::future::ready(self.judge(&event)))
    }

    fn on_retained_set(&self, event: RetainedSetEvent) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.follow(&event.topic, event.cleared).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_class() {
        for (below, class) in [
            ("42/visits/6d0b", Class::Visit),
            ("42/visits/6d0b/claim", Class::Fleeting),
            ("42/arrivals", Class::Fleeting),
            ("42/gateways/door/missed", Class::Fleeting),
            ("42/contacts/door", Class::Fleeting),
            ("42/gateways/door/health", Class::Fleeting),
            ("42/gateways/door/status", Class::Gateway),
            ("42/gateways/door/config", Class::Configuration),
            ("42/config", Class::Configuration),
            ("config/group/north", Class::Configuration),
            ("42/registry", Class::Configuration),
            ("42/withdrawn/c-1", Class::Withdrawal),
            ("42/beacons/window", Class::Beacon),
            ("42/something", Class::Other),
        ] {
            assert_eq!(Class::of(&format!("{ROOT}/{below}")), class, "{below}");
        }
        assert_eq!(Class::of("elsewhere"), Class::Other);
    }

    #[test]
    fn a_full_table_keeps_room_for_withdrawals() {
        let mut table = Table::default();
        let keep = |table: &mut Table, topic: String, octets| {
            let taken = table.has_room_for(&topic) && table.takes(&topic, octets);
            if taken {
                table.set(&topic, Entry { octets, saved: None });
            }
            taken
        };
        let visits =
            (0..2_500).filter(|n| keep(&mut table, format!("{ROOT}/42/visits/{n}"), 9_000));
        assert_eq!(visits.count(), MAX_OCTETS / 9_000);
        assert!(keep(&mut table, format!("{ROOT}/42/visits/0"), 100), "a known one may shrink");
        assert!(keep(&mut table, format!("{ROOT}/42/withdrawn/c-1"), 200));
    }
}
