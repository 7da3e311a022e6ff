//! A candidate for settings runs beside those in force, on the same contacts, and alerts no one. What it
//! would change is counted and reported each hour.

use std::sync::Arc;
use std::time::Duration;

use super::differences::{Arrival, Difference, Differences};
use crate::payload::{ShadowChange, ShadowKind, ShadowReport};
use crate::pipeline::event::{Announcement, CustomerContact, Start};
use crate::pipeline::units::{Now, Tick};
use crate::pipeline::{Effect, Input, Pipeline, Settings, VisitId};

/// Changes that a report lists one by one.
const MOST_TOLD: usize = 20;

/// The candidate: settings that run beside those in force, and alert no one.
pub struct Shadow {
    pipeline: Pipeline,
    differences: Differences<Arrived>,
    report: ShadowReport,
    /// Why the last visit of each side was opened.
    because: [Option<(VisitId, String)>; 2],
}

/// An arrival, to the millisecond and the thousandth.
#[derive(Debug, Clone)]
struct Arrived {
    at: Tick,
    visit: VisitId,
    client: Arc<str>,
    confidence: f64,
    announcement: Announcement,
    because: String,
}

impl PartialEq for Arrived {
    fn eq(&self, other: &Self) -> bool {
        let alerts = |one: &Self| match one.announcement {
            Announcement::Alert { .. } => None,
            Announcement::Silent(because) => Some(because),
        };
        self.millis() == other.millis()
            && self.visit == other.visit
            && self.confidence.to_bits() == other.confidence.to_bits()
            && alerts(self) == alerts(other)
    }
}

impl Arrival for Arrived {
    fn client(&self) -> &str {
        &self.client
    }

    fn seconds(&self) -> f64 {
        (self.at.since(Tick::ZERO).as_secs_f64() * 1000.0).round() / 1000.0
    }
}

impl Arrived {
    fn millis(&self) -> u64 {
        self.seconds().to_bits()
    }
}

#[derive(Clone, Copy)]
enum Side {
    InForce = 0,
    Candidate = 1,
}

impl Shadow {
    /// The candidate of that number, beside `product`.
    pub fn start(
        serial: u64,
        product: &Pipeline,
        settings: Settings,
        start: Start,
        now: Now,
    ) -> Self {
        Self {
            pipeline: product.beside(settings, start, now),
            differences: Differences::default(),
            report: ShadowReport { serial, ..ShadowReport::default() },
            because: [None, None],
        }
    }

    /// The serial number of the candidate's document.
    pub const fn serial(&self) -> u64 {
        self.report.serial
    }

    /// The same input that the product had, as far as it concerns the candidate.
    pub fn feed(&mut self, now: Now, input: Input<'_>) {
        let effects = self.pipeline.handle(now, input);
        self.note(Side::Candidate, now, &effects);
    }

    /// What the product made of its last input.
    pub fn follow(&mut self, now: Now, contact: Option<CustomerContact>, effects: &[Effect]) {
        self.note(Side::InForce, now, effects);
        if let Some(contact) = contact {
            self.feed(now, Input::Contact(contact));
        }
    }

    /// The latest time of the next [`Shadow::feed`].
    pub fn next_deadline(&self) -> Option<Tick> {
        self.pipeline.next_deadline()
    }

    /// The hour is over, or the daemon stops: what was settled until `now`.
    pub fn take_report(&mut self, now: Tick) -> ShadowReport {
        self.settle(now.since(Tick::ZERO));
        let serial = self.report.serial;
        std::mem::replace(&mut self.report, ShadowReport { serial, ..ShadowReport::default() })
    }

    fn note(&mut self, side: Side, now: Now, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Explained(why) => {
                    if let (Some(place), Some(visit)) =
                        (self.because.get_mut(side as usize), why.visit)
                    {
                        // It goes to head office, which does not learn where a customer was.
                        *place = Some((visit, why.why.clone().without_places().to_string()));
                    }
                }
                Effect::Arrived { visit, announcement } => {
                    let because = self.because.get_mut(side as usize).and_then(Option::take);
                    let because = because.filter(|(of, _)| *of == visit.id);
                    let arrived = Arrived {
                        at: now.tick,
                        visit: visit.id,
                        client: Arc::clone(&visit.client),
                        confidence: (f64::from(visit.confidence) * 1000.0).round() / 1000.0,
                        announcement: *announcement,
                        because: because.map(|(_, because)| because).unwrap_or_default(),
                    };
                    match side {
                        Side::InForce => self.differences.add_before(arrived),
                        Side::Candidate => self.differences.add_after(arrived),
                    }
                }
                _ => {}
            }
        }
        self.settle(now.tick.since(Tick::ZERO));
    }

    fn settle(&mut self, now: Duration) {
        for difference in self.differences.settled(now.as_secs_f64()) {
            self.count(difference);
        }
    }

    fn count(&mut self, difference: Difference<Arrived>) {
        let report = &mut self.report;
        let (kind, of, by_s) = match difference {
            Difference::Same => {
                report.same += 1;
                return;
            }
            Difference::New(is) => (ShadowKind::More, is, 0.0),
            Difference::Lost(was) => (ShadowKind::Fewer, was, 0.0),
            Difference::Changed { was, is } => {
                let by_s = is.seconds() - was.seconds();
                let kind = match by_s {
                    by_s if by_s < 0.0 => ShadowKind::Sooner,
                    by_s if by_s > 0.0 => ShadowKind::Later,
                    _ => ShadowKind::Otherwise,
                };
                (kind, is, (by_s * 1000.0).round() / 1000.0)
            }
        };
        match kind {
            ShadowKind::More => report.more += 1,
            ShadowKind::Fewer => report.fewer += 1,
            ShadowKind::Sooner => report.sooner += 1,
            ShadowKind::Later => report.later += 1,
            ShadowKind::Otherwise => report.otherwise += 1,
        }
        if report.changes.len() < MOST_TOLD {
            report.changes.push(ShadowChange { kind, by_s, because: of.because });
        }
    }
}
