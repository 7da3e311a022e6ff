//! Decides which phone to challenge next, and when. Pure.
//!
//! A connection takes an adapter away from scanning for a moment, and other apps set the same bit
//! of the overflow area. So only near phones are challenged, the likeliest first; a phone that
//! answered or does not have the app is left alone until its address has changed; one that could
//! not be connected to is tried again soon, with a growing pause.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::pipeline::event::Address;
use crate::pipeline::forgetful::make_room;
use crate::pipeline::units::{Dbm, Tick};

/// A phone with a weaker signal is not in the shop yet, and hard to connect to.
const MIN_RSSI_DBM: i8 = -80;
/// A phone that was not received within this time may have left; if not, it advertises again.
const FRESH: Duration = Duration::from_secs(3);
/// iOS changes its address about every 15 minutes.
const ADDRESS_LASTS: Duration = Duration::from_mins(15);
/// Pause after the first failure, doubled by each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Challenges without an answer that are allowed within [`BUDGET_WINDOW`], while another adapter
/// scans. Answers do not count: where customers answer, the next ones are challenged without delay.
pub const BUDGET: usize = 60;
/// The same where each attempt keeps the only adapter from scanning.
pub const BUDGET_ALONE: usize = 12;
const BUDGET_WINDOW: Duration = Duration::from_mins(1);
/// Phones that are remembered; beyond that, those received longest ago are forgotten.
const MAX_PHONES: usize = 4_096;

/// The result of a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The phone answered; the pipeline decides whether the answer is a customer's.
    Answered,
    /// The phone's GATT services are known, and the app's is not among them.
    NoApp,
    /// No connection, or a connection that was lost.
    Failed,
}

/// Phones that advertise the app's bit of the overflow area. In memory only.
#[derive(Debug, Default)]
pub struct Candidates {
    phones: BTreeMap<Address, Phone>,
    /// When challenges failed or met another app, within [`BUDGET_WINDOW`].
    fruitless: VecDeque<Tick>,
}

#[derive(Debug, Clone, Copy)]
struct Phone {
    rssi: Option<Dbm>,
    received: Tick,
    not_before: Tick,
    failures: u32,
    challenged: bool,
}

impl Candidates {
    /// Takes an advertisement with the app's bit.
    pub fn observe(&mut self, now: Tick, address: Address, rssi: Option<Dbm>) {
        if !self.phones.contains_key(&address) {
            make_room(&mut self.phones, MAX_PHONES, |one| one.received, |one| one.challenged);
        }
        let phone = self.phones.entry(address).or_insert(Phone {
            rssi,
            received: now,
            not_before: now,
            failures: 0,
            challenged: false,
        });
        (phone.rssi, phone.received) = (rssi, now);
    }

    /// The phone to challenge now, which counts as being challenged until [`Candidates::settle`]:
    /// of those with the fewest failures the one with the strongest signal.
    pub fn next(&mut self, now: Tick, budget: usize) -> Option<(Address, Option<Dbm>)> {
        self.fruitless.retain(|at| now.since(*at) < BUDGET_WINDOW);
        let being_challenged = self.phones.values().filter(|phone| phone.challenged).count();
        if self.fruitless.len() + being_challenged >= budget {
            return None;
        }
        let due = self.phones.iter_mut().filter(|(_, phone)| phone.is_due(now));
        let (address, phone) =
            due.min_by_key(|(_, phone)| (phone.failures, std::cmp::Reverse(phone.rssi)))?;
        phone.challenged = true;
        Some((*address, phone.rssi))
    }

    /// Takes the result of the challenge of `address`.
    pub fn settle(&mut self, now: Tick, address: Address, outcome: Outcome) {
        if outcome != Outcome::Answered {
            self.fruitless.push_back(now);
        }
        let Some(phone) = self.phones.get_mut(&address) else { return };
        phone.challenged = false;
        phone.not_before = now.plus(match outcome {
            Outcome::Answered | Outcome::NoApp => ADDRESS_LASTS,
            Outcome::Failed => {
                let pause = FIRST_PAUSE * 2u32.saturating_pow(phone.failures.min(8));
                phone.failures += 1;
                pause.min(LONGEST_PAUSE)
            }
        });
    }

    /// The connection to the bus was lost: challenges under way have no outcome, and what failed may
    /// work now.
    pub fn reset(&mut self, now: Tick) {
        for phone in self.phones.values_mut().filter(|one| one.challenged || one.failures > 0) {
            (phone.challenged, phone.failures, phone.not_before) = (false, 0, now);
        }
    }
}

impl Phone {
    fn is_due(&self, now: Tick) -> bool {
        let near = self.rssi.is_some_and(|rssi| rssi.value() >= MIN_RSSI_DBM);
        let fresh = now.since(self.received) < FRESH;
        near && fresh && !self.challenged && now >= self.not_before
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

    fn at(millis: u64) -> Tick {
        Tick::from_micros(millis * 1_000)
    }

    const NEAR: Option<Dbm> = Dbm::measured(-60);

    /// When phone 1, received ten times a second, is challenged within `secs`, in milliseconds.
    fn challenges(candidates: &mut Candidates, secs: u64, outcome: Outcome) -> Vec<u64> {
        let mut times = Vec::new();
        for millis in (0..secs * 1_000).step_by(100) {
            candidates.observe(at(millis), phone(1), NEAR);
            if let Some((address, _)) = candidates.next(at(millis), BUDGET) {
                times.push(millis);
                candidates.settle(at(millis), address, outcome);
            }
        }
        times
    }

    #[test]
    fn a_phone_that_answered_is_left_alone_until_its_address_must_have_changed() {
        for outcome in [Outcome::Answered, Outcome::NoApp] {
            let times = challenges(&mut Candidates::default(), 1_000, outcome);
            assert_eq!(times, [0, 900_000], "{outcome:?}");
        }
    }

    #[test]
    fn the_first_failed_connection_does_not_lose_the_customer() {
        let times = challenges(&mut Candidates::default(), 120, Outcome::Failed);
        assert_eq!(times, [0, 1_000, 3_000, 7_000, 15_000, 31_000, 63_000]);
    }

    #[test]
    fn a_far_phone_is_challenged_once_it_is_near() {
        let mut candidates = Candidates::default();
        for far in [Dbm::measured(-90), None] {
            candidates.observe(at(0), phone(1), far);
            assert_eq!(candidates.next(at(0), BUDGET), None);
        }
        candidates.observe(at(1_000), phone(1), NEAR);
        assert_eq!(candidates.next(at(1_000), BUDGET), Some((phone(1), NEAR)));
        assert_eq!(candidates.next(at(1_000), BUDGET), None, "it is being challenged");
    }

    #[test]
    fn a_phone_that_is_gone_is_not_challenged() {
        let mut candidates = Candidates::default();
        candidates.observe(at(0), phone(1), NEAR);
        assert_eq!(candidates.next(at(3_000), BUDGET), None);
    }

    #[test]
    fn the_strongest_signal_comes_first_and_failures_last() {
        let mut candidates = Candidates::default();
        for (n, rssi) in [(1, -50), (2, -75), (3, -55)] {
            candidates.observe(at(0), phone(n), Dbm::measured(rssi));
        }
        let next =
            |candidates: &mut Candidates, millis| candidates.next(at(millis), BUDGET).map(|c| c.0);
        assert_eq!(next(&mut candidates, 0), Some(phone(1)));
        candidates.settle(at(0), phone(1), Outcome::Failed);
        assert_eq!(next(&mut candidates, 1_000), Some(phone(3)));
        assert_eq!(next(&mut candidates, 1_000), Some(phone(2)));
        assert_eq!(next(&mut candidates, 1_000), Some(phone(1)));
    }

    #[test]
    fn thirty_customers_at_once_are_all_challenged_without_a_pause() {
        let mut candidates = Candidates::default();
        (0..30).for_each(|n| candidates.observe(at(0), phone(n), NEAR));
        for _ in 0..30 {
            let (address, _) = candidates.next(at(0), BUDGET).unwrap();
            candidates.settle(at(0), address, Outcome::Answered);
        }
    }

    #[test]
    fn a_crowd_with_another_app_costs_a_few_connections_a_minute() {
        let mut candidates = Candidates::default();
        let mut connections = |(millis, budget)| {
            (0..1_000).for_each(|n| candidates.observe(at(millis), phone(n), NEAR));
            let mut count = 0;
            while let Some((address, _)) = candidates.next(at(millis), budget) {
                candidates.settle(at(millis), address, Outcome::NoApp);
                count += 1;
            }
            count
        };
        let looks = [(0, 12), (59_000, 12), (59_000, 60), (60_000, 12), (120_000, 60)];
        assert_eq!(looks.map(&mut connections), [12, 0, 48, 0, 60]);
    }

    #[test]
    fn a_bus_that_is_lost_during_a_challenge_does_not_lose_the_phone() {
        let mut candidates = Candidates::default();
        candidates.observe(at(0), phone(1), NEAR);
        assert!(candidates.next(at(0), BUDGET).is_some());
        candidates.observe(at(2_000), phone(1), NEAR);
        assert_eq!(candidates.next(at(2_000), BUDGET), None);
        candidates.reset(at(2_000));
        assert_eq!(candidates.next(at(2_000), BUDGET), Some((phone(1), NEAR)));
    }

    #[test]
    fn a_crowd_that_changes_its_addresses_takes_bounded_memory() {
        let mut candidates = Candidates::default();
        (0..10_000).for_each(|n| candidates.observe(at(u64::from(n)), phone(n), NEAR));
        assert!(candidates.phones.len() <= MAX_PHONES);
    }
}
