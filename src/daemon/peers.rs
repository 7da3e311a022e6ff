//! The store's other gateways, between their names on the wire and their places in the pipeline.

use std::sync::Arc;

use super::event_loop::EventLoop;
use super::playback::{Gateways, with_gateways};
use crate::config::Source;
use crate::mqtt::payload::{self, Contacts, Heard};
use crate::pipeline::event::{GatewayIndex, Hearing, PeerState};
use crate::pipeline::team::Overheard;
use crate::pipeline::units::Now;
use crate::pipeline::{Input, VisitId};

/// Gateways of one store, this one and configured ones included; whoever makes up more names
/// than a store has gateways is not heard.
const MOST_GATEWAYS: usize = 64;

impl EventLoop {
    /// The place of a gateway of the store; a new one gets its own, as long as there is room.
    async fn place(&mut self, now: Now, name: &str) -> Option<GatewayIndex> {
        if let Some(index) = self.gateways.index(name) {
            return Some(index);
        }
        if self.pipeline.settings().gateways.len() >= MOST_GATEWAYS {
            return None;
        }
        self.named.push(Arc::from(name));
        let settings = with_gateways(self.pipeline.settings().clone(), &self.named);
        self.feed(now, Input::Settings(Box::new(settings))).await;
        self.gateways = Gateways::of(self.pipeline.settings());
        self.gateways.index(name)
    }

    pub(super) async fn on_peer(&mut self, now: Now, name: &str, state: PeerState) {
        let Some(gateway) = self.place(now, name).await else { return };
        tracing::debug!(gateway = name, ?state, "another gateway of the store");
        self.feed(now, Input::Peer(gateway, state)).await;
        self.judge_mqtt_sources().await;
    }

    pub(super) async fn on_contacts(&mut self, now: Now, name: &str, contacts: Contacts) {
        let Some(gateway) = self.place(now, name).await else { return };
        for source in mqtt_sources(&self.config.sources) {
            if let Some(source) = self.health.sources.get_mut(source) {
                contacts.heard.iter().for_each(|_| source.count(now.tick));
            }
        }
        for heard in contacts.heard {
            self.feed(now, Input::Overheard(gateway, heard.into())).await;
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
                let Some(gateway) = self.place(now, &state.arrival.gateway).await else { return };
                let Some(said) = state.heard(gateway) else { return };
                Some(Box::new(said))
            }
        };
        self.feed(now, Input::Retained(visit, said)).await;
    }

    /// The broker came or went, and the others with it.
    pub(super) async fn on_broker(&mut self, connected: bool) {
        let now = self.now();
        self.feed(now, Input::Broker(connected)).await;
        self.judge_mqtt_sources().await;
    }

    pub(super) fn tell_contacts(&self, now: Now, overheard: &[Overheard]) {
        let heard = overheard.iter().map(Heard::from).collect();
        let at = now.clock.reading().to_string();
        self.delivery.mention_contacts(&Contacts { v: payload::VERSION, at, heard });
    }

    /// A source that is the other gateways hears as long as one of them is there.
    async fn judge_mqtt_sources(&mut self) {
        let hearing = if self.pipeline.has_company() { Hearing::Listening } else { Hearing::Blind };
        let reason = (hearing == Hearing::Blind).then(|| "no other gateway is there".to_owned());
        for source in mqtt_sources(&self.config.sources) {
            if self.health.sources.get(source).is_some_and(|known| known.hearing != hearing) {
                self.on_hearing(source, hearing, reason.clone()).await;
            }
        }
    }
}

fn mqtt_sources(sources: &[Source]) -> Vec<usize> {
    (0..)
        .zip(sources)
        .filter(|(_, source)| matches!(source, Source::Mqtt))
        .map(|(at, _)| at)
        .collect()
}
