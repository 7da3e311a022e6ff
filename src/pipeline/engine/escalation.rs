//! Alerts that no one answers: after `policy.escalate_after` the visit is escalated, once.

use std::time::Duration;

use super::Pipeline;
use crate::pipeline::event::Effect;
use crate::pipeline::units::{Now, Tick};
use crate::pipeline::visits::Phase;

impl Pipeline {
    pub(super) fn escalate(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(after) = self.settings.policy.escalate_after else { return };
        let reading = now.clock.reading();
        let (peers, gateways) = (&self.peers, &self.settings.gateways);
        for (visit, phase) in self.visits.iter_mut() {
            let due = visit.escalates_at(after).is_some_and(|at| at <= reading);
            if due && phase == Phase::Open && peers.owns(visit.gateway, gateways) {
                visit.escalated = true;
                visit.revision = visit.revision.saturating_add(1);
                effects.push(Effect::Escalated(visit.clone()));
            }
        }
    }

    /// Finds the next visit to be escalated: needed only when visits, gateways or settings may have
    /// changed, since it looks at all open visits.
    pub(super) fn plan_escalation(&mut self) {
        self.escalation = self.settings.policy.escalate_after.and_then(|after| {
            let owned = self.visits.open().filter(|visit| self.owns(visit));
            owned.filter_map(|visit| visit.escalates_at(after)).min()
        });
    }

    /// In the wall clock's reading at the last input.
    pub(super) fn next_escalation(&self) -> Option<Tick> {
        let next = self.escalation?;
        let reading = self.latest.clock.reading();
        let left = next.unix_millis().saturating_sub(reading.unix_millis());
        // Never at once: an escalation that was due has been performed with the last input.
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0).max(1));
        Some(self.latest.tick.plus(left))
    }
}
