//! Counts of messages and connections.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::payload::DeliveryHealth;

/// Counts since the start; `queued` is a gauge.
#[derive(Debug, Default)]
pub struct Counts {
    /// Messages not yet acknowledged.
    pub queued: Count,
    pub delivered: Count,
    /// Messages published again because a connection broke before their acknowledgement.
    pub repeated: Count,
    pub expired: Count,
    /// Messages dropped because the outbox was full or the broker does not accept their size.
    pub shed: Count,
    /// Inbound messages that could not be parsed.
    pub refused: Count,
    pub connections: Count,
}

/// One number, written by one task and read by others.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn one(&self) {
        self.more(1);
    }

    pub fn more(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// Sets the number, which then is a gauge.
    pub fn set(&self, value: usize) {
        self.0.store(u64::try_from(value).unwrap_or(u64::MAX), Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counts {
    /// For the health report.
    pub fn health(&self, store: Option<String>, retained: Option<bool>) -> DeliveryHealth {
        DeliveryHealth {
            queued: self.queued.get(),
            delivered: self.delivered.get(),
            repeated: self.repeated.get(),
            expired: self.expired.get(),
            shed: self.shed.get(),
            refused: self.refused.get(),
            connections: self.connections.get(),
            store,
            retained,
        }
    }
}
