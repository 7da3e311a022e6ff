//! What this gateway heard of each customer since it last told the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::pipeline::advert::Echo;
use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::units::{Dbm, Tick, WallTime};

/// The others are told at most this often.
const EVERY: Duration = Duration::from_millis(250);
/// Customers told of at once; a store's gateway never hears as many.
const MOST: usize = 256;

/// What a gateway heard of one customer within a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Overheard {
    /// The customer's opaque handle.
    pub client: Arc<str>,
    /// How loud on average, as measured; `None` where the driver did not say.
    pub rssi: Option<Dbm>,
    /// How often.
    pub count: u16,
    /// The phone's latest echo.
    pub echo: Option<Echo>,
    /// The gateway is about to announce the customer's arrival, at this time of its own clock.
    pub arriving_at: Option<WallTime>,
}

/// A few numbers a customer.
#[derive(Debug, Default)]
pub struct Gathered {
    by_customer: BTreeMap<CustomerIndex, Sum>,
    /// When the others are to be told.
    due: Option<Tick>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    rssi_dbm: i32,
    measured: u16,
    count: u16,
    echo: Option<Echo>,
    arriving_at: Option<WallTime>,
}

impl Gathered {
    /// Counts one contact in.
    pub fn add(&mut self, who: CustomerIndex, rssi: Option<Dbm>, echo: Option<Echo>, now: Tick) {
        if self.by_customer.len() >= MOST && !self.by_customer.contains_key(&who) {
            return;
        }
        self.due.get_or_insert(now.plus(EVERY));
        let sum = self.by_customer.entry(who).or_default();
        sum.count = sum.count.saturating_add(1);
        sum.echo = echo.or(sum.echo);
        if let (Some(rssi), Some(measured)) = (rssi, sum.measured.checked_add(1)) {
            sum.rssi_dbm += i32::from(rssi.value());
            sum.measured = measured;
        }
    }

    /// An arrival is about to be announced: the others are to be told at once.
    pub fn arriving(&mut self, who: CustomerIndex, at: WallTime, now: Tick) {
        self.due = Some(now);
        self.by_customer.entry(who).or_default().arriving_at = Some(at);
    }

    /// When the others are to be told.
    pub fn due(&self) -> Option<Tick> {
        self.due
    }

    /// What to tell them, if it is time; `client` names a customer.
    pub fn take_due(
        &mut self,
        now: Tick,
        client: impl Fn(CustomerIndex) -> Option<Arc<str>>,
    ) -> Vec<Overheard> {
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        let told = |(who, sum): (CustomerIndex, Sum)| {
            let mean = (sum.measured > 0).then(|| sum.rssi_dbm / i32::from(sum.measured));
            let rssi = mean.and_then(|mean| i16::try_from(mean).ok()).and_then(Dbm::measured);
            let Sum { count, echo, arriving_at, .. } = sum;
            Some(Overheard { client: client(who)?, rssi, count, echo, arriving_at })
        };
        self.take().into_iter().filter_map(told).collect()
    }

    /// Forgets a customer.
    pub fn forget(&mut self, who: CustomerIndex) {
        self.by_customer.remove(&who);
    }

    /// Forgets all: nobody is there to be told, or the customers' places have changed.
    pub fn clear(&mut self) {
        self.take();
    }

    fn take(&mut self) -> BTreeMap<CustomerIndex, Sum> {
        self.due = None;
        std::mem::take(&mut self.by_customer)
    }
}
