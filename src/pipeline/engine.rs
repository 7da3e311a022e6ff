//! The engine: each input passes through identity, presence and policy, in this order.

mod beside;
mod check_in;
mod clock;
mod contacts;
mod escalation;
mod lifecycle;
mod merge;
mod visit_events;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::beacons::{BeaconState, Beacons};
use super::event::{Effect, Input};
use super::identity::Identity;
use super::identity::clones::Cards;
use super::peers::{ContactAggregator, Peers, PendingArrivals, Reception};
use super::policy::Caps;
use super::presence::{Presence, Survey};
use super::units::{Dbm, Now, Tick, WallTime};
use super::visits::{Phase, Visits};
use crate::pipeline::gateway::HERE;
use crate::pipeline::gateway::{GatewayIndex, Hearing, PeerState};
use crate::pipeline::identity::customer::{CustomerIndex, Match};
use crate::pipeline::identity::registry::Registry;
use crate::pipeline::restored::Restored;
use crate::pipeline::settings::Settings;
use crate::pipeline::start::Start;
use crate::pipeline::visit::{Member, StaffAction, Visit};
use crate::pipeline::visit_id::VisitId;

/// Everything that grelot decides, as a state machine: the same inputs give the same effects.
#[derive(Debug)]
pub struct Pipeline {
    settings: Settings,
    identity: Identity,
    presence: Presence,
    caps: Caps,
    visits: Visits,
    beacons: Beacons,
    cards: Cards,
    peers: Peers,
    pending: PendingArrivals,
    aggregator: ContactAggregator,
    withdrawn: BTreeSet<Arc<str>>,
    contacts: u64,
    /// The contact in the last input, if it was one.
    last_contact: Option<(Match, GatewayIndex, Option<Dbm>)>,
    /// The time of the last input.
    latest: Now,
    /// The earliest time that was read from the wall clock as it runs now.
    clock_since: WallTime,
    /// When the next visit is escalated.
    escalation: Option<WallTime>,
}

impl Pipeline {
    /// A pipeline that continues what survived a restart. The effects end the visits that cannot
    /// continue, such as those of customers who are no longer enrolled.
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
        let presence = Presence::new(settings.clone(), restored.survey, start, now.tick)
            .listening(restored.listening);
        let clock_since = restored.clock_since.unwrap_or(now.clock.reading());
        let caps = Caps::restored(restored.last_alerts, clock_since);
        let away = restored.away;
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
            cards: Cards::default(),
            peers: Peers::default(),
            pending: PendingArrivals::default(),
            aggregator: ContactAggregator::default(),
            withdrawn,
            contacts: 0,
            last_contact: None,
            latest: now,
            clock_since,
            escalation: None,
        };
        let mut effects = Vec::new();
        // Before the visits, which need the offsets.
        effects.extend(restored.phones.into_iter().filter_map(|phone| pipeline.recall(phone, now)));
        let visits = restored.visits.into_iter();
        effects.extend(visits.filter_map(|visit| pipeline.restore(visit, away, now)));
        pipeline.plan_escalation();
        (pipeline, effects)
    }

    /// Takes one input and returns its effects, in order. Time must not go back.
    pub fn handle(&mut self, now: Now, input: Input<'_>) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.last_contact = None;
        self.follow_clock(now, &mut effects);
        self.pass_time(now, &mut effects);
        // An escalation has its own deadline, so advertisements need not look for one.
        let may_escalate = !matches!(input, Input::Advertisement(_));
        match input {
            Input::Advertisement(sighting) => self.hear(now, &sighting, &mut effects),
            Input::Answer(answer) => self.take_answer(now, &answer, &mut effects),
            Input::Deadline => self.identity.advance(now),
            Input::Hearing(gateway, hearing) => self.on_hearing(gateway, hearing, now),
            Input::Broker(connected) => self.broker(connected, now),
            Input::Peer(gateway, state) => self.peer(gateway, state, now),
            Input::PeerContact(gateway, contact) => {
                self.peer_contact(now, gateway, &contact, &mut effects);
            }
            Input::Contact(contact) => self.take_contact(now, &contact, &mut effects),
            Input::Retained(_, Some(said)) => self.merge(*said, now, &mut effects),
            Input::Retained(visit, None) => self.cleared(visit, now, &mut effects),
            Input::Registry(registry) => self.replace_registry(*registry, now, &mut effects),
            Input::Settings(settings) => {
                self.presence.set((*settings).clone());
                if settings.beacons != self.settings.beacons {
                    self.beacons.watch(&settings.beacons, now.tick);
                }
                self.settings = *settings;
            }
            Input::Withdrawn(client) => self.withdraw(client, &mut effects),
            Input::CheckIn(said) => self.check_in(now, said, &mut effects),
            Input::Staff { visit, by, action } => self.staff(now, visit, by, &action, &mut effects),
            Input::Feedback { visit, was_here } => self.feedback(visit, was_here),
            Input::ForgetSite(gateway) => {
                effects.push(Effect::Surveyed(self.presence.forget_site(gateway, now.tick)));
            }
        }
        if may_escalate {
            self.escalate(now, &mut effects);
        }
        self.flush_contacts(now, &mut effects);
        effects.extend(self.presence.take_survey(now.tick).map(Effect::Surveyed));
        if may_escalate || !effects.is_empty() {
            self.plan_escalation();
        }
        effects
    }

    /// Handles every deadline up to `now`.
    fn pass_time(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some(event) = self.presence.expire(now.tick) {
            self.perform(event, now, effects);
        }
        while let Some((who, arrival)) = self.pending.pop_due(now.tick) {
            self.open(who, arrival, now, effects);
        }
        while let Some(gateway) = self.peers.give_up(now.tick) {
            self.presence.hearing(gateway, Hearing::Listening, now.tick);
            self.plan_escalation();
        }
        while let Some(beacon) = self.beacons.expire(now.tick) {
            effects.push(Effect::Beacon(beacon));
        }
    }

    /// The latest time of the next call of [`Pipeline::handle`], with [`Input::Deadline`] if there
    /// is no other input.
    ///
    /// Asked after each advertisement, so it iterates over nothing that is usually empty.
    pub fn next_deadline(&self) -> Option<Tick> {
        let first = Tick::earlier(self.presence.next_deadline(), self.identity.next_deadline());
        let first = Tick::earlier(first, self.pending.next_deadline());
        let first = Tick::earlier(first, self.aggregator.due());
        let first = Tick::earlier(first, self.peers.next_deadline());
        let first = Tick::earlier(first, self.beacons.next_deadline());
        Tick::earlier(first, self.next_escalation())
    }

    pub fn open_visits(&self) -> impl Iterator<Item = &Visit> {
        self.visits.open()
    }

    /// Number of customers that presence tracks, inside or not.
    pub fn followed(&self) -> usize {
        self.presence.followed()
    }

    /// Whether another gateway of the store is online.
    pub fn any_present(&self) -> bool {
        self.peers.any_present()
    }

    /// Whether that gateway is another one, and online.
    pub fn is_present(&self, gateway: GatewayIndex) -> bool {
        self.peers.is_present(gateway)
    }

    /// The shop's own beacons.
    pub fn beacons(&self) -> impl Iterator<Item = &BeaconState> {
        self.beacons.states()
    }

    /// Number of received advertisements of enrolled customers since the start.
    pub fn contacts(&self) -> u64 {
        self.contacts
    }

    /// What each gateway measures of a phone that stays inside, in dBm.
    pub fn inside_levels(&self) -> impl Iterator<Item = (GatewayIndex, f32)> {
        self.presence.inside_levels()
    }

    /// What the shop's traffic says of its radio.
    pub fn survey(&self) -> &Survey {
        self.presence.survey()
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

    fn broker(&mut self, connected: bool, now: Now) {
        self.peers.connected(connected, now.tick);
        if !connected {
            self.aggregator.clear();
            // Their contacts do not arrive, so their silence means nothing. Gateways that are
            // still there report again once the broker is back.
            for peer in self.peers.iter().collect::<Vec<_>>() {
                self.peer(peer, PeerState::Offline, now);
            }
        }
    }

    fn peer(&mut self, gateway: GatewayIndex, state: PeerState, now: Now) {
        let hearing = match self.peers.set_state(gateway, state, now.tick) {
            Some(Reception::Lost) => Hearing::Blind,
            Some(Reception::Back) => Hearing::Listening,
            None => return,
        };
        self.presence.hearing(gateway, hearing, now.tick);
        if state == PeerState::Offline {
            self.take_over(gateway, now);
        }
    }

    fn staff(
        &mut self,
        now: Now,
        visit: VisitId,
        by: &Member,
        action: &StaffAction,
        effects: &mut Vec<Effect>,
    ) {
        let Some(who) = self.visits.customer(visit) else { return };
        match self.visits.get(who) {
            Some((visit, Phase::Open)) if self.owns(visit) => {}
            _ => return,
        }
        if let Some(visit) = self.visits.get_mut(who) {
            visit.staff(by, action, now.clock.reading());
            // The state is published even if it did not change: a second claimer learns who was first.
            effects.push(Effect::Changed(visit.clone()));
        }
        self.note_claim(who);
    }

    /// The survey counts a customer of whom someone takes care as inside.
    fn note_claim(&mut self, who: CustomerIndex) {
        if let Some((visit, Phase::Open)) = self.visits.get(who) {
            self.presence.claimed(who, visit.claim.is_some());
        }
    }

    /// What staff say counts while the visit is open.
    fn feedback(&mut self, visit: VisitId, was_here: Option<bool>) {
        if let Some(who) = self.visits.customer(visit)
            && let Some((_, Phase::Open)) = self.visits.get(who)
        {
            self.presence.judged(who, was_here);
        }
    }

    /// Whether this gateway decides about `visit`.
    fn owns(&self, visit: &Visit) -> bool {
        self.peers.owns(visit.gateway, &self.settings.gateways)
    }
}
