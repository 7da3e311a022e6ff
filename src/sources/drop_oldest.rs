//! The bounded queue between a radio and the pipeline: when it is full the oldest advertisement is
//! dropped and counted.
//!
//! Presence needs what is received now, so an old advertisement is worth less than a new one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::Advertisement;

/// Two seconds of the densest air that one gateway was measured with: 2,500 advertisements a
/// second.
const CAPACITY: usize = 5_000;

/// Advertisements within this time are handed over together, because a wake-up costs more than a
/// batch. It is well below what staff could notice.
const BATCH: Duration = Duration::from_millis(25);

/// Advertisements that the daemon has not taken yet.
#[derive(Debug)]
pub struct DropOldestQueue {
    queue: Mutex<VecDeque<Advertisement>>,
    capacity: usize,
    filled: Notify,
    received: AtomicU64,
    dropped: AtomicU64,
}

impl Default for DropOldestQueue {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl DropOldestQueue {
    /// An empty queue for at most `capacity` advertisements.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            queue: Mutex::new(VecDeque::new()),
            capacity,
            filled: Notify::new(),
            received: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    /// Adds one without waiting; where the queue is full, the oldest one is dropped.
    pub fn push(&self, received: Advertisement) {
        self.received.fetch_add(1, Ordering::Relaxed);
        let was_empty = {
            let mut queue = self.lock();
            if queue.len() >= self.capacity {
                queue.pop_front();
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            queue.push_back(received);
            queue.len() == 1
        };
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Waits for an advertisement, then for those within `BATCH`, and takes all.
    ///
    /// Cancel-safe: nothing is taken before the last wait has ended.
    pub async fn batch(&self) -> Vec<Advertisement> {
        loop {
            if self.lock().is_empty() {
                self.filled.notified().await;
            }
            tokio::time::sleep(BATCH).await;
            let batch: Vec<_> = self.lock().drain(..).collect();
            if !batch.is_empty() {
                return batch;
            }
        }
    }

    /// Counts advertisements that were lost before they reached the queue as dropped ones.
    pub fn count_lost(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    /// Number of advertisements since the start, dropped ones included.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Number of advertisements that were dropped or lost.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Advertisement>> {
        // No code can panic while it holds the lock; a poisoned queue is still a queue.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::event::{Address, AddressKind};

    fn numbered(n: u8) -> Advertisement {
        let address = Address { kind: AddressKind::Random, octets: [n; 6] };
        Advertisement { gateway: None, address, rssi: None, payload: vec![n] }
    }

    #[tokio::test]
    async fn a_full_queue_drops_the_oldest_and_counts_it() {
        let queue = DropOldestQueue::with_capacity(3);
        (0..5).for_each(|n| queue.push(numbered(n)));
        let batch = queue.batch().await;
        assert_eq!(batch, [numbered(2), numbered(3), numbered(4)]);
        assert_eq!((queue.received(), queue.dropped()), (5, 2));
    }

    #[tokio::test]
    async fn what_comes_while_no_task_waits_is_not_lost() {
        let queue = DropOldestQueue::default();
        queue.push(numbered(1));
        assert_eq!(queue.batch().await.len(), 1);
        queue.push(numbered(2));
        assert_eq!(queue.batch().await, [numbered(2)]);
    }
}
