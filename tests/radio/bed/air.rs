//! The schedule of advertisements: the same in every run.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use super::bond;
use super::gatt::Phone;
use super::scenario::{Air, Pdu};

/// One advertisement on the air.
pub struct Advertisement {
    /// Time since the air was opened.
    pub at: Duration,
    /// Least significant octet first, as HCI has it.
    pub address: [u8; 6],
    pub rssi: i8,
    pub pdu: Pdu,
    pub payload: Vec<u8>,
    /// Its last octets get the time of sending.
    pub stamped: bool,
    /// The phone that answers a connection.
    pub phone: Option<Phone>,
    /// Number of connections that fail before one succeeds.
    pub refuses: u64,
}

impl Advertisement {
    fn at(self, at: Duration) -> Self {
        Self { at, ..self }
    }

    /// Writes the time of sending into it: `now`, since the air was opened.
    pub fn stamp(&mut self, now: Duration) {
        let milliseconds = u32::try_from(now.as_millis()).expect("a scenario is short");
        if let Some(last) = self.payload.last_chunk_mut().filter(|_| self.stamped) {
            *last = milliseconds.to_le_bytes();
        }
    }
}

/// All advertisements, ordered by time.
pub struct Schedule {
    /// Each group with the time that its own times count from.
    groups: Vec<(Duration, Air)>,
    /// Time, group, device in the group, number of the device's advertisement.
    due: BinaryHeap<Reverse<(Duration, usize, u64, u64)>>,
}

impl Schedule {
    /// Each group's devices are spread evenly over its interval.
    pub fn new(groups: &[Air]) -> Self {
        let mut schedule = Self { groups: Vec::new(), due: BinaryHeap::new() };
        schedule.add(groups, Duration::ZERO);
        schedule
    }

    /// Adds groups whose times count from `begun`.
    pub fn add(&mut self, groups: &[Air], begun: Duration) {
        for group in groups {
            let every = Duration::from_millis(group.every_ms);
            for device in 0..group.devices {
                let offset = every.mul_f64(device as f64 / group.devices as f64);
                let first = begun + Duration::from_secs(group.from) + offset;
                self.due.push(Reverse((first, self.groups.len(), device, 0)));
            }
            self.groups.push((begun, group.clone()));
        }
    }

    pub fn next(&mut self) -> Option<Advertisement> {
        loop {
            let Reverse((at, index, device, count)) = self.due.pop()?;
            let (begun, group) = &self.groups[index];
            if group.until.is_some_and(|until| at >= *begun + Duration::from_secs(until)) {
                continue;
            }
            let every = Duration::from_millis(group.every_ms);
            self.due.push(Reverse((at + every, index, device, count + 1)));
            return Some(advertisement(group, index, device, count, at - *begun).at(at));
        }
    }
}

fn advertisement(
    group: &Air,
    index: usize,
    device: u64,
    count: u64,
    at: Duration,
) -> Advertisement {
    let epoch = at.as_secs().checked_div(group.rotate_s).unwrap_or(0);
    let who = mix((index as u64) << 40 ^ (device + 1) << 20 ^ epoch).to_le_bytes();
    // Top bits 01: a resolvable private address, as phones use.
    let mut address = [who[0], who[1], who[2], who[3], who[4], who[5] & 0x3f | 0x40];
    if let Some(irk) = &group.irk {
        let prand = [address[3], address[4], address[5]];
        address[..3].copy_from_slice(&bond::hash(irk, prand));
    }
    let spread = (mix(count ^ device << 32) % 7) as i8 - 3;
    let turn = at.as_millis().checked_div(group.turn_ms.into()).unwrap_or(0) as usize;
    let rssi = turn.checked_rem(group.rssis.len()).map(|turn| group.rssis[turn]);
    let payload = turn.checked_rem(group.payloads.len()).map(|turn| &group.payloads[turn]);
    let payload = match payload.or(group.payload.as_ref()) {
        Some(hex) => hex::decode(hex).expect("payload is hex"),
        // Flags; manufacturer data of 0xffff, which the SIG sets aside for tests.
        None => [&[2, 1, 6, 13, 0xff, 0xff, 0xff, 0xca, 0x11][..], &device.to_le_bytes()].concat(),
    };
    let rssi = rssi.unwrap_or(group.rssi).saturating_add(spread);
    let phone = group.gatt_key.as_deref().map(Phone::new);
    let Air { pdu, stamped, refuses, .. } = *group;
    Advertisement { at, address, rssi, pdu, payload, stamped, phone, refuses }
}

/// A pseudo-random number, the same for a seed in every run.
fn mix(seed: u64) -> u64 {
    SplitMix64::seed_from_u64(seed).next_u64()
}
