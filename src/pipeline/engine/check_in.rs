//! From a check-in to a visit.

use std::time::Duration;

use super::Pipeline;
use crate::pipeline::check_in::{CheckIn, CheckedIn};
use crate::pipeline::event::Effect;
use crate::pipeline::gateway::HERE;
use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::peers::PendingArrival;
use crate::pipeline::policy::consent;
use crate::pipeline::presence::PeakEvidence;
use crate::pipeline::units::{Clock, Now};
use crate::pipeline::visits::Phase;

/// The confidence of a check-in: nothing is measured, a person says so.
const CERTAIN: f32 = 1.0;

impl Pipeline {
    pub(super) fn check_in(&mut self, now: Now, said: CheckIn<'_>, effects: &mut Vec<Effect>) {
        let Some(who) = self.checked_in(said.who, now.clock) else { return };
        let until = Some(now.clock.reading().plus(said.stay));
        match self.visits.get(who) {
            Some((_, Phase::Open)) => {}
            Some((visit, Phase::Closed)) if self.owns(visit) => {
                self.presence.check_in(who, now.tick, said.stay);
                if let Some(visit) = self.visits.get_mut(who) {
                    visit.checked_in_until = until;
                }
                self.reopen(who, CERTAIN, effects);
            }
            _ => {
                self.pending.drop(who);
                let Some(mut visit) = self.begin(who, HERE, CERTAIN, now) else { return };
                visit.checked_in_until = until;
                self.presence.check_in(who, now.tick, said.stay);
                let grounds = PeakEvidence::none();
                let (unfollowed, heard_for) = (false, Duration::ZERO);
                let arrival = PendingArrival { visit, unfollowed, heard_for, grounds };
                self.open(who, arrival, now, effects);
            }
        }
    }

    /// Whether a visit of the customer in `said` is open; `None` where no such customer may be
    /// recognised.
    pub fn is_here(&self, said: CheckedIn<'_>, clock: Clock) -> Option<bool> {
        let who = self.checked_in(said, clock)?;
        Some(self.visits.get(who).is_some_and(|(_, phase)| phase == Phase::Open))
    }

    /// The customer, if consent allows recognition now.
    fn checked_in(&self, said: CheckedIn<'_>, clock: Clock) -> Option<CustomerIndex> {
        if self.identity.registry().has_expired(clock) {
            return None;
        }
        let who = match said {
            CheckedIn::Client(client) => self.identity.index_of(client)?,
            CheckedIn::Token(token) => self.identity.who_proves(token, clock)?,
        };
        let agreed = self.identity.agreement(who, clock)?;
        consent::recognisable(&agreed, clock, &self.settings.policy.time_zone).then_some(who)
    }
}
