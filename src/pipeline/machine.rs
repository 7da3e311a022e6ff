//! The pipeline itself: every input goes through the stations in the order of the folders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::event::{
    Announcement, Effect, Input, Restored, RestoredVisit, Sighting, StaffAction, Start, Visit,
};
use super::explain::Explanation;
use super::identity::{Customer, CustomerIndex, Identity, Quiet, Registry};
use super::policy::{Caps, consent};
use super::presence::{Presence, Reading, Verdict, What};
use super::units::{Now, Tick, WallTime};
use super::visits::{Phase, Visits};
use super::{Settings, VisitId};

/// All that grelot decides, as a state machine: same inputs, same effects, byte for byte.
#[derive(Debug)]
pub struct Pipeline {
    settings: Settings,
    identity: Identity,
    presence: Presence,
    caps: Caps,
    visits: Visits,
    withdrawn: BTreeSet<Arc<str>>,
    contacts: u64,
}

impl Pipeline {
    /// A pipeline that takes up what survived a restart. The effects tell what of it cannot go
    /// on: visits of customers who are no longer enrolled.
    pub fn new(
        settings: Settings,
        registry: Registry,
        restored: Restored,
        start: Start,
        now: Now,
    ) -> (Self, Vec<Effect>) {
        let mut identity = Identity::new(settings.store, registry, now);
        for client in &restored.withdrawn {
            identity.withdraw(client);
        }
        let presence = Presence::new(settings.presence.clone(), start, now.tick);
        let caps = Caps::restored(restored.last_alerts);
        let visits = Visits::default();
        let withdrawn = restored.withdrawn.into_iter().collect();
        let mut pipeline =
            Self { settings, identity, presence, caps, visits, withdrawn, contacts: 0 };
        let effects =
            restored.visits.into_iter().filter_map(|visit| pipeline.restore(visit, now)).collect();
        (pipeline, effects)
    }

    fn restore(&mut self, restored: RestoredVisit, now: Now) -> Option<Effect> {
        let RestoredVisit { visit, departed_at } = restored;
        let Some(who) = self.identity.index_of(&visit.client) else {
            return departed_at.is_none().then_some(Effect::Erased { visit: visit.id });
        };
        if let Some(departed_at) = departed_at {
            let until = departed_at.plus(self.settings.presence.rejoin);
            let left = until.unix_millis().saturating_sub(now.clock.reading().unix_millis());
            let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
            let left = left.min(self.settings.presence.rejoin);
            if left.is_zero() {
                return None;
            }
            self.presence.restore_closed(who, now.tick, now.tick.plus(left));
            self.visits.put(who, visit, Phase::Closed);
        } else {
            self.presence.restore_open(who, now.tick);
            self.visits.put(who, visit, Phase::Open);
        }
        None
    }

    /// Takes in one input and says all that follows from it, in order. Time must not go back.
    pub fn handle(&mut self, now: Now, input: Input<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(verdict) = self.presence.expire(now.tick) {
            self.perform(verdict, now, &mut effects);
        }
        match input {
            Input::Advertisement(sighting) => self.hear(now, &sighting, &mut effects),
            Input::Deadline => self.identity.advance(now),
            Input::Hearing(gateway, hearing) => self.presence.hearing(gateway, hearing, now.tick),
            Input::Registry(registry) => self.replace_registry(*registry, now, &mut effects),
            Input::Settings(settings) => {
                self.presence.set(settings.presence.clone());
                self.settings = *settings;
            }
            Input::Withdrawn(client) => self.withdraw(client, &mut effects),
            Input::Staff { visit, by, action } => self.staff(now, visit, by, &action, &mut effects),
        }
        effects
    }

    /// When [`Pipeline::handle`] wants to be called at the latest, with [`Input::Deadline`] if
    /// nothing else comes.
    pub fn next_deadline(&self) -> Option<Tick> {
        match (self.presence.next_deadline(), self.identity.next_deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The visits that are open.
    pub fn open_visits(&self) -> impl Iterator<Item = &Visit> {
        self.visits.open()
    }

    /// How many customers are followed at the moment, here or not.
    pub fn followed(&self) -> usize {
        self.presence.followed()
    }

    /// Sightings of enrolled customers so far.
    pub fn contacts(&self) -> u64 {
        self.contacts
    }

    /// The customers and tables in force.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn hear(&mut self, now: Now, sighting: &Sighting<'_>, effects: &mut Vec<Effect>) {
        let Some(found) = self.identity.identify(now, sighting) else { return };
        let Some(customer) = self.identity.customer(found.customer) else { return };
        let zone = &self.settings.policy.time_zone;
        if !consent::recognisable(&customer, now.clock, zone) {
            return;
        }
        self.contacts += 1;
        let reading = Reading::new(
            sighting.gateway,
            self.settings.gateways.get(usize::from(sighting.gateway.0)),
            sighting.rssi,
            found.echo,
            &self.settings.zones,
            &self.settings.presence,
        );
        if let Some(verdict) = self.presence.hear(found.customer, now.tick, &reading) {
            self.perform(verdict, now, effects);
        }
    }

    fn perform(&mut self, verdict: Verdict, now: Now, effects: &mut Vec<Effect>) {
        let who = verdict.who;
        let Some(customer) = self.identity.customer(who) else { return };
        let about = |visit: Option<VisitId>, because: String| {
            Effect::Explained(Explanation { client: Arc::clone(&customer.client), visit, because })
        };
        match verdict.what {
            What::Arrived { gateway, confidence, unfollowed, heard_for } => {
                let arrived_at = now.clock.reading();
                let policy = &self.settings.policy;
                let announcement = self.caps.announce(&customer, unfollowed, now.clock, policy);
                let name =
                    self.settings.gateways.get(usize::from(gateway.0)).map_or("", |g| &g.name);
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
                };
                visit.show(&customer);
                let because = explain_arrival(&visit, name, heard_for, announcement);
                effects.push(about(Some(visit.id), because));
                self.visits.put(who, visit.clone(), Phase::Open);
                effects.push(Effect::Arrived { visit, announcement });
            }
            What::Returned { confidence } => {
                if let Some(visit) = self.visits.turn(who, Phase::Open) {
                    effects.push(about(Some(visit.id), explain_return(confidence, &self.settings)));
                    effects.push(Effect::Returned(visit));
                }
            }
            What::Departed { reason, silent_for } => {
                if let Some(visit) = self.visits.turn(who, Phase::Closed) {
                    let because = format!(
                        "departed ({}): last heard {:.1} s ago",
                        reason.word(),
                        silent_for.as_secs_f32()
                    );
                    effects.push(about(Some(visit.id), because));
                    effects.push(Effect::Departed { visit, at: now.clock.reading(), reason });
                }
            }
            What::Closed => {
                self.visits.remove(who);
            }
            What::Passed { best, heard_for } => effects.push(about(
                None,
                format!(
                    "not announced: heard for {:.1} s and never surer than {:.0} % of being inside, {:.0} % needed",
                    heard_for.as_secs_f32(),
                    best * 100.0,
                    self.settings.presence.arrive_confidence * 100.0
                ),
            )),
        }
    }

    fn replace_registry(&mut self, registry: Registry, now: Now, effects: &mut Vec<Effect>) {
        let known: BTreeMap<CustomerIndex, Arc<str>> = self
            .presence
            .customers()
            .filter_map(|who| Some((who, self.identity.customer(who)?.client)))
            .collect();
        self.identity.replace(registry, now);
        for client in &self.withdrawn {
            self.identity.withdraw(client);
        }
        let moved = |who: CustomerIndex| self.identity.index_of(known.get(&who)?);
        self.presence.reindex(moved);
        for (was, (mut visit, phase)) in self.visits.take() {
            let is = moved(was).and_then(|who| Some((who, self.identity.customer(who)?)));
            let Some((who, customer)) = is else {
                effects.push(Effect::Erased { visit: visit.id });
                continue;
            };
            let shown = (visit.tier.clone(), visit.card.clone(), visit.discreet);
            visit.show(&customer);
            let changed = shown != (visit.tier.clone(), visit.card.clone(), visit.discreet);
            if changed && phase == Phase::Open {
                effects.push(Effect::Changed(visit.clone()));
            }
            self.visits.put(who, visit, phase);
        }
    }

    fn withdraw(&mut self, client: &str, effects: &mut Vec<Effect>) {
        if let Some(who) = self.identity.index_of(client) {
            self.presence.forget(who);
            if let Some(visit) = self.visits.remove(who) {
                effects.push(Effect::Erased { visit: visit.id });
            }
        }
        self.identity.withdraw(client);
        self.withdrawn.insert(Arc::from(client));
        self.caps.forget(client);
        effects.push(Effect::Forget { client: Arc::from(client) });
    }

    fn staff(
        &mut self,
        now: Now,
        visit: VisitId,
        by: &str,
        action: &StaffAction,
        effects: &mut Vec<Effect>,
    ) {
        let at: WallTime = now.clock.reading();
        // The answer goes out even where nothing changed: it tells whoever came second.
        if let Some(visit) = self.visits.staff(visit, by, action, at) {
            effects.push(Effect::Changed(visit.clone()));
        }
    }
}

impl Visit {
    /// Shows of the customer what consent and wish allow now.
    fn show(&mut self, customer: &Customer) {
        self.tier = Arc::clone(&customer.tier);
        self.card.clone_from(&customer.card);
        self.discreet = customer.quiet == Some(Quiet::GreetOnlyIfAsked);
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
