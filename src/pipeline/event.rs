//! The pipeline's inputs and effects. They are plain domain types: `mqtt` and `store` define how
//! they look on the wire and on disk.

use std::sync::Arc;

use super::advert::Echo;
use super::beacons::BeaconState;
use super::explain::Explanation;
use super::identity::registry::Registry;
use super::peers::aggregator::PeerContact;
use super::presence::Survey;
use super::settings::Settings;
use super::units::{ClockStep, Dbm, WallTime};
use super::visit_id::VisitId;

pub use super::address::{Address, AddressKind};
pub use super::card::Card;
pub use super::check_in::{CheckIn, CheckedIn};
pub use super::gateway::{GatewayIndex, Hearing, PeerState};
pub use super::restored::{KnownPhone, Restored, RestoredVisit};
pub use super::sighting::{Answer, Sighting};
pub use super::start::{Away, Start};
pub use super::visit::{
    Announcement, Claim, DepartureReason, Member, SilentBecause, StaffAction, Visit,
};

#[derive(Debug)]
pub enum Input<'a> {
    /// A gateway received an advertisement.
    Advertisement(Sighting<'a>),
    /// A phone answered a challenge; its advertisements count from now on.
    Answer(Answer),
    /// A gateway's radio stopped receiving, or receives again.
    Hearing(GatewayIndex, Hearing),
    /// The broker can be reached, or cannot any more.
    Broker(bool),
    /// Another gateway of the store reported its state.
    Peer(GatewayIndex, PeerState),
    /// Another gateway received a customer.
    PeerContact(GatewayIndex, PeerContact),
    /// Another pipeline received a customer, and this one runs beside it.
    Contact(CustomerContact),
    /// What the broker retains of a visit has changed: its state, or `None` where it was cleared.
    Retained(VisitId, Option<Box<Visit>>),
    /// A new registry, whole and checked, replaces the old one at once.
    Registry(Box<Registry>),
    /// New settings replace the old ones at once.
    Settings(Box<Settings>),
    /// A customer withdrew consent: everything about them is deleted.
    Withdrawn(&'a str),
    /// A member of staff acted on a visit.
    Staff { visit: VisitId, by: &'a Member, action: StaffAction },
    /// A member of staff says whether the customer was really here; `None` takes it back.
    Feedback { visit: VisitId, was_here: Option<bool> },
    /// What was learned of the radio of one gateway, by its name, is to be deleted; or of all
    /// gateways and beacons.
    ForgetSite(Option<&'a str>),
    /// The customer's app, or staff, say that the customer is here.
    CheckIn(CheckIn<'a>),
    /// `next_deadline()` has come, without another input.
    Deadline,
}

/// An advertisement of a customer, as another pipeline recognised it.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerContact {
    pub client: Arc<str>,
    /// The gateway that received it.
    pub gateway: GatewayIndex,
    /// RSSI, if known.
    pub rssi: Option<Dbm>,
    pub echo: Option<Echo>,
}

/// All effects of the pipeline. The shell performs them in order, before the next input.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A visit was opened: keep it, show it, and alert staff if so announced.
    Arrived {
        visit: Visit,
        /// Whether staff are alerted.
        announcement: Announcement,
    },
    /// A visit changed (claimed, released, dismissed).
    Changed(Visit),
    /// Staff were alerted of a visit, and no one claimed it within `policy.escalate_after`.
    Escalated(Visit),
    /// The customer of a closed visit came back within `presence.rejoin`: the visit is open
    /// again, no alert is sent.
    Returned(Visit),
    /// A visit was closed.
    Departed {
        /// The visit as it was.
        visit: Visit,
        /// When it was closed.
        at: WallTime,
        reason: DepartureReason,
    },
    /// A visit ends without a departure message (consent withdrawn).
    Erased { visit: VisitId },
    /// Delete everything about a customer: stored rows, queued alerts, caps.
    Forget { client: Arc<str> },
    /// Another gateway alerted staff of this customer: it counts against the caps here too.
    Alerted { client: Arc<str>, at: WallTime },
    /// A visit gave an estimate of the phone's RSSI offset: keep it for `presence.known_for`.
    Learned(KnownPhone),
    /// What the shop's own traffic says of its radio has changed: keep it.
    Surveyed(Survey),
    /// The customer is no longer enrolled: their phone's RSSI offset is deleted.
    Unlearned { client: Arc<str> },
    /// A customer was near, and was not announced: for the audit.
    Passed { client: Arc<str> },
    /// Two devices advertise the fixed identity of one customer's card.
    CardCopied { client: Arc<str> },
    /// The wall clock is set from now on: times that were stored with its earlier readings must be
    /// corrected.
    ClockSet(ClockStep),
    /// This gateway's contacts, for the store's other gateways.
    PeerContacts(Vec<PeerContact>),
    /// The state of one of the shop's own beacons changed.
    Beacon(BeaconState),
    /// Why a customer was, or was not, announced: for `explain` and debug logs.
    Explained(Explanation),
}
