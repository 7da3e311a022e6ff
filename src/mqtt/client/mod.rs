//! The task that talks to the broker. It owns the outbox and the connection, and waits only for the
//! next event.

mod connection;
pub mod consent;
mod inbound;
mod office;
mod outbound;
mod peer;
mod probe;
mod sync;
mod withdrawals;

pub use office::{KnownWithdrawals, Office, OfficeAnswer, WithdrawalNews};
pub use peer::Peer;
pub use withdrawals::Withdrawals;

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, Sleep, interval, sleep};

use crate::clock::Clocks;
use crate::mqtt::backoff::Backoff;
use crate::mqtt::connection_state::{ConnectionState, ConsentState};
use crate::mqtt::counts::Counts;
use crate::mqtt::inbound::Inbound;
use crate::mqtt::link::{Disconnect, Link};
use crate::mqtt::retained::Retained;
use crate::mqtt::topics::Topics;
use crate::outbox::{Outbox, TICK_EVERY};
use crate::payload::Status;
use crate::pipeline::units::{Tick, WallTime};
use crate::store::worker::Request;
use crate::store::{Change, Published};
use crate::telemetry::Timings;

/// A message beside the outbox: without a connection it is not published, or later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publication {
    /// Published at `QoS` 0, once.
    Once {
        topic: String,
        /// JSON.
        payload: Vec<u8>,
    },
    /// Retained: published now and on every new connection.
    Retained {
        topic: String,
        /// JSON.
        payload: Vec<u8>,
    },
    /// Nothing to publish: a registry is in force that head office made then, without the customers
    /// who had withdrawn.
    RegistryMade(WallTime),
}

pub struct Channels {
    /// What the store has made durable; closed when the daemon stops.
    pub committed: mpsc::Receiver<Vec<Change>>,
    pub store_requests: mpsc::Sender<Request>,
    /// Publications of the core.
    pub publications: mpsc::Receiver<Publication>,
    /// The status of this gateway.
    pub status: watch::Receiver<Status>,
    /// Messages of the broker, parsed.
    pub inbound: mpsc::Sender<Inbound>,
    /// The state of the connection.
    pub connection: watch::Sender<ConnectionState>,
    /// What is wrong with the store, if anything.
    pub trouble: watch::Receiver<Option<String>>,
    /// For the health report.
    pub counts: Arc<Counts>,
    /// How long alerts take.
    pub timings: Timings,
    /// The line to head office, where there is one.
    pub office: Option<Office>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Working,
    /// Delivers what is queued.
    Flushing,
    /// Publishes that the gateway is offline.
    AnnouncingOffline,
    /// DISCONNECT is sent.
    Disconnecting,
}

pub struct Client {
    peer: Peer,
    channels: Channels,
    clocks: Clocks,
    outbox: Outbox,
    retained: Retained,
    /// Customers known to have withdrawn: their retained withdrawals come on each connection.
    withdrawals: Withdrawals,
    /// Whether `withdrawals` are all.
    consent: consent::Consent,
    /// What the connection before knew, for a session that continues it.
    consent_before: ConsentState,
    /// Answers to clients that asked for the current state.
    sync_answers: sync::SyncAnswers,
    /// Topics that an earlier process published and that the configuration no longer has: cleared
    /// at the broker.
    stale: BTreeMap<String, Published>,
    /// The store's other gateways whose status was received, the latest last.
    others: VecDeque<String>,
    link: Option<Link>,
    /// Which of the brokers.
    place: usize,
    /// When the last connection was lost; at first, when the client began.
    lost_at: Tick,
    /// The broker refuses retained messages.
    without_retain: bool,
    /// When this connection stood, RFC 3339.
    connected_at: Option<String>,
    /// SUBACKs still to come on this connection. Nothing is published before: retained messages,
    /// such as another gateway's state of this one's visits, are received first.
    awaited_subacks: usize,
    /// Runs until the broker must have delivered this gateway's own retained status.
    probe: Option<probe::Probe>,
    backoff: Backoff,
    /// The last error of each broker since a connection was established.
    last_errors: BTreeMap<String, Disconnect>,
    retry: Pin<Box<Sleep>>,
    tick: Interval,
    /// Topics of retained messages still to be published on this connection.
    to_republish: VecDeque<String>,
    /// Changes that the store has not recorded yet.
    unrecorded: Vec<Change>,
    /// Received, and not yet accepted by the event loop; the connection is not read meanwhile.
    pending: VecDeque<Inbound>,
    phase: Phase,
    /// When to end without DISCONNECT; runs once the daemon stops.
    leave: Pin<Box<Sleep>>,
}

impl Client {
    /// A client that starts with the contents of the store.
    pub fn new(
        peer: Peer,
        channels: Channels,
        clocks: Clocks,
        outbox: Outbox,
        retained: Retained,
        withdrawals: Withdrawals,
        stale: Vec<Published>,
    ) -> Self {
        let stale = stale.into_iter().map(|one| (Topics::published(&one), one)).collect();
        let mut tick = interval(TICK_EVERY);
        let lost_at = clocks.now().tick;
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            peer,
            channels,
            clocks,
            outbox,
            retained,
            withdrawals,
            consent: consent::Consent::default(),
            consent_before: ConsentState::Asking,
            sync_answers: sync::SyncAnswers::default(),
            stale,
            others: VecDeque::new(),
            link: None,
            place: 0,
            lost_at,
            without_retain: false,
            connected_at: None,
            awaited_subacks: 0,
            probe: None,
            backoff: Backoff::default(),
            last_errors: BTreeMap::new(),
            retry: Box::pin(sleep(Duration::ZERO)),
            tick,
            to_republish: VecDeque::new(),
            unrecorded: Vec::new(),
            pending: VecDeque::new(),
            phase: Phase::Working,
            leave: Box::pin(sleep(Duration::ZERO)),
        }
    }

    /// Runs until the daemon stops and the offline status is published.
    pub async fn run(mut self) {
        self.set_status_message();
        loop {
            self.record();
            self.submit();
            if self.shut_down().is_break() {
                break;
            }
            let working = self.phase == Phase::Working;
            let (needs_tick, has_pending) = (self.needs_tick(), !self.pending.is_empty());
            tokio::select! {
                news = connection::next_event(&mut self.link), if !has_pending => self.on_event(news),
                changes = self.channels.committed.recv(), if working => self.on_committed(changes),
                Some(publication) = self.channels.publications.recv(), if working => self.on_publication(publication),
                Ok(()) = self.channels.status.changed(), if working => self.set_status_message(),
                () = inbound::hand_over(&mut self.pending, &self.channels.inbound), if has_pending => {}
                () = &mut self.retry, if self.link.is_none() => self.connect(),
                () = probe::due(&mut self.probe) => self.on_probe_timeout(),
                () = consent::due(&mut self.consent), if !has_pending => self.on_consent_due(),
                news = office::next(&mut self.channels.office), if working && !has_pending => self.on_office(news),
                _ = self.tick.tick(), if needs_tick => self.on_tick(),
                () = &mut self.leave, if !working => break,
            }
        }
        self.record();
        self.channels.connection.send_replace(ConnectionState::Closed);
    }
}
