//! The demo's terminal: a line for each customer who arrives, is taken care of, and leaves.
//!
//! It reads the retained visits, as any program of the store may. It does not subscribe to
//! `arrivals`: a listener there would make the broker acknowledge alerts that no tablet shows.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use super::super::print;
use crate::config::BrokerUrl;
use crate::mqtt::Identity;
use crate::mqtt::link::{ConnectOptions, ConnectionEvent, Link};
use crate::mqtt::payload::{Visit, VisitState};
use crate::mqtt::topics::{Filter, Topics};

/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);

/// Prints what happens in the store until it is dropped.
pub struct Console {
    /// The broker inside the demo.
    pub broker: BrokerUrl,
    /// How the console presents itself to it.
    pub identity: Identity,
    /// The topics of the demo's store.
    pub topics: Topics,
}

impl Console {
    /// Connects, prints, and connects again.
    pub async fn run(self) {
        let mut visits = BTreeMap::new();
        loop {
            let mut link =
                Link::<()>::connect(&self.broker, &self.identity, ConnectOptions::default());
            loop {
                match link.next_event().await {
                    ConnectionEvent::Connected => {
                        link.subscribe([Filter::new(self.topics.under("visits/+"))]);
                    }
                    ConnectionEvent::Received { topic, payload, .. } => {
                        for line in lines(&mut visits, &topic, &payload) {
                            // A closed terminal ends the demo by its own signal.
                            drop(print(&line));
                        }
                    }
                    ConnectionEvent::Disconnected(_) => break,
                    _ => {}
                }
            }
            sleep(PAUSE).await;
        }
    }
}

/// What a visit's new state means to somebody at the terminal.
fn lines(visits: &mut BTreeMap<Vec<u8>, Visit>, topic: &[u8], payload: &[u8]) -> Vec<String> {
    if payload.is_empty() {
        let left = visits.remove(topic);
        return left.map(|visit| line(&format!("{} left", name(&visit)))).into_iter().collect();
    }
    let Ok(visit) = serde_json::from_slice::<Visit>(payload) else { return Vec::new() };
    let before = visits.insert(topic.to_vec(), visit.clone());
    let mut lines = Vec::new();
    if before.is_none() {
        lines.push(line(&arrival(&visit)));
    }
    let was_claimed = before.is_some_and(|before| before.state == VisitState::Claimed);
    if let (Some(claim), false) = (&visit.claim, was_claimed) {
        lines.push(line(&format!("{} takes care of {}", claim.by, name(&visit))));
    }
    lines
}

fn arrival(visit: &Visit) -> String {
    let arrival = &visit.arrival;
    let bell = if visit.announced { "the bell rings: " } else { "" };
    let note = arrival.card.as_ref().and_then(|card| card.note.as_ref());
    let note = note.map(|note| format!(", \"{note}\"")).unwrap_or_default();
    let sure = arrival.confidence * 100.0;
    format!(
        "{bell}{}, {} customer, came in ({}, {sure:.0} % sure){note}",
        name(visit),
        arrival.tier,
        arrival.gateway
    )
}

/// The name where the customer consented to be shown, otherwise the handle.
fn name(visit: &Visit) -> &str {
    visit.arrival.card.as_ref().map_or(&visit.arrival.client, |card| &card.name)
}

fn line(text: &str) -> String {
    format!("  {}  {text}", jiff::Zoned::now().strftime("%H:%M:%S"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
mod tests {
    use super::*;

    fn state(state: &str, rest: &str) -> Vec<u8> {
        format!(
            r#"{{"v":1,"visit":"x","client":"c-1","tier":"gold","gateway":"door",
            "arrived_at":"2026-01-05T09:00:00Z","confidence":0.97,"discreet":false,
            "announced":true,"state":"{state}"{rest}}}"#
        )
        .into_bytes()
    }

    #[test]
    fn somebody_without_a_browser_sees_the_bell_ring() {
        let mut visits = BTreeMap::new();
        let arrived = lines(&mut visits, b"v", &state("present", ""));
        assert_eq!(arrived.len(), 1);
        assert!(
            arrived[0].contains("the bell rings: c-1, gold customer, came in (door, 97 % sure)")
        );
        assert!(lines(&mut visits, b"v", &state("present", "")).is_empty());
        let claim = r#","claim":{"by":"Léa","since":"2026-01-05T09:00:09Z"}"#;
        let claimed = lines(&mut visits, b"v", &state("claimed", claim));
        assert!(claimed[0].ends_with("Léa takes care of c-1"), "{claimed:?}");
        assert!(lines(&mut visits, b"v", b"").concat().ends_with("c-1 left"));
        assert!(visits.is_empty());
    }
}
