//! Merges the peers' visits with this gateway's, so that one customer has one visit.
//!
//! Merging is commutative and idempotent. Of two visits that are one stay of a customer, the one
//! with the smallest `(arrived_at, gateway)` stays; of two states of one visit, the one with the
//! higher revision. The order in which a gateway receives them makes no difference.

use std::sync::Arc;
use std::time::Duration;

use super::Pipeline;
use crate::pipeline::event::Effect;
use crate::pipeline::explain::Why;
use crate::pipeline::gateway::GatewayIndex;
use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::policy::consent;
use crate::pipeline::units::Now;
use crate::pipeline::visit::Visit;
use crate::pipeline::visit_id::VisitId;
use crate::pipeline::visits::Phase;

/// A peer's visit of a customer who has a visit here too.
struct Meeting {
    who: CustomerIndex,
    /// Of this gateway's visit.
    phase: Phase,
    theirs: Visit,
}

impl Pipeline {
    /// Merges the state of an open visit that the broker retains.
    pub(super) fn merge(&mut self, theirs: Visit, now: Now, effects: &mut Vec<Effect>) {
        let Some(who) = self.identity.index_of(&theirs.client) else { return };
        let Some(agreed) = self.identity.agreement(who, now.clock) else { return };
        if !consent::recognisable(&agreed, now.clock, &self.settings.policy.time_zone) {
            return;
        }
        if theirs.announced && self.caps.note(&theirs.client, theirs.arrived_at) {
            let (client, at) = (Arc::clone(&theirs.client), theirs.arrived_at);
            effects.push(Effect::Alerted { client, at });
        }
        if let Some(arrival) = self.pending.drop(who) {
            self.explain(who, Some(arrival.visit.id), Why::PeerWasFirst, effects);
        }
        match self.visits.get(who).map(|(ours, phase)| (ours.id == theirs.id, phase)) {
            None => self.adopt(who, theirs, now),
            Some((true, phase)) => self.reconcile(Meeting { who, phase, theirs }, now, effects),
            Some((false, phase)) => self.unite(Meeting { who, phase, theirs }, now, effects),
        }
        self.note_claim(who);
    }

    /// Takes the later of two states of one visit.
    fn reconcile(&mut self, meeting: Meeting, now: Now, effects: &mut Vec<Effect>) {
        let Meeting { who, phase, theirs } = meeting;
        let Some((ours, _)) = self.visits.get(who) else { return };
        if theirs.revision <= ours.revision {
            return;
        }
        let is_own = !self.peers.is_peer(ours.gateway);
        if is_own && !self.peers.catches_up(now.tick) {
            return self.reassert(who, theirs.revision, effects);
        }
        // A peer decided on it while this gateway was away.
        let (gateway, checked_in_until) = (ours.gateway, ours.checked_in_until);
        self.adopt(who, Visit { gateway, checked_in_until, ..theirs }, now);
        let Some((visit, _)) = self.visits.get(who).filter(|_| is_own) else { return };
        let visit = visit.clone();
        effects.push(match phase {
            Phase::Open => Effect::Changed(visit),
            Phase::Closed => Effect::Returned(visit),
        });
    }

    /// Publishes this gateway's state of its own visit again, after another client overwrote it
    /// with the revision `forged`.
    fn reassert(&mut self, who: CustomerIndex, forged: u32, effects: &mut Vec<Effect>) {
        let Some((_, Phase::Open)) = self.visits.get(who) else { return };
        let Some(visit) = self.visits.get_mut(who) else { return };
        visit.revision = forged.saturating_add(1);
        effects.push(Effect::Changed(visit.clone()));
    }

    /// Decides which of two visits of one customer stays.
    fn unite(&mut self, meeting: Meeting, now: Now, effects: &mut Vec<Effect>) {
        let Meeting { who, phase, theirs } = meeting;
        let Some((ours, _)) = self.visits.get(who) else { return };
        let ours = ours.clone();
        let apart = ours.arrived_at.unix_millis().abs_diff(theirs.arrived_at.unix_millis());
        let one_stay = Duration::from_millis(apart) <= self.settings.presence.rejoin;
        if phase == Phase::Closed && !one_stay {
            return self.adopt(who, theirs, now);
        }
        if self.key(&theirs) < self.key(&ours) {
            if phase == Phase::Open && self.owns(&ours) {
                effects.push(Effect::Erased { visit: ours.id });
            }
            return self.adopt(who, theirs, now);
        }
        self.meet(theirs.gateway);
        if self.owns(&theirs) {
            effects.push(Effect::Erased { visit: theirs.id });
        }
        let owned = self.owns(&ours);
        if phase == Phase::Closed {
            self.presence.adopt(who, now.tick);
        }
        let claimed = theirs.claim.filter(|_| ours.claim.is_none());
        let turned = self.visits.turn(who, Phase::Open);
        let Some(visit) = self.visits.get_mut(who) else { return };
        let changed = claimed.is_some();
        if let Some(claim) = claimed {
            visit.claim = Some(claim);
            visit.revision = visit.revision.saturating_add(1);
        }
        match (phase, turned) {
            (Phase::Closed, Some(_)) if owned => effects.push(Effect::Returned(visit.clone())),
            (Phase::Open, _) if owned && changed => effects.push(Effect::Changed(visit.clone())),
            _ => {}
        }
    }

    /// Tracks a peer's visit.
    fn adopt(&mut self, who: CustomerIndex, mut visit: Visit, now: Now) {
        let Some(customer) = self.identity.customer(who) else { return };
        self.meet(visit.gateway);
        visit.show(&customer);
        self.presence.adopt(who, now.tick);
        self.visits.put(who, visit, Phase::Open);
    }

    fn meet(&mut self, gateway: GatewayIndex) {
        if gateway != crate::pipeline::HERE {
            self.peers.meet(gateway);
        }
    }

    /// The broker no longer retains a visit: it is over, or staff dismissed it.
    pub(super) fn cleared(&mut self, id: VisitId, now: Now, effects: &mut Vec<Effect>) {
        let Some(who) = self.visits.customer(id) else { return };
        let Some((visit, Phase::Open)) = self.visits.get(who) else { return };
        if self.peers.is_peer(visit.gateway) {
            self.visits.turn(who, Phase::Closed);
            let learned = self.presence.release(who, now.tick);
            self.learned(who, learned, now, effects);
        } else if !visit.dismissed {
            // While this gateway is connected, no other one ends it.
            effects.push(Effect::Changed(visit.clone()));
        }
    }

    /// `gateway` is offline: this gateway tracks the visits it opened, at least to close them.
    pub(super) fn take_over(&mut self, gateway: GatewayIndex, now: Now) {
        let open = |(who, visit, phase): (CustomerIndex, &Visit, Phase)| {
            (visit.gateway == gateway && phase == Phase::Open).then_some(who)
        };
        for who in self.visits.iter().filter_map(open).collect::<Vec<_>>() {
            self.presence.adopt(who, now.tick);
        }
    }
}
