//! Where both ears put what they hear, and the pulse by which each adapter is known to be alive.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::FutureExt as _;
use tokio::sync::Notify;

use super::adapter::Hci;
use crate::pipeline::event::Address;
use crate::pipeline::units::Dbm;
use crate::sources::Advertisement;
use crate::sources::intake::Intake;

/// What was heard through one adapter since somebody last felt its pulse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Advertisements.
    pub heard: u64,
    /// Those of a device, and of a length, heard before within some seconds.
    pub again: u64,
    /// One bit for each of 64 classes of addresses: a rough count of devices that keeps none of
    /// their addresses.
    pub devices: u64,
    /// The loudest of them.
    pub loudest: Option<Dbm>,
}

impl Pulse {
    /// Adds what another second's pulse says.
    pub fn join(&mut self, other: Self) {
        self.heard += other.heard;
        self.again += other.again;
        self.devices |= other.devices;
        self.loudest = self.loudest.max(other.loudest);
    }

    /// One advertisement more.
    pub fn beat(&mut self, address: Address, rssi: Option<Dbm>) {
        self.heard += 1;
        self.devices |= 1 << (spread(address) >> 58);
        self.loudest = self.loudest.max(rssi);
    }
}

/// Fibonacci hashing: the top bits depend on every octet of the address.
fn spread(address: Address) -> u64 {
    let octets = address.octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet));
    octets.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Which devices were heard of late: a bit for each of 4,096 classes of address and length (a
/// scan response is no repetition), and no address.
#[derive(Debug)]
struct Lately([u64; 64]);

impl Lately {
    /// Whether one such as `heard` is in already; it is afterwards.
    fn has(&mut self, heard: &Advertisement) -> bool {
        let length = (heard.payload.len() as u64) << 52;
        let class = (spread(heard.address) ^ length) >> 52;
        let Some(word) = usize::try_from(class >> 6).ok().and_then(|at| self.0.get_mut(at)) else {
            return false;
        };
        let bit = 1 << (class & 63);
        let before = *word & bit != 0;
        *word |= bit;
        before
    }
}

impl Default for Lately {
    fn default() -> Self {
        Self([0; 64])
    }
}

/// Which way an advertisement came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ear {
    /// `BlueZ`'s signals.
    Dbus,
    /// The kernel's HCI monitor channel.
    Monitor,
}

impl Ear {
    /// Its word in status and health.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dbus => "dbus",
            Self::Monitor => "monitor",
        }
    }
}

/// Seconds without a beat from the monitor before the other ear counts again.
const PATIENCE_WITH_MONITOR: u8 = 3;

/// Seconds after which repetitions are counted from nothing again.
const LATELY: u64 = 5;

/// What came in through one adapter.
#[derive(Debug, Default)]
struct Adapter {
    pulse: Pulse,
    lately: Lately,
    /// The monitor delivers, so what D-Bus says of the same advertisements does not count.
    monitored: bool,
    /// Seconds since the monitor's last beat.
    unmonitored_for: u8,
}

/// The intake with its pulses.
#[derive(Debug, Default)]
pub struct Ears {
    /// What goes on to the pipeline.
    pub intake: Intake,
    /// The only ear that counts; both where `None`.
    only: Option<Ear>,
    adapters: Mutex<BTreeMap<Hci, Adapter>>,
    seconds: AtomicU64,
    awaited: AtomicBool,
    awoken: Notify,
    sought: Mutex<Option<Address>>,
    found: Notify,
}

impl Ears {
    /// Hears by `only` one ear, or by whichever hears better.
    pub fn new(only: Option<Ear>) -> Self {
        Self { only, ..Self::default() }
    }

    /// An advertisement came in through `hci`. Where both ears hear, the monitor's word counts.
    pub fn hear(&self, hci: Hci, ear: Ear, heard: Advertisement) {
        if self.only.is_some_and(|only| only != ear) {
            return;
        }
        {
            let mut adapters = self.lock();
            let adapter = adapters.entry(hci).or_default();
            match ear {
                Ear::Monitor => (adapter.monitored, adapter.unmonitored_for) = (true, 0),
                Ear::Dbus if adapter.monitored => return,
                Ear::Dbus => {}
            }
            if *self.sought() == Some(heard.address) {
                self.found.notify_one();
            }
            adapter.pulse.beat(heard.address, heard.rssi);
            adapter.pulse.again += u64::from(adapter.lately.has(&heard));
        }
        self.intake.push(heard);
        if self.awaited.load(Ordering::Relaxed) && self.awaited.swap(false, Ordering::Relaxed) {
            self.awoken.notify_one();
        }
    }

    /// A second has passed.
    pub fn age(&self) {
        let forget = self.seconds.fetch_add(1, Ordering::Relaxed).is_multiple_of(LATELY);
        for adapter in self.lock().values_mut() {
            if forget {
                adapter.lately = Lately::default();
            }
            adapter.unmonitored_for = adapter.unmonitored_for.saturating_add(1);
            adapter.monitored &= adapter.unmonitored_for <= PATIENCE_WITH_MONITOR;
        }
    }

    /// What came in through `hci` since the last time this was asked, and by which ear.
    pub fn pulse(&self, hci: Hci) -> (Pulse, Ear) {
        let mut adapters = self.lock();
        let Some(adapter) = adapters.get_mut(&hci) else { return (Pulse::default(), Ear::Dbus) };
        let ear = if adapter.monitored { Ear::Monitor } else { Ear::Dbus };
        (std::mem::take(&mut adapter.pulse), ear)
    }

    /// The next advertisement shall end [`Ears::awoken`].
    pub fn await_sound(&self) {
        self.awaited.store(true, Ordering::Relaxed);
    }

    /// Waits for the sound that was awaited.
    pub async fn awoken(&self) {
        self.awoken.notified().await;
    }

    /// Waits for the next advertisement of `address`, at once rather than with its batch.
    pub async fn next_of(&self, address: Address) {
        *self.sought() = Some(address);
        // One left over from a search before this one.
        let _ = self.found.notified().now_or_never();
        self.found.notified().await;
        *self.sought() = None;
    }

    fn sought(&self) -> std::sync::MutexGuard<'_, Option<Address>> {
        self.sought.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Hci, Adapter>> {
        // A pulse is whole after every step of its change.
        self.adapters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::event::AddressKind;

    fn heard(n: u8) -> Advertisement {
        let address = Address { kind: AddressKind::Random, octets: [n; 6] };
        Advertisement { gateway: None, address, rssi: Dbm::measured(-60), payload: vec![n] }
    }

    #[tokio::test]
    async fn what_both_ears_hear_counts_once_and_either_ear_suffices() {
        let ears = Ears::default();
        ears.hear(Hci(0), Ear::Monitor, heard(1));
        ears.hear(Hci(0), Ear::Dbus, heard(1));
        ears.hear(Hci(1), Ear::Dbus, heard(2));
        assert_eq!(ears.intake.batch().await, [heard(1), heard(2)]);
        assert_eq!(ears.pulse(Hci(0)).1, Ear::Monitor);
        ears.pulse(Hci(0));
        (0..=PATIENCE_WITH_MONITOR).for_each(|_| ears.age());
        ears.hear(Hci(0), Ear::Dbus, heard(3));
        let (pulse, ear) = ears.pulse(Hci(0));
        assert_eq!((pulse.heard, pulse.devices.count_ones(), ear), (1, 1, Ear::Dbus));
    }
}
