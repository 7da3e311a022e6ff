//! All that crosses the pipeline's border: inputs in, effects out. Plain domain types: how they
//! look on a wire or a disk is the business of `mqtt` and `store`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::beacons::BeaconState;
use super::identity::Registry;
use super::presence::Loudness;
use super::team::Overheard;
use super::units::{ClockStep, Dbm, WallTime};
use super::{Settings, VisitId};

/// One of the store's gateways: its place in [`Settings::gateways`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayIndex(pub u8);

/// Whether an address is assigned or made up by its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressKind {
    /// Assigned by the IEEE, fixed.
    Public,
    /// Static random, resolvable private or non-resolvable private.
    Random,
}

/// A Bluetooth device address, most significant octet first (as it is written).
///
/// Its `Debug` shows nothing but the kind: addresses of strangers must not reach a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Public or random.
    pub kind: AddressKind,
    /// `5a:11:22:33:44:55` is `[0x5a, 0x11, 0x22, 0x33, 0x44, 0x55]`.
    pub octets: [u8; 6],
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({:?})", self.kind)
    }
}

/// One advertisement heard by one gateway. Lives for the call that looks at it.
#[derive(Clone, Copy)]
pub struct Sighting<'a> {
    /// Who heard it.
    pub gateway: GatewayIndex,
    /// Who sent it.
    pub address: Address,
    /// How loud; `None` where the driver did not say.
    pub rssi: Option<Dbm>,
    /// AD structures, as they were on the air.
    pub payload: &'a [u8],
}

impl fmt::Debug for Sighting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sighting({:?}, {} octets)", self.gateway, self.payload.len())
    }
}

/// What a phone answered when it was asked over GATT who it is, because its advertisement only
/// hinted that it might be a customer's.
#[derive(Clone, Copy)]
pub struct Answer {
    /// Who asked.
    pub gateway: GatewayIndex,
    /// Who answered.
    pub address: Address,
    /// How loud its hint was.
    pub rssi: Option<Dbm>,
    /// The challenge.
    pub nonce: [u8; 16],
    /// Version, echo, token and proof (see `docs/app-protocol.md`, carrier GATT).
    pub octets: [u8; 21],
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({:?})", self.gateway)
    }
}

/// Whether a gateway's radio hears anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    /// Advertisements come in.
    Listening,
    /// Adapter gone, scan dead: its silence means nothing.
    Blind,
}

/// How another gateway of the store is, as the broker says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// It hears.
    Online,
    /// It runs, but its radio hears nothing.
    Blind,
    /// It does not run, or cannot be reached.
    Offline,
}

/// What a member of staff did to a visit on a tablet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaffAction {
    /// Takes care of the customer.
    Claim,
    /// Gives the customer back.
    Release,
    /// Hides the visit from the tablets.
    Dismiss,
}

/// Everything the pipeline can be told.
#[derive(Debug)]
pub enum Input<'a> {
    /// An advertisement was heard.
    Advertisement(Sighting<'a>),
    /// A phone answered a challenge; its advertisements count from now on.
    Answer(Answer),
    /// A gateway's radio fell silent, or came back.
    Hearing(GatewayIndex, Hearing),
    /// The broker can be reached, or cannot any more.
    Broker(bool),
    /// Another gateway of the store said how it is.
    Peer(GatewayIndex, PeerState),
    /// Another gateway heard a customer.
    Overheard(GatewayIndex, Overheard),
    /// What the broker retains of a visit has changed: its state, or `None` where it was cleared.
    Retained(VisitId, Option<Box<Visit>>),
    /// A new registry, whole and checked, replaces the old one at once.
    Registry(Box<Registry>),
    /// New settings replace the old ones at once.
    Settings(Box<Settings>),
    /// A customer withdrew consent: everything about them goes.
    Withdrawn(&'a str),
    /// A member of staff acted on a visit.
    Staff {
        /// Which visit.
        visit: VisitId,
        /// Who acted, as they call themselves.
        by: &'a str,
        /// What they did.
        action: StaffAction,
    },
    /// Nothing but time has passed: `next_deadline()` has come.
    Deadline,
}

/// A visit as staff see it: one stay of one customer in one store.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    /// Every message about the visit carries it.
    pub id: VisitId,
    /// The customer's opaque handle.
    pub client: Arc<str>,
    /// The customer's tier.
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
    /// Who takes care of the customer.
    pub claim: Option<Claim>,
    /// A member of staff hid the visit.
    pub dismissed: bool,
    /// Staff were alerted of it.
    pub announced: bool,
    /// Grows with every change: of two states of a visit the higher one is the later.
    pub revision: u32,
}

/// Who takes care of a customer, since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// As the member of staff calls themself.
    pub by: Arc<str>,
    /// Since when.
    pub since: WallTime,
}

/// What staff may see of a customer who consented to be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Card {
    /// How to address the customer.
    pub name: String,
    /// Preferred language, as a BCP 47 tag.
    pub language: Option<String>,
    /// What helps staff: "Order 1182 is ready to collect".
    pub note: Option<String>,
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Card(redacted)")
    }
}

/// What the store remembered across a restart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Restored {
    /// Visits that were open, or closed so recently that coming back would continue them.
    pub visits: Vec<RestoredVisit>,
    /// When each customer was last alerted about.
    pub last_alerts: Vec<(Arc<str>, WallTime)>,
    /// Customers who withdrew consent, whatever the registry still says.
    pub withdrawn: Vec<Arc<str>>,
    /// What earlier visits said of customers' phones.
    pub phones: Vec<KnownPhone>,
    /// How long the gateway was away.
    pub away: Away,
    /// Times from here on were read from the wall clock as it runs now; `None` where only those
    /// of this start are.
    pub clock_since: Option<WallTime>,
}

/// How long a gateway was away before it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// For this long.
    Known(Duration),
    /// The wall clock did not count, and the machine was rebooted: a minute or a month.
    Unknown,
}

impl Default for Away {
    fn default() -> Self {
        Self::Known(Duration::ZERO)
    }
}

impl Away {
    /// Whether it was known to be no longer than `limit`.
    pub fn is_within(self, limit: Duration) -> bool {
        matches!(self, Self::Known(away) if away <= limit)
    }
}

/// What visits said of one customer's phone: never which phone it is.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownPhone {
    /// The customer's handle.
    pub client: Arc<str>,
    /// How loud it is.
    pub loudness: Loudness,
    /// When the last of these visits ended.
    pub at: WallTime,
}

/// A visit that survived a restart.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoredVisit {
    /// As it was.
    pub visit: Visit,
    /// When it was closed; `None` while it is open.
    pub departed_at: Option<WallTime>,
}

/// How a pipeline begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Where the script begins, or after so short a break that nobody was missed: whoever is
    /// not known to be here has just arrived.
    Followed,
    /// In the middle of the shop's life: whoever is heard during `presence.warm_up` may have
    /// been here already, and alerts nobody.
    Unfollowed,
}

/// Why a visit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DepartureReason {
    /// Heard weaker and weaker, then outside or not at all.
    Left,
    /// Not heard for as long as this device's silence may last.
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
    /// Alert, worthless after `ttl`.
    Alert {
        /// From the arrival on.
        ttl: Duration,
    },
    /// The visit is shown, nobody is alerted.
    Silent(SilentBecause),
}

/// Why an arrival alerts nobody.
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
    /// The customer was inside before the gateway began to listen.
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

/// Everything the pipeline can ask the shell to do, in this order, before the next input.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A visit was opened: keep it, show it, and alert staff if so announced.
    Arrived {
        /// The new visit.
        visit: Visit,
        /// Whether staff are alerted.
        announcement: Announcement,
    },
    /// A visit changed (claimed, released, dismissed).
    Changed(Visit),
    /// The customer of a closed visit came back within `presence.rejoin`: the visit is open
    /// again, nobody is alerted.
    Returned(Visit),
    /// A visit was closed.
    Departed {
        /// The visit as it was.
        visit: Visit,
        /// When it was closed.
        at: WallTime,
        /// Why.
        reason: DepartureReason,
    },
    /// A visit must vanish without a farewell (consent withdrawn).
    Erased {
        /// Which visit.
        visit: VisitId,
    },
    /// Forget a customer entirely: stored rows, queued alerts, caps.
    Forget {
        /// The customer's handle.
        client: Arc<str>,
    },
    /// Another gateway alerted staff of this customer: it counts against the caps here, too.
    Alerted {
        /// The customer's handle.
        client: Arc<str>,
        /// When.
        at: WallTime,
    },
    /// A visit taught how loud its customer's phone is: keep it for `presence.known_for`.
    Learned(KnownPhone),
    /// What is known of a phone is of nobody who is enrolled.
    Unlearned {
        /// The customer's handle.
        client: Arc<str>,
    },
    /// A customer was near, and was not announced: for the audit.
    Passed {
        /// The customer's handle.
        client: Arc<str>,
    },
    /// Two devices advertise the fixed identity of one customer's card.
    CardCopied {
        /// The customer's handle.
        client: Arc<str>,
    },
    /// The wall clock counts from now on: what was kept with its earlier readings is to be
    /// corrected.
    ClockSet(ClockStep),
    /// The store's other gateways shall know what this one hears.
    Overheard(Vec<Overheard>),
    /// One of the shop's own beacons is worth a word to IT.
    Beacon(BeaconState),
    /// Why somebody was, or was not, announced: for `explain` and debug logs.
    Explained(super::explain::Explanation),
}
