//! Spans of an alert's way to staff, as OpenTelemetry has them. They say when and how long, and name no
//! one: their ids are random, so that nothing leads from a trace to a visit.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::pipeline::units::Tick;

/// Spans that wait for the collector; further ones are dropped.
pub const WAITING: usize = 256;

/// One span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub trace: [u8; 16],
    pub id: [u8; 8],
    /// `None` for the whole visit.
    pub parent: Option<[u8; 8]>,
    pub name: &'static str,
    pub from: Tick,
    pub until: Tick,
}

/// The trace of one visit.
#[derive(Debug, Clone, Copy)]
pub struct Trace {
    id: [u8; 16],
    /// The span of the whole visit.
    root: [u8; 8],
    /// When the customer's phone was first received.
    first: Tick,
}

/// Begins traces and takes their spans.
#[derive(Debug, Clone)]
pub struct Spans(pub mpsc::Sender<Span>);

impl Spans {
    /// A trace of a customer who has been received for `received_for` when staff are alerted; none
    /// without randomness.
    pub fn begin(&self, received_for: Duration, now: Tick) -> Option<Trace> {
        let first = Tick::from_micros(now.as_micros().saturating_sub(micros(received_for)));
        let trace = Trace { id: random()?, root: random()?, first };
        self.part(&trace, "recognise", first, now);
        Some(trace)
    }

    /// A part of the visit.
    pub fn part(&self, of: &Trace, name: &'static str, from: Tick, until: Tick) {
        let Some(id) = random() else { return };
        self.send(Span { trace: of.id, id, parent: Some(of.root), name, from, until });
    }

    /// The whole visit, once it is over.
    pub fn whole(&self, of: &Trace, until: Tick) {
        let Trace { id: trace, root: id, first: from } = *of;
        self.send(Span { trace, id, parent: None, name: "visit", from, until });
    }

    fn send(&self, span: Span) {
        // Where the collector is slower than the shop, a span is missing.
        let _ = self.0.try_send(span);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).ok()?;
    Some(octets)
}
