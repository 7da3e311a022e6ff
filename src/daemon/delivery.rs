//! From effects to the broker and back: the store's thread, the client's task, and their channels
//! to the event loop.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::clock::Clocks;
use crate::mqtt::ConnectionState;
use crate::mqtt::client::{Channels, Client, Office, Peer, Publication, Withdrawals};
use crate::mqtt::counts::Counts;
use crate::mqtt::inbound::Inbound;
use crate::mqtt::retained::Retained;
use crate::mqtt::topics::{Addressee, Topics};
use crate::outbox::{self, MessageBuilder, Outbox};
use crate::payload::{self, Beacon, Contacts, DeliveryHealth, Health, Status};
use crate::pipeline::event::{Away, Restored};
use crate::pipeline::units::{Now, WallTime};
use crate::pipeline::{Effect, Settings, VisitId};
use crate::store::worker::{self, Request, StoreWorker};
use crate::store::{
    self, DeadMessage, Heartbeat, Kind, OutboundMessage, Published, Queued, Store, StoreError,
    WebhookMessage,
};
use crate::tasks::{self, Task};
use crate::telemetry::Timings;
use crate::webhooks::{self, Receivers, Sender, Webhook};

/// Inbound messages that wait for the event loop; beyond, the connection is not read.
const INBOUND: usize = 64;

/// Publications that wait for the client; beyond, the newest is dropped.
const PUBLICATIONS: usize = 64;

/// Time for the client to disconnect and for the store to write its last change.
const STOP_WITHIN: Duration = Duration::from_secs(4);

/// The way to staff and back.
///
/// Everything is durable before it is published; nothing waits for the disk or the broker, except
/// [`Delivery::perform`] where the disk is slower than the shop.
pub struct Delivery {
    store_requests: mpsc::Sender<Request>,
    publications: mpsc::Sender<Publication>,
    /// To the event loop.
    inbound: mpsc::Sender<Inbound>,
    status: watch::Sender<Status>,
    connection: watch::Receiver<ConnectionState>,
    trouble: watch::Receiver<Option<String>>,
    webhooks: Vec<Webhook>,
    webhook_report: watch::Receiver<webhooks::Report>,
    /// Of the embedded broker's disk.
    broker_trouble: Option<watch::Receiver<Option<String>>>,
    counts: Arc<Counts>,
    next_id: AtomicU64,
    topics: Topics,
    gateway: String,
    clocks: Clocks,
    client: Task<()>,
    webhook_sender: Option<Task<()>>,
    thread: std::thread::JoinHandle<()>,
}

/// Why delivery cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No thread for the store.
    #[error("cannot start the store's thread: {0}")]
    Thread(#[from] io::Error),
}

impl Delivery {
    /// Starts the store's thread and the client's task. The receiver yields what the broker sends.
    ///
    /// `restored` is what [`Store::restored`] said; `status` how this gateway is for a start.
    ///
    /// # Errors
    /// Where the store cannot be read or no thread can be started.
    pub fn start(
        store: Store,
        restored: &Restored,
        peer: Peer,
        settings: &Settings,
        status: Status,
        receivers: Receivers,
        clocks: Clocks,
    ) -> Result<(Self, mpsc::Receiver<Inbound>), StartError> {
        let timings = Timings::default();
        Self::start_beside(
            None, timings, store, restored, peer, settings, status, receivers, clocks,
        )
    }

    /// The same beside a line to head office; `timings` is how long alerts take.
    ///
    /// # Errors
    /// As [`Delivery::start`].
    #[expect(clippy::too_many_arguments, reason = "each is another part of the daemon")]
    pub fn start_beside(
        office: Option<Office>,
        timings: Timings,
        mut store: Store,
        restored: &Restored,
        peer: Peer,
        settings: &Settings,
        status: Status,
        receivers: Receivers,
        clocks: Clocks,
    ) -> Result<(Self, mpsc::Receiver<Inbound>), StartError> {
        let now = clocks.now();
        let rows = store.queued()?;
        let stale = stale(&mut store, &peer, settings)?;
        let (for_webhooks, dead) = (store.webhook_messages()?, store.dead_webhook_messages()?);
        let last_id = rows.last().map(|row| row.id).max(for_webhooks.last().map(|last| last.id));
        let next_id = last_id.map_or(1, |last| last + 1);
        // An alert of unknown age may be yesterday's; no one waits for the canary of an earlier process.
        let may_be_old = restored.away == Away::Unknown;
        let (too_old, rows): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|Queued { message, .. }| {
                message.is_canary() || (may_be_old && !message.is_retained())
            });
        let mut retained = states(&peer.here, restored, settings, now);
        for row in &rows {
            retained.follow(&peer.here, &row.message, now);
        }

        let (store_requests, requests) = mpsc::channel(worker::QUEUE);
        let too_old = too_old.into_iter().map(|row| store::Change::Done(row.id)).collect();
        // The queue is empty yet.
        let _ = store_requests.try_send(Request::Record(too_old));
        let (committing, committed) = mpsc::channel(worker::QUEUE);
        let (troubled, trouble) = watch::channel(None);
        let (publications, published) = mpsc::channel(PUBLICATIONS);
        let (status, status_seen) = watch::channel(status);
        let (connecting, connection) = watch::channel(ConnectionState::Connecting);
        let (hearing, inbound) = mpsc::channel(INBOUND);
        let counts = Arc::new(Counts::default());
        let channels = Channels {
            committed,
            store_requests: store_requests.clone(),
            publications: published,
            status: status_seen,
            inbound: hearing.clone(),
            timings,
            office,
            connection: connecting,
            trouble: trouble.clone(),
            counts: Arc::clone(&counts),
        };
        let (topics, gateway) = (peer.here.topics.clone(), peer.here.gateway.clone());
        let outbox = Outbox::of(rows, now);
        let withdrawals = Withdrawals::restored(&restored.withdrawn, store.withdrawn_up_to()?);
        let client =
            Client::new(peer, channels, clocks.clone(), outbox, retained, withdrawals, stale);

        let (sender, to_webhooks, webhook_report) =
            webhook_sender(&receivers, for_webhooks, dead, &store_requests, &clocks);
        let webhook_sender = sender.map(|sender| tasks::spawn("webhooks", sender.run()));
        let owner = StoreWorker::new(store, requests, committing, troubled).beside(to_webhooks);
        let thread = tasks::thread("store", move || owner.run())?;
        let client = tasks::spawn("delivery", client.run());
        let delivery = Self {
            store_requests,
            publications,
            inbound: hearing,
            status,
            connection,
            trouble,
            webhooks: receivers.webhooks,
            webhook_report,
            broker_trouble: None,
            counts,
            next_id: AtomicU64::new(next_id),
            topics,
            gateway,
            clocks,
            client,
            webhook_sender,
            thread,
        };
        Ok((delivery, inbound))
    }

    /// Makes the effects of one input durable, then publishes them.
    pub async fn perform(&self, settings: &Settings, now: Now, effects: &[Effect]) {
        let next_id = || self.next_id.fetch_add(1, Ordering::Relaxed);
        let mut changes = outbox::changes(settings, now, effects, next_id);
        for effect in effects {
            let messages = webhooks::messages(&self.webhooks, settings, now, effect, next_id);
            changes.extend(messages.into_iter().map(store::Change::WebhookQueued));
        }
        if !changes.is_empty() {
            self.commit(changes).await;
        }
    }

    /// Sends the gateway's canary on its way as an alert goes, unless the disk is slower than the shop.
    pub fn send_canary(&self, message: OutboundMessage) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let queued = store::Change::Queued(Queued { id, message });
        let _ = self.store_requests.try_send(Request::Commit(vec![queued]));
    }

    /// Records in the store that grelot is alive, so that a restart knows how long it was not.
    pub async fn heartbeat(&self, settings: &Settings, now: Now) {
        let heartbeat = Heartbeat::new(now.clock, self.clocks.boot());
        self.commit(vec![store::heartbeat(settings, heartbeat)]).await;
    }

    /// Keeps staff's feedback on a visit, for tuning.
    pub async fn label(&self, visit: VisitId, was_here: Option<bool>, now: Now) {
        self.commit(vec![store::Change::Labelled { visit, was_here, at: now.clock.reading() }])
            .await;
    }

    /// Requests to the store's thread.
    pub fn store_requests(&self) -> mpsc::Sender<Request> {
        self.store_requests.clone()
    }

    /// The way to the event loop, for messages that come by another line.
    pub fn inbound(&self) -> mpsc::Sender<Inbound> {
        self.inbound.clone()
    }

    /// The status of this gateway, as it is published.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    async fn commit(&self, changes: Vec<store::Change>) {
        // The store_requests ends after this struct only.
        let _ = self.store_requests.send(Request::Commit(changes)).await;
    }

    /// Publishes the status of this gateway: now, and on every new connection.
    pub fn set_status(&self, status: Status) {
        self.status.send_if_modified(|before| {
            let changed = *before != status;
            *before = status;
            changed
        });
    }

    /// Publishes `health`, if there is a connection.
    pub fn publish_health(&self, health: &Health) {
        self.publish_once(self.topics.health(&self.gateway), payload::encode(health));
    }

    /// Publishes what this gateway receives of customers, if there is a connection.
    pub fn publish_contacts(&self, contacts: &Contacts) {
        self.publish_once(self.topics.contacts(&self.gateway), payload::encode(contacts));
    }

    fn publish_once(&self, topic: String, payload: Vec<u8>) {
        let _ = self.publications.try_send(Publication::Once { topic, payload });
    }

    /// Reports that a registry of head office is in force, which leaves out the customers who had
    /// withdrawn when it was made.
    pub fn registry_made(&self, at: WallTime) {
        let _ = self.publications.try_send(Publication::RegistryMade(at));
    }

    /// Publishes the state of one of the shop's beacons: now, and on every new connection.
    pub fn set_beacon(&self, beacon: &str, state: &Beacon) {
        let (topic, payload) = (self.topics.beacon(beacon), payload::encode(state));
        let _ = self.publications.try_send(Publication::Retained { topic, payload });
    }

    /// The state of the connection to the broker.
    pub fn connection(&self) -> watch::Receiver<ConnectionState> {
        self.connection.clone()
    }

    /// What is wrong with the store, if anything.
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.clone()
    }

    /// Reports what the embedded broker cannot write, too.
    #[must_use]
    pub fn beside_broker(mut self, trouble: Option<watch::Receiver<Option<String>>>) -> Self {
        self.broker_trouble = trouble;
        self
    }

    /// The state of the receivers of webhooks.
    pub fn webhooks(&self) -> webhooks::Report {
        self.webhook_report.borrow().clone()
    }

    /// Counts, for the health report and `grelot status`.
    pub fn health(&self) -> DeliveryHealth {
        let own = self.trouble.borrow().clone();
        let of_broker = || self.broker_trouble.as_ref()?.borrow().clone();
        let retained = self.connection.borrow().retained();
        self.counts.health(own.or_else(of_broker), retained)
    }

    /// Writes all changes, delivers what can be delivered, publishes that the gateway is offline, and
    /// ends.
    pub async fn stop(self) {
        let _ = self.store_requests.send(Request::Close).await;
        self.client.ended(STOP_WITHIN).await;
        if let Some(sender) = self.webhook_sender {
            sender.ended(STOP_WITHIN).await;
        }
        drop(self.store_requests);
        let thread = self.thread;
        let joined = tokio::task::spawn_blocking(move || thread.join());
        if !matches!(tokio::time::timeout(STOP_WITHIN, joined).await, Ok(Ok(Ok(())))) {
            tracing::warn!("the store did not end in time");
        }
    }
}

/// The sender to webhooks, if there are any to send to, or messages for some that are gone.
fn webhook_sender(
    receivers: &Receivers,
    waiting: Vec<WebhookMessage>,
    dead: Vec<DeadMessage>,
    store_requests: &mpsc::Sender<Request>,
    clocks: &Clocks,
) -> (Option<Sender>, Option<mpsc::Sender<Vec<store::Change>>>, watch::Receiver<webhooks::Report>) {
    let (report, seen) = watch::channel(webhooks::Report::default());
    if receivers.webhooks.is_empty() && waiting.is_empty() {
        return (None, None, seen);
    }
    let (committing, committed) = mpsc::channel(worker::QUEUE);
    let store_requests = store_requests.clone();
    let channels = webhooks::Channels { committed, store_requests, report };
    let sender = Sender::new(receivers.clone(), waiting, dead, channels, clocks.clone());
    (Some(sender), Some(committing), seen)
}

/// What an earlier process of this gateway published and the configuration no longer names: it was
/// renamed, moved to another store, or a beacon is gone. What is published now is noted first.
fn stale(
    store: &mut Store,
    peer: &Peer,
    settings: &Settings,
) -> Result<Vec<Published>, StoreError> {
    let published =
        |kind, name: &str| Published { store: settings.store, kind, name: name.to_owned() };
    let beacons = settings.beacons.iter().map(|beacon| published(Kind::Beacon, &beacon.name));
    let current: BTreeSet<Published> =
        beacons.chain([published(Kind::Gateway, &peer.here.gateway)]).collect();
    let before = store.published()?;
    let new = current.iter().filter(|one| !before.contains(one)).cloned();
    let new: Vec<store::Change> = new.map(store::Change::Published).collect();
    if let Err(error) = store.commit(&new) {
        tracing::warn!(%error, "what is published is not noted: a new name would not clear it");
    }
    Ok(before.into_iter().filter(|one| !current.contains(one)).collect())
}

/// The states of the visits that were open.
fn states(here: &Addressee, restored: &Restored, settings: &Settings, now: Now) -> Retained {
    let builder = MessageBuilder { settings, now };
    let mut retained = Retained::default();
    let goes_on = restored.away.is_within(settings.presence.rejoin);
    let open = restored.visits.iter().filter(|restored| restored.departed_at.is_none());
    for open in open.filter(|_| goes_on) {
        retained.follow(here, &builder.state(&open.visit), now);
    }
    retained
}
