//! Records traces of contacts for head office: what the presence filter received of one customer, from
//! the first contact until they are followed no longer, and what it decided.
//!
//! Invariant: only contacts of customers whose consent is in force come here, and nothing in a
//! [`Trace`] names the customer. Up to a minute after the arrival a trace has every contact, so that
//! the same filter decides the same again; later contacts are thinned out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::payload::trace::{
    LONGEST, MOST_CHANGES, MOST_CONTACTS, Trace, TraceContact, TraceCut, TraceDecision, TraceEvent,
    TraceGateway, TraceReception, TraceSurvey, TraceZone,
};
use crate::pipeline::advert::Echo;
use crate::pipeline::event::{CheckedIn, CustomerContact, GatewayIndex};
use crate::pipeline::explain::{Explanation, Why};
use crate::pipeline::presence::PERIOD_US;
use crate::pipeline::units::{Dbm, Now, Tick};
use crate::pipeline::{Effect, Input, Pipeline, VisitId};

/// Contacts are recorded whole until this long after the arrival: other settings may decide later.
const WHOLE_FOR: Duration = Duration::from_mins(1);

/// From then on one contact of a gateway in this time: closer ones repeat each other (`belief.rs`).
const THINNED_TO: Duration = Duration::from_secs(2);

/// Traces that a gateway makes in a day: a busy shop has fewer customers who opted in.
const MOST_A_DAY: u32 = 200;

/// Customers who are recorded at the same time; further ones are not.
const MOST_OPEN: usize = 100;

/// A trace that is complete, and whose it is: for the gateway's own queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    pub client: Arc<str>,
    pub visit: Option<VisitId>,
    pub trace: Trace,
}

/// Records what the pipeline receives of each customer.
#[derive(Debug, Default)]
pub struct TraceRecorder {
    open: BTreeMap<Arc<str>, Recording>,
    /// Customers who were followed after the last input.
    followed: usize,
    /// Of the shop's statistics: they have changed if these have.
    surveyed: (f32, f32),
    blind: u64,
    /// Days since the Unix epoch, and traces of that day.
    today: (i64, u32),
}

/// A trace that is not complete.
#[derive(Debug)]
struct Recording {
    began: Tick,
    last: Tick,
    /// The last contact of each gateway that is in the trace.
    kept: BTreeMap<GatewayIndex, Tick>,
    loudest: Option<(Dbm, GatewayIndex)>,
    visit: Option<VisitId>,
    arrived: Option<Tick>,
    trace: Trace,
}

impl TraceRecorder {
    /// What the pipeline is about to receive: what is not the filter's own decision ends a trace.
    pub fn precede(&mut self, input: &Input<'_>) {
        match input {
            Input::Settings(_) | Input::ForgetSite(_) => self.open.clear(),
            // Another gateway's visit of the customer continues here.
            Input::Retained(visit, Some(state)) => {
                let own = |open: &Recording| open.visit == Some(*visit);
                if self.open.get(&state.client).is_some_and(|open| !own(open)) {
                    self.open.remove(&state.client);
                }
            }
            _ => {}
        }
    }

    /// What the pipeline made of its last input. Returns the traces that are complete.
    pub fn follow(&mut self, now: Now, pipeline: &Pipeline, effects: &[Effect]) -> Vec<Finished> {
        let contact = pipeline.last_contact();
        if contact.is_none() && self.open.is_empty() {
            self.followed = pipeline.followed();
            return Vec::new();
        }
        self.note_changes(now.tick, pipeline);
        if let Some(contact) = contact {
            self.note_contact(now.tick, &contact, pipeline);
        }
        for effect in effects {
            self.note_effect(now.tick, effect);
        }
        let followed = std::mem::replace(&mut self.followed, pipeline.followed());
        if self.followed == followed { Vec::new() } else { self.finish(now, pipeline) }
    }

    /// The shop's statistics, and which gateways receive: they change for all.
    fn note_changes(&mut self, now: Tick, pipeline: &Pipeline) {
        let survey = pipeline.survey();
        let surveyed = (survey.stays, survey.passes);
        if self.surveyed != surveyed {
            self.surveyed = surveyed;
            for open in self.open.values_mut().filter(|open| open.is_exact(now)) {
                if open.has_room(now) {
                    let at_us = open.at_us(now);
                    open.trace.surveys.push(TraceSurvey::of(survey, at_us));
                }
            }
        }
        let (_, blind) = pipeline.receiving();
        let changed = std::mem::replace(&mut self.blind, blind) ^ blind;
        for gateway in gateways(changed) {
            for open in self.open.values_mut() {
                if open.has_room(now) {
                    let at_us = open.at_us(now);
                    let is_blind = blind & (1 << gateway) != 0;
                    open.trace.reception.push(TraceReception { at_us, gateway, blind: is_blind });
                }
            }
        }
    }

    fn note_contact(&mut self, now: Tick, contact: &CustomerContact, pipeline: &Pipeline) {
        let CustomerContact { client, gateway, rssi, echo } = contact;
        if !self.open.contains_key(client) {
            // A customer who was followed before, such as over a restart, has no beginning.
            if pipeline.followed() <= self.followed || self.open.len() >= MOST_OPEN {
                return;
            }
            self.open.insert(Arc::clone(client), Recording::begin(now, client, pipeline));
        }
        if let Some(open) = self.open.get_mut(client) {
            open.add(now, *gateway, *rssi, *echo);
        }
    }

    fn note_effect(&mut self, now: Tick, effect: &Effect) {
        match effect {
            Effect::Explained(Explanation {
                client,
                visit: Some(visit),
                why: Why::Arrived { confidence, evidence, .. },
            }) => {
                let Some(open) = self.open.get_mut(client) else { return };
                // Gateways agree a moment later whose visit it is.
                let arrived = open.began.plus(evidence.received_for);
                (open.visit, open.arrived) = (Some(*visit), Some(arrived));
                open.decide(arrived, TraceEvent::Arrived, Some(*confidence));
            }
            Effect::Explained(Explanation {
                client,
                why: Why::Returned { confidence, .. },
                ..
            }) => {
                if let Some(open) = self.open.get_mut(client) {
                    open.decide(now, TraceEvent::Returned, Some(*confidence));
                }
            }
            Effect::Departed { visit, .. } => {
                if let Some(open) = self.open.get_mut(&visit.client) {
                    open.decide(now, TraceEvent::Departed, None);
                }
            }
            // A person says so, not the filter.
            Effect::Arrived { visit, .. } | Effect::Returned(visit)
                if visit.checked_in_until.is_some() =>
            {
                self.open.remove(&visit.client);
            }
            // Another gateway's visit is the earlier one.
            Effect::Erased { visit } => self.open.retain(|_, open| open.visit != Some(*visit)),
            Effect::Forget { client } => drop(self.open.remove(client)),
            _ => {}
        }
    }

    /// Takes the traces of customers who are followed no longer.
    fn finish(&mut self, now: Now, pipeline: &Pipeline) -> Vec<Finished> {
        let gone = |client: &Arc<str>, _: &mut Recording| !pipeline.follows(client);
        let done: Vec<_> = self.open.extract_if(.., gone).collect();
        let day = now.clock.reading().unix_secs().div_euclid(86_400);
        let mut finished = Vec::new();
        for (client, mut open) in done {
            let consents = pipeline.is_here(CheckedIn::Client(&client), now.clock).is_some();
            let of_peer = open.visit.is_none()
                && open.loudest.is_some_and(|(_, gateway)| pipeline.is_present(gateway));
            if !consents || of_peer {
                continue;
            }
            if self.today.0 != day {
                self.today = (day, 0);
            }
            if self.today.1 >= MOST_A_DAY {
                continue;
            }
            self.today.1 += 1;
            if open.has_room(now.tick) {
                open.trace.ended_us = open.at_us(now.tick);
            }
            finished.push(Finished { client, visit: open.visit, trace: open.trace });
        }
        finished
    }
}

impl Recording {
    fn begin(now: Tick, client: &str, pipeline: &Pipeline) -> Self {
        let settings = pipeline.settings();
        let (listening, blind) = pipeline.receiving();
        let gateway = |one: &crate::pipeline::Gateway| TraceGateway {
            name: one.name.clone(),
            place: one.place.map(Into::into),
        };
        let zone = |(zone, place): (u8, &Option<crate::pipeline::Place>)| {
            place.map(|place| TraceZone { zone, place: place.into() })
        };
        let blind = gateways(blind);
        let trace = Trace {
            gateways: settings.gateways.iter().map(gateway).collect(),
            zones: (0..).zip(&settings.zones).filter_map(zone).collect(),
            phase_us: now.as_micros() % PERIOD_US,
            phone_db: pipeline.discount_db(client),
            phone_model_known: pipeline.knows_model(client),
            listening: gateways(listening).collect(),
            reception: blind
                .map(|gateway| TraceReception { at_us: 0, gateway, blind: true })
                .collect(),
            surveys: vec![TraceSurvey::of(pipeline.survey(), 0)],
            ..Trace::default()
        };
        Self {
            began: now,
            last: now,
            kept: BTreeMap::new(),
            loudest: None,
            visit: None,
            arrived: None,
            trace,
        }
    }

    fn is_whole(&self) -> bool {
        self.trace.cut.is_none()
    }

    /// Whether everything is recorded that the filter takes into account.
    fn is_exact(&self, now: Tick) -> bool {
        self.is_whole() && self.arrived.is_none_or(|arrived| now.since(arrived) <= WHOLE_FOR)
    }

    fn at_us(&self, now: Tick) -> u64 {
        u64::try_from(now.since(self.began).as_micros()).unwrap_or(u64::MAX)
    }

    fn add(&mut self, now: Tick, gateway: GatewayIndex, rssi: Option<Dbm>, echo: Option<Echo>) {
        if self.loudest.is_none_or(|(loudest, _)| rssi.is_some_and(|rssi| rssi > loudest)) {
            self.loudest = rssi.map(|rssi| (rssi, gateway)).or(self.loudest);
        }
        let repeats = |last: &Tick| now.since(*last) < THINNED_TO;
        let is_left_out = !self.is_exact(now) && self.kept.get(&gateway).is_some_and(repeats);
        if is_left_out || !self.has_room(now) {
            return;
        }
        let since = now.since(std::mem::replace(&mut self.last, now)).as_micros();
        self.kept.insert(gateway, now);
        self.trace.received.push(TraceContact(
            u64::try_from(since).unwrap_or(u64::MAX),
            gateway.0,
            rssi.map(Dbm::value),
            echo.map(Echo::to_byte),
        ));
    }

    fn decide(&mut self, at: Tick, what: TraceEvent, confidence: Option<f32>) {
        if self.has_room(at) {
            let at_us = self.at_us(at);
            let confidence = confidence.map(|one| (f64::from(one) * 1000.0).round() / 1000.0);
            self.trace.decisions.push(TraceDecision { at_us, what, confidence });
        }
    }

    /// Whether more may be added. Ends a trace that has as much as it may.
    fn has_room(&mut self, now: Tick) -> bool {
        if !self.is_whole() {
            return false;
        }
        let now = now.max(self.last);
        let trace = &self.trace;
        let changes = [trace.surveys.len(), trace.reception.len(), trace.decisions.len()];
        let is_full = trace.received.len() >= MOST_CONTACTS
            || changes.into_iter().any(|changes| changes >= MOST_CHANGES);
        let is_long = now.since(self.began) >= LONGEST;
        if is_full || is_long {
            self.trace.cut = Some(if is_full { TraceCut::Full } else { TraceCut::Long });
            self.trace.ended_us = self.at_us(now.min(self.began.plus(LONGEST)));
        }
        self.is_whole()
    }
}

/// The gateways whose bits are set.
fn gateways(bits: u64) -> impl Iterator<Item = u8> {
    (0..64).filter(move |bit| bits & (1 << bit) != 0)
}
