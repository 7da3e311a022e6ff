//! The payloads of messages: types of the wire alone, JSON with a version. `docs/asyncapi.json`
//! describes them, and a test validates real messages with it.

pub mod trace;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use trace::{Trace, WithdrawnTraces};

use crate::pipeline::advert::Echo;
use crate::pipeline::beacons::BeaconState;
use crate::pipeline::event::{self, DepartureReason, GatewayIndex, PeerState};
use crate::pipeline::peers::PeerContact;
use crate::pipeline::units::{Dbm, WallTime};

/// The version, which every payload has as `"v"`.
pub const VERSION: u8 = 1;

/// Highest revision of a visit: one a second for a day is less. A higher one is forged, and would
/// leave the visit's own gateway no revision to answer with.
pub const MAX_REVISION: u32 = 100_000;

/// Characters of a tablet's id.
const LONGEST_TABLET_ID: usize = 32;

/// Whether a tablet may have this id: a few letters and digits.
pub fn is_tablet_id(id: &str) -> bool {
    (1..=LONGEST_TABLET_ID).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_alphanumeric())
}

/// `arrivals`: the notification; `escalations` repeats it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arrival {
    pub v: u8,
    /// The visit's id, a UUID.
    pub visit: String,
    /// The customer's opaque handle.
    pub client: String,
    pub tier: String,
    /// Display name of the tier, where head office gives one.
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

/// `gateways/<gateway>/canary`: the gateway's synthetic customer arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// [`VERSION`]
    pub v: u8,
    /// Which run.
    pub run: String,
    /// RFC 3339, UTC.
    pub arrived_at: String,
}

/// What staff may see of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// How to address the customer.
    pub name: String,
    /// Preferred language, as a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// A note for staff: "Order 1182 is ready to collect".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// `departures`: the end of a visit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    pub v: u8,
    /// The visit's id, a UUID.
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
    /// The arrival as it was announced, or would have been.
    #[serde(flatten)]
    pub arrival: Arrival,
    /// Whether somebody takes care of the customer.
    pub state: VisitState,
    /// Who takes care of the customer; with `claimed` only.
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
    /// No one takes care of the customer.
    Present,
    /// A member of staff takes care of the customer.
    Claimed,
}

/// Who takes care of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The name that the member of staff chose.
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
    pub v: u8,
    /// Whether the gateway can do its job.
    pub state: GatewayState,
    /// Display name of the gateway, where IT gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The version of grelot.
    pub version: String,
    /// A hash of the configuration in force.
    pub config: String,
    /// Since when the gateway has this state: RFC 3339, UTC. `null` while the clock is not set, and
    /// in a last will, whose time of publication the broker does not give.
    pub since: Option<String>,
    /// When this connection to the broker began, RFC 3339, UTC: a last will was published later
    /// than this. Absent while the clock is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at: Option<String>,
    /// Why a pushed configuration was refused, one problem a line, at most 22 lines; absent where
    /// none was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// What does not work, one problem a line, at most 21 lines; absent where everything works.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The group of stores whose settings it follows; absent where it follows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The state of head office's settings, widest reach first; absent where none came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub documents: Vec<DocumentStatus>,
}

/// The state of a document of head office.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentStatus {
    /// `fleet`, `group`, `store` or `gateway`.
    pub reach: String,
    /// Serial number of the last document; absent where it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    pub state: DocumentState,
    /// When it comes into force, where it waits: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The limit that was exceeded, where it fell back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whether a document of head office is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentState {
    InForce,
    /// Its time has not come: the one before it is in force.
    Waits,
    /// Its ring does not contain this store: the one before it is in force.
    OtherStores,
    /// A limit of its `roll_back_if` was exceeded here: the one before it is in force.
    FellBack,
    /// It runs beside the settings in force, and alerts no one.
    Shadow,
}

/// Whether a gateway can do its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayState {
    Online,
    /// It runs, but its radio receives nothing.
    Blind,
    /// It does not run, or cannot be reached.
    Offline,
}

/// `gateways/<gateway>/health`: counts since the start, and gauges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    pub v: u8,
    /// RFC 3339, UTC.
    pub at: String,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// Whether the wall clock is known to be set.
    pub clock_set: bool,
    /// Advertisements received.
    pub advertisements: u64,
    /// Of those, advertisements of enrolled customers.
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
    /// How often the identity of a loyalty card was received from two senders in turns: the card
    /// was copied.
    #[serde(default)]
    pub copied_cards: u64,
    /// The registry in force.
    pub registry: RegistryHealth,
    /// The path to the tablets.
    pub delivery: DeliveryHealth,
    /// Event streams and MQTT connections of tablets at this gateway's page.
    #[serde(default)]
    pub tablets: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RadioHealth {
    /// Such as `hci0`.
    pub adapter: String,
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

/// The path to the tablets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryHealth {
    /// Messages not yet acknowledged.
    pub queued: u64,
    /// Messages that were acknowledged.
    pub delivered: u64,
    /// Messages sent more than once: their acknowledgement was lost with a connection.
    pub repeated: u64,
    /// Messages dropped because their lifetime had ended.
    pub expired: u64,
    /// Messages dropped because the queue was full, or because no broker takes them.
    pub shed: u64,
    /// Messages from the broker that could not be understood.
    pub refused: u64,
    /// How often the connection was established.
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
    pub v: u8,
    /// RFC 3339, UTC; `null` before it was ever received.
    pub last_heard: Option<String>,
    /// Not received for longer than it should be.
    pub missing: bool,
    /// Far louder or fainter than usual: it was moved, or something stands in front of it.
    #[serde(default)]
    pub moved: bool,
    /// Received from two senders at once.
    #[serde(default)]
    pub cloned: bool,
    /// Mean RSSI of the last readings, in dBm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rssi_dbm: Option<f64>,
    /// Of the battery, as the beacon reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub battery_mv: Option<u16>,
    /// As the beacon reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f64>,
}

/// `contacts/<gateway>`: what a gateway receives of matched customers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contacts {
    pub v: u8,
    /// RFC 3339, UTC.
    pub at: String,
    /// One entry for each customer.
    pub heard: Vec<Contact>,
}

/// One customer's contacts at a gateway since its last message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contact {
    /// The customer's opaque handle.
    pub client: String,
    /// Mean RSSI, in dBm, as an average phone would be received where the registry knows the
    /// model; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rssi: Option<i8>,
    /// Number of advertisements.
    pub count: u16,
    /// The phone's echo: which of the shop's beacons it receives best, and how well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<u8>,
    /// RFC 3339, UTC: the gateway is about to announce the customer's arrival at this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arriving_at: Option<String>,
}

/// `gateways/<gateway>/consent`: the withdrawals that a gateway knows. For head office this
/// acknowledges them; with `ask` it also asks for the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    pub v: u8,
    /// Whether the gateway knows all withdrawals that were published before now. Until it does, it
    /// announces no one.
    pub known: bool,
    /// The list of head office that `serial` belongs to; absent where no withdrawal had a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// It knows every withdrawal of the list up to this one.
    pub serial: u64,
    /// How many customers have withdrawn, numbered or not.
    pub withdrawn: u64,
    /// A value that the answer must repeat; absent where nothing is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
}

/// `gateways/<gateway>/withdrawals`: a part of the answer to a gateway's question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawals {
    pub v: u8,
    /// The question's `ask`.
    pub answers: String,
    /// The list of head office that `serial` belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// With the whole answer, every withdrawal of the list up to this one is known.
    pub serial: u64,
    /// Handles of customers who withdrew, at most 500.
    pub withdrawn: Vec<String>,
    /// Whether this is the answer's last part: there are no further withdrawals.
    pub last: bool,
}

/// `withdrawn/<client>`, as far as a program reads it: any other content is a withdrawal too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    pub v: u8,
    /// RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<String>,
    /// The list of head office that `serial` belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Its place in the store's list, from 1, without gaps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
}

/// `sync/<client>`: a part of a gateway's answer to a client that asks for the current state. It
/// holds the messages that the broker should retain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncAnswer {
    pub v: u8,
    /// The gateway that answers.
    pub gateway: String,
    /// Payloads by topic, below the store's prefix: `visits/…`, `gateways/…/status`, `beacons/…`.
    pub retained: BTreeMap<String, serde_json::Value>,
    /// Whether this is the answer's last part.
    pub last: bool,
}

/// `gateways/<gateway>/reports`: a gateway's reports to head office. Each counts once, however long
/// there was no connection. They name no customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportBatch {
    pub v: u8,
    /// The queue that the reports' numbers belong to; a gateway that lost its disk begins another
    /// one.
    pub queue: String,
    /// Reports that the queue had no room for, since it began.
    pub dropped: u64,
    /// In the order of their numbers.
    pub reports: Vec<Report>,
}

/// `gateways/<gateway>/reported`: head office has the reports up to a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    pub v: u8,
    /// As in [`ReportBatch`].
    pub queue: String,
    /// Head office has all reports of the queue up to this number.
    pub n: u64,
}

/// `gateways/<gateway>/missed`: a document of settings that this gateway lacks, from head office to it
/// alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissedSettings {
    pub v: u8,
    /// The topic of settings that the document was published on.
    pub topic: String,
    /// The document as it was published there: TOML, with its signature.
    pub document: String,
}

/// One report. A report with a known number is a repetition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its number, which grows.
    #[serde(default)]
    pub n: u64,
    /// RFC 3339, UTC.
    pub at: String,
    #[serde(flatten)]
    pub what: ReportKind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ReportKind {
    /// A visit that ended.
    Visit(VisitReport),
    /// Staff feedback on a visit.
    Label(VisitLabel),
    /// The counts of an hour.
    Hour(HourReport),
    /// What a candidate for settings would have changed in an hour.
    Shadow(ShadowReport),
    /// A stay near the shop, as the presence filter received it.
    Trace(Box<Trace>),
    /// Traces of a customer who withdrew consent.
    WithdrawnTraces(WithdrawnTraces),
}

impl ReportKind {
    /// The word in `kind`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Visit(_) => "visit",
            Self::Label(_) => "label",
            Self::Hour(_) => "hour",
            Self::Shadow(_) => "shadow",
            Self::Trace(_) => "trace",
            Self::WithdrawnTraces(_) => "withdrawn_traces",
        }
    }

    /// The reference of the visit that it is about; empty where there is none.
    pub fn visit(&self) -> &str {
        match self {
            Self::Visit(VisitReport { visit, .. }) | Self::Label(VisitLabel { visit, .. }) => visit,
            Self::Trace(trace) => trace.visit.as_deref().unwrap_or_default(),
            Self::Hour(_) | Self::Shadow(_) | Self::WithdrawnTraces(_) => "",
        }
    }
}

/// A visit that ended, without the customer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VisitReport {
    /// A reference that the gateway makes up, and that does not lead to a customer.
    pub visit: String,
    /// From arrival to departure, in seconds.
    pub stayed_s: u64,
    /// 0.5 to 1.
    pub confidence: f64,
    /// Whether staff were alerted.
    pub announced: bool,
    /// Whether staff dismissed it.
    pub dismissed: bool,
    /// From arrival until a member of staff claimed the visit, in seconds; absent where no one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed_after_s: Option<u64>,
    /// `left`, `silent` or `too_long`.
    pub reason: String,
}

/// Staff feedback on a visit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VisitLabel {
    /// The reference in the visit's own report.
    pub visit: String,
    /// Whether the customer was here.
    pub was_here: bool,
}

/// The counts of an hour.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourReport {
    /// Seconds that are counted; fewer than 3,600 after a start.
    pub seconds: u64,
    /// Of those, the seconds in which nothing could be received.
    pub blind_s: u64,
    /// Advertisements received.
    pub advertisements: u64,
    /// Of those, advertisements of enrolled customers.
    pub contacts: u64,
    pub arrivals: u64,
    /// Arrivals that staff were alerted of.
    pub alerts: u64,
    pub departures: u64,
}

/// The arrivals that a candidate for settings would have changed, counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShadowReport {
    /// Serial number of the candidate's document.
    pub serial: u64,
    /// Arrivals that are the same with it.
    pub same: u64,
    /// Arrivals that only the candidate has.
    pub more: u64,
    /// Arrivals that the candidate does not have.
    pub fewer: u64,
    /// Arrivals that are sooner with it.
    pub sooner: u64,
    /// Arrivals that are later with it.
    pub later: u64,
    /// Arrivals at the same time with another confidence, or with an alert in one case only.
    pub otherwise: u64,
    /// The first of them, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ShadowChange>,
}

/// One arrival that a candidate would have changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowChange {
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
    /// Only the candidate has it.
    More,
    /// The candidate does not have it.
    Fewer,
    Sooner,
    Later,
    /// It is at the same time, with another confidence or alert.
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
        // A tenth of a decibel, or of a degree, is finer than the measurement.
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
    /// The arrival of `visit`, which the gateway named `gateway` opened; `tier_name` is head
    /// office's name of its tier.
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
    /// The state of `visit`, which the gateway named `gateway` opened; `tier_name` is head office's
    /// name of its tier.
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

    /// The visit as another gateway, the one at index `gateway`, describes it; `None` where a time
    /// or an id is not valid. This gateway decides what consent allows to show.
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
    /// The departure of `visit`.
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

/// The payload as it is sent.
pub fn encode(payload: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(payload).unwrap_or_default()
}

/// A confidence is not known to more digits, and `0.97` must not be sent as `0.9700000286102295`.
fn to_thousandths(confidence: f32) -> f64 {
    (f64::from(confidence) * 1000.0).round() / 1000.0
}
