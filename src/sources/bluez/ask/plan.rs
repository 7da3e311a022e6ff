//! Whom to ask, and when. Pure.
//!
//! A connection takes the radio away from listening for a moment, and the hint's one bit is set
//! by many other apps: so few are asked, near ones only, and each address once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::pipeline::event::Address;
use crate::pipeline::units::{Dbm, Tick};

/// Whoever is heard weaker is not in the shop yet, and would be hard to connect to.
const FLOOR: i8 = -80;
/// At most this many within [`MINUTE`].
const MOST: usize = 12;
const MINUTE: Duration = Duration::from_mins(1);
/// iOS changes its address about every 15 minutes.
const ROTATION: Duration = Duration::from_mins(15);
/// Addresses remembered; past it the oldest is forgotten, and may be asked again.
const MOST_TRIED: usize = 4_096;

/// What was tried; in memory only.
#[derive(Debug, Default)]
pub struct Plan {
    tried: BTreeMap<Address, Tick>,
    asked: VecDeque<Tick>,
}

impl Plan {
    /// Whether to ask the phone at `address` now; if so, it counts as asked.
    pub fn accepts(&mut self, now: Tick, address: Address, rssi: Option<Dbm>) -> bool {
        let near = rssi.is_some_and(|rssi| rssi.value() >= FLOOR);
        let tried = |tried: &Tick| now.since(*tried) < ROTATION;
        if !near || self.tried.get(&address).is_some_and(tried) {
            return false;
        }
        self.asked.retain(|asked| now.since(*asked) < MINUTE);
        if self.asked.len() >= MOST {
            return false;
        }
        self.asked.push_back(now);
        self.remember(address, now);
        true
    }

    fn remember(&mut self, address: Address, now: Tick) {
        if self.tried.len() >= MOST_TRIED {
            self.tried.retain(|_, tried| now.since(*tried) < ROTATION);
        }
        if self.tried.len() >= MOST_TRIED
            && let Some(oldest) =
                self.tried.iter().min_by_key(|(_, tried)| **tried).map(|(address, _)| *address)
        {
            self.tried.remove(&oldest);
        }
        self.tried.insert(address, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::event::AddressKind;

    fn phone(n: u16) -> Address {
        let [a, b] = n.to_be_bytes();
        Address { kind: AddressKind::Random, octets: [0x40, 0, 0, 0, a, b] }
    }

    fn at(secs: u64) -> Tick {
        Tick::from_micros(secs * 1_000_000)
    }

    const NEAR: Option<Dbm> = Dbm::measured(-60);

    #[test]
    fn each_address_is_asked_once_until_it_must_have_changed() {
        let mut plan = Plan::default();
        assert!(plan.accepts(at(0), phone(1), NEAR));
        assert!(!plan.accepts(at(800), phone(1), NEAR));
        assert!(plan.accepts(at(901), phone(1), NEAR));
    }

    #[test]
    fn whoever_is_far_is_asked_when_near() {
        let mut plan = Plan::default();
        assert!(!plan.accepts(at(0), phone(1), Dbm::measured(-90)));
        assert!(!plan.accepts(at(0), phone(1), None));
        assert!(plan.accepts(at(1), phone(1), NEAR));
    }

    #[test]
    fn a_crowd_of_hints_is_asked_a_few_a_minute() {
        let mut plan = Plan::default();
        let asked = |plan: &mut Plan, secs: u64| {
            (0..1_000).filter(|n| plan.accepts(at(secs), phone(*n), NEAR)).count()
        };
        assert_eq!(asked(&mut plan, 0), MOST);
        assert_eq!(asked(&mut plan, 59), 0);
        assert_eq!(asked(&mut plan, 61), MOST);
    }
}
