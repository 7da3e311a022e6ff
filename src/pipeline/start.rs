//! How a pipeline begins, and how long the gateway was away before.

use std::time::Duration;

/// How long a gateway was away before it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    Known(Duration),
    /// The wall clock was not set, and the machine was rebooted: a minute or a month.
    Unknown,
}

impl Default for Away {
    fn default() -> Self {
        Self::Known(Duration::ZERO)
    }
}

impl Away {
    /// Whether it was known to be no longer than `limit`.
    pub fn is_within(self, limit: Duration) -> bool {
        matches!(self, Self::Known(away) if away <= limit)
    }
}

/// How a pipeline begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the beginning of a recording, or after a short break: a customer who is not known to be
    /// inside has just arrived.
    Followed,
    /// In the middle of opening hours: a customer who is received during `presence.warm_up` may
    /// have been inside already, and causes no alert.
    Unfollowed,
}
