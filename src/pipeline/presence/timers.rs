//! When each customer's state must be looked at again.

use std::collections::BTreeSet;

use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::units::Tick;

/// One timer a customer, armed no later than it is needed.
///
/// A contact usually moves its customer's deadline further away. The timer stays where it is and is
/// armed again when it fires, so a contact costs nothing here.
#[derive(Debug, Default)]
pub struct Timers {
    due: BTreeSet<(Tick, CustomerIndex)>,
}

impl Timers {
    pub fn next(&self) -> Option<Tick> {
        self.due.first().map(|(tick, _)| *tick)
    }

    /// Moves a timer: `armed` is its time now, `wanted` the time at which it is needed. Returns its
    /// time afterwards.
    pub fn arm(&mut self, who: CustomerIndex, armed: Option<Tick>, wanted: Tick) -> Tick {
        match armed {
            Some(armed) if armed <= wanted => armed,
            Some(armed) => {
                self.due.remove(&(armed, who));
                self.due.insert((wanted, who));
                wanted
            }
            None => {
                self.due.insert((wanted, who));
                wanted
            }
        }
    }

    /// Takes out the earliest timer that is due.
    pub fn pop_due(&mut self, now: Tick) -> Option<CustomerIndex> {
        let (tick, who) = *self.due.first()?;
        (tick <= now).then(|| {
            self.due.pop_first();
            who
        })
    }

    pub fn clear(&mut self) {
        self.due.clear();
    }

    pub fn disarm(&mut self, who: CustomerIndex, armed: Option<Tick>) {
        if let Some(armed) = armed {
            self.due.remove(&(armed, who));
        }
    }
}
