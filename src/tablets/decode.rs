//! Decodes the store's MQTT messages for the board. A fuzz target.

use serde::Deserialize;

use super::board::{Card, Claim, Gateway, GatewayStatus, InboundMessage, Visit};
use super::staff::{self, Action};
use crate::mqtt::topics::{Topic, Topics};
use crate::payload::{self, GatewayState};
use crate::pipeline::VisitId;
use crate::pipeline::units::WallTime;

/// Decodes a gateway's answer to a client that asked for the current state: the messages that it
/// stands for. Empty if it is malformed.
pub fn answer(topics: &Topics, payload: &[u8]) -> Vec<InboundMessage> {
    let Some(answer) = read::<payload::SyncAnswer>(payload) else { return Vec::new() };
    let each = answer.retained.iter().filter_map(|(below, state)| {
        message(topics, &topics.under(below), &payload::encode(state))
    });
    if answer.v == payload::VERSION { each.collect() } else { Vec::new() }
}

/// Decodes a message; `None` if the board does not need it, or it is malformed.
pub fn message(topics: &Topics, topic: &str, payload: &[u8]) -> Option<InboundMessage> {
    let (topic, parameters) = Topic::parse(topic)?;
    let (store, of_store) = parameters.split_first()?;
    if store.parse() != Ok(topics.store()) {
        return None;
    }
    match (topic, of_store) {
        (Topic::Arrivals, []) => Some(InboundMessage::Arrival(arrival(read(payload)?)?)),
        (Topic::Departures, []) => departure(&read(payload)?),
        (Topic::Visit, [id]) => visit(id.parse().ok()?, payload),
        (Topic::Claim, [id]) => dismissal(id.parse().ok()?, payload),
        (Topic::Status, [name]) => gateway(name, payload),
        (Topic::Withdrawn, [client]) if !payload.is_empty() => {
            Some(InboundMessage::Withdrawn((*client).to_owned()))
        }
        _ => None,
    }
}

fn visit(id: VisitId, payload: &[u8]) -> Option<InboundMessage> {
    if payload.is_empty() {
        return Some(InboundMessage::Cleared(id));
    }
    let state: payload::Visit = read(payload)?;
    if state.revision > payload::MAX_REVISION {
        return None;
    }
    let mut visit = arrival(state.arrival)?;
    visit.claim = state.claim.and_then(claim);
    visit.escalated = state.escalated;
    visit.revision = state.revision;
    // The alert may have been published while this subscriber was disconnected.
    visit.announced_at = state.announced.then_some(visit.arrived_at);
    (visit.id == id).then_some(InboundMessage::Present(visit))
}

fn arrival(said: payload::Arrival) -> Option<Visit> {
    if said.v != payload::VERSION {
        return None;
    }
    Some(Visit {
        id: said.visit.parse().ok()?,
        client: said.client,
        tier: said.tier,
        tier_name: said.tier_name,
        card: said.card.map(|card| Card {
            name: card.name,
            language: card.language,
            note: card.note,
        }),
        discreet: said.discreet,
        gateway: said.gateway,
        arrived_at: WallTime::parse(&said.arrived_at)?,
        confidence: said.confidence,
        claim: None,
        announced_at: None,
        escalated: false,
        revision: 0,
    })
}

fn claim(said: payload::Claim) -> Option<Claim> {
    Some(Claim { since: WallTime::parse(&said.since)?, by: said.by, tablet: said.tablet })
}

/// The one action that the visit's new state does not show: it is empty.
fn dismissal(id: VisitId, payload: &[u8]) -> Option<InboundMessage> {
    #[derive(Deserialize)]
    struct Asked {
        by: String,
        action: Action,
    }
    let asked: Asked = read(payload)?;
    let by = staff::first_name(&asked.by)?;
    (asked.action == Action::Dismiss).then_some(InboundMessage::Dismissal(id, by))
}

fn departure(said: &payload::Departure) -> Option<InboundMessage> {
    if said.v != payload::VERSION {
        return None;
    }
    let id: VisitId = said.visit.parse().ok()?;
    Some(InboundMessage::Departure(id, WallTime::parse(&said.departed_at)?))
}

fn gateway(name: &str, payload: &[u8]) -> Option<InboundMessage> {
    if payload.is_empty() {
        return Some(InboundMessage::GatewayRetired(name.to_owned()));
    }
    let status: payload::Status = read(payload)?;
    if status.v != payload::VERSION {
        return None;
    }
    let state = match status.state {
        GatewayState::Online => GatewayStatus::Online,
        GatewayState::Blind => GatewayStatus::Blind,
        GatewayState::Offline => GatewayStatus::Offline,
    };
    let since = status.since.as_deref().and_then(WallTime::parse);
    let gateway = Gateway { status: state, since, label: status.label };
    Some(InboundMessage::Gateway(name.to_owned(), gateway))
}

fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Option<T> {
    serde_json::from_slice(payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VISIT: &str = "018d0000-0000-8000-8000-000000000001";

    fn heard(below: &str, payload: &str) -> Option<InboundMessage> {
        message(&Topics::of(42), &format!("grelot/v1/42/{below}"), payload.as_bytes())
    }

    fn state(visit: &str) -> String {
        format!(
            r#"{{"v":1,"visit":"{visit}","client":"c-7f3a","tier":"gold","gateway":"door",
            "arrived_at":"2026-01-05T09:00:14.250Z","confidence":0.97,"discreet":false,
            "state":"claimed","claim":{{"by":"Léa","since":"2026-01-05T09:00:20Z"}}}}"#
        )
    }

    #[test]
    fn the_retained_state_of_a_visit_says_who_takes_care() {
        let Some(InboundMessage::Present(visit)) = heard(&format!("visits/{VISIT}"), &state(VISIT))
        else {
            panic!("not understood");
        };
        assert_eq!(visit.id.to_string(), VISIT);
        assert_eq!(visit.claim.map(|claim| claim.by).as_deref(), Some("Léa"));
        assert_eq!(visit.announced_at, None);
    }

    #[test]
    fn a_tablet_that_missed_the_bell_learns_of_it_from_the_state() {
        let said = state(VISIT).replacen('{', r#"{"announced":true,"revision":3,"#, 1);
        let Some(InboundMessage::Present(visit)) = heard(&format!("visits/{VISIT}"), &said) else {
            panic!("not understood");
        };
        assert_eq!((visit.announced_at, visit.revision), (Some(visit.arrived_at), 3));
    }

    #[test]
    fn an_empty_state_ends_a_visit() {
        let cleared = heard(&format!("visits/{VISIT}"), "");
        assert_eq!(cleared, Some(InboundMessage::Cleared(VISIT.parse().unwrap())));
    }

    #[test]
    fn a_state_on_another_visits_topic_is_refused() {
        let other = VISIT.replace("01", "02");
        assert_eq!(heard(&format!("visits/{other}"), &state(VISIT)), None);
    }

    #[test]
    fn what_makes_no_sense_is_passed_over() {
        for (below, payload) in [
            ("arrivals", "{"),
            ("arrivals", r#"{"v":1}"#),
            ("arrivals/x", &state(VISIT)),
            ("visits/not-a-visit", &state(VISIT)),
            ("arrivals", &state(VISIT).replace(r#""v":1"#, r#""v":2"#)),
            ("arrivals", &state(VISIT).replace("2026-01-05", "someday")),
            ("gateways/door/health", "{}"),
            ("", ""),
        ] {
            assert_eq!(heard(below, payload), None, "{below} {payload}");
        }
        assert_eq!(
            message(&Topics::of(42), "grelot/v1/43/arrivals", state(VISIT).as_bytes()),
            None
        );
    }

    #[test]
    fn a_last_will_says_that_a_gateway_is_offline_but_not_since_when() {
        let will = r#"{"v":1,"state":"offline","version":"0.1.0","config":"","since":null}"#;
        let message = heard("gateways/door/status", will);
        let gateway = Gateway { status: GatewayStatus::Offline, since: None, label: None };
        assert_eq!(message, Some(InboundMessage::Gateway("door".into(), gateway)));
    }
}
