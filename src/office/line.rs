//! The task that holds the connection to head office's cluster.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::Reports;
use super::reports::Waiting;
use crate::config::BrokerUrl;
use crate::mqtt::Identity;
use crate::mqtt::backoff::Spread;
use crate::mqtt::client::{KnownWithdrawals, OfficeAnswer, WithdrawalNews};
use crate::mqtt::inbound::{self, Inbound};
use crate::mqtt::link::{
    ConnectOptions, ConnectionEvent, Disconnect, Link, Message, PublishOutcome, Terms,
};
use crate::mqtt::login;
use crate::mqtt::topics::Addressee;
use crate::payload::{self, GatewayState, Status};
use crate::telemetry::brief;

/// Time for head office's answer, after a start or a lost line. Then the shop works without it.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Between two questions, at first and at most.
const ASK_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Several withdrawals are acknowledged together.
const SOON: Duration = Duration::from_millis(100);

/// Head office takes reports within this, or is away: they are published again.
const REST: Duration = Duration::from_secs(5);

/// A statement is of no use to a later connection.
const LIFE: Duration = Duration::from_mins(1);

/// For the offline status and DISCONNECT.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// The line as `grelot status` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OfficeLink {
    /// The broker that is connected, or was tried last.
    pub broker: String,
    /// Whether it is connected.
    pub connected: bool,
    /// Why it is not connected.
    pub problem: Option<String>,
    /// Whether head office has answered on this connection which customers have withdrawn.
    pub answered: bool,
}

/// The line's ends inside the daemon.
pub struct Channels {
    /// The status of this gateway.
    pub status: watch::Receiver<Status>,
    /// Health reports, as they go out.
    pub health: mpsc::Receiver<Vec<u8>>,
    /// Reports that wait for head office.
    pub waiting: watch::Receiver<Waiting>,
    pub reports: Reports,
    /// Settings and hints, to the event loop.
    pub inbound: mpsc::Sender<Inbound>,
    /// Withdrawals, to the shop's own client, which publishes nothing about these customers.
    pub withdrawals: mpsc::Sender<WithdrawalNews>,
    /// Which withdrawals are known.
    pub known: watch::Receiver<KnownWithdrawals>,
    /// Whether head office has reported all withdrawals.
    pub answer: watch::Sender<OfficeAnswer>,
    /// The state of the line, for `grelot status`.
    pub link: watch::Sender<OfficeLink>,
}

/// The line to head office's cluster.
pub struct Line {
    brokers: Vec<BrokerUrl>,
    identity: Identity,
    here: Addressee,
    channels: Channels,
    spread: Spread,
    /// Until when head office's answer is waited for.
    patience: Pin<Box<Sleep>>,
}

/// The state of one connection.
struct Session {
    link: Link<()>,
    subscribed: bool,
    /// The question that is open, and when it is repeated.
    ask: Option<(String, Duration)>,
    /// When to report what is known.
    due: Pin<Box<Sleep>>,
    is_due: bool,
    status_is_new: bool,
    /// Until when head office has time to take the last batch; then it is published again.
    rest: Option<Pin<Box<Sleep>>>,
}

impl Line {
    /// A line to the first of `brokers` that answers; `longest_wait` is the longest time between two
    /// attempts.
    pub fn new(
        brokers: Vec<BrokerUrl>,
        identity: Identity,
        here: Addressee,
        longest_wait: Duration,
        channels: Channels,
    ) -> Self {
        let patience = Box::pin(sleep(ANSWER_WITHIN));
        Self { brokers, identity, here, channels, spread: Spread::new(longest_wait), patience }
    }

    /// Connects and reconnects until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut place = 0;
        let mut said = None;
        while let Some(broker) = self.brokers.get(place % self.brokers.len().max(1)).cloned() {
            let mut session = self.connect(&broker);
            let lost = tokio::select! {
                () = stop.cancelled() => return self.leave(session).await,
                lost = self.serve(&mut session, &broker) => lost,
            };
            self.lost(&broker, &lost, &mut said);
            place += 1;
            // All addresses are one cluster: the others are tried at once.
            let wait = self.spread.next(place.is_multiple_of(self.brokers.len()));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.pause(wait) => {}
            }
        }
    }

    fn connect(&self, broker: &BrokerUrl) -> Session {
        let payload = self.offline();
        let topic = self.here.status();
        let will = Message { topic: &topic, payload: &payload, retain: true, expiry: None };
        // Everything is repeated until it is acknowledged: a session would be of no use.
        let options = ConnectOptions {
            will: Some(&will),
            terms: Terms::CLUSTER,
            ..ConnectOptions::default()
        };
        Session {
            link: Link::connect(broker, &self.identity, options),
            subscribed: false,
            ask: None,
            due: Box::pin(sleep(Duration::ZERO)),
            is_due: false,
            status_is_new: true,
            rest: None,
        }
    }

    /// One connection, until it breaks.
    async fn serve(&mut self, session: &mut Session, broker: &BrokerUrl) -> Disconnect {
        loop {
            self.submit(session);
            tokio::select! {
                event = session.link.next_event() => {
                    if let Some(lost) = self.on_event(session, broker, event).await {
                        return lost;
                    }
                }
                Ok(()) = self.channels.status.changed() => session.status_is_new = true,
                Ok(()) = self.channels.known.changed() => session.say_in(SOON),
                Ok(()) = self.channels.waiting.changed() => {}
                Some(health) = self.channels.health.recv() => self.publish_health(session, &health),
                () = &mut session.due, if session.is_due => self.say_known(session),
                () = rested(&mut session.rest) => session.rest = None,
                () = &mut self.patience, if self.waits() => self.goes_on_alone(),
            }
        }
    }

    async fn on_event(
        &mut self,
        session: &mut Session,
        broker: &BrokerUrl,
        event: ConnectionEvent<()>,
    ) -> Option<Disconnect> {
        match event {
            ConnectionEvent::Connected => self.on_connected(session, broker),
            ConnectionEvent::Subscribed { refused } => {
                session.subscribed = true;
                if refused > 0 {
                    tracing::warn!(refused, "head office's broker refuses some subscriptions");
                }
            }
            ConnectionEvent::Received { topic, payload, retained, .. } => {
                self.received(session, &topic, &payload, retained).await;
            }
            ConnectionEvent::Acknowledged((), PublishOutcome::Refused(why)) => {
                tracing::warn!(why, "head office's broker does not accept a message");
            }
            ConnectionEvent::Acknowledged((), _) => {}
            ConnectionEvent::Disconnected(lost) => return Some(lost),
        }
        None
    }

    fn on_connected(&mut self, session: &mut Session, broker: &BrokerUrl) {
        tracing::info!(%broker, "connected to head office");
        self.spread.succeeded();
        self.patience.as_mut().reset(Instant::now() + ANSWER_WITHIN);
        self.channels.answer.send_replace(OfficeAnswer::Waiting);
        self.channels.link.send_replace(OfficeLink {
            broker: broker.to_string(),
            connected: true,
            ..OfficeLink::default()
        });
        for filters in self.here.office_subscriptions() {
            session.link.subscribe(filters);
        }
        session.say_in(Duration::ZERO);
    }

    async fn received(
        &mut self,
        session: &mut Session,
        topic: &[u8],
        payload: &[u8],
        retained: bool,
    ) {
        match inbound::parse(&self.here, topic, payload) {
            Ok(Inbound::Withdrawn { client, number }) => {
                self.pass_on(WithdrawalNews::Withdrawn(client, number)).await;
            }
            Ok(Inbound::Withdrawals(part)) if !retained => self.answered(session, part).await,
            // Head office does not know this gateway's state: not every broker retains it.
            Ok(Inbound::Sync) => session.status_is_new = true,
            Ok(Inbound::Reported(reported)) if !retained => self.on_reported(session, &reported),
            Ok(news @ (Inbound::Configuration { .. } | Inbound::RegistryAnnounced)) => {
                // Gone only at the end.
                let _ = self.channels.inbound.send(news).await;
            }
            Ok(_) => {}
            Err(refused) => {
                tracing::warn!(%refused, "a message from head office is refused");
            }
        }
    }

    async fn answered(&mut self, session: &mut Session, part: payload::Withdrawals) {
        for client in part.withdrawn {
            self.pass_on(WithdrawalNews::Withdrawn(client, None)).await;
        }
        if !part.last || session.ask.as_ref().is_none_or(|(ask, _)| *ask != part.answers) {
            return;
        }
        if let Some(list) = part.list {
            self.pass_on(WithdrawalNews::Complete { list, serial: part.serial }).await;
        }
        session.ask = None;
        session.say_in(SOON);
        self.channels.answer.send_replace(OfficeAnswer::Known);
        self.channels.link.send_modify(|link| link.answered = true);
    }

    async fn pass_on(&self, news: WithdrawalNews) {
        // Gone only at the end.
        let _ = self.channels.withdrawals.send(news).await;
    }

    /// Reports which withdrawals are known, and asks for the rest until head office has answered.
    fn say_known(&self, session: &mut Session) {
        session.is_due = false;
        let known = self.channels.known.borrow().clone();
        let answered = self.channels.link.borrow().answered;
        if !answered || known.has_gap {
            // A repeated question keeps its name: head office, which thousands ask at once, may answer
            // the first one after the second was sent.
            let (ask, every) = match session.ask.take() {
                Some((ask, every)) => (ask, (every * 2).min(ASK_EVERY.1)),
                None => (login::random_token().unwrap_or_else(|_| "ask".to_owned()), ASK_EVERY.0),
            };
            session.ask = Some((ask, every));
            session.say_in(every);
        }
        let statement = payload::Consent {
            v: payload::VERSION,
            known: answered,
            list: known.list.as_ref().map(ToString::to_string),
            serial: known.serial,
            withdrawn: known.withdrawn,
            ask: session.ask.as_ref().map(|(ask, _)| ask.clone()),
        };
        let (topic, payload) = (self.here.consent(), payload::encode(&statement));
        let message =
            Message { topic: &topic, payload: &payload, retain: false, expiry: Some(LIFE) };
        session.link.publish((), &message);
    }

    fn publish_health(&self, session: &Session, health: &[u8]) {
        let topic = self.here.topics.health(&self.here.gateway);
        let message = Message { topic: &topic, payload: health, retain: false, expiry: None };
        let _ = session.link.publish_qos0(&message);
    }

    /// Publishes what waits: the status, then one batch of reports.
    fn submit(&mut self, session: &mut Session) {
        if !session.subscribed || !session.link.can_publish() {
            return;
        }
        if session.status_is_new {
            session.status_is_new = false;
            let status = payload::encode(&*self.channels.status.borrow_and_update());
            let topic = self.here.status();
            let message = Message { topic: &topic, payload: &status, retain: true, expiry: None };
            session.link.publish((), &message);
        }
        if session.rest.is_some() {
            return;
        }
        let next = self.channels.waiting.borrow_and_update().next.clone();
        if let Some(batch) = next {
            let (topic, payload) = (self.here.reports(), payload::encode(&batch));
            let message =
                Message { topic: &topic, payload: &payload, retain: false, expiry: Some(LIFE) };
            session.link.publish((), &message);
            session.rest = Some(Box::pin(sleep(REST)));
        }
    }

    /// Head office has reports: the next ones follow once the disk has forgotten these.
    fn on_reported(&self, session: &mut Session, reported: &payload::Reported) {
        let waiting = self.channels.waiting.borrow();
        if waiting.next.as_ref().is_some_and(|batch| batch.queue == reported.queue) {
            self.channels.reports.acknowledged(reported.n);
            session.rest = Some(Box::pin(sleep(SOON)));
        }
    }

    fn waits(&self) -> bool {
        *self.channels.answer.borrow() == OfficeAnswer::Waiting
    }

    /// A line that is away, or does not answer, does not silence a shop.
    fn goes_on_alone(&self) {
        tracing::warn!("head office does not report who has withdrawn: the shop works without it");
        self.channels.answer.send_replace(OfficeAnswer::Away);
    }

    fn lost(&self, broker: &BrokerUrl, lost: &Disconnect, said: &mut Option<String>) {
        let why = brief::line(&lost.reason());
        let was_connected = self.channels.link.borrow().connected;
        if was_connected || said.as_ref() != Some(&why) {
            tracing::warn!(%broker, why, "no connection to head office");
        }
        *said = Some(why.clone());
        self.channels.link.send_replace(OfficeLink {
            broker: broker.to_string(),
            problem: Some(why),
            ..OfficeLink::default()
        });
    }

    /// Waits before the next attempt.
    async fn pause(&mut self, wait: Duration) {
        let mut over = std::pin::pin!(sleep(wait));
        loop {
            tokio::select! {
                () = &mut over => return,
                // Counts of a minute are not worth keeping while head office is away; the hour's are.
                Some(_) = self.channels.health.recv() => {}
                () = &mut self.patience, if self.waits() => self.goes_on_alone(),
            }
        }
    }

    fn offline(&self) -> Vec<u8> {
        let status = self.channels.status.borrow().clone();
        payload::encode(&Status { state: GatewayState::Offline, since: None, ..status })
    }

    /// Publishes that the gateway is offline, and disconnects.
    async fn leave(&self, mut session: Session) {
        if !session.link.is_connected() {
            return;
        }
        let (topic, payload) = (self.here.status(), self.offline());
        let message = Message { topic: &topic, payload: &payload, retain: true, expiry: None };
        session.link.publish((), &message);
        let gone = async {
            let mut asked = false;
            loop {
                if !asked && session.link.in_flight() == 0 {
                    session.link.disconnect();
                    asked = true;
                }
                if let ConnectionEvent::Disconnected(_) = session.link.next_event().await {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(LEAVE_WITHIN, gone).await;
    }
}

impl Session {
    fn say_in(&mut self, time: Duration) {
        self.due = Box::pin(sleep(time));
        self.is_due = true;
    }
}

async fn rested(rest: &mut Option<Pin<Box<Sleep>>>) {
    match rest {
        Some(sleep) => sleep.as_mut().await,
        None => std::future::pending().await,
    }
}
