//! What messages say: the wire's own types, JSON with a version. `docs/asyncapi.json` describes
//! them, and a test holds real messages against it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::pipeline::advert::Echo;
use crate::pipeline::beacons::BeaconState;
use crate::pipeline::event::{self, DepartureReason, GatewayIndex, PeerState};
use crate::pipeline::peers::PeerContact;
use crate::pipeline::units::{Dbm, WallTime};

/// The version every payload carries as `"v"`.
pub const VERSION: u8 = 1;

/// Highest revision of a visit: one a second for a day is less. A higher one is forged, and would
/// leave the visit's own gateway no revision to answer with.
pub const MAX_REVISION: u32 = 100_000;

/// Characters of a tablet's id.
const LONGEST_TABLET_ID: usize = 32;

/// Whether a tablet may call itself so: a few letters and digits.
pub fn is_tablet_id(id: &str) -> bool {
    (1..=LONGEST_TABLET_ID).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_alphanumeric())
}

/// `arrivals`: the notification; `escalations` repeats it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    /// [`VERSION`]
    pub v: u8,
    /// The visit's id.
    pub visit: String,
    /// The customer's opaque handle.
    pub client: String,
    /// The customer's tier.
    pub tier: String,
    /// What people call the tier, where head office says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier_name: Option<String>,
    /// Only where the customer consented to be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
    /// The gateway that opened the visit.
    pub gateway: String,
    /// RFC 3339, UTC.
    pub arrived_at: String,
    /// 0.5 to 1.
    pub confidence: f64,
    /// A silent, discreet entry.
    pub discreet: bool,
}

/// What staff may see of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// How to address the customer.
    pub name: String,
    /// Preferred language, as a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// What helps staff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// `departures`: the end of a visit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    /// [`VERSION`]
    pub v: u8,
    /// The visit's id.
    pub visit: String,
    /// The customer's opaque handle.
    pub client: String,
    /// RFC 3339, UTC.
    pub departed_at: String,
    /// `left`, `silent` or `too_long`.
    pub reason: String,
}

/// `visits/<visit>`: the retained state of an open visit; an empty message ends it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    /// What the notification said, or would have said.
    #[serde(flatten)]
    pub arrival: Arrival,
    /// Whether somebody takes care of the customer.
    pub state: VisitState,
    /// Who does; with `claimed` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Whether staff were alerted.
    #[serde(default)]
    pub announced: bool,
    /// Whether no one claimed it in time; absent where not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub escalated: bool,
    /// Grows with every change: of two states of a visit the higher one is the later.
    #[serde(default)]
    pub revision: u32,
}

/// Whether somebody takes care of the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VisitState {
    /// Not claimed.
    Present,
    /// Somebody.
    Claimed,
}

/// Who takes care of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// As the member of staff calls themself.
    pub by: String,
    /// The id of their tablet, where it has one: two people may have one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tablet: Option<String>,
    /// RFC 3339, UTC.
    pub since: String,
}

/// `gateways/<gateway>/status`: retained, and the last will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`VERSION`]
    pub v: u8,
    /// Whether the gateway can do its job.
    pub state: GatewayState,
    /// What people call the gateway, where IT says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// grelot's version.
    pub version: String,
    /// A hash of the configuration in force.
    pub config: String,
    /// Since when the state is what it is: RFC 3339, UTC; `null` in a last will, which the broker
    /// publishes at a time it does not tell, and while the clock is not set.
    pub since: Option<String>,
    /// When this connection to the broker began, RFC 3339, UTC: a last will came true later than
    /// this. Absent while the clock is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at: Option<String>,
    /// Why a pushed configuration was refused, one line a problem, at most 22; absent where none
    /// was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// What does not work as it should, one line each, at most 21; absent where all does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The group of stores whose settings it follows; absent where it follows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What became of head office's settings, widest first; absent where none came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentStatus>,
}

/// What became of a document of head office.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentStatus {
    /// `fleet`, `group`, `store` or `gateway`.
    pub reach: String,
    /// The number of the last one; absent where it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    /// Whether it counts.
    pub state: DocumentState,
    /// From when, where it waits: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Which limit was exceeded, where it fell back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whether a document of head office counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentState {
    /// It does.
    InForce,
    /// Its time has not come: the one before it does.
    Waits,
    /// Its ring is without this store: the one before it does.
    OtherStores,
    /// A limit of its `roll_back_if` was exceeded here: the one before it does.
    FellBack,
    /// It runs beside what counts, and alerts no one.
    Shadow,
}

/// Whether a gateway can do its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayState {
    /// It receives.
    Online,
    /// It runs, but its radio receives nothing.
    Blind,
    /// It does not run, or cannot be reached.
    Offline,
}

/// `gateways/<gateway>/health`: counts since the start, and gauges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// [`VERSION`]
    pub v: u8,
    /// RFC 3339, UTC.
    pub at: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Whether the wall clock is known to be set.
    pub clock_set: bool,
    /// Advertisements received.
    pub advertisements: u64,
    /// Of those, the ones of enrolled customers.
    pub contacts: u64,
    /// Advertisements shed because a queue was full.
    pub shed: u64,
    /// The live radio's adapters.
    #[serde(default)]
    pub radios: Vec<RadioHealth>,
    /// How often each recovery step was taken: `scan`, `rescan`, `power_cycle`, ….
    #[serde(default)]
    pub radio_steps: BTreeMap<String, u64>,
    /// Open visits.
    pub visits: u64,
    /// Arrivals that were announced.
    pub alerts: u64,
    /// Times that the identity of a loyalty card was received from two senders in turns: the card
    /// was copied.
    #[serde(default)]
    pub copied_cards: u64,
    /// The registry in force.
    pub registry: RegistryHealth,
    /// The way to the tablets.
    pub delivery: DeliveryHealth,
    /// Event streams and MQTT connections of tablets at this gateway's page.
    #[serde(default)]
    pub tablets: u64,
}

/// One adapter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RadioHealth {
    /// Such as `hci0`.
    pub adapter: String,
    /// Whether it receives.
    pub listening: bool,
    /// The capture path: `dbus` or `monitor`.
    pub ear: String,
}

/// The registry in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryHealth {
    /// Customers who can be recognised; 0 once the registry has expired.
    pub customers: u64,
    /// Lines that could not be read.
    pub refused_lines: u64,
    /// When head office made it, RFC 3339, UTC; absent where it is no bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<String>,
    /// When recognition stops without a newer one; absent where it is no bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Why the last one was refused, or that the one in force has expired; absent where all is
    /// well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// The way to the tablets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryHealth {
    /// Notices not yet acknowledged.
    pub queued: u64,
    /// Notices acknowledged.
    pub delivered: u64,
    /// Notices sent more than once: their acknowledgement was lost with a connection.
    pub repeated: u64,
    /// Notices dropped because their time was over.
    pub expired: u64,
    /// Notices dropped because the queue was full, or because no broker takes them.
    pub shed: u64,
    /// Messages from the broker that made no sense.
    pub refused: u64,
    /// Times the connection was established.
    pub connections: u64,
    /// What is wrong with the store on disk, if anything.
    pub store: Option<String>,
    /// Whether the broker delivers retained messages to wildcard subscriptions; absent while it is
    /// not known. Where it does not, withdrawals over MQTT are not reliable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retained: Option<bool>,
}

/// `beacons/<beacon>`: the state of one of the shop's own beacons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Beacon {
    /// [`VERSION`]
    pub v: u8,
    /// RFC 3339, UTC; `null` before it was ever received.
    pub last_heard: Option<String>,
    /// Not received for longer than it should be.
    pub missing: bool,
    /// Far louder or fainter than usual: moved, or something stands before it.
    #[serde(default)]
    pub moved: bool,
    /// Heard from two senders at once.
    #[serde(default)]
    pub cloned: bool,
    /// How loud of late, in dBm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rssi_dbm: Option<f64>,
    /// As Eddystone-TLM says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub battery_mv: Option<u16>,
    /// As Eddystone-TLM says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f64>,
}

/// `contacts/<gateway>`: what a gateway receives of matched customers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contacts {
    /// [`VERSION`]
    pub v: u8,
    /// RFC 3339, UTC.
    pub at: String,
    /// One entry a customer.
    pub heard: Vec<Contact>,
}

/// One customer's contacts at a gateway since its last message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// The customer's opaque handle.
    pub client: String,
    /// How loud, in dBm; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rssi: Option<i8>,
    /// How often.
    pub count: u16,
    /// The phone's echo: which of the shop's beacons it receives best, and how well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<u8>,
    /// RFC 3339, UTC: the gateway is about to announce the customer's arrival at this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arriving_at: Option<String>,
}

/// `gateways/<gateway>/consent`: which withdrawals a gateway knows. Head office takes it for the
/// acknowledgement of those; with `ask` it is the question for the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// [`VERSION`]
    pub v: u8,
    /// Whether the gateway knows all that were published before now. While it does not, it
    /// announces no one.
    pub known: bool,
    /// Which list of head office `serial` counts in; absent where no withdrawal had a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// It knows every withdrawal of the list up to this one.
    pub serial: u64,
    /// How many customers have withdrawn, numbered or not.
    pub withdrawn: u64,
    /// What the answer has to name; absent where nothing is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
}

/// `gateways/<gateway>/withdrawals`: a part of the answer to a gateway's question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawals {
    /// [`VERSION`]
    pub v: u8,
    /// The question's `ask`.
    pub answers: String,
    /// Which list of head office `serial` counts in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// With the whole answer, every withdrawal of the list up to this one is known.
    pub serial: u64,
    /// Handles of customers who withdrew, at most 500.
    pub withdrawn: Vec<String>,
    /// Whether this is the answer's last part: there are no further withdrawals.
    pub last: bool,
}

/// `withdrawn/<client>`, as far as a program reads it: any other content is a withdrawal, too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// [`VERSION`]
    pub v: u8,
    /// RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<String>,
    /// Which list of head office `serial` counts in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Its place in the store's list, from 1, without gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
}

/// `sync/<client>`: a part of a gateway's answer to a client that asks for the current state: what
/// the gateway would have the broker retain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncAnswer {
    /// [`VERSION`]
    pub v: u8,
    /// The gateway that answers.
    pub gateway: String,
    /// Payloads by topic, below the store's prefix: `visits/…`, `gateways/…/status`, `beacons/…`.
    pub retained: BTreeMap<String, serde_json::Value>,
    /// Whether this is the answer's last part.
    pub last: bool,
}

/// `gateways/<gateway>/reports`: what a gateway reports to head office, once, however long the line
/// was away. It names no customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportBatch {
    /// [`VERSION`]
    pub v: u8,
    /// In which queue the reports' numbers count; a gateway that lost its disk begins another.
    pub queue: String,
    /// Reports that the queue had no room for, since it began.
    pub dropped: u64,
    /// In the order of their numbers.
    pub reports: Vec<Report>,
}

/// `gateways/<gateway>/reported`: head office has the reports up to a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// [`VERSION`]
    pub v: u8,
    /// The reports' queue.
    pub queue: String,
    /// All of it up to this number.
    pub n: u64,
}

/// One report. A number that is known already is a repetition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its number, which grows.
    #[serde(default)]
    pub n: u64,
    /// RFC 3339, UTC.
    pub at: String,
    /// What is reported.
    #[serde(flatten)]
    pub what: ReportKind,
}

/// What is reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ReportKind {
    /// A visit that ended.
    Visit(VisitReport),
    /// What staff said of a visit.
    Label(VisitLabel),
    /// What an hour brought.
    Hour(HourReport),
    /// What a candidate for settings would have changed in it.
    Shadow(ShadowReport),
}

impl ReportKind {
    /// As `kind` says it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Visit(_) => "visit",
            Self::Label(_) => "label",
            Self::Hour(_) => "hour",
            Self::Shadow(_) => "shadow",
        }
    }

    /// The reference to the visit it is about; empty where it is about none.
    pub fn visit(&self) -> &str {
        match self {
            Self::Visit(VisitReport { visit, .. }) | Self::Label(VisitLabel { visit, .. }) => visit,
            Self::Hour(_) | Self::Shadow(_) => "",
        }
    }
}

/// A visit that ended, without whose it was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VisitReport {
    /// A reference of the gateway's own making, which leads to no customer.
    pub visit: String,
    /// From arrival to departure, in seconds.
    pub stayed_s: u64,
    /// 0.5 to 1.
    pub confidence: f64,
    /// Whether staff were alerted.
    pub announced: bool,
    /// Whether staff dismissed it.
    pub dismissed: bool,
    /// From arrival until a member of staff took care, in seconds; absent where no one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_after_s: Option<u64>,
    /// `left`, `silent` or `too_long`.
    pub reason: String,
}

/// What staff said of a visit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VisitLabel {
    /// The reference that the visit's own report has.
    pub visit: String,
    /// Whether the customer was here.
    pub was_here: bool,
}

/// What an hour brought: counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourReport {
    /// Seconds that are counted; fewer than 3,600 after a start.
    pub seconds: u64,
    /// Of those, the ones in which nothing could be received.
    pub blind_s: u64,
    /// Advertisements received.
    pub advertisements: u64,
    /// Of those, the ones of enrolled customers.
    pub contacts: u64,
    /// Visits that began.
    pub arrivals: u64,
    /// Of those, the ones that staff were alerted about.
    pub alerts: u64,
    /// Visits that ended.
    pub departures: u64,
}

/// What a candidate for settings would have changed: arrivals, counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShadowReport {
    /// The document's number.
    pub serial: u64,
    /// Arrivals that are the same with it.
    pub same: u64,
    /// Arrivals with it alone.
    pub more: u64,
    /// Arrivals without it alone.
    pub fewer: u64,
    /// Arrivals that are sooner with it.
    pub sooner: u64,
    /// Arrivals that are later with it.
    pub later: u64,
    /// Arrivals of the same moment with another confidence, or with an alert in one case alone.
    pub otherwise: u64,
    /// The first of them, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ShadowChange>,
}

/// One arrival that a candidate would have changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowChange {
    /// How.
    pub kind: ShadowKind,
    /// Seconds later than without it.
    pub by_s: f64,
    /// Why the customer was announced, in a sentence that does not name them.
    pub because: String,
}

/// How a candidate changes an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShadowKind {
    /// It is there with the candidate alone.
    More,
    /// It is there without the candidate alone.
    Fewer,
    /// It is sooner.
    Sooner,
    /// It is later.
    Later,
    /// It is of the same moment.
    Otherwise,
}

impl From<&PeerContact> for Contact {
    fn from(contact: &PeerContact) -> Self {
        Self {
            client: contact.client.to_string(),
            rssi: contact.rssi.map(Dbm::value),
            count: contact.count,
            echo: contact.echo.map(|echo| echo.zone << 4 | echo.level),
            arriving_at: contact.arriving_at.map(|at| at.to_string()),
        }
    }
}

impl From<Contact> for PeerContact {
    fn from(heard: Contact) -> Self {
        Self {
            client: heard.client.into(),
            rssi: heard.rssi.map(i16::from).and_then(Dbm::measured),
            count: heard.count,
            echo: heard.echo.map(Echo::from_byte),
            arriving_at: heard.arriving_at.as_deref().and_then(WallTime::parse),
        }
    }
}

impl From<&BeaconState> for Beacon {
    fn from(state: &BeaconState) -> Self {
        // A tenth of a decibel, or of a degree, is more than is measured.
        let tenth = |value: f32| (f64::from(value) * 10.0).round() / 10.0;
        Self {
            v: VERSION,
            last_heard: state.last_heard.map(|at| at.to_string()),
            missing: state.missing,
            moved: state.moved,
            cloned: state.cloned,
            rssi_dbm: state.rssi.map(tenth),
            battery_mv: state.battery_mv,
            temperature_c: state.temperature_c.map(tenth),
        }
    }
}

impl From<GatewayState> for PeerState {
    fn from(state: GatewayState) -> Self {
        match state {
            GatewayState::Online => Self::Online,
            GatewayState::Blind => Self::Blind,
            GatewayState::Offline => Self::Offline,
        }
    }
}

impl From<&event::Card> for Card {
    fn from(card: &event::Card) -> Self {
        Self { name: card.name.clone(), language: card.language.clone(), note: card.note.clone() }
    }
}

impl Arrival {
    /// Of a visit that the gateway of this name opened; head office calls its tier `tier_name`.
    pub fn of(visit: &event::Visit, gateway: &str, tier_name: Option<&str>) -> Self {
        Self {
            v: VERSION,
            visit: visit.id.to_string(),
            client: visit.client.to_string(),
            tier: visit.tier.to_string(),
            tier_name: tier_name.map(str::to_owned),
            card: visit.card.as_deref().map(Card::from),
            gateway: gateway.to_owned(),
            arrived_at: visit.arrived_at.to_string(),
            confidence: to_thousandths(visit.confidence),
            discreet: visit.discreet,
        }
    }
}

impl Visit {
    /// The state of a visit that the gateway of this name opened; head office calls its tier
    /// `tier_name`.
    pub fn of(visit: &event::Visit, gateway: &str, tier_name: Option<&str>) -> Self {
        let claim = visit.claim.as_ref().map(|claim| Claim {
            by: claim.by.to_string(),
            tablet: claim.tablet.as_deref().map(str::to_owned),
            since: claim.since.to_string(),
        });
        let state = if claim.is_some() { VisitState::Claimed } else { VisitState::Present };
        Self {
            arrival: Arrival::of(visit, gateway, tier_name),
            state,
            claim,
            announced: visit.announced,
            escalated: visit.escalated,
            revision: visit.revision,
        }
    }

    /// What another gateway, at that place among the store's, says of a visit; `None` where a
    /// time or an id cannot be one. What consent allows to be shown is for this gateway to say.
    pub fn heard(&self, gateway: GatewayIndex) -> Option<event::Visit> {
        let Arrival { visit, client, tier, arrived_at, confidence, discreet, .. } = &self.arrival;
        let claim = self.claim.as_ref().map(|claim| {
            let since = WallTime::parse(&claim.since)?;
            let tablet = claim.tablet.as_deref().map(Into::into);
            Some(event::Claim { by: claim.by.as_str().into(), tablet, since })
        });
        Some(event::Visit {
            id: visit.parse().ok()?,
            client: client.as_str().into(),
            tier: tier.as_str().into(),
            card: None,
            discreet: *discreet,
            gateway,
            arrived_at: WallTime::parse(arrived_at)?,
            #[expect(clippy::cast_possible_truncation, reason = "three digits are kept")]
            confidence: confidence.clamp(0.0, 1.0) as f32,
            claim: match claim {
                Some(claim) => Some(claim?),
                None => None,
            },
            dismissed: false,
            announced: self.announced,
            escalated: self.escalated,
            checked_in_until: None,
            revision: self.revision,
        })
    }
}

impl Departure {
    /// Of a visit that ended.
    pub fn of(visit: &event::Visit, at: WallTime, reason: DepartureReason) -> Self {
        Self {
            v: VERSION,
            visit: visit.id.to_string(),
            client: visit.client.to_string(),
            departed_at: at.to_string(),
            reason: reason.word().to_owned(),
        }
    }
}

/// What a payload looks like on the wire.
pub fn encode(payload: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(payload).unwrap_or_default()
}

/// A confidence is not known to more digits, and `0.97` must not read `0.9700000286102295`.
fn to_thousandths(confidence: f32) -> f64 {
    (f64::from(confidence) * 1000.0).round() / 1000.0
}
