//! Whether every withdrawal of consent is known that was published while this gateway was away.
//!
//! A broker that delivers retained messages to wildcard subscriptions sends them at once. Elsewhere
//! the gateway asks: head office and the store's other gateways answer. Invariants: nothing about a
//! customer is published before, and nothing about one who withdrew.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::Client;
use super::withdrawals::Full;
use crate::mqtt::connection_state::{ConnectionState, ConsentState};
use crate::mqtt::inbound::{Inbound, MOST_WITHDRAWALS, Number};
use crate::mqtt::link::{InFlight, Link, Message};
use crate::payload;
use crate::pipeline::units::WallTime;
use crate::store::Change;

/// A broker that delivers retained messages has delivered them by then.
const FIRST: Duration = Duration::from_millis(250);

/// Several withdrawals are acknowledged together.
const SOON: Duration = Duration::from_millis(100);

/// Between two questions, at first and at most.
const ASK_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// A statement or an answer is of no use to a later connection.
const LIFE: Duration = Duration::from_mins(1);

/// How far the clocks of head office and this gateway may be apart, for a registry that is to know
/// of every withdrawal before this connection.
const CLOCKS_APART: Duration = Duration::from_mins(1);

/// Gateways that wait for an answer.
const MOST_ASKING: usize = 64;

/// Questions and answers of this connection.
#[derive(Debug, Default)]
pub(super) struct Consent {
    state: ConsentState,
    /// When to report what is known, and to ask for the rest.
    due: Option<Pin<Box<Sleep>>>,
    /// The question that is open, and when it is repeated.
    ask: Option<(String, Duration)>,
    /// Gateways that asked, and their questions.
    asking: VecDeque<(String, payload::Consent)>,
    /// Parts of an answer, still to be published.
    parts: VecDeque<(String, payload::Withdrawals)>,
    /// When the connection began, where the clock counts.
    since: Option<WallTime>,
}

impl Consent {
    /// What a resumed session continues. Where the broker retains messages it is asked again.
    pub(super) const fn after_connection(&self) -> ConsentState {
        match self.state {
            ConsentState::Retained | ConsentState::Office => ConsentState::Asking,
            state => state,
        }
    }
}

impl Client {
    /// A connection stands; the one before knew of withdrawals as `before` says.
    pub(super) fn begin_consent(&mut self, before: ConsentState) {
        let resumed = self.link.as_ref().is_some_and(Link::is_resumed);
        let since = self.clocks.now().clock.known();
        self.consent = Consent { since, ..Consent::default() };
        if resumed && before.is_known() {
            self.consent_is(ConsentState::Session);
        }
        self.consent_by_office();
        self.say_consent_in(FIRST);
    }

    /// The connection is lost: what was not answered is asked again on the next.
    pub(super) fn end_consent(&mut self) {
        self.consent_before = self.consent.after_connection();
        self.consent = Consent::default();
    }

    /// The broker's retained withdrawals have come, and then this gateway's own status.
    pub(super) fn withdrawals_are_retained(&mut self) {
        self.consent_is(ConsentState::Retained);
    }

    /// Head office's own line has reported all withdrawals, or is away.
    pub(super) fn consent_by_office(&mut self) {
        let up = self.link.as_ref().is_some_and(Link::is_connected);
        let has_office = self.channels.office.is_some();
        if up && has_office && self.office_permits() && !self.consent.state.is_known() {
            self.consent_is(ConsentState::Office);
        }
    }

    /// A registry is in force that knows of every withdrawal until `made_at`.
    pub(super) fn on_registry(&mut self, made_at: WallTime) {
        let is_later = |since: WallTime| made_at >= since.plus(CLOCKS_APART);
        if !self.consent.state.is_known() && self.consent.since.is_some_and(is_later) {
            self.consent_is(ConsentState::Registry);
        }
    }

    fn consent_is(&mut self, known: ConsentState) {
        if self.consent.state != known {
            self.consent.state = known;
            tracing::info!(by = known.word(), "every withdrawal of consent is known");
            self.say_consent_in(SOON);
        }
        if known.is_known() && !self.withdrawals.has_gap() {
            self.consent.ask = None;
        }
        self.channels.connection.send_if_modified(|state| match state {
            ConnectionState::Connected { consent, .. } if *consent != known => {
                *consent = known;
                true
            }
            _ => false,
        });
    }

    fn say_consent_in(&mut self, time: Duration) {
        if self.link.as_ref().is_some_and(Link::is_connected) {
            self.consent.due = Some(Box::pin(sleep(time)));
        }
    }

    /// Reports what is known; if that may not be all, asks, and repeats the question.
    pub(super) fn on_consent_due(&mut self) {
        self.consent.due = None;
        let asks = !self.consent.state.is_known() || self.withdrawals.has_gap();
        let ask = asks.then(|| self.question());
        let known = self.withdrawals.known();
        let statement = payload::Consent {
            v: payload::VERSION,
            known: self.consent.state.is_known(),
            list: known.map(|(list, _)| list.to_string()),
            serial: known.map_or(0, |(_, serial)| serial),
            withdrawn: u64::try_from(self.withdrawals.clients().len()).unwrap_or(u64::MAX),
            ask,
        };
        let here = &self.peer.here;
        let Some(link) = &mut self.link else { return };
        let (topic, payload) = (here.consent(), payload::encode(&statement));
        let message =
            Message { topic: &topic, payload: &payload, retain: false, expiry: Some(LIFE) };
        link.publish(InFlight::Repeatable, &message);
        if !self.consent.state.is_known() {
            let question = payload::encode(&serde_json::json!({"v": payload::VERSION}));
            link.ask(&here.topics.sync(), &question, &here.sync_answers());
        }
    }

    /// A new question, and when the next one follows.
    fn question(&mut self) -> String {
        let before = self.consent.ask.as_ref().map(|(_, every)| *every);
        let every = before.map_or(ASK_EVERY.0, |every| (every * 2).min(ASK_EVERY.1));
        // Without randomness an answer to an earlier question is taken for one to this.
        let question = crate::mqtt::login::random_token().unwrap_or_else(|_| "ask".to_owned());
        self.consent.ask = Some((question.clone(), every));
        self.say_consent_in(every);
        question
    }

    /// A gateway reports what it knows. This one's own message shows whether messages expire.
    pub(super) fn on_consent(
        &mut self,
        gateway: String,
        consent: payload::Consent,
        left: Option<Duration>,
    ) {
        if gateway == self.peer.here.gateway {
            self.probe_expiry(left);
        } else if consent.ask.is_some() && self.consent.asking.len() < MOST_ASKING {
            self.consent.asking.retain(|(asking, _)| *asking != gateway);
            self.consent.asking.push_back((gateway, consent));
        }
    }

    /// A part of an answer; returns the withdrawals in it that are new.
    pub(super) fn on_withdrawals(&mut self, part: payload::Withdrawals) -> Vec<Inbound> {
        let mut new = Vec::new();
        for client in part.withdrawn {
            new.extend(self.withdrawn(client, None));
        }
        let is_answer = |(ask, _): &(String, Duration)| *ask == part.answers;
        if part.last && self.consent.ask.as_ref().is_some_and(is_answer) {
            if let Some(list) = &part.list
                && self.withdrawals.complete(list, part.serial)
            {
                self.record_known();
            }
            if !self.consent.state.is_known() {
                self.consent_is(ConsentState::Answered);
            }
            if !self.withdrawals.has_gap() {
                self.consent.ask = None;
                self.say_consent_in(SOON);
            }
        }
        new
    }

    /// A customer withdrew; returns what the event loop needs to know of it.
    pub(super) fn withdrawn(&mut self, client: String, number: Option<Number>) -> Option<Inbound> {
        let handle: Arc<str> = client.as_str().into();
        let is_new = self.withdrawals.add(&handle).unwrap_or_else(|Full| {
            tracing::error!("too many withdrawals: one holds until the next start");
            true
        });
        if is_new {
            let at = self.clocks.now().clock.reading();
            self.unrecorded.push(Change::Withdrawn { client: handle, at });
        }
        if let Some(number) = &number
            && self.withdrawals.count(number)
        {
            self.record_known();
        }
        if is_new || number.is_some() {
            self.say_consent_in(SOON);
            self.show_known();
        }
        is_new.then_some(Inbound::Withdrawn { client, number })
    }

    fn record_known(&mut self) {
        if let Some((list, serial)) = self.withdrawals.known() {
            self.unrecorded.push(Change::WithdrawnUpTo { list: Arc::clone(list), serial });
        }
    }

    /// Whether everything is known of withdrawals.
    pub(super) fn is_consent_known(&self) -> bool {
        self.consent.state.is_known() && self.office_permits()
    }

    /// Whether a message about this customer may be published now.
    pub(super) fn may_show(&self, client: Option<&Arc<str>>) -> bool {
        client.is_none_or(|client| self.is_consent_known() && !self.withdrawals.contains(client))
    }

    /// Publishes a part of an answer to another gateway.
    pub(super) fn submit_withdrawals(&mut self) -> bool {
        if self.consent.parts.is_empty() && self.is_consent_known() {
            self.answer_next();
        }
        let Some((gateway, part)) = self.consent.parts.pop_front() else { return false };
        let Some(link) = &mut self.link else { return false };
        let (topic, payload) =
            (self.peer.here.topics.withdrawals(&gateway), payload::encode(&part));
        let message =
            Message { topic: &topic, payload: &payload, retain: false, expiry: Some(LIFE) };
        link.publish(InFlight::Repeatable, &message);
        true
    }

    /// All that this gateway knows, for the one that asked first.
    fn answer_next(&mut self) {
        let Some((gateway, asked)) = self.consent.asking.pop_front() else { return };
        let Some(answers) = asked.ask else { return };
        let known = self.withdrawals.known();
        let (list, serial) = known.map_or((None, 0), |(list, serial)| (Some(list), serial));
        let clients: Vec<String> = self.withdrawals.clients().map(ToString::to_string).collect();
        self.consent.parts = parts(&answers, list.map(|list| &**list), serial, &clients)
            .map(|part| (gateway.clone(), part))
            .collect();
    }
}

/// An answer in as many parts as it takes; at least one.
pub fn parts<'a>(
    answers: &'a str,
    list: Option<&'a str>,
    serial: u64,
    clients: &'a [String],
) -> impl Iterator<Item = payload::Withdrawals> {
    let count = clients.len().div_ceil(MOST_WITHDRAWALS).max(1);
    (1..=count).map(move |place| payload::Withdrawals {
        v: payload::VERSION,
        answers: answers.to_owned(),
        list: list.map(str::to_owned),
        serial,
        withdrawn: clients.chunks(MOST_WITHDRAWALS).nth(place - 1).unwrap_or_default().to_vec(),
        last: place == count,
    })
}

/// Waits until it is time to report what is known; for ever if that was done.
pub(super) async fn due(consent: &mut Consent) {
    match &mut consent.due {
        Some(sleep) => sleep.as_mut().await,
        None => std::future::pending().await,
    }
}
