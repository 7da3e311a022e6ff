//! Arrivals that are not announced yet, because a peer may be about to announce them.
//!
//! Every gateway publishes at once that it is about to announce a customer, and waits. A gateway
//! that learns of an earlier arrival defers to it. Both know which is earlier by the same rule: the
//! smaller `(arrived_at, gateway)` goes first. If that gateway fails meanwhile, the other one
//! announces.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::presence::PeakEvidence;
use crate::pipeline::units::{ClockStep, Tick, WallTime};
use crate::pipeline::visit::Visit;

/// How long the gateway that receives the customer best waits ...
const RECEIVES_BEST: Duration = Duration::from_millis(300);
/// ... and how long the others wait, which mostly need not announce then.
const RECEIVES_WORSE: Duration = Duration::from_millis(500);
/// How long to defer to an earlier peer: if it has not announced by then, it never will.
const DEFERS: Duration = Duration::from_millis(1_500);
/// The longest wait, however many peers say that they are about to announce.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// When a customer arrived, and the name of the gateway.
type Key = (WallTime, String);

/// An arrival that is not announced yet.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingArrival {
    /// As it will be announced.
    pub visit: Visit,
    /// The customer may have been present before the gateway began to receive.
    pub unfollowed: bool,
    /// From the first contact to the arrival.
    pub heard_for: Duration,
    pub grounds: PeakEvidence,
}

/// Arrivals that wait: at most one for each customer.
#[derive(Debug, Default)]
pub struct PendingArrivals {
    own: BTreeMap<CustomerIndex, Waiting>,
    /// Arrivals of peers, and until when to defer to them.
    of_peers: BTreeMap<CustomerIndex, (Tick, Key)>,
}

#[derive(Debug)]
struct Waiting {
    until: Tick,
    latest: Tick,
    key: Key,
    arrival: PendingArrival,
}

impl PendingArrivals {
    /// Waits for the peers; less long where this gateway receives the customer `best`.
    pub fn hold(
        &mut self,
        who: CustomerIndex,
        arrival: PendingArrival,
        key: Key,
        best: bool,
        now: Tick,
    ) {
        let wait = now.plus(if best { RECEIVES_BEST } else { RECEIVES_WORSE });
        let of_peer = self.of_peers.get(&who).filter(|(until, peer)| *until > now && *peer < key);
        let until = of_peer.map_or(wait, |(until, _)| wait.max(*until));
        self.own.insert(who, Waiting { until, latest: now.plus(MAX_WAIT), key, arrival });
    }

    /// A peer is about to announce this customer.
    pub fn defer_to(&mut self, who: CustomerIndex, peer: Key, now: Tick) {
        self.of_peers.retain(|_, (until, _)| *until > now);
        let until = now.plus(DEFERS);
        if let Some(own) = self.own.get_mut(&who).filter(|own| peer < own.key) {
            own.until = until.max(own.until).min(own.latest);
        }
        match self.of_peers.get_mut(&who) {
            Some((_, earlier)) if *earlier < peer => {}
            _ => {
                self.of_peers.insert(who, (until, peer));
            }
        }
    }

    /// A peer has announced the customer, or everything about the customer is deleted.
    pub fn drop(&mut self, who: CustomerIndex) -> Option<PendingArrival> {
        self.of_peers.remove(&who);
        self.own.remove(&who).map(|own| own.arrival)
    }

    /// The next arrival that has waited long enough.
    pub fn pop_due(&mut self, now: Tick) -> Option<(CustomerIndex, PendingArrival)> {
        if self.own.is_empty() {
            return None;
        }
        let who = *self.own.iter().find(|(_, own)| own.until <= now)?.0;
        self.drop(who).map(|arrival| (who, arrival))
    }

    /// The next time [`PendingArrivals::pop_due`] has something to return.
    pub fn next_deadline(&self) -> Option<Tick> {
        if self.own.is_empty() {
            return None;
        }
        self.own.values().map(|own| own.until).min()
    }

    /// The wall clock was set.
    pub fn set_clock(&mut self, step: ClockStep) {
        for own in self.own.values_mut() {
            own.key.0 = step.applied(own.key.0);
            own.arrival.visit.set_clock(step);
        }
    }

    /// The registry changed: `moved` maps each customer's index to the new one.
    pub fn reindex(&mut self, moved: impl Fn(CustomerIndex) -> Option<CustomerIndex>) {
        self.of_peers.clear();
        let own = std::mem::take(&mut self.own);
        self.own = own.into_iter().filter_map(|(who, own)| Some((moved(who)?, own))).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::gateway::GatewayIndex;
    use crate::pipeline::visit_id::VisitId;

    fn at(millis: u64) -> Tick {
        Tick::from_micros(millis * 1_000)
    }

    #[test]
    fn peers_that_never_announce_do_not_silence_an_arrival() {
        let arrived_at = WallTime::from_unix_secs(1_767_603_600);
        let visit = Visit {
            id: VisitId::of(42, "c-1", arrived_at, "door"),
            client: "c-1".into(),
            tier: "gold".into(),
            card: None,
            discreet: false,
            gateway: GatewayIndex(0),
            arrived_at,
            confidence: 0.97,
            claim: None,
            dismissed: false,
            announced: false,
            escalated: false,
            checked_in_until: None,
            revision: 0,
        };
        let grounds = PeakEvidence::none();
        let arrival =
            PendingArrival { visit, unfollowed: false, heard_for: Duration::ZERO, grounds };
        let who = CustomerIndex(0);
        let mut arrivals = PendingArrivals::default();
        arrivals.hold(who, arrival, (arrived_at, "door".to_owned()), true, at(0));
        let mut announced = None;
        for now in (0..20_000).step_by(200) {
            let earlier = (WallTime::from_unix_secs(0), "attic".to_owned());
            arrivals.defer_to(who, earlier, at(now));
            announced = announced.or(arrivals.pop_due(at(now)).map(|_| now));
        }
        assert_eq!(announced, Some(3_000));
    }
}
