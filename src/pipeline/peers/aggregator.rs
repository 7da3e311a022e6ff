//! Aggregates the contacts of each customer until they are published to the peers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::pipeline::advert::Echo;
use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::units::{Dbm, Tick, WallTime};

/// Contacts are published at most this often.
const EVERY: Duration = Duration::from_millis(250);
/// Customers in one message; a gateway receives fewer at once.
const MAX_CUSTOMERS: usize = 256;

/// What a gateway received of one customer within `EVERY`.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerContact {
    /// The customer's opaque handle.
    pub client: Arc<str>,
    /// The mean RSSI; `None` where no advertisement had one.
    pub rssi: Option<Dbm>,
    /// Number of advertisements since the last message.
    pub count: u16,
    /// The phone's latest echo.
    pub echo: Option<Echo>,
    /// The gateway is about to announce the customer's arrival, at this time of its own clock.
    pub arriving_at: Option<WallTime>,
}

/// The contacts that are not published yet.
#[derive(Debug, Default)]
pub struct ContactAggregator {
    by_customer: BTreeMap<CustomerIndex, Sum>,
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

impl ContactAggregator {
    pub fn add(&mut self, who: CustomerIndex, rssi: Option<Dbm>, echo: Option<Echo>, now: Tick) {
        if self.by_customer.len() >= MAX_CUSTOMERS && !self.by_customer.contains_key(&who) {
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

    /// An arrival is about to be announced: the contacts are due at once.
    pub fn arriving(&mut self, who: CustomerIndex, at: WallTime, now: Tick) {
        self.due = Some(now);
        self.by_customer.entry(who).or_default().arriving_at = Some(at);
    }

    /// When the contacts are to be published.
    pub fn due(&self) -> Option<Tick> {
        self.due
    }

    /// Takes the contacts out once they are due; `client` is a customer's handle.
    pub fn take_due(
        &mut self,
        now: Tick,
        client: impl Fn(CustomerIndex) -> Option<Arc<str>>,
    ) -> Vec<PeerContact> {
        if self.due.is_none_or(|due| now < due) {
            return Vec::new();
        }
        let contact = |(who, sum): (CustomerIndex, Sum)| {
            let mean = (sum.measured > 0).then(|| sum.rssi_dbm / i32::from(sum.measured));
            let rssi = mean.and_then(|mean| i16::try_from(mean).ok()).and_then(Dbm::measured);
            let Sum { count, echo, arriving_at, .. } = sum;
            Some(PeerContact { client: client(who)?, rssi, count, echo, arriving_at })
        };
        self.take().into_iter().filter_map(contact).collect()
    }

    pub fn forget(&mut self, who: CustomerIndex) {
        self.by_customer.remove(&who);
    }

    /// Drops all contacts: no peer is present, or the customers' indices have changed.
    pub fn clear(&mut self) {
        self.take();
    }

    fn take(&mut self) -> BTreeMap<CustomerIndex, Sum> {
        self.due = None;
        std::mem::take(&mut self.by_customer)
    }
}
