//! Who is here, as the store's notices tell it: the one picture that every tablet shows.
//!
//! Invariant: the picture is a function of what was heard, whatever the order and however often.
//! Brokers promise no order between topics, so a notice may come late, twice, or after its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::pipeline::VisitId;
use crate::pipeline::units::WallTime;

/// How long a visit that has ended is remembered: long enough to say who has just left, and to
/// recognise a notice of it that comes late.
const FAREWELL: Duration = Duration::from_mins(10);

/// Visits and gateways shown at once: no shop has as many, an intruder may publish more. The
/// store's own gateways and their visits then take the places of the others.
const MOST_VISITS: usize = 512;
const MOST_GATEWAYS: usize = 64;

/// What a tablet may show of one visit.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    /// The visit's id.
    pub id: VisitId,
    /// The customer's opaque handle.
    pub client: String,
    /// The customer's tier.
    pub tier: String,
    /// Name and note, where consent allows.
    pub card: Option<Card>,
    /// Shown without a sound.
    pub discreet: bool,
    /// The gateway that opened the visit, and decides on it.
    pub gateway: String,
    /// When the visit was opened.
    pub arrived_at: WallTime,
    /// How sure the gateway was, 0.5 to 1.
    pub confidence: f64,
    /// Who takes care of the customer.
    pub claim: Option<Claim>,
    /// When staff were alerted; `None` for a visit that alerts nobody.
    pub announced_at: Option<WallTime>,
    /// Of two states the one with the higher revision is the later.
    pub revision: u32,
}

/// Name and note of a customer who consented to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// How to address the customer.
    pub name: String,
    /// Preferred language, as a BCP 47 tag.
    pub language: Option<String>,
    /// What helps staff.
    pub note: Option<String>,
}

/// Who takes care of a customer, since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// As the member of staff calls themself.
    pub by: String,
    /// Since when.
    pub since: WallTime,
}

/// What a gateway last said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    /// It hears the shop.
    Online,
    /// It runs, and its radio hears nothing.
    Blind,
    /// It is gone.
    Offline,
}

/// The way to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Notices come in.
    Live,
    /// The broker cannot be reached: what is shown may be out of date.
    Away,
}

/// Something the store said.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// The retained state of a visit.
    Present(Visit),
    /// A visit's retained state was cleared: it is over, or was hidden.
    Cleared(VisitId),
    /// Staff are to be alerted of this visit.
    Arrival(Visit),
    /// A visit has ended.
    Departure(VisitId, WallTime),
    /// A gateway's state, and since when.
    Gateway(String, Hearing, Option<WallTime>),
    /// A gateway was retired: its retained state was cleared.
    GatewayRetired(String),
    /// A customer withdrew consent.
    Withdrawn(String),
    /// The way to the broker opened or closed.
    Link(Link),
    /// Everything that the broker retains has been heard since the link came back.
    Replayed,
}

/// The picture.
#[derive(Debug)]
pub struct Board {
    rejoin: Duration,
    /// The gateways that the configuration names.
    own: BTreeSet<String>,
    visits: BTreeMap<VisitId, Here>,
    ended: BTreeMap<VisitId, Farewell>,
    gateways: BTreeMap<String, (Hearing, Option<WallTime>)>,
    link: (Link, WallTime),
}

#[derive(Debug)]
struct Here {
    visit: Visit,
    /// Heard since the link last came back.
    confirmed: bool,
}

/// Somebody who was here a moment ago.
#[derive(Debug, Clone, PartialEq)]
pub struct Farewell {
    /// The visit as it was.
    pub visit: Visit,
    /// When it ended.
    pub departed_at: WallTime,
}

/// Visits of one customer that are one stay.
#[derive(Debug)]
pub struct Stay<'a> {
    /// The visits, in the order of `(arrived_at, gateway)`; the first lends its id.
    visits: Vec<&'a Visit>,
}

impl Board {
    /// An empty picture. Arrivals of one customer within `rejoin` are one stay.
    /// `own` are the gateways that the configuration names, this one first of all.
    pub fn new(rejoin: Duration, own: BTreeSet<String>, now: WallTime) -> Self {
        Self {
            rejoin,
            own,
            visits: BTreeMap::new(),
            ended: BTreeMap::new(),
            gateways: BTreeMap::new(),
            link: (Link::Away, now),
        }
    }

    /// Takes in one notice.
    pub fn hear(&mut self, now: WallTime, notice: Notice) {
        match notice {
            Notice::Present(visit) => self.present(visit),
            Notice::Cleared(id) => drop(self.visits.remove(&id)),
            Notice::Arrival(visit) => self.arrival(now, visit),
            Notice::Departure(id, at) => self.departure(id, at),
            Notice::Gateway(name, hearing, since) => self.gateway(name, hearing, since),
            Notice::GatewayRetired(name) => drop(self.gateways.remove(&name)),
            Notice::Withdrawn(client) => self.withdrawn(&client),
            Notice::Link(link) => self.link(now, link),
            Notice::Replayed => self.visits.retain(|_, here| here.confirmed),
        }
        self.tidy(now);
    }

    /// Forgets those who left a while ago; says whether there were any.
    pub fn tidy(&mut self, now: WallTime) -> bool {
        let before = self.ended.len();
        self.ended.retain(|_, farewell| now < farewell.departed_at.plus(FAREWELL));
        self.ended.len() != before
    }

    /// Whether a visit is shown as present.
    pub fn knows(&self, id: VisitId) -> bool {
        self.visits.contains_key(&id)
    }

    /// The way to the broker, and since when it has been so.
    pub fn broker(&self) -> (Link, WallTime) {
        self.link
    }

    /// The gateways in name order, with what they last said and since when.
    pub fn gateways(&self) -> impl Iterator<Item = (&str, Hearing, Option<WallTime>)> {
        self.gateways.iter().map(|(name, (hearing, since))| (name.as_str(), *hearing, *since))
    }

    /// Who left in the last minutes, latest first.
    pub fn farewells(&self) -> Vec<&Farewell> {
        let mut farewells: Vec<_> = self.ended.values().collect();
        farewells
            .sort_by_key(|farewell| (std::cmp::Reverse(farewell.departed_at), farewell.visit.id));
        farewells
    }

    /// Who is here, one entry a stay, in order of arrival.
    ///
    /// Two gateways that could not hear each other may both have opened a visit. Visits of one
    /// customer whose starts lie within `rejoin` of each other are one stay, whose id is that of
    /// the smallest `(arrived_at, gateway)`: every consumer comes to the same one.
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
        // The retained state knows of claims; the notification only adds that staff are alerted.
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
            let foreign = |here: &Here| !self.own.contains(&here.visit.gateway);
            let Some(id) = self.visits.iter().find(|(_, here)| foreign(here)).map(|(id, _)| *id)
            else {
                return;
            };
            if !self.own.contains(&visit.gateway) {
                return;
            }
            self.visits.remove(&id);
        }
        self.visits.insert(visit.id, Here { visit, confirmed: true });
    }

    fn departure(&mut self, id: VisitId, at: WallTime) {
        let Some(Here { visit, .. }) = self.visits.remove(&id) else { return };
        if self.ended.len() >= MOST_VISITS {
            let foreign = |ended: &Farewell| !self.own.contains(&ended.visit.gateway);
            let Some(id) = self.ended.iter().find(|(_, ended)| foreign(ended)).map(|(id, _)| *id)
            else {
                return;
            };
            self.ended.remove(&id);
        }
        self.ended.insert(id, Farewell { visit, departed_at: at });
    }

    fn gateway(&mut self, name: String, hearing: Hearing, since: Option<WallTime>) {
        if self.gateways.len() >= MOST_GATEWAYS && !self.gateways.contains_key(&name) {
            let foreign = self.gateways.keys().find(|name| !self.own.contains(*name)).cloned();
            match foreign {
                Some(foreign) if self.own.contains(&name) => drop(self.gateways.remove(&foreign)),
                _ => return,
            }
        }
        self.gateways.insert(name, (hearing, since));
    }

    fn withdrawn(&mut self, client: &str) {
        self.visits.retain(|_, here| here.visit.client != client);
        self.ended.retain(|_, farewell| farewell.visit.client != client);
    }

    fn link(&mut self, now: WallTime, link: Link) {
        if self.link.0 != link {
            self.link = (link, now);
        }
        if link == Link::Live {
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

    /// The visit that stands for the stay.
    pub fn first(&self) -> Option<&'a Visit> {
        self.visits.first().copied()
    }

    fn id(&self) -> Option<VisitId> {
        self.first().map(|visit| visit.id)
    }

    fn arrived_at(&self) -> Option<WallTime> {
        self.first().map(|visit| visit.arrived_at)
    }

    /// The ids of the visits that are part of it.
    pub fn merged(&self) -> impl Iterator<Item = VisitId> {
        self.visits.iter().skip(1).map(|visit| visit.id)
    }

    /// Who takes care of the customer: whoever was first.
    pub fn claim(&self) -> Option<&'a Claim> {
        let claims = self.visits.iter().filter_map(|visit| visit.claim.as_ref());
        claims.min_by(|a, b| (a.since, &a.by).cmp(&(b.since, &b.by)))
    }

    /// When staff were first alerted.
    pub fn announced_at(&self) -> Option<WallTime> {
        self.visits.iter().filter_map(|visit| visit.announced_at).min()
    }
}

#[cfg(test)]
mod tests;
