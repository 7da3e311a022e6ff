//! The wall clock of a machine that booted into the past, once a time server has set it.

use super::Pipeline;
use crate::pipeline::event::Effect;
use crate::pipeline::units::{Clock, ClockStep, Now};
use crate::pipeline::visits::Phase;

impl Pipeline {
    /// Corrects the times that were read from the clock before it counted; their age is known.
    pub(super) fn follow_clock(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let before = std::mem::replace(&mut self.latest, now);
        let (Clock::Unset(read), Clock::Set(set)) = (before.clock, now.clock) else { return };
        let expected = read.plus(now.tick.since(before.tick));
        let Some(step) = ClockStep::between(self.clock_since, expected, set) else { return };
        self.clock_since = step.applied(self.clock_since);
        self.caps.set_clock(step);
        self.pending.set_clock(step);
        effects.push(Effect::ClockSet(step));
        let (peers, gateways) = (&self.peers, &self.settings.gateways);
        for (visit, phase) in self.visits.iter_mut() {
            visit.set_clock(step);
            if phase == Phase::Open && peers.owns(visit.gateway, gateways) {
                visit.revision = visit.revision.saturating_add(1);
                effects.push(Effect::Changed(visit.clone()));
            }
        }
    }
}
