//! Counts since the start, and gauges: plain fields that the event loop bumps, no locks, no
//! names of metrics, nothing per device.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::payload::{self, DeliveryHealth, RadioHealth, RegistryHealth};
use crate::pipeline::event::Hearing;
use crate::pipeline::units::{Clock, Now, Tick};
use crate::sources::adapter::Hci;
use crate::sources::status::{AdapterStatus, Status};

/// All that is counted.
#[derive(Debug, Clone, Default)]
pub struct Health {
    pub started: Option<Now>,
    /// One for each `[[source]]`, in the configuration's order.
    pub sources: Vec<SourceHealth>,
    /// Contacts with enrolled customers.
    pub contacts: u64,
    /// Visits that are open.
    pub open_visits: u64,
    /// Visits that were opened.
    pub arrivals: u64,
    /// Of those, the ones that alerted staff.
    pub alerts: u64,
    /// Visits that were closed.
    pub departures: u64,
    /// How often a loyalty card's identity was received from two senders alternately.
    pub copied_cards: u64,
    /// The registry in force.
    pub registry: RegistryHealth,
    /// Whether the broker is there.
    pub broker: BrokerState,
    /// The way to the tablets.
    pub delivery: DeliveryHealth,
    /// Tablets that are connected here.
    pub tablets: u64,
}

/// One source of advertisements.
#[derive(Debug, Clone)]
pub struct SourceHealth {
    /// As people call it: `bluez hci0`, `recording monday.jsonl`.
    pub name: String,
    pub hearing: Hearing,
    /// What is wrong, or worth knowing: "no adapter".
    pub note: Option<String>,
    pub heard: u64,
    /// Advertisements dropped because its queue was full.
    pub shed: u64,
    /// Advertisements a second over the last ten to twenty seconds.
    pub rate: Rate,
    /// The state of the live radio, where it is one.
    pub radio: Option<Status>,
}

impl SourceHealth {
    /// A source that has received nothing yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            hearing: Hearing::Blind,
            note: None,
            heard: 0,
            shed: 0,
            rate: Rate::default(),
            radio: None,
        }
    }

    /// An advertisement came in.
    pub fn count(&mut self, now: Tick) {
        self.heard += 1;
        self.rate.count(now);
    }
}

/// Whether the broker is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BrokerState {
    /// Not yet, or not any more; trying.
    #[default]
    Connecting,
    /// Connected: CONNACK has arrived.
    Connected,
    /// It refuses, and why.
    Refused(String),
}

/// Events a second over the last ten to twenty seconds, in three numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rate {
    /// The current span's number.
    span: u64,
    current: u32,
    previous: u32,
}

impl Rate {
    const SPAN: Duration = Duration::from_secs(10);

    /// One event at `now`.
    pub fn count(&mut self, now: Tick) {
        self.turn(now);
        self.current = self.current.saturating_add(1);
    }

    /// The rate at `now`: what the current span has, and as much of the previous one as the
    /// current has still to come.
    pub fn per_second(mut self, now: Tick) -> f64 {
        self.turn(now);
        let span = Self::SPAN.as_secs_f64();
        let into = now.since(Tick::ZERO).as_secs_f64() % span / span;
        f64::from(self.previous).mul_add(1.0 - into, f64::from(self.current)) / span
    }

    fn turn(&mut self, now: Tick) {
        let span = now.since(Tick::ZERO).as_secs() / Self::SPAN.as_secs();
        if span != self.span {
            self.previous = if span == self.span + 1 { self.current } else { 0 };
            self.current = 0;
            self.span = span;
        }
    }
}

impl Health {
    pub fn new(now: Now, sources: impl IntoIterator<Item = SourceHealth>) -> Self {
        Self { started: Some(now), sources: sources.into_iter().collect(), ..Self::default() }
    }

    /// Time since counting began.
    pub fn uptime(&self, now: Now) -> Duration {
        self.started.map_or(Duration::ZERO, |started| now.tick.since(started.tick))
    }

    /// The live radio's adapters, and the capture path of each.
    fn radios(&self) -> Vec<RadioHealth> {
        let radios = self.sources.iter().filter_map(|source| source.radio.as_ref());
        let adapters = radios.flat_map(|radio| &radio.adapters);
        let health = |(hci, adapter): (&Hci, &AdapterStatus)| RadioHealth {
            adapter: hci.to_string(),
            listening: adapter.hearing == Hearing::Listening,
            ear: adapter.path.word().to_owned(),
        };
        adapters.map(health).collect()
    }

    /// How often each recovery step of the radio was taken.
    fn radio_steps(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for radio in self.sources.iter().filter_map(|source| source.radio.as_ref()) {
            for (step, count) in &radio.steps {
                *counts.entry(step.word().to_owned()).or_default() += count;
            }
        }
        counts
    }

    /// The payload of `gateways/<gateway>/health`.
    pub fn payload(&self, now: Now) -> payload::Health {
        payload::Health {
            v: payload::VERSION,
            at: now.clock.reading().to_string(),
            uptime_s: self.uptime(now).as_secs(),
            clock_set: matches!(now.clock, Clock::Set(_)),
            advertisements: self.sources.iter().map(|source| source.heard).sum(),
            contacts: self.contacts,
            shed: self.sources.iter().map(|source| source.shed).sum(),
            radios: self.radios(),
            radio_steps: self.radio_steps(),
            visits: self.open_visits,
            alerts: self.alerts,
            copied_cards: self.copied_cards,
            registry: self.registry.clone(),
            delivery: self.delivery.clone(),
            tablets: self.tablets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: f64) -> Tick {
        Tick::ZERO.plus(Duration::from_secs_f64(secs))
    }

    #[test]
    fn a_steady_stream_has_a_steady_rate() {
        let mut rate = Rate::default();
        for event in 0..10_000 {
            rate.count(at(f64::from(event) * 0.01));
        }
        for secs in [100.0, 103.0, 109.9] {
            let expected = 100.0 * (1.0 - (secs - 100.0) / 10.0);
            let measured = rate.per_second(at(secs));
            assert!((measured - expected).abs() < 1.0, "{measured} after the stream's end");
        }
        assert!(rate.per_second(at(99.99)) > 99.0);
        assert!(rate.per_second(at(200.0)) < f64::EPSILON, "silence is no rate");
    }
}
