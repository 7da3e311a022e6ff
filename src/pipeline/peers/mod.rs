//! The store's other gateways: which of them are present, which gateway owns a visit, what this one
//! publishes to them, and which arrivals wait for them.
//!
//! Correctness rests on merging alone (`engine::merge`): messages may come late, twice, in any
//! order, or never. This module only keeps staff from seeing the same customer twice for a moment.

pub mod aggregator;
mod pending;

pub use aggregator::{ContactAggregator, PeerContact};
pub use pending::{PendingArrival, PendingArrivals};

use std::collections::BTreeMap;
use std::time::Duration;

use super::units::Tick;
use crate::pipeline::gateway::{Gateway, GatewayIndex, HERE, PeerState};

/// A gateway that is down for longer no longer counts: from then on its silence is taken for the
/// customer's.
const GIVEN_UP_AFTER: Duration = Duration::from_mins(15);

/// How long after a new connection it takes to receive what the other gateways decided about this
/// gateway's visits. Later, only this gateway changes them.
const CATCHES_UP: Duration = Duration::from_secs(30);

/// The store's other gateways.
#[derive(Debug, Default)]
pub struct Peers {
    /// Since when the broker can be reached; without it every gateway decides alone.
    connected_since: Option<Tick>,
    by_index: BTreeMap<GatewayIndex, Peer>,
    /// When the next peer that is down stops counting.
    gives_up_at: Option<Tick>,
}

#[derive(Debug, Clone, Copy)]
struct Peer {
    state: PeerState,
    /// Since when it has not been receiving; `None` once it no longer counts.
    down_since: Option<Tick>,
}

impl Peers {
    /// The connection to the broker, and with it to every peer, was established or lost.
    pub fn connected(&mut self, connected: bool, now: Tick) {
        self.connected_since = connected.then_some(now);
    }

    /// Whether the other gateways may have decided about this gateway's visits while it was away.
    pub fn catches_up(&self, now: Tick) -> bool {
        self.connected_since.is_some_and(|since| now < since.plus(CATCHES_UP))
    }

    /// A peer published its state, or the broker its last will. Returns how its reception changed.
    pub fn set_state(
        &mut self,
        gateway: GatewayIndex,
        state: PeerState,
        now: Tick,
    ) -> Option<Reception> {
        let before = self.by_index.get(&gateway).copied();
        let was_online = before.is_some_and(|peer| peer.state == PeerState::Online);
        let is_online = state == PeerState::Online;
        let down_since = match before {
            Some(peer) if !is_online => peer.down_since.or(was_online.then_some(now)),
            _ => None,
        };
        self.by_index.insert(gateway, Peer { state, down_since });
        self.plan();
        match (was_online, is_online) {
            (true, false) => Some(Reception::Lost),
            (false, true) => Some(Reception::Back),
            _ => None,
        }
    }

    /// A gateway whose visit was received is a peer, though perhaps not present.
    pub fn meet(&mut self, gateway: GatewayIndex) {
        let offline = Peer { state: PeerState::Offline, down_since: None };
        self.by_index.entry(gateway).or_insert(offline);
    }

    /// A gateway whose contacts were received is present.
    pub fn on_contact(&mut self, gateway: GatewayIndex) {
        let online = Peer { state: PeerState::Online, down_since: None };
        self.by_index.entry(gateway).or_insert(online);
    }

    /// Whether it is a gateway of another process.
    pub fn is_peer(&self, gateway: GatewayIndex) -> bool {
        self.by_index.contains_key(&gateway)
    }

    /// All peers, present or not.
    pub fn iter(&self) -> impl Iterator<Item = GatewayIndex> + '_ {
        self.by_index.keys().copied()
    }

    /// Whether any peer can be reached.
    pub fn any_present(&self) -> bool {
        let mut peers = self.by_index.values();
        self.connected_since.is_some() && peers.any(|peer| peer.state != PeerState::Offline)
    }

    /// Whether that gateway is a peer and can be reached.
    pub fn is_present(&self, gateway: GatewayIndex) -> bool {
        self.connected_since.is_some() && self.is_peer(gateway) && self.is_online(gateway)
    }

    fn is_online(&self, gateway: GatewayIndex) -> bool {
        self.by_index.get(&gateway).is_none_or(|peer| peer.state != PeerState::Offline)
    }

    /// Whether this gateway decides about a visit that `opener` opened: always about its own; about
    /// another gateway's while that one is offline and this one is the next in name order.
    pub fn owns(&self, opener: GatewayIndex, gateways: &[Gateway]) -> bool {
        if !self.is_peer(opener) {
            return true;
        }
        if self.connected_since.is_none() || self.is_online(opener) {
            return false;
        }
        let name = |index: GatewayIndex| {
            gateways.get(usize::from(index.0)).map_or("", |gateway| gateway.name.as_str())
        };
        let online = self.iter().filter(|peer| self.is_online(*peer)).chain([HERE]);
        let after = |index: &GatewayIndex| (name(*index) < name(opener), name(*index));
        online.min_by(|a, b| after(a).cmp(&after(b))) == Some(HERE)
    }

    /// A peer that has been down for `GIVEN_UP_AFTER`; each is returned once.
    pub fn give_up(&mut self, now: Tick) -> Option<GatewayIndex> {
        self.gives_up_at.filter(|due| now >= *due)?;
        let is_due = |peer: &Peer| peer.down_since.is_some_and(|at| now >= at.plus(GIVEN_UP_AFTER));
        let (gateway, peer) = self.by_index.iter_mut().find(|(_, peer)| is_due(peer))?;
        peer.down_since = None;
        let gateway = *gateway;
        self.plan();
        Some(gateway)
    }

    /// The next time [`Peers::give_up`] has something to return.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.gives_up_at
    }

    fn plan(&mut self) {
        let since = self.by_index.values().filter_map(|peer| peer.down_since).min();
        self.gives_up_at = since.map(|since| since.plus(GIVEN_UP_AFTER));
    }
}

/// How a peer's reception changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reception {
    /// From now on its silence says nothing of a customer.
    Lost,
    /// Its silence counts again.
    Back,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateways(names: &[&str]) -> Vec<Gateway> {
        let gateway = |name: &&str| Gateway {
            name: (*name).to_owned(),
            place: None,
            offset_db: 0.0,
            levels: None,
        };
        names.iter().map(gateway).collect()
    }

    /// Which of `names` own a visit of `away`, which is offline.
    fn owners(names: &[&str], away: &str) -> Vec<String> {
        let mut owners = Vec::new();
        for here in names.iter().filter(|name| **name != away) {
            let mut order = vec![*here];
            order.extend(names.iter().filter(|name| *name != here));
            let mut peers = Peers::default();
            peers.connected(true, Tick::ZERO);
            for (index, name) in (0_u8..).zip(&order).skip(1) {
                let state = if *name == away { PeerState::Offline } else { PeerState::Online };
                peers.set_state(GatewayIndex(index), state, Tick::ZERO);
            }
            let opener = order.iter().position(|name| *name == away).unwrap();
            if peers.owns(GatewayIndex(u8::try_from(opener).unwrap()), &gateways(&order)) {
                owners.push((*here).to_owned());
            }
        }
        owners
    }

    #[test]
    fn the_next_in_name_order_owns_the_visits_of_a_gateway_that_is_offline() {
        let names = ["attic", "door", "till"];
        assert_eq!(owners(&names, "door"), ["till"]);
        assert_eq!(owners(&names, "attic"), ["door"]);
        assert_eq!(owners(&names, "till"), ["attic"]);
    }

    #[test]
    fn without_a_broker_a_gateway_owns_its_own_visits_only() {
        let gateways = gateways(&["door", "till"]);
        let mut peers = Peers::default();
        peers.connected(true, Tick::ZERO);
        peers.set_state(GatewayIndex(1), PeerState::Offline, Tick::ZERO);
        assert!(peers.owns(GatewayIndex(1), &gateways));
        peers.connected(false, Tick::ZERO);
        assert!(!peers.owns(GatewayIndex(1), &gateways));
        assert!(peers.owns(HERE, &gateways));
    }

    #[test]
    fn a_gateway_that_is_down_is_given_up_after_a_quarter_of_an_hour() {
        let mut peers = Peers::default();
        peers.set_state(GatewayIndex(1), PeerState::Online, Tick::ZERO);
        assert_eq!(peers.next_deadline(), None);
        let died = Tick::from_micros(1_000_000);
        assert_eq!(
            peers.set_state(GatewayIndex(1), PeerState::Offline, died),
            Some(Reception::Lost)
        );
        let due = peers.next_deadline().unwrap();
        assert_eq!(due, died.plus(GIVEN_UP_AFTER));
        assert_eq!(peers.give_up(died), None);
        assert_eq!(peers.give_up(due), Some(GatewayIndex(1)));
        assert_eq!(peers.next_deadline(), None);
    }
}
