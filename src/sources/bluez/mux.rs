//! The advertisement mux: merges both capture paths, so that each advertisement is received once,
//! and samples each adapter's activity.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use tokio::sync::Notify;

use super::adapter::Hci;
use crate::pipeline::event::Address;
use crate::sources::Advertisement;
use crate::sources::activity::{ActivitySample, RecentAddresses};
use crate::sources::capture_path::CapturePath;
use crate::sources::drop_oldest::DropOldestQueue;

/// Seconds without the monitor before D-Bus counts again.
const MONITOR_PATIENCE_S: u8 = 3;

/// Seconds after which recent addresses are forgotten.
const RECENT_S: u64 = 5;

/// What was received through one adapter.
#[derive(Debug, Default)]
struct Adapter {
    sample: ActivitySample,
    recent: RecentAddresses,
    /// Whether the monitor delivers: then D-Bus signals of the same advertisements do not count.
    monitored: bool,
    /// Seconds since the monitor's last advertisement.
    unmonitored_for: u8,
}

/// The one place where both capture paths deliver.
#[derive(Debug, Default)]
pub struct AdvertisementMux {
    /// The queue to the pipeline.
    pub queue: DropOldestQueue,
    /// The only path that counts; both where `None`.
    only: Option<CapturePath>,
    adapters: Mutex<BTreeMap<Hci, Adapter>>,
    seconds: AtomicU64,
    expected: AtomicBool,
    arrived: Notify,
    sought: Mutex<Option<Address>>,
    found: Notify,
}

impl AdvertisementMux {
    /// Takes advertisements of one path only, or of the better one where `only` is `None`.
    pub fn new(only: Option<CapturePath>) -> Self {
        Self { only, ..Self::default() }
    }

    /// An advertisement was received through `hci`. Where both paths deliver, the monitor counts.
    pub fn receive(&self, hci: Hci, path: CapturePath, received: Advertisement) {
        if self.only.is_some_and(|only| only != path) {
            return;
        }
        {
            let mut adapters = self.lock();
            let adapter = adapters.entry(hci).or_default();
            match path {
                CapturePath::Monitor => (adapter.monitored, adapter.unmonitored_for) = (true, 0),
                CapturePath::Dbus if adapter.monitored => return,
                CapturePath::Dbus => {}
            }
            if *self.sought() == Some(received.address) {
                self.found.notify_one();
            }
            adapter.sample.record(received.address, received.rssi);
            adapter.sample.repeated += u64::from(adapter.recent.insert(&received));
        }
        self.queue.push(received);
        if self.expected.load(Ordering::Relaxed) && self.expected.swap(false, Ordering::Relaxed) {
            self.arrived.notify_one();
        }
    }

    /// To be called once a second.
    pub fn age(&self) {
        let forget = self.seconds.fetch_add(1, Ordering::Relaxed).is_multiple_of(RECENT_S);
        for adapter in self.lock().values_mut() {
            if forget {
                adapter.recent = RecentAddresses::default();
            }
            adapter.unmonitored_for = adapter.unmonitored_for.saturating_add(1);
            adapter.monitored &= adapter.unmonitored_for <= MONITOR_PATIENCE_S;
        }
    }

    /// What was received through `hci` since the last call, and on which path.
    pub fn take_sample(&self, hci: Hci) -> (ActivitySample, CapturePath) {
        let mut adapters = self.lock();
        let Some(adapter) = adapters.get_mut(&hci) else {
            return (ActivitySample::default(), CapturePath::Dbus);
        };
        let path = if adapter.monitored { CapturePath::Monitor } else { CapturePath::Dbus };
        (std::mem::take(&mut adapter.sample), path)
    }

    /// Lets the next advertisement end [`AdvertisementMux::arrived`].
    pub fn expect_next(&self) {
        self.expected.store(true, Ordering::Relaxed);
    }

    /// Waits for the expected advertisement.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Waits for the next advertisement of `address`, which is reported before its batch.
    pub async fn next_of(&self, address: Address) {
        *self.sought() = Some(address);
        // A notification may be left over from an earlier search.
        let _ = self.found.notified().now_or_never();
        self.found.notified().await;
        *self.sought() = None;
    }

    fn sought(&self) -> MutexGuard<'_, Option<Address>> {
        self.sought.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Hci, Adapter>> {
        // A sample is consistent after every step of its change.
        self.adapters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::event::AddressKind;
    use crate::pipeline::units::Dbm;

    fn received(n: u8) -> Advertisement {
        let address = Address { kind: AddressKind::Random, octets: [n; 6] };
        Advertisement { gateway: None, address, rssi: Dbm::measured(-60), payload: vec![n] }
    }

    #[tokio::test]
    async fn what_both_paths_deliver_counts_once_and_either_path_suffices() {
        let mux = AdvertisementMux::default();
        mux.receive(Hci(0), CapturePath::Monitor, received(1));
        mux.receive(Hci(0), CapturePath::Dbus, received(1));
        mux.receive(Hci(1), CapturePath::Dbus, received(2));
        assert_eq!(mux.queue.batch().await, [received(1), received(2)]);
        assert_eq!(mux.take_sample(Hci(0)).1, CapturePath::Monitor);
        mux.take_sample(Hci(0));
        (0..=MONITOR_PATIENCE_S).for_each(|_| mux.age());
        mux.receive(Hci(0), CapturePath::Dbus, received(3));
        let (sample, path) = mux.take_sample(Hci(0));
        assert_eq!((sample.received, sample.devices.count_ones(), path), (1, 1, CapturePath::Dbus));
    }
}
