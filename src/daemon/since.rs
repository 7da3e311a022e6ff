//! When a state began.

use crate::pipeline::units::{Clock, Now, Tick, WallTime};

/// When a state began, on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    tick: Tick,
    /// Read from a clock that may not have counted yet.
    at: Clock,
}

impl Since {
    pub const fn new(now: Now) -> Self {
        Self { tick: now.tick, at: now.clock }
    }

    /// Corrects the time once the wall clock counts: what has passed is known.
    pub fn settle(&mut self, now: Now) {
        if let (Clock::Unset(_), Clock::Set(at)) = (self.at, now.clock) {
            self.at = Clock::Set(at.minus(now.tick.since(self.tick)));
        }
    }

    /// In wall time, by the best reading there is.
    pub const fn reading(&self) -> WallTime {
        self.at.reading()
    }
}
