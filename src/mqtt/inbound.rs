//! Messages that a gateway receives: actions of staff, withdrawals, configuration, contacts of other
//! gateways. All of it is hostile until parsed here.

use serde::Deserialize;

use super::topics::{self, Addressee, Topic};
use crate::config::layers::Reach;
use crate::payload::{self, GatewayState};
use crate::pipeline::VisitId;
use crate::pipeline::event::{Member, PeerState, StaffAction};

/// The longest MQTT packet a gateway accepts; the broker holds back what is longer. Well above
/// what is read, so that a message that is too long is reported.
pub const LARGEST_PACKET: u32 = 1024 * 1024;

/// The longest message that is read; only settings may be longer (`config::layers`).
pub const LONGEST: usize = 64 * 1024;

/// Longest of everything but contacts, a gateway's status and configuration.
const LONGEST_STATE: usize = 16 * 1024;

/// As long as a member of staff's name, or a tier's, may be, in characters.
const LONGEST_NAME: usize = 64;

/// Handles in one [`payload::Withdrawals`].
pub const MOST_WITHDRAWALS: usize = 500;

/// Customers in one [`payload::Contacts`]: more than a gateway receives at once.
const MOST_CONTACTS: usize = 512;

/// A message that could be parsed.
#[derive(Debug, Clone, PartialEq)]
pub enum Inbound {
    /// A member of staff acted on a visit.
    Staff { visit: VisitId, by: Member, action: StaffAction },
    /// A member of staff says whether the customer was really here.
    Feedback {
        visit: VisitId,
        /// Whether the customer was; `None` takes back what was said.
        was_here: Option<bool>,
    },
    /// A customer withdrew consent.
    Withdrawn {
        client: String,
        /// Its place in head office's list, where it has one.
        number: Option<Number>,
    },
    /// The retained withdrawal was cleared: tidying, never a new consent.
    WithdrawalCleared { client: String },
    /// What another gateway of the store knows of withdrawals; with a question, it asks for more.
    Consent { gateway: String, consent: payload::Consent },
    /// A part of the answer to this gateway's question.
    Withdrawals(payload::Withdrawals),
    /// A client asks for the current state.
    Sync,
    /// Another gateway's state, in answer to this one's question.
    SyncAnswer(payload::SyncAnswer),
    /// Head office has this gateway's reports up to a number.
    Reported(payload::Reported),
    /// This gateway's own canary came back from the broker.
    CanaryReturned(VisitId),
    /// The broker has acknowledged it: of the client's own.
    CanaryAcknowledged(VisitId),
    /// Head office has a new registry for this store.
    RegistryAnnounced,
    Configuration {
        /// How far the settings reach.
        reach: Reach,
        /// TOML, unchecked; empty where it was cleared.
        document: Vec<u8>,
    },
    /// What another gateway of the store receives of matched customers.
    Contacts { gateway: String, contacts: payload::Contacts },
    /// The state of another gateway of the store.
    Peer {
        gateway: String,
        /// Its state; offline where it was cleared.
        state: PeerState,
    },
    /// The state of a visit at the broker; `None` where it was cleared.
    Visit { visit: VisitId, state: Option<Box<payload::Visit>> },
}

/// The place of a withdrawal in a list of head office.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    pub list: String,
    /// From 1, without gaps.
    pub serial: u64,
}

/// Why a message was refused. It shows nothing of the message, which may hold anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A topic that this gateway does not subscribe to.
    #[error("unknown topic")]
    Topic,
    /// Longer than [`LONGEST`].
    #[error("{0} octets are too long")]
    TooLong(usize),
    /// Not the JSON of this topic.
    #[error("not the payload of this topic (line {line}, column {column})")]
    Payload {
        /// In the payload, from 1.
        line: usize,
        /// In the line, from 1.
        column: usize,
    },
    /// A version that this program does not know.
    #[error("payload version {0} is unknown")]
    Version(u8),
    /// Well-formed, but out of bounds.
    #[error("{0}")]
    OutOfBounds(&'static str),
}

#[derive(Deserialize)]
struct StaffWire {
    v: u8,
    #[serde(flatten)]
    by: MemberWire,
    action: ActionWire,
    /// The colleague who gets the customer.
    to: Option<MemberWire>,
}

#[derive(Deserialize)]
struct MemberWire {
    by: String,
    tablet: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ActionWire {
    Claim,
    Release,
    Dismiss,
    Recall,
    TakeOver,
    HandOver,
}

#[derive(Deserialize)]
struct FeedbackWire {
    v: u8,
    verdict: VerdictWire,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum VerdictWire {
    WasHere,
    WasNotHere,
    None,
}

/// Reads a message for `to`. An entry for fuzzing.
///
/// # Errors
/// The topic is not one that this gateway subscribes to, or the payload does not fit it.
pub fn parse(to: &Addressee, topic: &[u8], payload: &[u8]) -> Result<Inbound, Refused> {
    let topic = std::str::from_utf8(topic).map_err(|_| Refused::Topic)?;
    let (topic, parameters) = Topic::parse(topic).ok_or(Refused::Topic)?;
    if let Some(reach) = to.reach(topic, &parameters) {
        return Ok(Inbound::Configuration { reach, document: payload.to_owned() });
    }
    let of_store = match parameters.as_slice() {
        [store, of_store @ ..] if store.parse() == Ok(to.topics.store()) => of_store,
        _ => return Err(Refused::Topic),
    };
    match (topic, of_store) {
        (Topic::MissedSettings, [gateway]) if *gateway == to.gateway => {
            return missed_settings(to, payload);
        }
        _ if payload.len() > LONGEST => return Err(Refused::TooLong(payload.len())),
        _ => {}
    }
    match (topic, of_store) {
        (Topic::Visit, [visit]) => state(visit_id(visit)?, payload),
        (Topic::Claim, [visit]) => staff(visit_id(visit)?, payload),
        (Topic::Feedback, [visit]) => feedback(visit_id(visit)?, payload),
        (Topic::Withdrawn, [client]) => Ok(withdrawn((*client).to_owned(), payload)),
        (Topic::Contacts, [gateway]) => contacts(gateway, payload),
        (Topic::Status, [gateway]) => peer(gateway, payload),
        (Topic::Registry, []) => Ok(Inbound::RegistryAnnounced),
        (Topic::Sync, []) => Ok(Inbound::Sync),
        (Topic::SyncAnswer, [client]) if *client == to.gateway => sync_answer(payload),
        (Topic::Consent, [gateway]) => consent(gateway, payload),
        (Topic::Withdrawals, [gateway]) if *gateway == to.gateway => withdrawals(payload),
        (Topic::Canary, [gateway]) if *gateway == to.gateway => canary(payload),
        (Topic::Reported, [gateway]) if *gateway == to.gateway => {
            let reported: payload::Reported = read(payload)?;
            known_version(reported.v)?;
            Ok(Inbound::Reported(reported))
        }
        _ => Err(Refused::Topic),
    }
}

fn missed_settings(to: &Addressee, payload: &[u8]) -> Result<Inbound, Refused> {
    let payload::MissedSettings { v, topic, document } = read(payload)?;
    known_version(v)?;
    let reach = Topic::parse(&topic).and_then(|(topic, parameters)| to.reach(topic, &parameters));
    let reach = reach.ok_or(Refused::OutOfBounds("`topic` has no settings for this gateway"))?;
    Ok(Inbound::Configuration { reach, document: document.into_bytes() })
}

fn visit_id(level: &str) -> Result<VisitId, Refused> {
    level.parse().map_err(|_| Refused::Topic)
}

fn state(visit: VisitId, payload: &[u8]) -> Result<Inbound, Refused> {
    if payload.is_empty() {
        return Ok(Inbound::Visit { visit, state: None });
    }
    bounded(payload)?;
    let state: payload::Visit = read(payload)?;
    known_version(state.arrival.v)?;
    if state.arrival.visit.parse() != Ok(visit) {
        return Err(Refused::OutOfBounds("the visit is not the topic's"));
    }
    if state.revision >= payload::MAX_REVISION {
        return Err(Refused::OutOfBounds("no visit changes so often"));
    }
    let payload::Arrival { client, gateway, tier, .. } = &state.arrival;
    if !topics::is_level(client) || !topics::is_level(gateway) || !is_name(tier) {
        return Err(Refused::OutOfBounds("client, gateway or tier cannot be one"));
    }
    if let Some(claim) = &state.claim {
        member(&MemberWire { by: claim.by.clone(), tablet: claim.tablet.clone() })?;
    }
    Ok(Inbound::Visit { visit, state: Some(Box::new(state)) })
}

fn staff(visit: VisitId, payload: &[u8]) -> Result<Inbound, Refused> {
    bounded(payload)?;
    let StaffWire { v, by, action, to } = read(payload)?;
    known_version(v)?;
    let by = member(&by)?;
    let action = match action {
        ActionWire::Claim => StaffAction::Claim,
        ActionWire::Release => StaffAction::Release,
        ActionWire::Dismiss => StaffAction::Dismiss,
        ActionWire::Recall => StaffAction::Recall,
        ActionWire::TakeOver => StaffAction::TakeOver,
        ActionWire::HandOver => {
            let to = to.ok_or(Refused::OutOfBounds("`to` must name the colleague"))?;
            StaffAction::HandOver(member(&to)?)
        }
    };
    Ok(Inbound::Staff { visit, by, action })
}

fn member(said: &MemberWire) -> Result<Member, Refused> {
    let by = said.by.trim();
    if !is_name(by) {
        return Err(Refused::OutOfBounds("`by` must be 1 to 64 printable characters"));
    }
    if !said.tablet.as_deref().is_none_or(payload::is_tablet_id) {
        return Err(Refused::OutOfBounds("`tablet` must be 1 to 32 letters and digits"));
    }
    Ok(Member { by: by.into(), tablet: said.tablet.as_deref().map(Into::into) })
}

fn feedback(visit: VisitId, payload: &[u8]) -> Result<Inbound, Refused> {
    bounded(payload)?;
    let FeedbackWire { v, verdict } = read(payload)?;
    known_version(v)?;
    let was_here = match verdict {
        VerdictWire::WasHere => Some(true),
        VerdictWire::WasNotHere => Some(false),
        VerdictWire::None => None,
    };
    Ok(Inbound::Feedback { visit, was_here })
}

/// A message of any content is the withdrawal: an error must not keep consent in force.
fn withdrawn(client: String, payload: &[u8]) -> Inbound {
    if payload.is_empty() {
        return Inbound::WithdrawalCleared { client };
    }
    let payload::Withdrawal { list, serial, .. } = read(payload).unwrap_or_default();
    let number = list.zip(serial).map(|(list, serial)| Number { list, serial });
    let number = number.filter(|number| number.serial > 0 && topics::is_level(&number.list));
    Inbound::Withdrawn { client, number }
}

fn consent(gateway: &str, payload: &[u8]) -> Result<Inbound, Refused> {
    bounded(payload)?;
    let consent: payload::Consent = read(payload)?;
    known_version(consent.v)?;
    if ![&consent.list, &consent.ask].into_iter().flatten().all(|name| topics::is_level(name)) {
        return Err(Refused::OutOfBounds("`list` or `ask` cannot be one"));
    }
    Ok(Inbound::Consent { gateway: gateway.to_owned(), consent })
}

fn canary(payload: &[u8]) -> Result<Inbound, Refused> {
    bounded(payload)?;
    let payload::Canary { v, run, .. } = read(payload)?;
    known_version(v)?;
    let run = run.parse().map_err(|_| Refused::OutOfBounds("`run` cannot be one"))?;
    Ok(Inbound::CanaryReturned(run))
}

fn withdrawals(payload: &[u8]) -> Result<Inbound, Refused> {
    let withdrawals: payload::Withdrawals = read(payload)?;
    known_version(withdrawals.v)?;
    if withdrawals.withdrawn.len() > MOST_WITHDRAWALS {
        return Err(Refused::OutOfBounds("more withdrawals than fit into a part"));
    }
    let names = withdrawals.withdrawn.iter().chain(&withdrawals.list);
    if !names.into_iter().all(|name| topics::is_level(name)) {
        return Err(Refused::OutOfBounds("a client's handle or `list` cannot be one"));
    }
    Ok(Inbound::Withdrawals(withdrawals))
}

fn sync_answer(payload: &[u8]) -> Result<Inbound, Refused> {
    let answer: payload::SyncAnswer = read(payload)?;
    known_version(answer.v)?;
    if !topics::is_level(&answer.gateway) {
        return Err(Refused::OutOfBounds("`gateway` cannot be one"));
    }
    Ok(Inbound::SyncAnswer(answer))
}

fn contacts(gateway: &str, payload: &[u8]) -> Result<Inbound, Refused> {
    let contacts: payload::Contacts = read(payload)?;
    known_version(contacts.v)?;
    if contacts.heard.len() > MOST_CONTACTS {
        return Err(Refused::OutOfBounds("more contacts than a gateway can receive"));
    }
    if !contacts.heard.iter().all(|heard| topics::is_level(&heard.client)) {
        return Err(Refused::OutOfBounds("a client's handle cannot be one"));
    }
    Ok(Inbound::Contacts { gateway: gateway.to_owned(), contacts })
}

/// The part of a gateway's status that other gateways read; it may get more fields.
#[derive(Deserialize)]
struct PeerWire {
    v: u8,
    state: GatewayState,
}

fn peer(gateway: &str, payload: &[u8]) -> Result<Inbound, Refused> {
    let gateway = gateway.to_owned();
    if payload.is_empty() {
        return Ok(Inbound::Peer { gateway, state: PeerState::Offline });
    }
    let PeerWire { v, state } = read(payload)?;
    known_version(v)?;
    Ok(Inbound::Peer { gateway, state: state.into() })
}

fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Refused> {
    serde_json::from_slice(payload)
        .map_err(|error| Refused::Payload { line: error.line(), column: error.column() })
}

fn bounded(payload: &[u8]) -> Result<(), Refused> {
    if payload.len() > LONGEST_STATE { Err(Refused::TooLong(payload.len())) } else { Ok(()) }
}

/// Whether people can read it as a name.
fn is_name(text: &str) -> bool {
    let length = text.chars().count();
    (1..=LONGEST_NAME).contains(&length) && crate::text::is_displayable(text)
}

const fn known_version(v: u8) -> Result<(), Refused> {
    if v == payload::VERSION { Ok(()) } else { Err(Refused::Version(v)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::topics::Topics;
    use proptest::prelude::*;

    fn door() -> Addressee {
        let group = Some("north".to_owned());
        Addressee { topics: Topics::of(42), gateway: "door".to_owned(), group }
    }

    fn read(topic: &str, payload: &str) -> Result<Inbound, Refused> {
        parse(&door(), topic.as_bytes(), payload.as_bytes())
    }

    #[test]
    fn only_what_is_meant_for_this_gateway_is_heard() {
        for (topic, heard) in [
            ("grelot/v1/config/fleet", true),
            ("grelot/v1/config/group/north", true),
            ("grelot/v1/config/group/south", false),
            ("grelot/v1/42/config", true),
            ("grelot/v1/43/config", false),
            ("grelot/v1/42/gateways/door/config", true),
            ("grelot/v1/42/gateways/till/config", false),
            ("grelot/v2/42/config", false),
            ("grelot/v1/42", false),
            ("grelot/v1/42/withdrawn/c-1", true),
            ("grelot/v1/42/withdrawn/c-1/x", false),
            ("grelot/v1/42/arrivals", false),
        ] {
            assert_eq!(read(topic, "x").is_ok(), heard, "{topic}");
        }
    }

    #[test]
    fn missed_settings_are_those_of_the_topic_that_they_name() {
        let missed = |gateway: &str, topic: &str| {
            let (topic, document) = (topic.to_owned(), "x = 1".to_owned());
            let payload = payload::encode(&payload::MissedSettings { v: 1, topic, document });
            let payload = String::from_utf8(payload).unwrap();
            read(&Topics::of(42).topic(Topic::MissedSettings, &[gateway]), &payload)
        };
        for (topic, reach) in [
            ("grelot/v1/config/fleet", Reach::Fleet),
            ("grelot/v1/config/group/north", Reach::Group),
            ("grelot/v1/42/config", Reach::Store),
            ("grelot/v1/42/gateways/door/config", Reach::Gateway),
        ] {
            let heard = Inbound::Configuration { reach, document: b"x = 1".to_vec() };
            assert_eq!(missed("door", topic), Ok(heard), "{topic}");
            assert_eq!(missed("till", topic), Err(Refused::Topic), "another gateway's: {topic}");
        }
        for topic in [
            "grelot/v1/config/group/south",
            "grelot/v1/43/config",
            "grelot/v1/42/gateways/till/config",
            "grelot/v1/42/gateways/door/missed",
            "grelot/v1/42/withdrawn/c-1",
            "",
        ] {
            assert!(matches!(missed("door", topic), Err(Refused::OutOfBounds(_))), "{topic}");
        }
    }

    #[test]
    fn a_withdrawal_counts_with_any_payload_except_an_empty_one() {
        let client = "c-1".to_owned();
        let withdrawn = |number| Inbound::Withdrawn { client: client.clone(), number };
        assert_eq!(read("grelot/v1/42/withdrawn/c-1", "garbage"), Ok(withdrawn(None)));
        let numbered = r#"{"v":1,"withdrawn_at":"2026-01-05T09:00:00Z","list":"ab","serial":3}"#;
        let number = Some(Number { list: "ab".to_owned(), serial: 3 });
        assert_eq!(read("grelot/v1/42/withdrawn/c-1", numbered), Ok(withdrawn(number)));
        let cleared = Inbound::WithdrawalCleared { client };
        assert_eq!(read("grelot/v1/42/withdrawn/c-1", ""), Ok(cleared));
    }

    #[test]
    fn a_state_belongs_to_its_topic() {
        let (one, two) = (VisitId(uuid::Uuid::from_u128(1)), VisitId(uuid::Uuid::from_u128(2)));
        let payload = format!(
            r#"{{"v":1,"visit":"{one}","client":"c-1","tier":"gold","gateway":"till",
            "arrived_at":"2026-01-05T09:00:00Z","confidence":0.97,"discreet":false,
            "state":"present"}}"#
        );
        assert!(matches!(
            read(&Topics::of(42).visit(one), &payload),
            Ok(Inbound::Visit { state: Some(_), .. })
        ));
        assert!(read(&Topics::of(42).visit(two), &payload).is_err());
        let cleared = Inbound::Visit { visit: two, state: None };
        assert_eq!(read(&Topics::of(42).visit(two), ""), Ok(cleared));
    }

    #[test]
    fn a_visit_out_of_bounds_is_refused() {
        let id = VisitId(uuid::Uuid::from_u128(1));
        let state = |change: fn(&mut serde_json::Value)| {
            let mut state = serde_json::json!({
                "v": 1, "visit": id.to_string(), "client": "c-1", "tier": "gold",
                "gateway": "till", "arrived_at": "2026-01-05T09:00:00Z", "confidence": 0.97,
                "discreet": false, "state": "claimed", "revision": 7,
                "claim": {"by": "Léa", "since": "2026-01-05T09:00:10Z"},
            });
            change(&mut state);
            read(&Topics::of(42).visit(id), &state.to_string())
        };
        assert!(state(|_| {}).is_ok());
        for refused in [
            state(|s| s["revision"] = u32::MAX.into()),
            state(|s| s["revision"] = payload::MAX_REVISION.into()),
            state(|s| s["tier"] = "x".repeat(65).into()),
            state(|s| s["client"] = "a/b".into()),
            state(|s| s["gateway"] = "".into()),
            state(|s| s["claim"]["by"] = "Léa\u{202e}".into()),
            state(|s| s["card"] = serde_json::json!({"name": "x".repeat(20_000)})),
        ] {
            assert!(refused.is_err(), "{refused:?}");
        }
    }

    #[test]
    fn a_refusal_quotes_nothing_of_the_message() {
        let topic = Topics::of(42).claim(VisitId(uuid::Uuid::nil()));
        let refused = read(&topic, r#"{"v":1,"by":"Mme Dumoulin","action":"adore"}"#).unwrap_err();
        assert!(!refused.to_string().contains("Dumoulin"), "{refused}");
        assert!(!refused.to_string().contains("adore"), "{refused}");
    }

    proptest! {
        #[test]
        fn nothing_that_comes_over_the_broker_panics(
            below in "(visits|withdrawn|contacts|config|gateways)(/[a-z0-9+#/-]{0,40})?",
            payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let topic = format!("grelot/v1/42/{below}");
            let _ = parse(&door(), topic.as_bytes(), &payload);
            let _ = parse(&door(), &payload, below.as_bytes());
        }

        #[test]
        fn a_claim_survives_any_name_of_staff(by in "\\PC{1,80}", action in 0..4_usize) {
            let action = ["claim", "release", "dismiss", "adore"][action];
            let payload = serde_json::json!({"v": 1, "by": by, "action": action}).to_string();
            let topic = Topics::of(42).claim(VisitId(uuid::Uuid::nil()));
            if let Ok(Inbound::Staff { by: heard, .. }) = read(&topic, &payload) {
                prop_assert_eq!(&*heard.by, by.trim());
                prop_assert!(action != "adore" && by.trim().chars().count() <= LONGEST_NAME);
            }
        }
    }
}
