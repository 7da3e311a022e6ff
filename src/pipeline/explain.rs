//! Why a customer was, or was not, announced.

use std::sync::Arc;
use std::time::Duration;

use crate::pipeline::gateway::Place;
use crate::pipeline::presence::{Loudness, PlaceShares};
use crate::pipeline::visit::{Announcement, DepartureReason};
use crate::pipeline::visit_id::VisitId;

/// One decision about a customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    pub client: Arc<str>,
    /// The visit, where there is one.
    pub visit: Option<VisitId>,
    /// The decision and the numbers behind it.
    pub why: Why,
}

/// A decision with the numbers behind it. [`crate::wording`] makes a sentence of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// A visit was opened.
    Arrived {
        /// Probability of being inside.
        confidence: f32,
        /// `presence.arrive_confidence`
        needed: f32,
        /// What the probability rests on.
        evidence: Evidence,
        /// Whether staff were alerted.
        announcement: Announcement,
    },
    /// A visit was continued.
    Returned {
        /// `presence.rejoin`
        rejoin: Duration,
        /// Probability of being inside.
        confidence: f32,
    },
    /// A visit was closed.
    Departed {
        reason: DepartureReason,
        /// Time since the last contact.
        silent_for: Duration,
    },
    /// The customer was near, but was not announced.
    Passed {
        /// Highest probability of being inside.
        best: f32,
        /// `presence.arrive_confidence`
        needed: f32,
        /// What the highest probability rests on.
        evidence: Evidence,
    },
    /// Another gateway of the store announced the customer.
    PeerWasFirst,
}

/// The numbers behind a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Time since the first contact.
    pub received_for: Duration,
    /// The gateway with the highest level, in dBm with its offset.
    pub level: Option<(Arc<str>, f32)>,
    /// The beacon that the phone receives best, and its RSSI in dBm.
    pub echo: Option<(Place, i8)>,
    /// The phone's RSSI offset.
    pub phone: Loudness,
    /// Where the filter placed the customer; `None` where nothing was measured.
    pub places: Option<PlaceShares>,
    /// The phone had stayed at the inside level for long enough.
    pub steady: bool,
}

impl Why {
    /// The same without the places, which stay on the gateway.
    #[must_use]
    pub fn without_places(mut self) -> Self {
        if let Self::Arrived { evidence, .. } | Self::Passed { evidence, .. } = &mut self {
            evidence.places = None;
        }
        self
    }
}
