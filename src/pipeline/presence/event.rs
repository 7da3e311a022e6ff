//! The events that presence reports of a customer.

use std::time::Duration;

use super::loudness::Loudness;
use super::places::ByPlace;
use crate::pipeline::advert::Echo;
use crate::pipeline::gateway::GatewayIndex;
use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::visit::DepartureReason;

/// An event of one customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PresenceEvent {
    pub who: CustomerIndex,
    pub what: PresenceChange,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PresenceChange {
    /// A new visit begins.
    Arrived {
        /// The gateway that receives the customer best.
        gateway: GatewayIndex,
        /// 0.5 to 1.
        confidence: f32,
        /// The customer may have been here before the gateway began to listen.
        unfollowed: bool,
        /// Time since the first contact.
        heard_for: Duration,
        /// The evidence at its highest confidence.
        grounds: PeakEvidence,
    },
    /// The closed visit continues.
    Returned {
        /// 0.5 to 1.
        confidence: f32,
    },
    /// The open visit ends.
    Departed {
        reason: DepartureReason,
        /// Time since the last contact.
        silent_for: Duration,
        /// The phone's new RSSI offset, if the visit gave an estimate.
        learned: Option<Loudness>,
    },
    /// The closed visit can no longer continue.
    Closed,
    /// The customer was received, never came in, and is silent now.
    Passed {
        /// The highest confidence.
        best: f32,
        /// From the first contact to the last.
        heard_for: Duration,
        /// The evidence at its highest confidence.
        grounds: PeakEvidence,
    },
}

/// The evidence at the moment of highest confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PeakEvidence {
    /// The gateway with the highest level, in dBm, offset added.
    pub level: Option<(GatewayIndex, f32)>,
    /// The beacon that the phone received best, and how well.
    pub echo: Option<Echo>,
    /// The phone's RSSI offset from earlier visits.
    pub phone: Loudness,
    /// Where the filter placed the customer; `None` where nothing was measured.
    pub places: Option<PlaceShares>,
    /// The phone had stayed at the inside level for long enough.
    pub steady: bool,
}

impl PeakEvidence {
    /// Nothing was received.
    pub const fn none() -> Self {
        let phone = Loudness::UNKNOWN;
        Self { level: None, echo: None, phone, places: None, steady: false }
    }
}

/// Where the filter places a customer: the probability of each place, in percent. The parts of the
/// shop are one place, since grelot does not say where in the shop a customer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlaceShares {
    pub street: u8,
    /// In front of the shop, walking or standing.
    pub in_front: u8,
    pub next_door: u8,
    /// The first steps behind the door.
    pub threshold: u8,
    pub inside: u8,
}

impl PlaceShares {
    /// Stands for "not known": known shares add up to a hundred, nearly.
    pub const UNKNOWN: Self =
        Self { street: 0, in_front: 0, next_door: 0, threshold: 0, inside: 0 };

    pub fn of(by_place: &ByPlace) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates, and nothing is below 0"
        )]
        let percent = |share: f32| (share * 100.0).round() as u8;
        let [street, walking, standing, next_door, threshold, near, middle, back] = *by_place;
        Self {
            street: percent(street),
            in_front: percent(walking + standing),
            next_door: percent(next_door),
            threshold: percent(threshold),
            inside: percent(near + middle + back),
        }
    }
}
