//! The pipeline itself: every input goes through the stations in the order of the folders.

mod merge;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::beacons::{BeaconState, Beacons};
use super::event::{
    Answer, Effect, GatewayIndex, Hearing, Input, PeerState, Restored, RestoredVisit, Sighting,
    StaffAction, Start, Visit,
};
use super::identity::{Customer, CustomerIndex, Identity, Match, Quiet, Registry};
use super::policy::{Caps, consent};
use super::presence::{Presence, Reading};
use super::team::{Gathered, Hears, HeldArrivals, Overheard, Team};
use super::units::{Dbm, Now, Tick};
use super::visits::{Phase, Visits};
use super::{HERE, Settings, VisitId};

/// All that grelot decides, as a state machine: same inputs, same effects, byte for byte.
#[derive(Debug)]
pub struct Pipeline {
    settings: Settings,
    identity: Identity,
    presence: Presence,
    caps: Caps,
    visits: Visits,
    beacons: Beacons,
    team: Team,
    held: HeldArrivals,
    gathered: Gathered,
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
        let mut beacons = Beacons::default();
        beacons.watch(&settings.beacons, now.tick);
        let withdrawn = restored.withdrawn.into_iter().collect();
        let mut pipeline = Self {
            settings,
            identity,
            presence,
            caps,
            visits,
            beacons,
            team: Team::default(),
            held: HeldArrivals::default(),
            gathered: Gathered::default(),
            withdrawn,
            contacts: 0,
        };
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
        self.pass_time(now, &mut effects);
        match input {
            Input::Advertisement(sighting) => self.hear(now, &sighting, &mut effects),
            Input::Answer(answer) => self.take_answer(now, &answer, &mut effects),
            Input::Deadline => self.identity.advance(now),
            Input::Hearing(gateway, hearing) => self.on_hearing(gateway, hearing, now),
            Input::Broker(connected) => self.broker(connected, now),
            Input::Peer(gateway, state) => self.peer(gateway, state, now),
            Input::Overheard(gateway, overheard) => {
                self.overhear(now, gateway, &overheard, &mut effects);
            }
            Input::Retained(_, Some(said)) => self.merge(*said, now, &mut effects),
            Input::Retained(visit, None) => self.cleared(visit, now, &mut effects),
            Input::Registry(registry) => self.replace_registry(*registry, now, &mut effects),
            Input::Settings(settings) => {
                self.presence.set(settings.presence.clone());
                if settings.beacons != self.settings.beacons {
                    self.beacons.watch(&settings.beacons, now.tick);
                }
                self.settings = *settings;
            }
            Input::Withdrawn(client) => self.withdraw(client, &mut effects),
            Input::Staff { visit, by, action } => self.staff(now, visit, by, &action, &mut effects),
        }
        self.tell(now, &mut effects);
        effects
    }

    /// Everything that time alone has brought.
    fn pass_time(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(verdict) = self.presence.expire(now.tick) {
            self.perform(verdict, now, effects);
        }
        while let Some((who, held)) = self.held.pop_due(now.tick) {
            self.open(who, held, now, effects);
        }
        while let Some(gateway) = self.team.give_up(now.tick) {
            self.presence.hearing(gateway, Hearing::Listening, now.tick);
        }
        while let Some(beacon) = self.beacons.expire(now.tick) {
            effects.push(Effect::Beacon(beacon));
        }
    }

    /// Tells the others what this gateway heard, when it is time.
    fn tell(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let overheard =
            self.gathered.take_due(now.tick, |who| Some(self.identity.customer(who)?.client));
        if !overheard.is_empty() {
            effects.push(Effect::Overheard(overheard));
        }
    }

    /// When [`Pipeline::handle`] wants to be called at the latest, with [`Input::Deadline`] if
    /// nothing else comes.
    pub fn next_deadline(&self) -> Option<Tick> {
        let presence = self.presence.next_deadline();
        let identity = self.identity.next_deadline();
        let team = [self.held.next_deadline(), self.gathered.due(), self.team.next_deadline()];
        let beacons = self.beacons.next_deadline();
        [presence, identity, beacons].into_iter().chain(team).flatten().min()
    }

    /// The visits that are open.
    pub fn open_visits(&self) -> impl Iterator<Item = &Visit> {
        self.visits.open()
    }

    /// How many customers are followed at the moment, here or not.
    pub fn followed(&self) -> usize {
        self.presence.followed()
    }

    /// Whether another gateway of the store is there.
    pub fn has_company(&self) -> bool {
        self.team.has_company()
    }

    /// The shop's own beacons.
    pub fn beacons(&self) -> impl Iterator<Item = &BeaconState> {
        self.beacons.states()
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

    fn on_hearing(&mut self, gateway: GatewayIndex, hearing: Hearing, now: Now) {
        self.presence.hearing(gateway, hearing, now.tick);
        if gateway == HERE {
            self.beacons.hearing(hearing, now.tick);
        }
    }

    fn hear(&mut self, now: Now, sighting: &Sighting<'_>, effects: &mut Vec<Effect>) {
        if let Some(beacon) = self.beacons.hear(now, sighting) {
            effects.push(Effect::Beacon(beacon));
        }
        if let Some(found) = self.identity.identify(now, sighting) {
            self.contact(now, found, sighting.gateway, sighting.rssi, effects);
        }
    }

    fn take_answer(&mut self, now: Now, answer: &Answer, effects: &mut Vec<Effect>) {
        let Answer { gateway, address, rssi, nonce, octets } = answer;
        if let Some(found) = self.identity.introduce(now, *address, nonce, octets) {
            self.contact(now, found, *gateway, *rssi, effects);
        }
    }

    fn overhear(
        &mut self,
        now: Now,
        gateway: GatewayIndex,
        overheard: &Overheard,
        effects: &mut Vec<Effect>,
    ) {
        self.team.hear(gateway);
        if let Some(customer) = self.identity.index_of(&overheard.client) {
            if let Some(at) = overheard.arriving_at {
                let first = (at, self.gateway_name(gateway).to_owned());
                self.held.yield_to(customer, first, now.tick);
            }
            let found = Match { customer, echo: overheard.echo };
            self.contact(now, found, gateway, overheard.rssi, effects);
        }
    }

    fn contact(
        &mut self,
        now: Now,
        found: Match,
        gateway: GatewayIndex,
        rssi: Option<Dbm>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(customer) = self.identity.customer(found.customer) else { return };
        let zone = &self.settings.policy.time_zone;
        if !consent::recognisable(&customer, now.clock, zone) {
            return;
        }
        self.contacts += 1;
        if gateway == HERE && self.team.has_company() {
            self.gathered.add(found.customer, rssi, found.echo, now.tick);
        }
        let reading = Reading::new(
            gateway,
            self.settings.gateways.get(usize::from(gateway.0)),
            rssi,
            found.echo,
            &self.settings.zones,
            &self.settings.presence,
        );
        if let Some(verdict) = self.presence.hear(found.customer, now.tick, &reading) {
            self.perform(verdict, now, effects);
        }
    }

    fn broker(&mut self, connected: bool, now: Now) {
        self.team.connected(connected);
        if !connected {
            self.gathered.clear();
            // What they hear does not come through: their silence means nothing. Whoever is
            // still there says so again once the broker is back.
            for peer in self.team.peers().collect::<Vec<_>>() {
                self.peer(peer, PeerState::Offline, now);
            }
        }
    }

    fn peer(&mut self, gateway: GatewayIndex, state: PeerState, now: Now) {
        let hearing = match self.team.set(gateway, state, now.tick) {
            Some(Hears::NoMore) => Hearing::Blind,
            Some(Hears::Again) => Hearing::Listening,
            None => return,
        };
        self.presence.hearing(gateway, hearing, now.tick);
        if state == PeerState::Offline {
            self.take_over(gateway, now);
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
        self.held.reindex(moved);
        self.gathered.clear();
        for (was, (mut visit, phase)) in self.visits.take() {
            let is = moved(was).and_then(|who| Some((who, self.identity.customer(who)?)));
            let Some((who, customer)) = is else {
                effects.push(Effect::Erased { visit: visit.id });
                continue;
            };
            let shown = (visit.tier.clone(), visit.card.clone(), visit.discreet);
            visit.show(&customer);
            let changed = shown != (visit.tier.clone(), visit.card.clone(), visit.discreet);
            if changed && phase == Phase::Open && self.speaks_for(&visit) {
                visit.revision = visit.revision.saturating_add(1);
                effects.push(Effect::Changed(visit.clone()));
            }
            self.visits.put(who, visit, phase);
        }
    }

    fn withdraw(&mut self, client: &str, effects: &mut Vec<Effect>) {
        if let Some(who) = self.identity.index_of(client) {
            self.presence.forget(who);
            self.held.drop(who);
            self.gathered.forget(who);
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
        let Some(who) = self.visits.customer(visit) else { return };
        match self.visits.get(who) {
            Some((visit, Phase::Open)) if self.speaks_for(visit) => {}
            _ => return,
        }
        if let Some(visit) = self.visits.get_mut(who) {
            visit.staff(by, action, now.clock.reading());
            // The answer goes out even where nothing changed: it tells whoever came second.
            effects.push(Effect::Changed(visit.clone()));
        }
    }

    /// Whether it is for this gateway to decide on `visit`.
    fn speaks_for(&self, visit: &Visit) -> bool {
        self.team.speaks_for(visit.gateway, &self.settings.gateways)
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
