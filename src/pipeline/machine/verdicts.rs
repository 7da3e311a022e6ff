//! From what presence says of a customer to what the shop is told.

use std::sync::Arc;
use std::time::Duration;

use super::Pipeline;
use crate::pipeline::event::{Announcement, DepartureReason, Effect, GatewayIndex, Visit};
use crate::pipeline::explain::Explanation;
use crate::pipeline::identity::CustomerIndex;
use crate::pipeline::presence::{Verdict, What};
use crate::pipeline::team::Held;
use crate::pipeline::units::{Now, WallTime};
use crate::pipeline::visits::Phase;
use crate::pipeline::{HERE, Settings, VisitId};

impl Pipeline {
    pub(super) fn perform(&mut self, verdict: Verdict, now: Now, effects: &mut Vec<Effect>) {
        let who = verdict.who;
        match verdict.what {
            What::Arrived { gateway, confidence, unfollowed, heard_for } => {
                let Some(visit) = self.begin(who, gateway, confidence, now) else { return };
                let held = Held { visit, unfollowed, heard_for };
                if self.team.has_company() {
                    self.gathered.arriving(who, held.visit.arrived_at, now.tick);
                    let key = self.key(&held.visit);
                    self.held.hold(who, held, key, !self.team.is_peer(gateway), now.tick);
                } else {
                    self.open(who, held, now, effects);
                }
            }
            What::Returned { confidence } => self.reopen(who, confidence, effects),
            What::Departed { reason, silent_for } => {
                self.close(who, reason, silent_for, now, effects);
            }
            What::Closed => {
                if self.visits.get(who).is_some_and(|(_, phase)| phase == Phase::Closed) {
                    self.visits.remove(who);
                }
            }
            What::Passed { best, heard_for } => {
                let needed = self.settings.presence.arrive_confidence;
                self.explain(who, None, explain_passing(best, heard_for, needed), effects);
            }
        }
    }

    /// A new visit; none where staff see one of that customer already, another gateway's.
    fn begin(
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
        // A peer that hears better opens a visit of its own.
        let gateway = if self.team.is_peer(best) { HERE } else { best };
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
            revision: 0,
        };
        visit.show(&customer);
        Some(visit)
    }

    pub(super) fn open(
        &mut self,
        who: CustomerIndex,
        held: Held,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Held { mut visit, unfollowed, heard_for } = held;
        let Some(customer) = self.identity.customer(who) else { return };
        let policy = &self.settings.policy;
        let announcement = self.caps.announce(&customer, unfollowed, now.clock, policy);
        visit.announced = matches!(announcement, Announcement::Alert { .. });
        let name = self.gateway_name(visit.gateway);
        let because = explain_arrival(&visit, name, heard_for, announcement);
        self.explain(who, Some(visit.id), because, effects);
        self.visits.put(who, visit.clone(), Phase::Open);
        effects.push(Effect::Arrived { visit, announcement });
    }

    fn reopen(&mut self, who: CustomerIndex, confidence: f32, effects: &mut Vec<Effect>) {
        match self.visits.get(who) {
            Some((visit, Phase::Closed)) if self.speaks_for(visit) => {}
            _ => return,
        }
        if let Some(visit) = self.visits.turn(who, Phase::Open) {
            let because = explain_return(confidence, &self.settings);
            self.explain(who, Some(visit.id), because, effects);
            effects.push(Effect::Returned(visit));
        }
    }

    /// A visit that another gateway decides on stays as it is until that one says so.
    fn close(
        &mut self,
        who: CustomerIndex,
        reason: DepartureReason,
        silent_for: Duration,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        if !self.visits.get(who).is_some_and(|(visit, _)| self.speaks_for(visit)) {
            return;
        }
        if let Some(visit) = self.visits.turn(who, Phase::Closed) {
            let silent_s = silent_for.as_secs_f32();
            let because = format!("departed ({}): last heard {silent_s:.1} s ago", reason.word());
            self.explain(who, Some(visit.id), because, effects);
            effects.push(Effect::Departed { visit, at: now.clock.reading(), reason });
        }
    }

    pub(super) fn explain(
        &self,
        who: CustomerIndex,
        visit: Option<VisitId>,
        because: String,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(customer) = self.identity.customer(who) {
            let client = customer.client;
            effects.push(Effect::Explained(Explanation { client, visit, because }));
        }
    }

    /// Of two visits that are one stay, the one with the smaller key goes on.
    pub(super) fn key(&self, visit: &Visit) -> (WallTime, String) {
        (visit.arrived_at, self.gateway_name(visit.gateway).to_owned())
    }

    pub(super) fn gateway_name(&self, gateway: GatewayIndex) -> &str {
        self.settings.gateways.get(usize::from(gateway.0)).map_or("", |gateway| &gateway.name)
    }
}

fn explain_arrival(
    visit: &Visit,
    gateway: &str,
    heard_for: Duration,
    announcement: Announcement,
) -> String {
    let alert = match announcement {
        Announcement::Alert { .. } => "staff alerted".to_owned(),
        Announcement::Silent(because) => format!("nobody alerted ({})", because.word()),
    };
    format!(
        "arrived: {:.0} % sure after {:.1} s within earshot, best heard by {gateway}; {alert}",
        visit.confidence * 100.0,
        heard_for.as_secs_f32()
    )
}

fn explain_return(confidence: f32, settings: &Settings) -> String {
    format!(
        "came back within {} s ({:.0} % sure): the visit goes on, nobody alerted",
        settings.presence.rejoin.as_secs(),
        confidence * 100.0
    )
}

fn explain_passing(best: f32, heard_for: Duration, needed: f32) -> String {
    format!(
        "not announced: heard for {:.1} s and never surer than {:.0} % of being inside, {:.0} % needed",
        heard_for.as_secs_f32(),
        best * 100.0,
        needed * 100.0
    )
}
