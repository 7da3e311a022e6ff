//! Where both ears put what they hear, and the pulse by which each adapter is known to be alive.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::adapter::Hci;
use crate::pipeline::event::Address;
use crate::pipeline::units::Dbm;
use crate::sources::Heard;
use crate::sources::intake::Intake;

/// What was heard through one adapter since somebody last felt its pulse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Advertisements.
    pub heard: u64,
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
        self.devices |= other.devices;
        self.loudest = self.loudest.max(other.loudest);
    }

    /// One advertisement more.
    pub fn beat(&mut self, address: Address, rssi: Option<Dbm>) {
        // Fibonacci hashing: the product's top six bits depend on every octet of the address.
        let octets = address.octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet));
        let spread = octets.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.heard += 1;
        self.devices |= 1 << (spread >> 58);
        self.loudest = self.loudest.max(rssi);
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

/// What came in through one adapter.
#[derive(Debug, Default)]
struct Adapter {
    pulse: Pulse,
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
    awaited: AtomicBool,
    awoken: Notify,
}

impl Ears {
    /// Hears by `only` one ear, or by whichever hears better.
    pub fn new(only: Option<Ear>) -> Self {
        Self { only, ..Self::default() }
    }

    /// An advertisement came in through `hci`. Where both ears hear, the monitor's word counts.
    pub fn hear(&self, hci: Hci, ear: Ear, heard: Heard) {
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
            adapter.pulse.beat(heard.address, heard.rssi);
        }
        self.intake.push(heard);
        if self.awaited.load(Ordering::Relaxed) && self.awaited.swap(false, Ordering::Relaxed) {
            self.awoken.notify_one();
        }
    }

    /// A second has passed.
    pub fn age(&self) {
        for adapter in self.lock().values_mut() {
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

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Hci, Adapter>> {
        // A pulse is whole after every step of its change.
        self.adapters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::event::AddressKind;

    fn heard(n: u8) -> Heard {
        let address = Address { kind: AddressKind::Random, octets: [n; 6] };
        Heard { gateway: None, address, rssi: Dbm::measured(-60), payload: vec![n] }
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
