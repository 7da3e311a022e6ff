//! Visits of the store's other gateways, and this one's: one customer, one visit.
//!
//! Merging is commutative and idempotent: of two visits of one customer that are one stay, the
//! one with the smallest `(arrived_at, gateway)` continues, in any order of messages; of two states
//! of one visit, the one with the higher revision.

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

impl Pipeline {
    /// Takes in the state of an open visit, as the broker retains it.
    pub(super) fn merge(&mut self, said: Visit, now: Now, effects: &mut Vec<Effect>) {
        let Some(who) = self.identity.index_of(&said.client) else { return };
        let Some(agreed) = self.identity.agreement(who, now.clock) else { return };
        if !consent::recognisable(&agreed, now.clock, &self.settings.policy.time_zone) {
            return;
        }
        if said.announced && self.caps.note(&said.client, said.arrived_at) {
            let (client, at) = (Arc::clone(&said.client), said.arrived_at);
            effects.push(Effect::Alerted { client, at });
        }
        if let Some(held) = self.held.drop(who) {
            self.explain(who, Some(held.visit.id), Why::PeerWasFirst, effects);
        }
        match self.visits.get(who).map(|(mine, phase)| (mine.id == said.id, phase)) {
            None => self.adopt(who, said, now),
            Some((true, phase)) => self.reconcile(who, phase, said, now, effects),
            Some((false, phase)) => self.unite(who, phase, said, now, effects),
        }
    }

    /// Another state of the same visit.
    fn reconcile(
        &mut self,
        who: CustomerIndex,
        phase: Phase,
        said: Visit,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some((mine, _)) = self.visits.get(who) else { return };
        if said.revision <= mine.revision {
            return;
        }
        let is_own = !self.team.is_peer(mine.gateway);
        if is_own && !self.team.catches_up(now.tick) {
            return self.reassert(who, said.revision, effects);
        }
        // A peer decided for this gateway while it was away.
        let gateway = mine.gateway;
        self.adopt(who, Visit { gateway, ..said }, now);
        let Some((visit, _)) = self.visits.get(who).filter(|_| is_own) else { return };
        let visit = visit.clone();
        effects.push(match phase {
            Phase::Open => Effect::Changed(visit),
            Phase::Closed => Effect::Returned(visit),
        });
    }

    /// Another client changed a visit that is this gateway's to decide on: it stays as it is, at a
    /// revision that all others follow.
    fn reassert(&mut self, who: CustomerIndex, forged: u32, effects: &mut Vec<Effect>) {
        let Some((_, Phase::Open)) = self.visits.get(who) else { return };
        let Some(visit) = self.visits.get_mut(who) else { return };
        visit.revision = forged.saturating_add(1);
        effects.push(Effect::Changed(visit.clone()));
    }

    /// Two visits of one customer: one of them continues.
    fn unite(
        &mut self,
        who: CustomerIndex,
        phase: Phase,
        said: Visit,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some((mine, _)) = self.visits.get(who) else { return };
        let mine = mine.clone();
        let apart = mine.arrived_at.unix_millis().abs_diff(said.arrived_at.unix_millis());
        let one_stay = Duration::from_millis(apart) <= self.settings.presence.rejoin;
        if phase == Phase::Closed && !one_stay {
            return self.adopt(who, said, now);
        }
        if self.key(&said) < self.key(&mine) {
            if phase == Phase::Open && self.speaks_for(&mine) {
                effects.push(Effect::Erased { visit: mine.id });
            }
            return self.adopt(who, said, now);
        }
        self.team_meets(said.gateway);
        if self.speaks_for(&said) {
            effects.push(Effect::Erased { visit: said.id });
        }
        let ours = self.speaks_for(&mine);
        if phase == Phase::Closed {
            self.presence.adopt(who, now.tick);
        }
        let claimed = said.claim.filter(|_| mine.claim.is_none());
        let turned = self.visits.turn(who, Phase::Open);
        let Some(visit) = self.visits.get_mut(who) else { return };
        let changed = claimed.is_some();
        if let Some(claim) = claimed {
            visit.claim = Some(claim);
            visit.revision = visit.revision.saturating_add(1);
        }
        match (phase, turned) {
            (Phase::Closed, Some(_)) if ours => effects.push(Effect::Returned(visit.clone())),
            (Phase::Open, _) if ours && changed => effects.push(Effect::Changed(visit.clone())),
            _ => {}
        }
    }

    /// Follows another gateway's visit.
    fn adopt(&mut self, who: CustomerIndex, mut visit: Visit, now: Now) {
        let Some(customer) = self.identity.customer(who) else { return };
        self.team_meets(visit.gateway);
        visit.show(&customer);
        self.presence.adopt(who, now.tick);
        self.visits.put(who, visit, Phase::Open);
    }

    fn team_meets(&mut self, gateway: GatewayIndex) {
        if gateway != crate::pipeline::HERE {
            self.team.meet(gateway);
        }
    }

    /// A visit's state was cleared at the broker: it is over, or staff do not want to see it.
    pub(super) fn cleared(&mut self, id: VisitId, now: Now, effects: &mut Vec<Effect>) {
        let Some(who) = self.visits.customer(id) else { return };
        let Some((visit, Phase::Open)) = self.visits.get(who) else { return };
        if self.team.is_peer(visit.gateway) {
            self.visits.turn(who, Phase::Closed);
            let learned = self.presence.release(who, now.tick);
            self.learned(who, learned, now, effects);
        } else if !visit.dismissed {
            // Nobody else may end it while this gateway is there.
            effects.push(Effect::Changed(visit.clone()));
        }
    }

    /// `gateway` is away: the visits it opened are followed from here on, if only to be closed.
    pub(super) fn take_over(&mut self, gateway: GatewayIndex, now: Now) {
        let open = |(who, visit, phase): (CustomerIndex, &Visit, Phase)| {
            (visit.gateway == gateway && phase == Phase::Open).then_some(who)
        };
        for who in self.visits.iter().filter_map(open).collect::<Vec<_>>() {
            self.presence.adopt(who, now.tick);
        }
    }
}
