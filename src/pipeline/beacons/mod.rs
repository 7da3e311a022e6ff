//! The shop's own beacons: whether each is where it was, and alive.
//!
//! They are few and do not move, so each has a small state: when it was received, its usual RSSI,
//! its addresses. Battery levels can come in frames without an identity (Eddystone-TLM), which are
//! matched by their sender's address.

mod state;
mod watched;

pub use state::{BeaconState, OwnBeacon};

use std::collections::BTreeMap;

use super::advert::{Identifier, identifiers};
use super::units::{Now, Tick};
use crate::pipeline::address::Address;
use crate::pipeline::gateway::Hearing;
use crate::pipeline::sighting::Sighting;
use watched::Watched;

/// Addresses remembered for each beacon: two that take turns, and two they had before.
const ADDRESSES_EACH: usize = 4;

#[derive(Debug, Default)]
pub struct Beacons {
    watched: Vec<Watched>,
    senders: BTreeMap<Address, usize>,
    blind: bool,
}

impl Beacons {
    /// Watches these from now on; the ones watched before keep their memory.
    pub fn watch(&mut self, beacons: &[OwnBeacon], now: Tick) {
        let mut before = std::mem::take(&mut self.watched);
        self.senders.clear();
        self.watched = beacons
            .iter()
            .map(|beacon| match before.iter().position(|watched| watched.beacon == *beacon) {
                Some(place) => before.swap_remove(place),
                None => Watched::new(beacon.clone(), now),
            })
            .collect();
    }

    /// Takes an advertisement; returns the beacon's state where it must be reported.
    #[inline]
    pub fn hear(&mut self, now: Now, sighting: &Sighting<'_>) -> Option<BeaconState> {
        if self.watched.is_empty() {
            return None;
        }
        identifiers(sighting.payload).find_map(|said| self.take_in(now, sighting, &said))
    }

    fn take_in(
        &mut self,
        now: Now,
        sighting: &Sighting<'_>,
        said: &Identifier,
    ) -> Option<BeaconState> {
        let Identifier::Beacon { identity, health } = said else { return None };
        let mut heard = None;
        let place = match identity {
            Some(identity) => {
                let is_it = |one: &Watched| one.beacon.identity == *identity;
                let place = self.watched.iter().position(is_it)?;
                self.remember(sighting.address, place);
                let rssi = sighting.rssi.map(f32::from);
                heard = self.watched.get_mut(place)?.hear(now, sighting.address, rssi);
                place
            }
            None => *self.senders.get(&sighting.address)?,
        };
        let read =
            health.as_ref().and_then(|health| self.watched.get_mut(place)?.read(now.tick, health));
        read.or(heard)
    }

    fn remember(&mut self, address: Address, place: usize) {
        if self.senders.len() >= self.watched.len() * ADDRESSES_EACH
            && !self.senders.contains_key(&address)
        {
            // They are learned again from the next advertisement.
            self.senders.clear();
        }
        self.senders.insert(address, place);
    }

    /// This gateway stopped receiving or receives again: silence counts from then on.
    pub fn hearing(&mut self, hearing: Hearing, now: Tick) {
        let was_blind = std::mem::replace(&mut self.blind, hearing == Hearing::Blind);
        if was_blind && !self.blind {
            self.watched.iter_mut().for_each(|one| one.listen_from(now));
        }
    }

    /// The next beacon that has become missing.
    pub fn expire(&mut self, now: Tick) -> Option<BeaconState> {
        if self.blind {
            return None;
        }
        let silent = |one: &&mut Watched| one.missing_at().is_some_and(|at| at <= now);
        self.watched.iter_mut().find(silent).map(|one| one.go_missing(now))
    }

    /// When the next one will be missing.
    pub fn next_deadline(&self) -> Option<Tick> {
        if self.blind {
            return None;
        }
        self.watched.iter().filter_map(Watched::missing_at).min()
    }

    /// The states of all beacons.
    pub fn states(&self) -> impl Iterator<Item = &BeaconState> {
        self.watched.iter().map(|one| &one.state)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::pipeline::address::AddressKind;
    use crate::pipeline::advert::Beacon;
    use crate::pipeline::advert::ibeacon::IBeacon;
    use crate::pipeline::gateway::GatewayIndex;
    use crate::pipeline::units::{Clock, Dbm, WallTime};

    const UUID: [u8; 16] = [0x42; 16];
    /// Eddystone-TLM: 2.9 V, 21.5 degrees.
    const TELEMETRY: &str = "0303aafe1116aafe20000b5415800000000100000002";

    fn watching() -> Beacons {
        let beacon = IBeacon { uuid: UUID, major: 42, minor: 1, tx_power: 0 };
        let identity = Beacon::IBeacon(beacon).identity().unwrap();
        let missing_after = Duration::from_mins(2);
        let mut beacons = Beacons::default();
        let beacon = OwnBeacon { name: Arc::from("door"), identity, missing_after };
        beacons.watch(&[beacon], Tick::ZERO);
        beacons
    }

    fn at(secs: u64) -> Now {
        let tick = Tick::from_micros(secs * 1_000_000);
        let clock =
            Clock::Set(WallTime::from_unix_secs(1_767_225_600).plus(tick.since(Tick::ZERO)));
        Now { tick, clock }
    }

    fn say(beacons: &mut Beacons, secs: u64, sender: u8, rssi: i16) -> Option<BeaconState> {
        let beacon = IBeacon { uuid: UUID, major: 42, minor: 1, tx_power: -59 };
        hear(beacons, secs, sender, rssi, &beacon.advertisement())
    }

    fn hear(
        beacons: &mut Beacons,
        secs: u64,
        sender: u8,
        rssi: i16,
        payload: &[u8],
    ) -> Option<BeaconState> {
        let address = Address { kind: AddressKind::Public, octets: [sender; 6] };
        let rssi = Dbm::measured(rssi);
        beacons.hear(at(secs), &Sighting { gateway: GatewayIndex(0), address, rssi, payload })
    }

    #[test]
    fn a_beacon_is_reported_when_first_heard_when_missing_and_when_back() {
        let mut beacons = watching();
        assert!(!say(&mut beacons, 1, 1, -60).unwrap().missing);
        assert_eq!(say(&mut beacons, 2, 1, -60), None);
        assert_eq!(beacons.next_deadline(), Some(at(122).tick));
        assert_eq!(beacons.expire(at(121).tick), None);
        assert!(beacons.expire(at(122).tick).unwrap().missing);
        assert_eq!(beacons.expire(at(500).tick), None);
        assert!(!say(&mut beacons, 600, 1, -60).unwrap().missing);
    }

    #[test]
    fn no_beacon_is_missing_because_the_gateway_was_blind() {
        let mut beacons = watching();
        say(&mut beacons, 1, 1, -60);
        beacons.hearing(Hearing::Blind, at(10).tick);
        assert_eq!((beacons.expire(at(900).tick), beacons.next_deadline()), (None, None));
        beacons.hearing(Hearing::Listening, at(1_000).tick);
        assert_eq!(beacons.next_deadline(), Some(at(1_120).tick));
    }

    #[test]
    fn a_beacon_that_was_moved_is_reported_and_fading_is_not() {
        let mut beacons = watching();
        for secs in 0..200 {
            let fading = [-60, -68, -57, -63][usize::try_from(secs % 4).unwrap()];
            let reports = say(&mut beacons, secs, 1, fading);
            assert!(reports.is_none_or(|state| !state.moved), "{secs}");
        }
        let reports = (200..400).filter_map(|secs| say(&mut beacons, secs, 1, -85));
        let moved: Vec<_> = reports.filter(|state| state.moved).collect();
        assert_eq!(moved.len(), 1);
        assert!(moved[0].rssi.unwrap() < -80.0);
    }

    #[test]
    fn two_senders_that_take_turns_are_a_clone_and_a_new_address_is_not() {
        let mut beacons = watching();
        say(&mut beacons, 1, 1, -60);
        assert_eq!(say(&mut beacons, 2, 2, -60), None, "a new address");
        assert!(say(&mut beacons, 3, 1, -60).unwrap().cloned, "and back to the old one");
    }

    #[test]
    fn telemetry_is_its_senders() {
        let mut beacons = watching();
        let telemetry = hex::decode(TELEMETRY).unwrap();
        assert_eq!(hear(&mut beacons, 1, 1, -60, &telemetry), None, "of no known beacon yet");
        say(&mut beacons, 2, 1, -60);
        let state = hear(&mut beacons, 3, 1, -60, &telemetry).unwrap();
        assert_eq!((state.battery_mv, state.temperature_c), (Some(2900), Some(21.5)));
        assert_eq!(hear(&mut beacons, 4, 1, -60, &telemetry), None, "nothing new");
    }
}
