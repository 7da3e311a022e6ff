//! A trace of contacts through the pipeline again, with any settings.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::config::detection::Detection;
use crate::config::registry::{self, Reading};
use crate::payload::trace::{Trace, TraceContact, TraceReception, TraceSurvey};
use crate::pipeline::advert::Echo;
use crate::pipeline::event::{CustomerContact, GatewayIndex, Hearing, KnownPhone, Restored, Start};
use crate::pipeline::identity::Registry;
use crate::pipeline::presence::{Loudness, PERIOD_US};
use crate::pipeline::units::{Clock, Dbm, Now, Tick, WallTime};
use crate::pipeline::{Effect, Gateway, Input, Pipeline, Settings};

/// The customer of every trace, by whether the phone's model was known.
const CLIENTS: [&str; 2] = ["trace", "trace of a known model"];

/// Any time at which the customer's consent is in force: times of day are not in a trace.
const NOON: WallTime = WallTime::from_unix_secs(1_767_614_400);

/// How long the pipeline keeps the phone's offset; it is longer than a trace.
const KNOWN_FOR: Duration = Duration::from_hours(48);

/// The registry of the synthetic customers, who have a card with a fixed identity that no one
/// carries. What the model's offset is does not matter: a trace has levels as an average phone's.
///
/// # Errors
/// Never: the lines are constants.
pub fn registry() -> Result<Registry, registry::Error> {
    let line = |(client, phone): (&str, &str)| {
        let major = phone.len();
        format!(
            r#"{{"client":"{client}","tier":"trace",{phone}"scheme":"beacon","ibeacon":{{"uuid":"00000000-0000-0000-0000-000000000000","major":{major},"minor":0}},"consent":{{"expires_at":"9999-01-01T00:00:00Z"}}}}"#
        )
    };
    let [unknown, known] = CLIENTS;
    let lines = [(unknown, ""), (known, r#""phone":{"tx_db":1},"#)].map(line).join("\n");
    let reading = Reading::new(1, Clock::Set(NOON)).keeping_every_day();
    Ok(reading.load_from(lines.as_bytes(), "a trace's customers".as_ref())?.0)
}

/// The settings of the trace's store, with these of head office.
fn settings(trace: &Trace, detection: Detection) -> Settings {
    let gateways = trace.gateways.iter().map(|one| Gateway {
        name: one.name.clone(),
        place: one.place.map(Into::into),
        offset_db: detection.gateway_offset_db.get(&one.name).copied().unwrap_or_default(),
        levels: detection.levels(&one.name),
    });
    let mut zones = [None; 16];
    for one in &trace.zones {
        if let Some(place) = zones.get_mut(usize::from(one.zone)) {
            *place = Some(one.place.into());
        }
    }
    let mut presence = detection.presence.clone();
    presence.known_for = KNOWN_FOR;
    Settings {
        store: 1,
        gateways: gateways.collect(),
        zones,
        beacons: Vec::new(),
        presence,
        policy: detection.policy,
    }
}

/// When the settings announce the customer, since the beginning of the trace. A trace that was cut
/// ends there.
pub fn arrivals(trace: &Trace, detection: Detection, registry: Registry) -> Vec<Duration> {
    let mut playback = Playback::begin(trace, detection, registry);
    let mut surveys: VecDeque<&TraceSurvey> = trace.surveys.iter().skip(1).collect();
    let mut reception: VecDeque<&TraceReception> = trace.reception.iter().collect();
    let mut at_us = 0;
    for contact in &trace.received {
        at_us += contact.0;
        playback.change(&mut surveys, &mut reception, at_us);
        playback.contact(at_us, *contact);
    }
    playback.change(&mut surveys, &mut reception, trace.ended_us);
    playback.end(trace);
    playback.arrivals
}

struct Playback {
    pipeline: Pipeline,
    began: Tick,
    client: Arc<str>,
    arrivals: Vec<Duration>,
}

impl Playback {
    fn begin(trace: &Trace, detection: Detection, registry: Registry) -> Self {
        // A period later: the filter's stamps reach back before the beginning.
        let began = Tick::from_micros(PERIOD_US + trace.phase_us);
        let now = moment(began);
        let loudness = Loudness { above_usual_db: trace.phone_db.into(), visits: 1 };
        let [unknown, known] = CLIENTS;
        let client: Arc<str> = if trace.phone_model_known { known } else { unknown }.into();
        let phone = KnownPhone { client: Arc::clone(&client), loudness, at: now.clock.reading() };
        let restored = Restored {
            phones: vec![phone],
            survey: trace.surveys.first().map(TraceSurvey::survey).unwrap_or_default(),
            listening: trace.listening.iter().fold(0, |bits, one| bits | 1 << (one % 64)),
            ..Restored::default()
        };
        let settings = settings(trace, detection);
        let (pipeline, _) = Pipeline::new(settings, registry, restored, Start::Followed, now);
        Self { pipeline, began, client, arrivals: Vec::new() }
    }

    /// What changed for all customers up to `until_us`.
    fn change(
        &mut self,
        surveys: &mut VecDeque<&TraceSurvey>,
        reception: &mut VecDeque<&TraceReception>,
        until_us: u64,
    ) {
        loop {
            let next = surveys.front().map(|one| one.at_us);
            let other = reception.front().map(|one| one.at_us);
            let Some(first) = next.into_iter().chain(other).min().filter(|at| *at <= until_us)
            else {
                return;
            };
            self.pass_time(self.at(first));
            if next == Some(first) {
                if let Some(survey) = surveys.pop_front() {
                    self.pipeline.learn_site(survey.survey());
                }
            } else if let Some(one) = reception.pop_front() {
                let hearing = if one.blind { Hearing::Blind } else { Hearing::Listening };
                self.handle(self.at(first), Input::Hearing(GatewayIndex(one.gateway), hearing));
            }
        }
    }

    fn contact(&mut self, at_us: u64, TraceContact(_, gateway, rssi, echo): TraceContact) {
        let tick = self.at(at_us);
        self.pass_time(tick);
        let contact = CustomerContact {
            client: Arc::clone(&self.client),
            gateway: GatewayIndex(gateway),
            rssi: rssi.and_then(|rssi| Dbm::measured(rssi.into())),
            echo: echo.map(Echo::from_byte),
        };
        self.handle(tick, Input::Contact(contact));
    }

    /// Lets time pass until the customer is followed no longer.
    fn end(&mut self, trace: &Trace) {
        let end = trace.cut.map(|_| self.at(trace.ended_us));
        while self.pipeline.followed() > 0
            && let Some(due) = self.pipeline.next_deadline()
            && end.is_none_or(|end| due <= end)
        {
            self.handle(due, Input::Deadline);
        }
    }

    fn at(&self, at_us: u64) -> Tick {
        self.began.plus(Duration::from_micros(at_us))
    }

    fn pass_time(&mut self, until: Tick) {
        while let Some(due) = self.pipeline.next_deadline().filter(|due| *due < until) {
            self.handle(due, Input::Deadline);
        }
    }

    fn handle(&mut self, tick: Tick, input: Input<'_>) {
        for effect in self.pipeline.handle(moment(tick), input) {
            if let Effect::Arrived { .. } = effect {
                self.arrivals.push(tick.since(self.began));
            }
        }
    }
}

fn moment(tick: Tick) -> Now {
    Now { tick, clock: Clock::Set(NOON.plus(tick.since(Tick::ZERO))) }
}

#[cfg(test)]
mod tests;
