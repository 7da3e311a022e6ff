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

    fn beat(&mut self, address: Address, rssi: Option<Dbm>) {
        // Fibonacci hashing: the product's top six bits depend on every octet of the address.
        let octets = address.octets.iter().fold(0, |number, octet| number << 8 | u64::from(*octet));
        let spread = octets.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.heard += 1;
        self.devices |= 1 << (spread >> 58);
        self.loudest = self.loudest.max(rssi);
    }
}

/// The intake with its pulses.
#[derive(Debug, Default)]
pub struct Ears {
    /// What goes on to the pipeline.
    pub intake: Intake,
    pulses: Mutex<BTreeMap<Hci, Pulse>>,
    awaited: AtomicBool,
    awoken: Notify,
}

impl Ears {
    /// An advertisement came in through `hci`.
    pub fn hear(&self, hci: Hci, heard: Heard) {
        self.lock().entry(hci).or_default().beat(heard.address, heard.rssi);
        self.intake.push(heard);
        if self.awaited.load(Ordering::Relaxed) && self.awaited.swap(false, Ordering::Relaxed) {
            self.awoken.notify_one();
        }
    }

    /// What came in through `hci` since the last time this was asked.
    pub fn pulse(&self, hci: Hci) -> Pulse {
        self.lock().get_mut(&hci).map(std::mem::take).unwrap_or_default()
    }

    /// The next advertisement shall end [`Ears::awoken`].
    pub fn await_sound(&self) {
        self.awaited.store(true, Ordering::Relaxed);
    }

    /// Waits for the sound that was awaited.
    pub async fn awoken(&self) {
        self.awoken.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Hci, Pulse>> {
        // A pulse is whole after every step of its change.
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
