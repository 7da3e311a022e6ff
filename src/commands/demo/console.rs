//! The demo's terminal: a line for each customer who arrives, is taken care of, hidden, and leaves.
//!
//! It reads the retained visits and the departures, as any program of the store may. It does not
//! subscribe to `arrivals`: a subscriber there would make the broker acknowledge alerts that no tablet
//! shows.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use crate::clock::Clocks;
use crate::commands::print;
use crate::config::BrokerUrl;
use crate::mqtt::Identity;
use crate::mqtt::link::{ConnectOptions, ConnectionEvent, Link};
use crate::mqtt::topics::{Filter, Topics};
use crate::payload::{Departure, Visit};
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
        let mut known = Known::default();
        let clocks = Clocks::machine();
        loop {
            let mut link =
                Link::<()>::connect(&self.broker, &self.identity, ConnectOptions::default());
            loop {
                match link.next_event().await {
                    ConnectionEvent::Connected => {
                        let visits = self.topics.under("visits/+");
                        link.subscribe([visits, self.topics.departures()].map(Filter::new));
                    }
                    ConnectionEvent::Received { topic, payload, .. } => {
                        let now = clocks.now().clock.reading();
                        if let Some(event) = known.events(&topic, &payload) {
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

/// The visits that were seen, by their ids.
#[derive(Default)]
struct Known(BTreeMap<String, Seen>);

struct Seen {
    visit: Visit,
    /// Taken off the tablets, by staff or by a withdrawal, while the customer is still here.
    hidden: bool,
}

impl Known {
    /// What a message means to somebody at the terminal.
    fn events(&mut self, topic: &[u8], payload: &[u8]) -> Option<String> {
        let last = topic.rsplit(|octet| *octet == b'/').next()?;
        if last == b"departures" {
            let departure = serde_json::from_slice::<Departure>(payload).ok()?;
            let left = self.0.remove(&departure.visit)?;
            return Some(format!("{} left", name(&left.visit)));
        }
        if payload.is_empty() {
            let seen = self.0.get_mut(std::str::from_utf8(last).ok()?)?;
            seen.hidden = true;
            return Some(format!("{} is shown no more", name(&seen.visit)));
        }
        let visit = serde_json::from_slice::<Visit>(payload).ok()?;
        let id = visit.arrival.visit.clone();
        let before = self.0.insert(id, Seen { visit: visit.clone(), hidden: false });
        let Some(before) = before else { return Some(arrival(&visit)) };
        let by = |visit: &Visit| visit.claim.as_ref().map(|claim| claim.by.clone());
        match (by(&before.visit), by(&visit)) {
            _ if before.hidden => Some(format!("{} is shown again", name(&visit))),
            (was, Some(is)) if was.as_ref() != Some(&is) => {
                let from = was.map(|was| format!(", after {was}")).unwrap_or_default();
                Some(format!("{is} takes care of {}{from}", name(&visit)))
            }
            (Some(was), None) => Some(format!("{was} gives {} back", name(&visit))),
            _ => None,
        }
    }
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
        let mut known = Known::default();
        let mut say = |payload: &[u8]| known.events(b"grelot/v1/42/visits/x", payload);
        let claim = |by: &str| {
            state("claimed", &format!(r#","claim":{{"by":"{by}","since":"2026-01-05T09:00:09Z"}}"#))
        };
        let rings = "the bell rings: c-1, gold customer, came in (door, 97 % sure)";
        assert_eq!(say(&state("present", "")).as_deref(), Some(rings));
        assert_eq!(say(&state("present", "")), None);
        assert_eq!(say(&claim("Léa")).as_deref(), Some("Léa takes care of c-1"));
        assert_eq!(say(&claim("Tom")).as_deref(), Some("Tom takes care of c-1, after Léa"));
        assert_eq!(say(&state("present", "")).as_deref(), Some("Tom gives c-1 back"));
        assert_eq!(say(b"").as_deref(), Some("c-1 is shown no more"));
        assert_eq!(say(&state("present", "")).as_deref(), Some("c-1 is shown again"));
    }

    #[test]
    fn a_customer_leaves_once() {
        let mut known = Known::default();
        let (visit, departures) = (b"grelot/v1/42/visits/x", b"grelot/v1/42/departures");
        known.events(visit, &state("present", ""));
        let departure = br#"{"v":1,"visit":"x","client":"c-1",
            "departed_at":"2026-01-05T09:10:00Z","reason":"silent"}"#;
        assert_eq!(known.events(departures, departure).as_deref(), Some("c-1 left"));
        assert_eq!(known.events(visit, b""), None);
        assert_eq!(known.events(departures, departure), None);
    }
}
