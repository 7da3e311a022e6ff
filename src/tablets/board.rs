//! The board: who is present in the store, as every tablet shows it.
//!
//! Invariant: the board is a function of the set of messages received, not of their order or
//! number. MQTT promises no order between topics, so a message can come late, twice, or after the
//! visit's end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::pipeline::VisitId;
use crate::pipeline::units::WallTime;

/// How long a visit that is over is kept: to show who has left, to bring back visits that staff hid by
/// mistake, and to recognise late messages about it.
const SHOWN_AFTER_END: Duration = Duration::from_mins(30);

/// How long to wait for the reason of a cleared state, which is in another message. Without a
/// reason, two gateways had opened the visit, or the customer may not be shown any more.
const REASON_WITHIN: Duration = Duration::from_secs(10);

/// Visits and gateways shown at once: no shop has as many, an intruder may publish more. The
/// store's own gateways and their visits then take the places of the others.
const MOST_VISITS: usize = 512;
const MOST_GATEWAYS: usize = 64;

/// What a tablet shows of one visit.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    pub id: VisitId,
    /// The customer's opaque handle.
    pub client: String,
    pub tier: String,
    /// What head office calls the tier.
    pub tier_name: Option<String>,
    /// Name and note, where consent allows.
    pub card: Option<Card>,
    /// Shown without a bell.
    pub discreet: bool,
    /// The gateway that opened the visit and decides about it.
    pub gateway: String,
    /// When the visit was opened.
    pub arrived_at: WallTime,
    /// Posterior probability of the arrival, 0.5 to 1.
    pub confidence: f64,
    /// Who has claimed the visit.
    pub claim: Option<Claim>,
    /// When staff were alerted; `None` for a visit without an alert.
    pub announced_at: Option<WallTime>,
    /// No one came in time: the visit was escalated.
    pub escalated: bool,
    /// Of two states, the one with the higher revision is newer.
    pub revision: u32,
}

/// Name and note of a customer who consented to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// How to address the customer.
    pub name: String,
    /// Preferred language, as a BCP 47 tag.
    pub language: Option<String>,
    /// A note for staff.
    pub note: Option<String>,
}

/// A claim by a member of staff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The name that was entered on the tablet.
    pub by: String,
    /// Which tablet: two people may have one name.
    pub tablet: Option<String>,
    /// When it was made.
    pub since: WallTime,
}

/// The state that a gateway last published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayStatus {
    Online,
    /// It runs and receives nothing.
    Blind,
    /// It is not connected.
    Offline,
}

/// A gateway as it last reported itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    pub status: GatewayStatus,
    /// Since when; a last will does not say it.
    pub since: Option<WallTime>,
    /// What people call it.
    pub label: Option<String>,
}

/// The connection to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerLink {
    /// Connected: what is shown is current.
    Live,
    /// Not connected: what is shown may be out of date.
    Away,
}

/// A message that changes the board.
#[derive(Debug, Clone, PartialEq)]
pub enum InboundMessage {
    /// The retained state of a visit.
    Present(Visit),
    /// A visit's retained state was cleared: the visit is over, or was dismissed.
    Cleared(VisitId),
    /// Staff are alerted to a visit.
    Arrival(Visit),
    /// A visit has ended.
    Departure(VisitId, WallTime),
    /// A member of staff asks to hide a visit.
    Dismissal(VisitId, String),
    /// A gateway, by name, reported its state.
    Gateway(String, Gateway),
    /// A gateway was retired: its retained state was cleared.
    GatewayRetired(String),
    /// A customer withdrew consent.
    Withdrawn(String),
    /// The connection to the broker changed.
    BrokerLink(BrokerLink),
    /// All retained messages have arrived since the reconnection.
    Replayed,
}

/// Visits, departed visits and gateways of the store.
#[derive(Debug)]
pub struct Board {
    rejoin: Duration,
    /// The gateways that the configuration names.
    own: BTreeSet<String>,
    visits: BTreeMap<VisitId, PresentVisit>,
    ended: BTreeMap<VisitId, EndedVisit>,
    /// Who asked to hide a visit, and when.
    dismissals: BTreeMap<VisitId, (String, WallTime)>,
    gateways: BTreeMap<String, Gateway>,
    link: (BrokerLink, WallTime),
}

#[derive(Debug)]
struct PresentVisit {
    visit: Visit,
    /// Received since the last reconnection.
    confirmed: bool,
}

/// A visit that is no longer shown as present.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedVisit {
    pub visit: Visit,
    pub at: WallTime,
    pub end: End,
}

/// How a visit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Departed,
    /// This member of staff hid it.
    Hidden(String),
    /// Its state was cleared, and nothing said why.
    Cleared,
}

/// Visits of one customer that are shown as one.
#[derive(Debug)]
pub struct Stay<'a> {
    /// In the order of `(arrived_at, gateway)`; the first gives the stay its id.
    visits: Vec<&'a Visit>,
}

impl Board {
    /// An empty board. Arrivals of one customer within `rejoin` are one stay.
    /// `own` are the gateways that the configuration names, this one first of all.
    pub fn new(rejoin: Duration, own: BTreeSet<String>, now: WallTime) -> Self {
        Self {
            rejoin,
            own,
            visits: BTreeMap::new(),
            ended: BTreeMap::new(),
            dismissals: BTreeMap::new(),
            gateways: BTreeMap::new(),
            link: (BrokerLink::Away, now),
        }
    }

    pub fn apply(&mut self, now: WallTime, message: InboundMessage) {
        match message {
            InboundMessage::Present(visit) => self.present(visit),
            InboundMessage::Cleared(id) => self.cleared(now, id),
            InboundMessage::Arrival(visit) => self.arrival(now, visit),
            InboundMessage::Departure(id, at) => self.departure(id, at),
            InboundMessage::Dismissal(id, by) => self.dismissal(now, id, by),
            InboundMessage::Gateway(name, gateway) => self.gateway(now, name, gateway),
            InboundMessage::GatewayRetired(name) => drop(self.gateways.remove(&name)),
            InboundMessage::Withdrawn(client) => self.withdrawn(&client),
            InboundMessage::BrokerLink(link) => self.link(now, link),
            InboundMessage::Replayed => self.visits.retain(|_, here| here.confirmed),
        }
        self.tidy(now);
    }

    /// Removes visits that ended a while ago; returns whether there were any.
    pub fn tidy(&mut self, now: WallTime) -> bool {
        let before = self.ended.len();
        self.ended.retain(|_, ended| {
            let kept = if ended.end == End::Cleared { REASON_WITHIN } else { SHOWN_AFTER_END };
            now < ended.at.plus(kept)
        });
        self.dismissals.retain(|_, (_, at)| now < at.plus(REASON_WITHIN));
        self.ended.len() != before
    }

    /// Whether a visit is over and still listed: it can be brought back, or labelled.
    pub fn lists(&self, id: VisitId) -> bool {
        self.ended.get(&id).is_some_and(|ended| ended.end != End::Cleared)
    }

    /// Whether a visit is shown as present.
    pub fn knows(&self, id: VisitId) -> bool {
        self.visits.contains_key(&id)
    }

    /// The state of the connection to the broker, and since when.
    pub fn broker(&self) -> (BrokerLink, WallTime) {
        self.link
    }

    /// The gateways by name, as they last reported themselves.
    pub fn gateways(&self) -> impl Iterator<Item = (&str, &Gateway)> {
        self.gateways.iter().map(|(name, gateway)| (name.as_str(), gateway))
    }

    /// Visits that ended in the last half hour, the latest first.
    pub fn ended(&self) -> Vec<&EndedVisit> {
        let mut ended: Vec<_> = self.ended.values().collect();
        ended.sort_by_key(|ended| (std::cmp::Reverse(ended.at), ended.visit.id));
        ended
    }

    /// The stays, in order of arrival.
    ///
    /// Two gateways that were disconnected from each other may both have opened a visit. Visits of
    /// one customer that begin within `rejoin` of each other are one stay. Its id is that of the
    /// visit with the smallest `(arrived_at, gateway)`, so every consumer chooses the same.
    pub fn stays(&self) -> Vec<Stay<'_>> {
        let mut visits: Vec<&Visit> = self.visits.values().map(|here| &here.visit).collect();
        visits.sort_by(|a, b| {
            (&a.client, a.arrived_at, &a.gateway).cmp(&(&b.client, b.arrived_at, &b.gateway))
        });
        let mut stays: Vec<Stay<'_>> = Vec::new();
        for visit in visits {
            match stays.last_mut() {
                Some(stay) if stay.continues_with(visit, self.rejoin) => stay.visits.push(visit),
                _ => stays.push(Stay { visits: vec![visit] }),
            }
        }
        stays.sort_by_key(|stay| (stay.arrived_at(), stay.id()));
        stays
    }

    fn present(&mut self, mut visit: Visit) {
        self.ended.remove(&visit.id);
        if let Some(here) = self.visits.get_mut(&visit.id) {
            here.confirmed = true;
            if visit.revision < here.visit.revision {
                return;
            }
            visit.announced_at = here.visit.announced_at.or(visit.announced_at);
        }
        self.keep(visit);
    }

    fn arrival(&mut self, now: WallTime, mut visit: Visit) {
        if self.ended.contains_key(&visit.id) {
            return;
        }
        // Only the retained state holds claims; the notification adds the time of the alert.
        if let Some(here) = self.visits.get_mut(&visit.id) {
            here.visit.announced_at.get_or_insert(now);
            here.confirmed = true;
        } else {
            visit.announced_at = Some(now);
            self.keep(visit);
        }
    }

    fn keep(&mut self, visit: Visit) {
        if self.visits.len() >= MOST_VISITS && !self.visits.contains_key(&visit.id) {
            let foreign = |here: &PresentVisit| !self.own.contains(&here.visit.gateway);
            let Some(id) = self.visits.iter().find(|(_, here)| foreign(here)).map(|(id, _)| *id)
            else {
                return;
            };
            if !self.own.contains(&visit.gateway) {
                return;
            }
            self.visits.remove(&id);
        }
        self.visits.insert(visit.id, PresentVisit { visit, confirmed: true });
    }

    fn departure(&mut self, id: VisitId, at: WallTime) {
        if let Some(ended) = self.ended.get_mut(&id) {
            (ended.at, ended.end) = (at, End::Departed);
        }
        self.end(id, at, End::Departed);
    }

    fn cleared(&mut self, now: WallTime, id: VisitId) {
        let end = match self.dismissals.remove(&id) {
            Some((by, _)) => End::Hidden(by),
            None => End::Cleared,
        };
        self.end(id, now, end);
    }

    fn dismissal(&mut self, now: WallTime, id: VisitId, by: String) {
        match self.ended.get_mut(&id) {
            Some(ended) if ended.end == End::Cleared => ended.end = End::Hidden(by),
            None if self.visits.contains_key(&id) && self.dismissals.len() < MOST_VISITS => {
                self.dismissals.insert(id, (by, now));
            }
            Some(_) | None => {}
        }
    }

    fn end(&mut self, id: VisitId, at: WallTime, end: End) {
        let Some(PresentVisit { visit, .. }) = self.visits.remove(&id) else { return };
        if self.ended.len() >= MOST_VISITS {
            let foreign = |ended: &EndedVisit| !self.own.contains(&ended.visit.gateway);
            let Some(id) = self.ended.iter().find(|(_, ended)| foreign(ended)).map(|(id, _)| *id)
            else {
                return;
            };
            self.ended.remove(&id);
        }
        self.ended.insert(id, EndedVisit { visit, at, end });
    }

    fn gateway(&mut self, now: WallTime, name: String, mut gateway: Gateway) {
        if self.gateways.len() >= MOST_GATEWAYS && !self.gateways.contains_key(&name) {
            let foreign = self.gateways.keys().find(|name| !self.own.contains(*name)).cloned();
            match foreign {
                Some(foreign) if self.own.contains(&name) => drop(self.gateways.remove(&foreign)),
                _ => return,
            }
        }
        // A last will does not say since when: it is since this server has known it.
        let former = self.gateways.get(&name);
        let known = former.filter(|former| former.status == gateway.status);
        gateway.since =
            gateway.since.or_else(|| known.and_then(|former| former.since)).or(Some(now));
        gateway.label = gateway.label.or_else(|| former.and_then(|former| former.label.clone()));
        self.gateways.insert(name, gateway);
    }

    fn withdrawn(&mut self, client: &str) {
        self.visits.retain(|_, here| here.visit.client != client);
        self.ended.retain(|_, ended| ended.visit.client != client);
    }

    fn link(&mut self, now: WallTime, link: BrokerLink) {
        if self.link.0 != link {
            self.link = (link, now);
        }
        if link == BrokerLink::Live {
            self.visits.values_mut().for_each(|here| here.confirmed = false);
        }
    }
}

impl<'a> Stay<'a> {
    fn continues_with(&self, next: &Visit, rejoin: Duration) -> bool {
        self.visits.last().is_some_and(|last| {
            last.client == next.client && next.arrived_at <= last.arrived_at.plus(rejoin)
        })
    }

    /// The visit that gives the stay its id.
    pub fn first(&self) -> Option<&'a Visit> {
        self.visits.first().copied()
    }

    fn id(&self) -> Option<VisitId> {
        self.first().map(|visit| visit.id)
    }

    fn arrived_at(&self) -> Option<WallTime> {
        self.first().map(|visit| visit.arrived_at)
    }

    /// The ids of the other visits.
    pub fn merged(&self) -> impl Iterator<Item = VisitId> {
        self.visits.iter().skip(1).map(|visit| visit.id)
    }

    pub fn claim(&self) -> Option<&'a Claim> {
        let claims = self.visits.iter().filter_map(|visit| visit.claim.as_ref());
        claims.min_by(|a, b| (a.since, &a.by).cmp(&(b.since, &b.by)))
    }

    /// Whether one of the visits was escalated.
    pub fn escalated(&self) -> bool {
        self.visits.iter().any(|visit| visit.escalated)
    }

    /// When staff were first alerted.
    pub fn announced_at(&self) -> Option<WallTime> {
        self.visits.iter().filter_map(|visit| visit.announced_at).min()
    }
}

#[cfg(test)]
mod tests;
