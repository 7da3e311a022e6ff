//! Restarts, new registries and withdrawals: which visits and customers remain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Pipeline;
use crate::pipeline::event::Effect;
use crate::pipeline::identity::customer::{Customer, CustomerIndex, Quiet};
use crate::pipeline::identity::registry::Registry;
use crate::pipeline::restored::{KnownPhone, RestoredVisit};
use crate::pipeline::start::Away;
use crate::pipeline::units::{Now, WallTime};
use crate::pipeline::visit::{DepartureReason, Visit};
use crate::pipeline::visits::Phase;

impl Pipeline {
    /// A visit continues if the gateway was away for at most `presence.rejoin`, or the customer
    /// checked in for longer. After an unknown time it does not continue: a customer who comes in
    /// the morning did not stay overnight.
    pub(super) fn restore(
        &mut self,
        restored: RestoredVisit,
        away: Away,
        now: Now,
    ) -> Option<Effect> {
        let RestoredVisit { visit, departed_at } = restored;
        let Away::Known(away) = away else {
            return departed_at.is_none().then_some(Effect::Erased { visit: visit.id });
        };
        let Some(who) = self.identity.index_of(&visit.client) else {
            return departed_at.is_none().then_some(Effect::Erased { visit: visit.id });
        };
        let stay = visit.checked_in_until.map(|until| left_until(until, now));
        let stay = stay.filter(|stay| !stay.is_zero());
        if let Some(departed_at) = departed_at {
            let until = departed_at.plus(self.settings.presence.rejoin);
            let left = left_until(until, now).min(self.settings.presence.rejoin);
            if left.is_zero() {
                return None;
            }
            self.presence.restore_closed(who, now.tick, now.tick.plus(left));
            self.visits.put(who, visit, Phase::Closed);
        } else if let Some(stay) = stay {
            self.presence.check_in(who, now.tick, stay);
            self.visits.put(who, visit, Phase::Open);
        } else if away > self.settings.presence.rejoin {
            let at = now.clock.reading().minus(away);
            return Some(Effect::Departed { visit, at, reason: DepartureReason::Silent });
        } else {
            self.presence.restore_open(who, now.tick);
            self.visits.put(who, visit, Phase::Open);
        }
        self.note_claim(who);
        None
    }

    /// Restores a phone's RSSI offset. A restart does not prolong how long it is kept.
    pub(super) fn recall(&mut self, phone: KnownPhone, now: Now) -> Option<Effect> {
        let KnownPhone { client, loudness, at } = phone;
        let Some(who) = self.identity.index_of(&client) else {
            return Some(Effect::Unlearned { client });
        };
        let left = left_until(at.plus(self.settings.presence.known_for), now);
        let left = left.min(self.settings.presence.known_for);
        self.presence.recall(who, loudness, now.tick.plus(left));
        None
    }

    pub(super) fn replace_registry(
        &mut self,
        registry: Registry,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let known: BTreeMap<CustomerIndex, Arc<str>> = self
            .presence
            .customers()
            .chain(self.presence.known())
            .chain(self.visits.iter().map(|(who, _, _)| who))
            .filter_map(|who| Some((who, self.identity.customer(who)?.client)))
            .collect();
        self.identity.replace(registry, now);
        for client in &self.withdrawn {
            self.identity.withdraw(client);
        }
        let moved = |who: CustomerIndex| self.identity.index_of(known.get(&who)?);
        let gone = |who: &CustomerIndex| moved(*who).is_none();
        let unlearned = self.presence.known().filter(gone).filter_map(|who| known.get(&who));
        effects.extend(unlearned.cloned().map(|client| Effect::Unlearned { client }));
        self.presence.reindex(moved);
        self.pending.reindex(moved);
        self.aggregator.clear();
        self.cards.clear();
        for (was, (mut visit, phase)) in self.visits.take() {
            let is = moved(was).and_then(|who| Some((who, self.identity.customer(who)?)));
            let Some((who, customer)) = is else {
                effects.push(Effect::Erased { visit: visit.id });
                continue;
            };
            let shown = (visit.tier.clone(), visit.card.clone(), visit.discreet);
            visit.show(&customer);
            let changed = shown != (visit.tier.clone(), visit.card.clone(), visit.discreet);
            if changed && phase == Phase::Open && self.owns(&visit) {
                visit.revision = visit.revision.saturating_add(1);
                effects.push(Effect::Changed(visit.clone()));
            }
            self.visits.put(who, visit, phase);
        }
    }

    pub(super) fn withdraw(&mut self, client: &str, effects: &mut Vec<Effect>) {
        if let Some(who) = self.identity.index_of(client) {
            self.presence.forget(who);
            self.pending.drop(who);
            self.aggregator.forget(who);
            self.cards.forget(who);
            if let Some(visit) = self.visits.remove(who) {
                effects.push(Effect::Erased { visit: visit.id });
            }
        }
        self.identity.withdraw(client);
        self.withdrawn.insert(Arc::from(client));
        self.caps.forget(client);
        effects.push(Effect::Forget { client: Arc::from(client) });
    }
}

/// Time until `then`, by the wall clock.
fn left_until(then: WallTime, now: Now) -> Duration {
    let left = then.unix_millis().saturating_sub(now.clock.reading().unix_millis());
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}

impl Visit {
    /// Updates what staff see of the customer to what consent and the customer's wish allow.
    pub(super) fn show(&mut self, customer: &Customer) {
        self.tier = Arc::clone(&customer.tier);
        self.card.clone_from(&customer.card);
        self.discreet = customer.quiet == Some(Quiet::GreetOnlyIfAsked);
    }
}
