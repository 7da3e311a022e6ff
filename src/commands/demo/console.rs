//! The demo's terminal: a line for each customer who arrives, is taken care of, and leaves.
//!
//! It reads the retained visits, as any program of the store may. It does not subscribe to
//! `arrivals`: a subscriber there would make the broker acknowledge alerts that no tablet shows.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use crate::clock::Clocks;
use crate::commands::print;
use crate::config::BrokerUrl;
use crate::mqtt::Identity;
use crate::mqtt::link::{ConnectOptions, ConnectionEvent, Link};
use crate::mqtt::topics::{Filter, Topics};
use crate::payload::{Visit, VisitState};
use crate::pipeline::units::WallTime;

/// Interval of attempts to connect.
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
        let clocks = Clocks::machine();
        loop {
            let mut link =
                Link::<()>::connect(&self.broker, &self.identity, ConnectOptions::default());
            loop {
                match link.next_event().await {
                    ConnectionEvent::Connected => {
                        link.subscribe([Filter::new(self.topics.under("visits/+"))]);
                    }
                    ConnectionEvent::Received { topic, payload, .. } => {
                        let now = clocks.now().clock.reading();
                        for event in events(&mut visits, &topic, &payload) {
                            // A closed terminal ends the demo by its own signal.
                            drop(print(&line(now, &event)));
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
fn events(visits: &mut BTreeMap<Vec<u8>, Visit>, topic: &[u8], payload: &[u8]) -> Vec<String> {
    if payload.is_empty() {
        let left = visits.remove(topic);
        return left.map(|visit| format!("{} left", name(&visit))).into_iter().collect();
    }
    let Ok(visit) = serde_json::from_slice::<Visit>(payload) else { return Vec::new() };
    let before = visits.insert(topic.to_vec(), visit.clone());
    let mut events = Vec::new();
    if before.is_none() {
        events.push(arrival(&visit));
    }
    let was_claimed = before.is_some_and(|before| before.state == VisitState::Claimed);
    if let (Some(claim), false) = (&visit.claim, was_claimed) {
        events.push(format!("{} takes care of {}", claim.by, name(&visit)));
    }
    events
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

/// With the local time of day.
fn line(now: WallTime, event: &str) -> String {
    let time = jiff::Timestamp::from_millisecond(now.unix_millis()).unwrap_or_default();
    let local = time.to_zoned(jiff::tz::TimeZone::system());
    format!("  {}  {event}", local.strftime("%H:%M:%S"))
}

#[cfg(test)]
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
        let arrived = events(&mut visits, b"v", &state("present", ""));
        assert_eq!(arrived.len(), 1);
        assert!(
            arrived[0].starts_with("the bell rings: c-1, gold customer, came in (door, 97 % sure)")
        );
        assert!(events(&mut visits, b"v", &state("present", "")).is_empty());
        let claim = r#","claim":{"by":"Léa","since":"2026-01-05T09:00:09Z"}"#;
        let claimed = events(&mut visits, b"v", &state("claimed", claim));
        assert!(claimed[0].ends_with("Léa takes care of c-1"), "{claimed:?}");
        assert!(events(&mut visits, b"v", b"").concat().ends_with("c-1 left"));
        assert!(visits.is_empty());
    }
}
