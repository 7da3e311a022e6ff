//! How long the way from a customer's phone to staff takes, as histograms and, where they are wanted, as
//! spans.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;

use super::spans::{Spans, Trace};
use crate::pipeline::VisitId;
use crate::pipeline::units::Tick;

/// Alerts that are followed; the oldest gives way.
const MOST_FOLLOWED: usize = 1024;

/// From the first contact, in seconds: at the door, after some waiting, after strolling by.
const TO_ALERT: [f64; 12] = [1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0];

/// From an alert until a page shows it, in seconds.
const TO_PAGE: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// From an alert until a member of staff takes care, in seconds.
const TO_CLAIM: [f64; 9] = [5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];

/// The histograms; clones are the same ones.
#[derive(Debug, Clone)]
pub struct Timings {
    /// From the first contact with a customer's phone to the alert.
    pub to_alert: Histogram,
    /// From the alert until the first page says that it shows the visit.
    pub to_page: Histogram,
    /// From the alert until a member of staff takes care of the customer.
    pub to_claim: Histogram,
    alerts: Arc<Mutex<BTreeMap<VisitId, Alert>>>,
    spans: Option<Spans>,
}

/// An alert of a visit that is open.
#[derive(Debug, Clone, Copy)]
struct Alert {
    at: Tick,
    acknowledged: bool,
    shown: bool,
    claimed: bool,
    trace: Option<Trace>,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            to_alert: Histogram::new(TO_ALERT),
            to_page: Histogram::new(TO_PAGE),
            to_claim: Histogram::new(TO_CLAIM),
            alerts: Arc::default(),
            spans: None,
        }
    }
}

impl Timings {
    /// The same, and each span to `spans`.
    #[must_use]
    pub fn traced(self, spans: Option<Spans>) -> Self {
        Self { spans, ..self }
    }

    /// Staff are alerted to a visit whose customer has been received for `received_for`.
    pub fn alerted(&self, visit: VisitId, received_for: Duration, now: Tick) {
        self.to_alert.observe(received_for.as_secs_f64());
        let mut alerts = self.lock();
        if alerts.len() >= MOST_FOLLOWED
            && let Some(oldest) = alerts.iter().min_by_key(|(_, alert)| alert.at).map(|(id, _)| *id)
        {
            alerts.remove(&oldest);
        }
        let trace = self.spans.as_ref().and_then(|spans| spans.begin(received_for, now));
        let (acknowledged, shown, claimed) = (false, false, false);
        alerts.insert(visit, Alert { at: now, acknowledged, shown, claimed, trace });
    }

    /// The broker has the alert, and someone has subscribed to it.
    pub fn acknowledged(&self, visit: VisitId, now: Tick) {
        if let Some(alert) = self.lock().get_mut(&visit)
            && !std::mem::replace(&mut alert.acknowledged, true)
        {
            self.trace(alert, "deliver", now);
        }
    }

    /// A page shows the visit.
    pub fn shown(&self, visit: VisitId, now: Tick) {
        if let Some(alert) = self.lock().get_mut(&visit)
            && !std::mem::replace(&mut alert.shown, true)
        {
            self.to_page.observe(now.since(alert.at).as_secs_f64());
            self.trace(alert, "show", now);
        }
    }

    /// A member of staff takes care of the customer.
    pub fn claimed(&self, visit: VisitId, now: Tick) {
        if let Some(alert) = self.lock().get_mut(&visit)
            && !std::mem::replace(&mut alert.claimed, true)
        {
            self.to_claim.observe(now.since(alert.at).as_secs_f64());
            self.trace(alert, "claim", now);
        }
    }

    /// The customer has left.
    pub fn departed(&self, visit: VisitId, now: Tick) {
        let alert = self.lock().remove(&visit);
        if let (Some(spans), Some(trace)) = (&self.spans, alert.and_then(|alert| alert.trace)) {
            spans.whole(&trace, now);
        }
    }

    /// The visit is not known any more.
    pub fn erased(&self, visit: VisitId) {
        self.lock().remove(&visit);
    }

    /// A span from the alert until now.
    fn trace(&self, alert: &Alert, name: &'static str, now: Tick) {
        if let (Some(spans), Some(trace)) = (&self.spans, &alert.trace) {
            spans.part(trace, name, alert.at, now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<VisitId, Alert>> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
