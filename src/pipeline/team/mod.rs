//! The store's other gateways: who of them is there, who speaks for whom, what to tell them, and
//! which arrivals wait for their word.
//!
//! Correctness rests on merging alone (`engine::merge`): messages may come late, twice, in any
//! order, or never. What is here only spares staff the flicker.

pub mod gathered;
mod held;

pub use gathered::{Gathered, Overheard};
pub use held::{Held, HeldArrivals};

use std::collections::BTreeMap;
use std::time::Duration;

use super::units::Tick;
use crate::pipeline::gateway::{Gateway, HERE};
use crate::pipeline::gateway::{GatewayIndex, PeerState};

/// A gateway that is away for longer is no longer counted on: its silence means what everybody's
/// does.
const GIVEN_UP_AFTER: Duration = Duration::from_mins(15);

/// What the others decided on this gateway's visits while it was away comes within this time of a
/// new connection. Later, only this gateway changes them.
const CATCHES_UP: Duration = Duration::from_secs(30);

/// The others.
#[derive(Debug, Default)]
pub struct Team {
    /// Since when the broker can be reached; without it every gateway decides alone.
    connected_since: Option<Tick>,
    peers: BTreeMap<GatewayIndex, Peer>,
}

#[derive(Debug, Clone, Copy)]
struct Peer {
    state: PeerState,
    /// Not listening since, while that still matters.
    deaf_since: Option<Tick>,
}

impl Team {
    /// The broker came, or went and took the others along.
    pub fn connected(&mut self, connected: bool, now: Tick) {
        self.connected_since = connected.then_some(now);
    }

    /// Whether the others may have decided on this gateway's visits while it was away.
    pub fn catches_up(&self, now: Tick) -> bool {
        self.connected_since.is_some_and(|since| now < since.plus(CATCHES_UP))
    }

    /// A peer said how it is, or its last will did. Returns whether it stopped or began to hear.
    pub fn set(&mut self, gateway: GatewayIndex, state: PeerState, now: Tick) -> Option<Hears> {
        let before = self.peers.get(&gateway).copied();
        let heard = before.is_some_and(|peer| peer.state == PeerState::Online);
        let hears = state == PeerState::Online;
        let deaf_since = match before {
            Some(peer) if !hears => peer.deaf_since.or(heard.then_some(now)),
            _ => None,
        };
        self.peers.insert(gateway, Peer { state, deaf_since });
        match (heard, hears) {
            (true, false) => Some(Hears::NoMore),
            (false, true) => Some(Hears::Again),
            _ => None,
        }
    }

    /// A gateway that was heard of otherwise is a peer, though not known to be there.
    pub fn meet(&mut self, gateway: GatewayIndex) {
        let away = Peer { state: PeerState::Offline, deaf_since: None };
        self.peers.entry(gateway).or_insert(away);
    }

    /// Whoever tells what it hears is there.
    pub fn hear(&mut self, gateway: GatewayIndex) {
        self.peers.entry(gateway).or_insert(Peer { state: PeerState::Online, deaf_since: None });
    }

    /// Whether it is another process's.
    pub fn is_peer(&self, gateway: GatewayIndex) -> bool {
        self.peers.contains_key(&gateway)
    }

    /// The others.
    pub fn peers(&self) -> impl Iterator<Item = GatewayIndex> + '_ {
        self.peers.keys().copied()
    }

    /// Whether anybody else is there to be told what is heard here.
    pub fn has_company(&self) -> bool {
        self.connected_since.is_some()
            && self.peers.values().any(|peer| peer.state != PeerState::Offline)
    }

    /// Whether that gateway is another one that is there.
    pub fn is_company(&self, gateway: GatewayIndex) -> bool {
        self.connected_since.is_some() && self.is_peer(gateway) && self.is_there(gateway)
    }

    fn is_there(&self, gateway: GatewayIndex) -> bool {
        self.peers.get(&gateway).is_none_or(|peer| peer.state != PeerState::Offline)
    }

    /// Whether it is for this gateway to decide on a visit that `opener` opened: its own always;
    /// another's while that one is away and this one the next in name order.
    pub fn speaks_for(&self, opener: GatewayIndex, gateways: &[Gateway]) -> bool {
        if !self.is_peer(opener) {
            return true;
        }
        if self.connected_since.is_none() || self.is_there(opener) {
            return false;
        }
        let name = |index: GatewayIndex| {
            gateways.get(usize::from(index.0)).map_or("", |gateway| gateway.name.as_str())
        };
        let present = self.peers().filter(|peer| self.is_there(*peer)).chain([HERE]);
        let after = |index: &GatewayIndex| (name(*index) < name(opener), name(*index));
        present.min_by(|a, b| after(a).cmp(&after(b))) == Some(HERE)
    }

    /// A peer that was away for too long to be waited for.
    pub fn give_up(&mut self, now: Tick) -> Option<GatewayIndex> {
        let is_due = |peer: &Peer| peer.deaf_since.is_some_and(|at| now >= at.plus(GIVEN_UP_AFTER));
        let (gateway, peer) = self.peers.iter_mut().find(|(_, peer)| is_due(peer))?;
        peer.deaf_since = None;
        Some(*gateway)
    }

    /// When [`Team::give_up`] should be called at the latest.
    pub fn next_deadline(&self) -> Option<Tick> {
        let since = self.peers.values().filter_map(|peer| peer.deaf_since).min()?;
        Some(since.plus(GIVEN_UP_AFTER))
    }
}

/// What a change of a peer's state means for what it hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// Its silence means nothing from now on.
    NoMore,
    /// It does again.
    Again,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateways(names: &[&str]) -> Vec<Gateway> {
        let named = |name: &&str| Gateway {
            name: (*name).to_owned(),
            place: None,
            offset_db: 0.0,
            levels: None,
        };
        names.iter().map(named).collect()
    }

    /// The team as each of `names` sees it, with `away` offline.
    fn speakers(names: &[&str], away: &str) -> Vec<String> {
        let mut speakers = Vec::new();
        for here in names.iter().filter(|name| **name != away) {
            let mut order = vec![*here];
            order.extend(names.iter().filter(|name| *name != here));
            let mut team = Team::default();
            team.connected(true, Tick::ZERO);
            for (index, name) in (0_u8..).zip(&order).skip(1) {
                let state = if *name == away { PeerState::Offline } else { PeerState::Online };
                team.set(GatewayIndex(index), state, Tick::ZERO);
            }
            let opener = order.iter().position(|name| *name == away).unwrap();
            if team.speaks_for(GatewayIndex(u8::try_from(opener).unwrap()), &gateways(&order)) {
                speakers.push((*here).to_owned());
            }
        }
        speakers
    }

    #[test]
    fn exactly_the_next_in_name_order_speaks_for_who_is_away() {
        let names = ["attic", "door", "till"];
        assert_eq!(speakers(&names, "door"), ["till"]);
        assert_eq!(speakers(&names, "attic"), ["door"]);
        assert_eq!(speakers(&names, "till"), ["attic"]);
    }

    #[test]
    fn without_a_broker_nobody_speaks_for_another() {
        let gateways = gateways(&["door", "till"]);
        let mut team = Team::default();
        team.connected(true, Tick::ZERO);
        team.set(GatewayIndex(1), PeerState::Offline, Tick::ZERO);
        assert!(team.speaks_for(GatewayIndex(1), &gateways));
        team.connected(false, Tick::ZERO);
        assert!(!team.speaks_for(GatewayIndex(1), &gateways));
        assert!(team.speaks_for(HERE, &gateways));
    }

    #[test]
    fn a_dead_gateway_is_waited_for_a_quarter_of_an_hour() {
        let mut team = Team::default();
        team.set(GatewayIndex(1), PeerState::Online, Tick::ZERO);
        assert_eq!(team.next_deadline(), None);
        let died = Tick::from_micros(1_000_000);
        assert_eq!(team.set(GatewayIndex(1), PeerState::Offline, died), Some(Hears::NoMore));
        let due = team.next_deadline().unwrap();
        assert_eq!(due, died.plus(GIVEN_UP_AFTER));
        assert_eq!(team.give_up(died), None);
        assert_eq!(team.give_up(due), Some(GatewayIndex(1)));
        assert_eq!(team.next_deadline(), None);
    }
}
