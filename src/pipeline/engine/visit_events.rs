//! From presence events to visits and announcements.

use std::sync::Arc;
use std::time::Duration;

use super::Pipeline;
use crate::pipeline::event::Effect;
use crate::pipeline::explain::{Evidence, Explanation, Why};
use crate::pipeline::gateway::GatewayIndex;
use crate::pipeline::gateway::HERE;
use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::peers::PendingArrival;
use crate::pipeline::presence::loudness::Loudness;
use crate::pipeline::presence::{PeakEvidence, PresenceChange, PresenceEvent};
use crate::pipeline::restored::KnownPhone;
use crate::pipeline::units::{Now, WallTime};
use crate::pipeline::visit::{Announcement, DepartureReason, Visit};
use crate::pipeline::visit_id::VisitId;
use crate::pipeline::visits::Phase;

impl Pipeline {
    pub(super) fn perform(&mut self, event: PresenceEvent, now: Now, effects: &mut Vec<Effect>) {
        let who = event.who;
        match event.what {
            PresenceChange::Arrived { gateway, confidence, unfollowed, heard_for, grounds } => {
                let Some(visit) = self.begin(who, gateway, confidence, now) else { return };
                let arrival = PendingArrival { visit, unfollowed, heard_for, grounds };
                if self.peers.any_present() {
                    self.aggregator.arriving(who, arrival.visit.arrived_at, now.tick);
                    let key = self.key(&arrival.visit);
                    self.pending.hold(who, arrival, key, !self.peers.is_peer(gateway), now.tick);
                } else {
                    self.open(who, arrival, now, effects);
                }
            }
            PresenceChange::Returned { confidence } => self.reopen(who, confidence, effects),
            PresenceChange::Departed { reason, silent_for, learned } => {
                self.learned(who, learned, now, effects);
                self.close(who, reason, silent_for, now, effects);
            }
            PresenceChange::Closed => {
                if self.visits.get(who).is_some_and(|(_, phase)| phase == Phase::Closed) {
                    self.visits.remove(who);
                }
            }
            PresenceChange::Passed { best, heard_for, grounds } => {
                if let Some(customer) = self.identity.customer(who) {
                    effects.push(Effect::Passed { client: customer.client });
                }
                let evidence = self.evidence(heard_for, &grounds);
                let needed = self.settings.presence.arrive_confidence;
                self.explain(who, None, Why::Passed { best, needed, evidence }, effects);
            }
        }
    }

    /// A new visit; `None` if another gateway's visit of that customer is open.
    pub(super) fn begin(
        &self,
        who: CustomerIndex,
        best: GatewayIndex,
        confidence: f32,
        now: Now,
    ) -> Option<Visit> {
        if self.visits.get(who).is_some_and(|(_, phase)| phase == Phase::Open) {
            return None;
        }
        let customer = self.identity.customer(who)?;
        let arrived_at = now.clock.reading();
        // A peer with a higher level opens a visit of its own.
        let gateway = if self.peers.is_peer(best) { HERE } else { best };
        let name = self.gateway_name(gateway);
        let mut visit = Visit {
            id: VisitId::of(self.settings.store, &customer.client, arrived_at, name),
            client: Arc::clone(&customer.client),
            tier: Arc::clone(&customer.tier),
            card: None,
            discreet: false,
            gateway,
            arrived_at,
            confidence,
            claim: None,
            dismissed: false,
            announced: false,
            escalated: false,
            checked_in_until: None,
            revision: 0,
        };
        visit.show(&customer);
        Some(visit)
    }

    pub(super) fn open(
        &mut self,
        who: CustomerIndex,
        arrival: PendingArrival,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let PendingArrival { mut visit, unfollowed, heard_for, grounds } = arrival;
        let Some(customer) = self.identity.customer(who) else { return };
        let policy = &self.settings.policy;
        let announcement = self.caps.announce(&customer, unfollowed, now.clock, policy);
        visit.announced = matches!(announcement, Announcement::Alert { .. });
        let evidence = self.evidence(heard_for, &grounds);
        let needed = self.settings.presence.arrive_confidence;
        let why = Why::Arrived { confidence: visit.confidence, needed, evidence, announcement };
        self.explain(who, Some(visit.id), why, effects);
        self.visits.put(who, visit.clone(), Phase::Open);
        effects.push(Effect::Arrived { visit, announcement });
    }

    pub(super) fn reopen(
        &mut self,
        who: CustomerIndex,
        confidence: f32,
        effects: &mut Vec<Effect>,
    ) {
        match self.visits.get(who) {
            Some((visit, Phase::Closed)) if self.owns(visit) => {}
            _ => return,
        }
        if let Some(visit) = self.visits.turn(who, Phase::Open) {
            let rejoin = self.settings.presence.rejoin;
            self.explain(who, Some(visit.id), Why::Returned { rejoin, confidence }, effects);
            effects.push(Effect::Returned(visit));
        }
        self.note_claim(who);
    }

    /// Each gateway that tracked a visit learns the phone's RSSI offset from its own contacts.
    pub(super) fn learned(
        &self,
        who: CustomerIndex,
        learned: Option<Loudness>,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let customer = learned.and_then(|loudness| Some((loudness, self.identity.customer(who)?)));
        if let Some((loudness, customer)) = customer {
            let (client, at) = (customer.client, now.clock.reading());
            effects.push(Effect::Learned(KnownPhone { client, loudness, at }));
        }
    }

    /// A visit that another gateway owns stays open until that gateway closes it.
    fn close(
        &mut self,
        who: CustomerIndex,
        reason: DepartureReason,
        silent_for: Duration,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if !self.visits.get(who).is_some_and(|(visit, _)| self.owns(visit)) {
            return;
        }
        if let Some(visit) = self.visits.turn(who, Phase::Closed) {
            let why = Why::Departed { reason, silent_for };
            self.explain(who, Some(visit.id), why, effects);
            effects.push(Effect::Departed { visit, at: now.clock.reading(), reason });
        }
    }

    pub(super) fn explain(
        &self,
        who: CustomerIndex,
        visit: Option<VisitId>,
        why: Why,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(customer) = self.identity.customer(who) {
            let client = customer.client;
            effects.push(Effect::Explained(Explanation { client, visit, why }));
        }
    }

    /// The numbers behind the decision.
    fn evidence(&self, received_for: Duration, grounds: &PeakEvidence) -> Evidence {
        let name = |gateway| Arc::from(self.gateway_name(gateway));
        let zones = &self.settings.zones;
        let echo = grounds.echo.and_then(|echo| {
            let place = zones.get(usize::from(echo.zone)).copied().flatten()?;
            Some((place, echo.rssi()?.value()))
        });
        Evidence {
            received_for,
            level: grounds.level.map(|(gateway, dbm)| (name(gateway), dbm)),
            echo,
            phone: grounds.phone,
            places: grounds.places,
            steady: grounds.steady,
        }
    }

    /// Of two visits that are one stay, the one with the smaller key continues.
    pub(super) fn key(&self, visit: &Visit) -> (WallTime, String) {
        (visit.arrived_at, self.gateway_name(visit.gateway).to_owned())
    }

    pub(super) fn gateway_name(&self, gateway: GatewayIndex) -> &str {
        self.settings.gateways.get(usize::from(gateway.0)).map_or("", |gateway| &gateway.name)
    }
}
