//! What presence reports of a customer.

use std::time::Duration;

use super::loudness::Loudness;
use crate::pipeline::advert::Echo;
use crate::pipeline::gateway::GatewayIndex;
use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::visit::DepartureReason;

/// What happened to one customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PresenceEvent {
    /// The customer.
    pub who: CustomerIndex,
    /// What it is.
    pub what: PresenceChange,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PresenceChange {
    /// A new visit begins.
    Arrived {
        /// The gateway that hears the customer best.
        gateway: GatewayIndex,
        /// How sure, 0.5 to 1.
        confidence: f32,
        /// The customer may have been here before the gateway began to listen.
        unfollowed: bool,
        /// From the first contact on.
        heard_for: Duration,
        /// What it rests on.
        grounds: PeakEvidence,
    },
    /// The closed visit goes on.
    Returned {
        /// How sure, 0.5 to 1.
        confidence: f32,
    },
    /// The open visit ends.
    Departed {
        /// Why.
        reason: DepartureReason,
        /// How long nothing was heard.
        silent_for: Duration,
        /// What is thought of the customer's phone from now on, if the visit taught something.
        learned: Option<Loudness>,
    },
    /// The closed visit can no longer be continued.
    Closed,
    /// The customer was heard, never came in, and is silent now.
    Passed {
        /// The highest confidence ever reached.
        best: f32,
        /// From the first contact to the last.
        heard_for: Duration,
        /// What that rested on.
        grounds: PeakEvidence,
    },
}

/// What was heard when somebody was surest to be inside.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeakEvidence {
    /// How loud a gateway heard the customer, in dBm, offset added.
    pub level: Option<(GatewayIndex, f32)>,
    /// What the customer's phone said it heard of the shop's beacons.
    pub echo: Option<Echo>,
    /// What earlier visits said of the phone.
    pub phone: Loudness,
}
