//! Settings tried on traces of contacts: what gateways received of customers, without whose it was,
//! and whether staff said that they were there.

use std::time::Duration;

use super::counts::Counts;
use crate::config::detection::Detection;
use crate::daemon::trace_playback;
use crate::fleet::StoredTrace;
use crate::payload::Trace;
use crate::pipeline::identity::Registry;

/// Traces whose customer is known to have been here, or not.
#[derive(Debug)]
pub struct Judged {
    traces: Vec<(Trace, Stay)>,
    /// The synthetic customer of all of them.
    registry: Registry,
}

/// What is known of a stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// The customer was here, and staff were alerted at this time since the trace began.
    Here(Duration),
    /// Staff said that the customer was not here.
    NotHere,
    /// Staff were not alerted, and could say nothing.
    Passed,
}

impl Stay {
    /// `None` where that is not known: staff said nothing, or the trace ends before.
    pub fn of(stored: &StoredTrace) -> Option<Self> {
        match (stored.trace.arrived(), stored.was_here) {
            (Some(at), Some(true)) => Some(Self::Here(at)),
            (Some(_), Some(false)) => Some(Self::NotHere),
            (None, None) if stored.trace.visit.is_none() && stored.trace.cut.is_none() => {
                Some(Self::Passed)
            }
            _ => None,
        }
    }
}

impl Judged {
    pub fn new(traces: Vec<(Trace, Stay)>, registry: Registry) -> Self {
        Self { traces, registry }
    }

    /// What the settings do on all of them. A customer who was here is found by the first announcement,
    /// however late; every other one is false.
    pub fn counts(&self, settings: &Detection) -> Counts {
        let mut counts = Counts::default();
        for (trace, stay) in &self.traces {
            let registry = self.registry.without_credentials();
            let arrivals = trace_playback::arrivals(trace, settings.clone(), registry);
            let number = u32::try_from(arrivals.len()).unwrap_or(u32::MAX);
            let Stay::Here(announced) = stay else {
                counts.falsely += number;
                continue;
            };
            counts.visits += 1;
            if let Some(first) = arrivals.first() {
                let millis = |at: &Duration| i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
                counts.found += 1;
                counts.falsely += number - 1;
                counts.late_ms.push(millis(first) - millis(announced));
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::trace::{TraceContact, TraceCut, TraceDecision, TraceEvent, TraceGateway};

    fn stored(visit: bool, arrived: bool, was_here: Option<bool>, cut: bool) -> StoredTrace {
        let decision = TraceDecision { at_us: 9, what: TraceEvent::Arrived, confidence: None };
        let trace = Trace {
            visit: visit.then(|| "0123456789abcdef".to_owned()),
            decisions: if arrived { vec![decision] } else { Vec::new() },
            cut: cut.then_some(TraceCut::Full),
            ..Trace::default()
        };
        StoredTrace { store: 42, day: 0, trace, was_here }
    }

    #[test]
    fn only_what_staff_could_judge_is_known() {
        let here = Some(Stay::Here(Duration::from_micros(9)));
        assert_eq!(Stay::of(&stored(true, true, Some(true), false)), here);
        assert_eq!(Stay::of(&stored(true, true, Some(true), true)), here);
        assert_eq!(Stay::of(&stored(true, true, Some(false), false)), Some(Stay::NotHere));
        assert_eq!(Stay::of(&stored(true, true, None, false)), None, "no one said anything");
        assert_eq!(Stay::of(&stored(false, false, None, false)), Some(Stay::Passed));
        assert_eq!(Stay::of(&stored(false, false, None, true)), None, "it may have come later");
        assert_eq!(Stay::of(&stored(true, false, Some(true), true)), None, "after its end");
    }

    /// A phone that is at the gateway for that many seconds.
    fn near(seconds: u32) -> Trace {
        let contact = |nth: u32| TraceContact(u64::from(nth.min(1)) * 250_000, 0, Some(-50), None);
        Trace {
            gateways: vec![TraceGateway { name: "door".to_owned(), place: None }],
            received: (0..seconds * 4).map(contact).collect(),
            ended_us: 3_600_000_000,
            ..Trace::default()
        }
    }

    #[test]
    fn a_later_announcement_is_late_and_one_that_no_one_awaits_is_false() {
        let registry = trace_playback::registry().unwrap();
        let mut settings = Detection::default();
        let first =
            trace_playback::arrivals(&near(60), settings.clone(), registry.without_credentials());
        let [first] = first[..] else { panic!("{first:?}") };
        let judged = Judged::new(
            vec![
                (near(60), Stay::Here(first)),
                (near(10), Stay::NotHere),
                (near(10), Stay::Passed),
            ],
            registry,
        );
        let now = judged.counts(&settings);
        assert_eq!((now.visits, now.found, now.falsely), (1, 1, 2));
        assert_eq!(now.late_ms, [0]);
        settings.presence.dwell += Duration::from_secs(20);
        let later = judged.counts(&settings);
        assert_eq!((later.visits, later.found, later.falsely), (1, 1, 0));
        assert!((19_000..22_000).contains(&later.late_ms[0]), "{later:?}");
        settings.presence.dwell = Duration::from_mins(5);
        assert_eq!(judged.counts(&settings).missed(), 1);
    }
}
