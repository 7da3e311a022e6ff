//! The bounded queue between the ears and the pipeline: when it is full the oldest goes, counted.
//!
//! An old advertisement is worth less than a fresh one: presence wants to know what is heard now.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::Advertisement;

/// Two seconds of the densest air one gateway was measured with (2,500 advertisements a second).
const CAPACITY: usize = 5_000;

/// Advertisements of this long are handed over in one go: a wake-up costs more than a batch.
///
/// Well under what a greeting, a hold-off or a belief can notice.
const BATCH: Duration = Duration::from_millis(25);

/// Where the ears put what they hear.
#[derive(Debug)]
pub struct Intake {
    queue: Mutex<VecDeque<Advertisement>>,
    capacity: usize,
    filled: Notify,
    heard: AtomicU64,
    shed: AtomicU64,
}

impl Default for Intake {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl Intake {
    /// An empty queue that holds at most `capacity` advertisements.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            queue: Mutex::new(VecDeque::new()),
            capacity,
            filled: Notify::new(),
            heard: AtomicU64::new(0),
            shed: AtomicU64::new(0),
        }
    }

    /// Adds one; never waits. Full: the oldest makes room.
    pub fn push(&self, heard: Advertisement) {
        self.heard.fetch_add(1, Ordering::Relaxed);
        let was_empty = {
            let mut queue = self.lock();
            if queue.len() >= self.capacity {
                queue.pop_front();
                self.shed.fetch_add(1, Ordering::Relaxed);
            }
            queue.push_back(heard);
            queue.len() == 1
        };
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Waits for something to be there, then for what comes right behind it, and takes all.
    ///
    /// Cancel-safe: nothing is taken before the last wait is over.
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

    /// `count` were lost before they got here: counted as if they had been shed here.
    pub fn lost(&self, count: u64) {
        self.shed.fetch_add(count, Ordering::Relaxed);
    }

    /// How many were put in since the start.
    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// How many of them had to make room.
    pub fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Advertisement>> {
        // No code can panic while it holds the lock; a poisoned queue is still a queue.
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
    async fn a_full_queue_sheds_the_oldest_and_counts_it() {
        let intake = Intake::with_capacity(3);
        (0..5).for_each(|n| intake.push(numbered(n)));
        let batch = intake.batch().await;
        assert_eq!(batch, [numbered(2), numbered(3), numbered(4)]);
        assert_eq!((intake.heard(), intake.shed()), (5, 2));
    }

    #[tokio::test]
    async fn what_comes_while_nobody_waits_is_not_lost() {
        let intake = Intake::default();
        intake.push(numbered(1));
        assert_eq!(intake.batch().await.len(), 1);
        intake.push(numbered(2));
        assert_eq!(intake.batch().await, [numbered(2)]);
    }
}
