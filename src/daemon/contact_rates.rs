//! How many contacts each of the store's other gateways may publish.

use std::collections::BTreeMap;

use crate::pipeline::event::GatewayIndex;
use crate::pipeline::units::Tick;

/// A gateway publishes contacts four times a second, and once more for each arrival.
const CONTACTS_PER_SECOND: u32 = 20;

/// How many contacts messages each gateway has published in the current second.
#[derive(Debug, Default)]
pub(super) struct ContactRates {
    second: u64,
    counts: BTreeMap<GatewayIndex, u32>,
}

impl ContactRates {
    /// Counts a message of `gateway`; false beyond [`CONTACTS_PER_SECOND`].
    pub(super) fn admit(&mut self, gateway: GatewayIndex, now: Tick) -> bool {
        let second = now.since(Tick::ZERO).as_secs();
        if second != self.second {
            *self = Self { second, counts: BTreeMap::new() };
        }
        let count = self.counts.entry(gateway).or_default();
        *count += 1;
        *count <= CONTACTS_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_gateway_cannot_flood_the_others_with_contacts() {
        let mut rates = ContactRates::default();
        let (door, till) = (GatewayIndex(0), GatewayIndex(1));
        let admitted = (0..1_000).filter(|_| rates.admit(till, Tick::ZERO)).count();
        assert_eq!(admitted, CONTACTS_PER_SECOND as usize);
        assert!(rates.admit(door, Tick::ZERO));
        assert!(rates.admit(till, Tick::from_micros(1_000_000)));
    }
}
