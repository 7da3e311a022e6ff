//! What went over the wire, counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::payload::DeliveryHealth;

/// Counts since the start; `queued` is a gauge.
#[derive(Debug, Default)]
pub struct Counts {
    /// Notices not yet acknowledged.
    pub queued: Count,
    /// Notices acknowledged.
    pub delivered: Count,
    /// Notices sent again because a connection died before their answer.
    pub repeated: Count,
    /// Notices whose time was over.
    pub expired: Count,
    /// Notices that had to make room, or that no broker takes.
    pub shed: Count,
    /// Inbound messages that made no sense.
    pub refused: Count,
    /// Connections that stood.
    pub connections: Count,
}

/// One number, written by one task and read by others.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Counts one more.
    pub fn one(&self) {
        self.more(1);
    }

    /// Counts `more`.
    pub fn more(&self, more: u64) {
        self.0.fetch_add(more, Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, value: usize) {
        self.0.store(u64::try_from(value).unwrap_or(u64::MAX), Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Counts {
    /// As the health report says it.
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
