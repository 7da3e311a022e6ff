//! The task that talks to the broker: it owns the outbox and the connection, and never waits
//! for anything but the next thing to happen.

mod connection;
mod hearing;
mod peer;
mod probe;
mod speaking;

pub use peer::Peer;
pub use probe::RetainedDelivery;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, MissedTickBehavior, Sleep, interval, sleep};

use crate::clock::Clocks;
use crate::mqtt::backoff::Backoff;
use crate::mqtt::counts::Counts;
use crate::mqtt::inbound::Inbound;
use crate::mqtt::link::{Down, Link};
use crate::mqtt::payload::Status;
use crate::mqtt::retained::Retained;
use crate::mqtt::topics::Topics;
use crate::outbox::{BEAT, Outbox};
use crate::pipeline::units::Tick;
use crate::store::worker::Request;
use crate::store::{Change, Published};

/// How it stands with the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// No broker has answered yet.
    Connecting,
    /// It stands.
    Connected {
        /// As in the configuration.
        broker: String,
        /// Whether it delivers retained messages to wildcard subscriptions.
        retained: RetainedDelivery,
    },
    /// It cannot be reached; tried again within seconds.
    Unreachable {
        /// As in the configuration.
        broker: String,
        /// What went wrong.
        why: String,
    },
    /// It will not have us until somebody mends something; tried again now and then.
    Refused {
        /// As in the configuration.
        broker: String,
        /// What to mend.
        why: String,
    },
    /// Hung up for good.
    Closed,
}

/// Something to be said once, or not at all where there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// Said at most once.
    Mention {
        /// Full topic.
        topic: String,
        /// JSON.
        payload: Vec<u8>,
    },
    /// Said now and on every new connection, until it is set anew.
    Keep {
        /// Full topic.
        topic: String,
        /// JSON.
        payload: Vec<u8>,
    },
}

/// The client's channels.
pub struct Lines {
    /// What the store has made durable; closed when the daemon stops.
    pub committed: mpsc::Receiver<Vec<Change>>,
    /// To the store.
    pub store_requests: mpsc::Sender<Request>,
    /// Remarks of the core.
    pub remarks: mpsc::Receiver<Remark>,
    /// How this gateway is.
    pub status: watch::Receiver<Status>,
    /// What the broker said, parsed.
    pub inbound: mpsc::Sender<Inbound>,
    /// How it stands.
    pub connection: watch::Sender<Connection>,
    /// What is wrong with the store, if anything.
    pub trouble: watch::Receiver<Option<String>>,
    /// Counted.
    pub counts: Arc<Counts>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Working,
    /// Delivers what can be delivered.
    Flushing,
    /// Says that the gateway is offline.
    Parting,
    /// Waits for the connection's end.
    HungUp,
}

/// The client.
pub struct Client {
    peer: Peer,
    lines: Lines,
    clocks: Clocks,
    outbox: Outbox,
    retained: Retained,
    /// Customers known to have withdrawn: their retained withdrawals come on each connection.
    withdrawn: BTreeSet<Arc<str>>,
    /// What an earlier life published and nothing configured stands for, by its topic: cleared at
    /// the broker.
    stale: BTreeMap<String, Published>,
    /// The store's other gateways, as far as they have said how they are.
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
    /// SUBACKs still to come on this connection. Nothing is published before: what the broker
    /// retains, another gateway's word on this one's visits above all, is received first.
    awaited_subacks: usize,
    /// Runs until the broker must have delivered this gateway's own retained status.
    probe: Option<Pin<Box<Sleep>>>,
    backoff: Backoff,
    /// What was last wrong with each broker since a connection stood.
    complaints: BTreeMap<String, Down>,
    retry: Pin<Box<Sleep>>,
    beat: Interval,
    /// Retained messages still to be said on this connection.
    asserting: VecDeque<String>,
    /// Progress the store has not heard of.
    unrecorded: Vec<Change>,
    /// Heard, and not taken by the core yet: the connection is not read meanwhile.
    heard: Option<Inbound>,
    phase: Phase,
    /// When to leave without a last word; runs once the daemon stops.
    leave: Pin<Box<Sleep>>,
}

impl Client {
    /// A client that begins with what the store remembers.
    pub fn new(
        peer: Peer,
        lines: Lines,
        clocks: Clocks,
        outbox: Outbox,
        retained: Retained,
        withdrawn: BTreeSet<Arc<str>>,
        stale: Vec<Published>,
    ) -> Self {
        let stale = stale.into_iter().map(|one| (Topics::published(&one), one)).collect();
        let mut beat = interval(BEAT);
        let lost_at = clocks.now().tick;
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            peer,
            lines,
            clocks,
            outbox,
            retained,
            withdrawn,
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
            complaints: BTreeMap::new(),
            retry: Box::pin(sleep(Duration::ZERO)),
            beat,
            asserting: VecDeque::new(),
            unrecorded: Vec::new(),
            heard: None,
            phase: Phase::Working,
            leave: Box::pin(sleep(Duration::ZERO)),
        }
    }

    /// Works until the daemon stops and the broker has been told.
    pub async fn run(mut self) {
        self.keep_status();
        loop {
            self.record();
            self.submit();
            if self.wind_up().is_break() {
                break;
            }
            let working = self.phase == Phase::Working;
            let (needs_beat, has_heard) = (self.needs_beat(), self.heard.is_some());
            tokio::select! {
                news = connection::news(&mut self.link), if !has_heard => self.on_news(news),
                changes = self.lines.committed.recv(), if working => self.on_committed(changes),
                Some(remark) = self.lines.remarks.recv(), if working => self.on_remark(remark),
                Ok(()) = self.lines.status.changed(), if working => self.keep_status(),
                () = hearing::hand_over(&mut self.heard, &self.lines.inbound), if has_heard => {}
                () = &mut self.retry, if self.link.is_none() => self.dial(),
                () = probe::due(&mut self.probe) => self.on_probe_timeout(),
                _ = self.beat.tick(), if needs_beat => self.on_beat(),
                () = &mut self.leave, if !working => break,
            }
        }
        self.record();
        self.lines.connection.send_replace(Connection::Closed);
    }
}
