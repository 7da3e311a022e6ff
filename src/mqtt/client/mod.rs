//! The task that talks to the broker: it owns the outbox and the connection, and never waits
//! for anything but the next thing to happen.

mod peer;

pub use peer::Peer;

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep, interval, sleep, sleep_until};

use crate::daemon::clock::Clocks;
use crate::mqtt::backoff::Backoff;
use crate::mqtt::counts::Counts;
use crate::mqtt::inbound::{self, Inbound};
use crate::mqtt::link::{Answer, Down, Link, Message, News, Ticket};
use crate::mqtt::outbox::{BEAT, Outbox};
use crate::mqtt::payload::{self, GatewayState, Status};
use crate::mqtt::retained::Retained;
use crate::store::Change;
use crate::store::keeper::Request;

/// To the last word: systemd waits longer.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// How it stands with the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// No broker has answered yet.
    Connecting,
    /// It stands.
    Connected {
        /// As in the configuration.
        broker: String,
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
    pub keeper: mpsc::Sender<Request>,
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
    link: Option<Link>,
    /// Which of the brokers.
    place: usize,
    backoff: Backoff,
    retry: Pin<Box<Sleep>>,
    beat: Interval,
    /// Retained messages still to be said on this connection.
    asserting: VecDeque<String>,
    /// Progress the store has not heard of.
    unrecorded: Vec<Change>,
    /// Heard, and not taken by the core yet: the connection is not read meanwhile.
    heard: Option<Inbound>,
    phase: Phase,
    leave_at: Instant,
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
    ) -> Self {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let retry = Box::pin(sleep(Duration::ZERO));
        let leave_at = retry.deadline();
        Self {
            peer,
            lines,
            clocks,
            outbox,
            retained,
            withdrawn,
            link: None,
            place: 0,
            backoff: Backoff::default(),
            retry,
            beat,
            asserting: VecDeque::new(),
            unrecorded: Vec::new(),
            heard: None,
            phase: Phase::Working,
            leave_at,
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
                news = news(&mut self.link), if !has_heard => self.on_news(news),
                changes = self.lines.committed.recv(), if working => self.on_committed(changes),
                Some(remark) = self.lines.remarks.recv(), if working => self.on_remark(remark),
                Ok(()) = self.lines.status.changed(), if working => self.keep_status(),
                () = hand_over(&mut self.heard, &self.lines.inbound), if has_heard => {}
                () = &mut self.retry, if self.link.is_none() => self.dial(),
                _ = self.beat.tick(), if needs_beat => self.on_beat(),
                () = sleep_until(self.leave_at), if !working => break,
            }
        }
        self.record();
        self.lines.connection.send_replace(Connection::Closed);
    }

    fn dial(&mut self) {
        let Some(broker) = self.peer.brokers.get(self.place) else { return };
        let topic = self.peer.here.status();
        let payload = self.offline(None);
        let will = Message { topic: &topic, payload: &payload, retain: true, expiry: None };
        self.link = Some(Link::dial(broker, &self.peer.identity, Some(&will)));
    }

    fn on_news(&mut self, news: News) {
        match news {
            News::Up => self.on_up(),
            News::Listening { refused } => {
                self.backoff.succeeded();
                if refused > 0 {
                    tracing::warn!(
                        refused,
                        "the broker does not let this gateway listen everywhere"
                    );
                }
            }
            News::Answered(ticket, answer) => self.on_answer(ticket, answer),
            News::Heard { topic, payload, retained } => self.on_heard(&topic, &payload, retained),
            News::Down(down) => self.on_down(down),
        }
    }

    fn on_up(&mut self) {
        self.lines.counts.connections.one();
        let broker = self.broker();
        tracing::info!(broker, "connected to the broker");
        self.lines.connection.send_replace(Connection::Connected { broker });
        if let Some(link) = &self.link {
            link.listen(self.peer.here.subscriptions());
        }
        let now = self.clocks.now();
        let outbox = &self.outbox;
        let topics = self.retained.topics(now).filter(|topic| !outbox.speaks_on(topic));
        self.asserting = topics.cloned().collect();
    }

    fn on_down(&mut self, down: Down) {
        self.link = None;
        self.asserting.clear();
        self.outbox.disconnected();
        let broker = self.broker();
        let (wait, state) = match down {
            Down::Unreachable(why) => {
                (self.backoff.unreachable(), Connection::Unreachable { broker, why })
            }
            Down::Refused(why) => (Backoff::refused(), Connection::Refused { broker, why }),
        };
        self.place = (self.place + 1) % self.peer.brokers.len().max(1);
        self.retry.as_mut().reset(Instant::now() + wait);
        self.tell(state);
    }

    /// Logs a state once, however often it is found again.
    fn tell(&self, state: Connection) {
        self.lines.connection.send_if_modified(|before| {
            let changed = *before != state;
            match &state {
                Connection::Refused { broker, why } if changed => {
                    tracing::error!(broker, why, "the broker refuses this gateway");
                }
                Connection::Unreachable { broker, why } if changed => {
                    tracing::warn!(broker, why, "no connection to the broker");
                }
                _ => {}
            }
            *before = state;
            changed
        });
    }

    fn on_answer(&mut self, ticket: Ticket, answer: Answer) {
        let Ticket::Notice(id) = ticket else {
            if let Answer::Refused(why) = answer {
                tracing::warn!(why, "the broker does not keep a state");
            }
            return;
        };
        let kept = self.outbox.is_retained(id).unwrap_or(true);
        match answer {
            Answer::Taken => self.done(id),
            Answer::NobodyListens if kept => self.done(id),
            Answer::NobodyListens => self.outbox.unheard(id),
            Answer::Refused(why) => {
                tracing::warn!(why, "the broker does not take a notice; it is tried again");
                self.outbox.unheard(id);
            }
        }
    }

    fn done(&mut self, id: u64) {
        if self.outbox.delivered(id) {
            self.lines.counts.delivered.one();
            self.unrecorded.push(Change::Done(id));
        }
    }

    fn on_committed(&mut self, changes: Option<Vec<Change>>) {
        let Some(changes) = changes else {
            self.phase = Phase::Flushing;
            self.leave_at = Instant::now() + LEAVE_WITHIN;
            return;
        };
        let now = self.clocks.now();
        for change in &changes {
            if let Change::Queued(row) = change {
                self.retained.follow(&row.notice, now);
            }
            if let Some(evicted) = self.outbox.apply(change, now) {
                self.lines.counts.shed.one();
                self.unrecorded.push(Change::Done(evicted));
            }
        }
    }

    fn on_remark(&mut self, remark: Remark) {
        match remark {
            Remark::Mention { topic, payload } => {
                let message =
                    Message { topic: &topic, payload: &payload, retain: false, expiry: None };
                let _ = self.link.as_ref().is_some_and(|link| link.mention(&message));
            }
            Remark::Keep { topic, payload } => self.keep(topic, payload),
        }
    }

    fn keep_status(&mut self) {
        let status = payload::encode(&*self.lines.status.borrow_and_update());
        self.keep(self.peer.here.status(), status);
    }

    fn keep(&mut self, topic: String, payload: Vec<u8>) {
        self.retained.set(topic.clone(), payload);
        self.asserting.push_back(topic);
    }

    fn on_heard(&mut self, topic: &[u8], payload: &[u8], retained: bool) {
        match inbound::parse(&self.peer.here, topic, payload) {
            Ok(inbound) => self.heard = self.worth_telling(inbound, retained),
            Err(refused) => {
                self.lines.counts.refused.one();
                tracing::warn!(%refused, "a message from the broker makes no sense");
            }
        }
    }

    /// What the core shall hear of: neither old wishes nor this gateway's own echo.
    fn worth_telling(&mut self, inbound: Inbound, retained: bool) -> Option<Inbound> {
        match &inbound {
            Inbound::Staff { .. } | Inbound::Feedback { .. } => (!retained).then_some(inbound),
            Inbound::Contacts { gateway, .. } => {
                (!retained && *gateway != self.peer.here.gateway).then_some(inbound)
            }
            Inbound::Visit { visit, state } => match state {
                Some(state) if state.arrival.gateway == self.peer.here.gateway => {
                    let topic = self.peer.here.topics.visit(*visit);
                    if self.retained.get(&topic).is_none() {
                        // A visit of ours that we do not know: what an earlier life left behind.
                        self.asserting.push_back(topic);
                    }
                    None
                }
                _ => Some(inbound),
            },
            Inbound::Withdrawn { client } => {
                let client: Arc<str> = client.as_str().into();
                let at = self.clocks.now().clock.reading();
                let news = self.withdrawn.insert(Arc::clone(&client));
                if news {
                    self.unrecorded.push(Change::Withdrawn { client, at });
                }
                news.then_some(inbound)
            }
            Inbound::WithdrawalCleared { .. } => None,
            Inbound::Configuration { .. } => Some(inbound),
        }
    }

    fn needs_beat(&self) -> bool {
        !self.outbox.is_empty()
            || !self.unrecorded.is_empty()
            || self.link.as_ref().is_some_and(|link| link.unanswered() > 0)
            || self.lines.trouble.borrow().is_some()
    }

    fn on_beat(&mut self) {
        let beat = self.outbox.beat(self.clocks.now());
        self.lines.counts.expired.more(u64::try_from(beat.expired.len()).unwrap_or(0));
        self.unrecorded.extend(beat.expired.into_iter().map(Change::Done));
        if self.lines.trouble.borrow().is_some() {
            let _ = self.lines.keeper.try_send(Request::Record(Vec::new()));
        }
        if beat.stalled {
            self.on_down(Down::Unreachable("it does not acknowledge".to_owned()));
        }
    }

    /// Tells the store what was delivered; later, if it is busy.
    fn record(&mut self) {
        self.lines.counts.queued.set(self.outbox.len());
        self.lines.counts.repeated.set(usize::try_from(self.outbox.repeated()).unwrap_or(0));
        if self.unrecorded.is_empty() {
            return;
        }
        if let Ok(place) = self.lines.keeper.try_reserve() {
            place.send(Request::Record(std::mem::take(&mut self.unrecorded)));
        }
    }

    /// Hands over what waits while the connection takes it: alerts first, then old states.
    fn submit(&mut self) {
        while self.link.as_ref().is_some_and(Link::has_room) {
            if !self.submit_notice() && !self.submit_retained() {
                break;
            }
        }
    }

    fn submit_notice(&mut self) -> bool {
        let Some(link) = &mut self.link else { return false };
        let Some((id, notice, worth)) = self.outbox.next(self.clocks.now()) else { return false };
        let message = Message {
            topic: &notice.topic,
            payload: &notice.payload,
            retain: notice.retain,
            expiry: Some(worth),
        };
        if !link.fits(&message) {
            tracing::error!(octets = notice.payload.len(), "no broker takes so long a notice");
            self.lines.counts.shed.one();
            self.outbox.delivered(id);
            self.unrecorded.push(Change::Done(id));
        } else if !link.say(Ticket::Notice(id), &message) {
            self.outbox.unheard(id);
        }
        true
    }

    fn submit_retained(&mut self) -> bool {
        let Some(topic) = self.asserting.pop_front() else { return false };
        let Some(link) = &mut self.link else { return false };
        let now = self.clocks.now();
        let kept = self.retained.get(&topic);
        let message = Message {
            topic: &topic,
            payload: kept.map_or(&[][..], |kept| &kept.payload),
            retain: true,
            expiry: kept.and_then(|kept| kept.until).map(|until| until.since(now.tick)),
        };
        link.say(Ticket::Retained(topic.clone()), &message)
    }

    /// Takes leave, step by step, once the daemon stops.
    fn wind_up(&mut self) -> ControlFlow<()> {
        if self.phase == Phase::Working {
            return ControlFlow::Continue(());
        }
        let Some(link) = self.link.as_ref().filter(|link| link.is_up()) else {
            return ControlFlow::Break(());
        };
        let quiet = link.unanswered() == 0 && self.asserting.is_empty();
        match self.phase {
            Phase::Flushing if quiet && !self.outbox.is_busy() => {
                let since = Some(self.clocks.now().clock.reading().to_string());
                let offline = self.offline(since);
                self.keep(self.peer.here.status(), offline);
                self.phase = Phase::Parting;
                self.submit();
            }
            Phase::Parting if quiet => {
                link.hang_up();
                self.phase = Phase::HungUp;
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn offline(&self, since: Option<String>) -> Vec<u8> {
        let status = self.lines.status.borrow().clone();
        payload::encode(&Status { state: GatewayState::Offline, since, ..status })
    }

    fn broker(&self) -> String {
        let broker = self.peer.brokers.get(self.place);
        broker.map(ToString::to_string).unwrap_or_default()
    }
}

async fn news(link: &mut Option<Link>) -> News {
    match link {
        Some(link) => link.news().await,
        None => std::future::pending().await,
    }
}

/// Waits for the core to take what was heard; a core that is gone takes nothing.
async fn hand_over(heard: &mut Option<Inbound>, to: &mpsc::Sender<Inbound>) {
    let place = to.reserve().await;
    if let (Some(inbound), Ok(place)) = (heard.take(), place) {
        place.send(inbound);
    }
}
