//! Phones that answered a challenge: their advertisements are only a hint, so they are recognised
//! by their address until it changes.
//!
//! Invariant: bounded, and holds only addresses of enrolled customers' phones.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pipeline::address::Address;
use crate::pipeline::forgetful::make_room;
use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::units::Tick;

/// iOS changes its address about every 15 minutes: after a longer silence the address is stale.
const ADDRESS_LASTS: Duration = Duration::from_mins(20);
/// More phones than one shop holds.
const MOST: usize = 1_024;

/// Customers by their phones' addresses.
#[derive(Debug, Default)]
pub struct GattSessionCache {
    phones: BTreeMap<Address, (CustomerIndex, Tick)>,
}

impl GattSessionCache {
    /// Stores that `address` belongs to `who`.
    pub fn add(&mut self, address: Address, who: CustomerIndex, now: Tick) {
        self.phones.retain(|_, (_, heard)| now.since(*heard) < ADDRESS_LASTS);
        make_room(&mut self.phones, MOST, |(_, heard)| *heard, |_| false);
        self.phones.insert(address, (who, now));
    }

    /// The customer whose phone uses `address`.
    pub fn who(&mut self, address: Address, now: Tick) -> Option<CustomerIndex> {
        let (who, heard) = self.phones.get_mut(&address)?;
        let known = now.since(*heard) < ADDRESS_LASTS;
        known.then(|| {
            *heard = now;
            *who
        })
    }

    /// The registry has changed: each customer has another index, or is gone.
    pub fn moved(&mut self, place: impl Fn(CustomerIndex) -> Option<CustomerIndex>) {
        self.phones.retain(|_, (who, _)| match place(*who) {
            Some(moved) => {
                *who = moved;
                true
            }
            None => false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::address::AddressKind;

    fn address(n: u16) -> Address {
        let [a, b] = n.to_be_bytes();
        Address { kind: AddressKind::Random, octets: [0x40, 0, 0, 0, a, b] }
    }

    fn at(mins: u64) -> Tick {
        Tick::from_micros(mins * 60_000_000)
    }

    #[test]
    fn a_phone_is_known_as_long_as_it_is_heard_and_not_after() {
        let mut sessions = GattSessionCache::default();
        sessions.add(address(1), CustomerIndex(7), at(0));
        assert_eq!(sessions.who(address(1), at(15)), Some(CustomerIndex(7)));
        assert_eq!(sessions.who(address(1), at(30)), Some(CustomerIndex(7)));
        assert_eq!(sessions.who(address(1), at(50)), None);
        assert_eq!(sessions.who(address(2), at(15)), None);
    }

    #[test]
    fn a_new_registry_moves_some_and_forgets_others() {
        let mut sessions = GattSessionCache::default();
        sessions.add(address(1), CustomerIndex(1), at(0));
        sessions.add(address(2), CustomerIndex(2), at(0));
        sessions.moved(|who| (who == CustomerIndex(1)).then_some(CustomerIndex(5)));
        assert_eq!(sessions.who(address(1), at(1)), Some(CustomerIndex(5)));
        assert_eq!(sessions.who(address(2), at(1)), None);
    }

    #[test]
    fn memory_is_bounded_and_the_longest_silent_goes_first() {
        let mut sessions = GattSessionCache::default();
        for n in 0..2_000 {
            sessions.add(address(n), CustomerIndex(u32::from(n)), at(u64::from(n) / 500));
        }
        assert!(sessions.phones.len() <= MOST);
        assert_eq!(sessions.who(address(1_999), at(4)), Some(CustomerIndex(1_999)));
    }
}
