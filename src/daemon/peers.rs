//! The store's other gateways, between their names on the wire and their places in the pipeline.

use std::sync::Arc;
use std::time::Duration;

use super::event_loop::EventLoop;
use super::playback::{Gateways, with_gateways};
use crate::config::Source;
use crate::payload::{self, Contact, Contacts};
use crate::pipeline::event::{GatewayIndex, Hearing, PeerState};
use crate::pipeline::peers::PeerContact;
use crate::pipeline::units::{Now, WallTime};
use crate::pipeline::{Input, VisitId};

/// Most gateways of one store, this one and configured ones included. A new gateway takes the place
/// of the one that has been silent for longest, unless that one is configured or has an open visit:
/// made-up names do not keep a real one out.
const MOST_GATEWAYS: usize = 64;

/// How far the clocks of a store's gateways may be apart. What another one dates further away is
/// refused.
const CLOCKS_APART: Duration = Duration::from_mins(10);

impl EventLoop {
    /// The index of a gateway of the store; a new one gets its own.
    async fn place(&mut self, now: Now, name: &str) -> Option<GatewayIndex> {
        if let Some(heard) = self.peers_heard.get_mut(name) {
            *heard = now.tick;
        }
        if let Some(index) = self.gateways.index(name) {
            return Some(index);
        }
        let mut settings = self.pipeline.settings().clone();
        if settings.gateways.len() < MOST_GATEWAYS {
            self.unlisted_gateways.push(Arc::from(name));
        } else {
            let (silent, index) = self.longest_silent()?;
            self.feed(now, Input::Peer(index, PeerState::Offline)).await;
            self.peers_heard.remove(&silent);
            self.unlisted_gateways
                .iter_mut()
                .filter(|one| **one == silent)
                .for_each(|one| *one = name.into());
            if let Some(gateway) = settings.gateways.get_mut(usize::from(index.0)) {
                name.clone_into(&mut gateway.name);
            }
        }
        self.peers_heard.insert(Arc::from(name), now.tick);
        let settings = with_gateways(settings, &self.unlisted_gateways);
        self.feed(now, Input::Settings(Box::new(settings))).await;
        self.gateways = Gateways::of(self.pipeline.settings());
        self.gateways.index(name)
    }

    /// The gateway that may lose its place.
    fn longest_silent(&self) -> Option<(Arc<str>, GatewayIndex)> {
        let has_visit =
            |index: GatewayIndex| self.pipeline.open_visits().any(|visit| visit.gateway == index);
        let known = self.peers_heard.iter().filter_map(|(name, heard)| {
            let index = self.gateways.index(name)?;
            (!has_visit(index)).then(|| (*heard, Arc::clone(name), index))
        });
        known.min_by_key(|(heard, ..)| *heard).map(|(_, name, index)| (name, index))
    }

    pub(super) async fn on_peer(&mut self, now: Now, name: &str, state: PeerState) {
        let Some(gateway) = self.place(now, name).await else { return };
        tracing::debug!(gateway = name, ?state, "another gateway of the store");
        self.feed(now, Input::Peer(gateway, state)).await;
        self.judge_mqtt_sources().await;
    }

    pub(super) async fn on_contacts(&mut self, now: Now, name: &str, contacts: Contacts) {
        let Some(gateway) = self.gateways.index(name).filter(|gateway| {
            // It has published its status, and not that it is offline.
            self.pipeline.is_present(*gateway)
        }) else {
            tracing::warn!(gateway = name, "contacts of a gateway that is not online are refused");
            return;
        };
        if !is_recent(&contacts.at, now, CLOCKS_APART)
            || !self.contact_rates.admit(gateway, now.tick)
        {
            tracing::warn!(gateway = name, "contacts are refused: too many, or a clock is wrong");
            return;
        }
        for source in mqtt_sources(&self.config.sources) {
            if let Some(source) = self.health.sources.get_mut(source) {
                contacts.heard.iter().for_each(|_| source.count(now.tick));
            }
        }
        for heard in contacts.heard {
            self.feed(now, Input::PeerContact(gateway, heard.into())).await;
        }
    }

    pub(super) async fn on_visit(
        &mut self,
        now: Now,
        visit: VisitId,
        state: Option<Box<payload::Visit>>,
    ) {
        let said = match state {
            None => None,
            Some(state) => {
                let longest = self.pipeline.settings().presence.longest_visit;
                if !is_recent(&state.arrival.arrived_at, now, longest + CLOCKS_APART) {
                    let gateway = &state.arrival.gateway;
                    tracing::warn!(gateway, "a visit with an implausible time is refused");
                    return;
                }
                let Some(gateway) = self.place(now, &state.arrival.gateway).await else { return };
                let Some(said) = state.heard(gateway) else { return };
                Some(Box::new(said))
            }
        };
        self.feed(now, Input::Retained(visit, said)).await;
    }

    /// The connection to the broker was established or lost, and with it the other gateways.
    pub(super) async fn on_broker(&mut self, connected: bool) {
        let now = self.now();
        self.feed(now, Input::Broker(connected)).await;
        self.judge_mqtt_sources().await;
    }

    pub(super) fn publish_contacts(&self, now: Now, contacts: &[PeerContact]) {
        let heard = contacts.iter().map(Contact::from).collect();
        let at = now.clock.reading().to_string();
        self.delivery.publish_contacts(&Contacts { v: payload::VERSION, at, heard });
    }

    /// An `mqtt` source receives as long as one of the other gateways is online.
    async fn judge_mqtt_sources(&mut self) {
        let hearing = if self.pipeline.any_present() { Hearing::Listening } else { Hearing::Blind };
        let reason = (hearing == Hearing::Blind).then(|| "no other gateway is there".to_owned());
        for source in mqtt_sources(&self.config.sources) {
            if self.health.sources.get(source).is_some_and(|known| known.hearing != hearing) {
                self.on_hearing(source, hearing, reason.clone()).await;
            }
        }
    }
}

/// Whether `text` is a time of the last `age`, as far as this gateway knows the time.
fn is_recent(text: &str, now: Now, age: Duration) -> bool {
    let Some(at) = WallTime::parse(text) else { return false };
    let Some(now) = now.clock.known() else { return true };
    at <= now.plus(CLOCKS_APART) && now <= at.plus(age)
}

fn mqtt_sources(sources: &[Source]) -> Vec<usize> {
    (0..)
        .zip(sources)
        .filter(|(_, source)| matches!(source, Source::Mqtt))
        .map(|(at, _)| at)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::units::{Clock, Tick};

    #[test]
    fn what_another_gateway_dates_in_the_future_or_long_ago_is_refused() {
        let noon = WallTime::parse("2026-01-05T12:00:00Z").unwrap();
        let set = Now { tick: Tick::ZERO, clock: Clock::Set(noon) };
        let hour = Duration::from_hours(1);
        for (at, recent) in [
            ("2026-01-05T12:00:03Z", true),
            ("2026-01-05T11:30:00Z", true),
            ("2026-01-05T12:11:00Z", false),
            ("2026-01-05T10:59:00Z", false),
            ("2028-01-05T12:00:00Z", false),
            ("", false),
        ] {
            assert_eq!(is_recent(at, set, hour), recent, "{at}");
        }
        let unset = Now { clock: Clock::Unset(noon), ..set };
        assert!(is_recent("2028-01-05T12:00:00Z", unset, hour), "it does not know better");
    }
}
