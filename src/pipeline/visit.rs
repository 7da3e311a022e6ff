//! Visits: one stay of one customer in one store, as staff see it.

use std::sync::Arc;
use std::time::Duration;

use super::card::Card;
use super::gateway::GatewayIndex;
use super::units::WallTime;
use super::visit_id::VisitId;

/// What a member of staff did to a visit on a tablet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaffAction {
    /// Takes care of the customer.
    Claim,
    /// Gives up the claim.
    Release,
    /// Hides the visit from the tablets.
    Dismiss,
    /// Shows a hidden visit again.
    Recall,
    /// Takes over a customer from a colleague.
    TakeOver,
    /// Hands the own customer to a colleague.
    HandOver(Member),
}

/// A member of staff. Two people with the same name are distinguished by their tablets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name that the member of staff chose.
    pub by: Arc<str>,
    /// The id of their tablet, where it has one.
    pub tablet: Option<Arc<str>>,
}

/// A visit as staff see it: one stay of one customer in one store.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own on the wire")]
pub struct Visit {
    /// Every message about the visit carries it.
    pub id: VisitId,
    /// The customer's opaque handle.
    pub client: Arc<str>,
    pub tier: Arc<str>,
    /// What staff may see of the customer, where consent allows.
    pub card: Option<Arc<Card>>,
    /// Staff see a silent, discreet entry (the customer is greeted only on asking).
    pub discreet: bool,
    /// The gateway that opened the visit.
    pub gateway: GatewayIndex,
    /// When the visit was opened.
    pub arrived_at: WallTime,
    /// How sure the pipeline was, 0.5 to 1.
    pub confidence: f32,
    /// The member of staff who takes care of the customer.
    pub claim: Option<Claim>,
    /// A member of staff hid the visit.
    pub dismissed: bool,
    /// Staff were alerted of it.
    pub announced: bool,
    /// No one claimed it in time, so the alert was repeated.
    pub escalated: bool,
    /// Until when the visit lasts if no phone is received: the customer or staff checked in.
    pub checked_in_until: Option<WallTime>,
    /// Grows with every change: of two states of a visit the one with the higher revision is later.
    pub revision: u32,
}

/// Who takes care of a customer, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The name that the member of staff chose.
    pub by: Arc<str>,
    /// The id of their tablet, where it has one.
    pub tablet: Option<Arc<str>>,
    pub since: WallTime,
}

impl Claim {
    /// The claim of `member` from `since` on.
    pub fn of(member: &Member, since: WallTime) -> Self {
        Self { by: Arc::clone(&member.by), tablet: member.tablet.clone(), since }
    }

    /// Whether `member` has it; a client without a tablet's id is known by its name only.
    pub fn is_of(&self, member: &Member) -> bool {
        let differ = |(ours, theirs): (&Arc<str>, &Arc<str>)| ours != theirs;
        self.by == member.by
            && !self.tablet.as_ref().zip(member.tablet.as_ref()).is_some_and(differ)
    }
}

/// Why a visit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepartureReason {
    /// The RSSI fell, then the customer was received outside or not at all.
    Left,
    /// Not received for longer than this device's usual gaps allow.
    Silent,
    /// Open for longer than any visit may be.
    TooLong,
}

impl DepartureReason {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Silent => "silent",
            Self::TooLong => "too_long",
        }
    }
}

/// Whether staff are alerted of an arrival, and if not, why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcement {
    /// Staff are alerted; the alert is worthless after `ttl`.
    Alert {
        /// Counted from the arrival.
        ttl: Duration,
    },
    /// The visit is shown and no alert is sent.
    Silent(SilentBecause),
}

/// Why an arrival sends no alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SilentBecause {
    /// `policy.quiet_hours`.
    QuietHours,
    /// `policy.tiers` does not name the customer's tier.
    Tier,
    /// `policy.min_hours_between_alerts`.
    Cap,
    /// `policy.alerts_per_visit` is reached or zero.
    VisitCap,
    /// The customer wants to be greeted only on asking.
    GreetOnlyIfAsked,
    /// The customer may have been inside before the gateway began to listen.
    WarmUp,
    /// Quiet hours are configured and the clock is not known to be set.
    ClockUnset,
}

impl SilentBecause {
    /// The word on the wire and in explanations.
    pub const fn word(self) -> &'static str {
        match self {
            Self::QuietHours => "quiet_hours",
            Self::Tier => "tier",
            Self::Cap => "cap",
            Self::VisitCap => "visit_cap",
            Self::GreetOnlyIfAsked => "greet_only_if_asked",
            Self::WarmUp => "warm_up",
            Self::ClockUnset => "clock_unset",
        }
    }
}
