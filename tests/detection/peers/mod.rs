//! Published rules of other trackers, reimplemented and run on the same contacts.
//!
//! The code is ours: each file names its source and what was left out. All get what their owners
//! leave to automations: gateways outside never count as the shop, and a customer who comes back
//! within grelot's own `rejoin` is no new arrival.

mod bermuda;
mod espresense;
mod room_assistant;
mod threshold;

use std::time::Duration;

use grelot::commands::score::{Event, EventKind, Score};
use grelot::pipeline::{Place, Settings};
use grelot::sources::simulated::Random;

use super::belief::score;
use super::tape::{Contact, Tape};

use bermuda::Bermuda;
use espresense::Espresense;
use room_assistant::RoomAssistant;
use threshold::Threshold;

/// The state of one customer by a peer's rule.
pub trait Rule {
    /// Takes a contact. Returns where the customer is now, by the level or distance at each gateway
    /// that received them lately; `None` if near no gateway.
    fn hear(&mut self, contact: Contact) -> Option<Near>;
}

/// The gateway that a rule considers nearest, and the distance to it.
#[derive(Debug, Clone, Copy)]
pub struct Near {
    pub gateway: u8,
    pub metres: f64,
}

/// The thresholds that every rule uses.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Inside within this distance, in metres, of the first gateway, and of the others.
    pub enter_m: [f64; 2],
    /// Outside again beyond this multiple of the distance.
    pub exit_factor: f64,
    /// Seconds inside before it counts.
    pub dwell_s: f64,
    /// Seconds of silence, or beyond the exit distance, before the customer is gone.
    pub timeout_s: f64,
}

impl Bounds {
    fn enter_m(&self, gateway: u8) -> f64 {
        self.enter_m[usize::from(gateway > 0)]
    }
}

/// A peer's rule with its settings.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    pub name: Name,
    bounds: Bounds,
    /// Parameters of its filter; their meaning is the rule's own.
    filter: (f64, usize),
}

/// The rules that grelot is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Threshold,
    Espresense,
    Bermuda,
    RoomAssistant,
}

impl Name {
    pub const ALL: [Self; 4] =
        [Self::Threshold, Self::Espresense, Self::Bermuda, Self::RoomAssistant];

    /// The name in the tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Threshold => "threshold, dwell",
            Self::Espresense => "ESPresense",
            Self::Bermuda => "Bermuda",
            Self::RoomAssistant => "room-assistant",
        }
    }
}

impl Peer {
    /// Settings drawn from a sensible range; `quick` where visits last for seconds only.
    pub fn draw(name: Name, quick: bool, random: &mut Random) -> Self {
        let mut log = |low: f64, high: f64| low * (high / low).powf(random.unit());
        let bounds = Bounds {
            enter_m: [log(0.3, 15.0), log(0.3, 30.0)],
            exit_factor: log(1.0, 4.0),
            dwell_s: if name == Name::Threshold { log(0.2, 20.0) } else { 0.0 },
            timeout_s: if quick { log(1.0, 15.0) } else { log(15.0, 300.0) },
        };
        let filter = match name {
            Name::Threshold => (log(0.3, 8.0), 0),
            Name::Espresense => (0.0, 1 + random.below(40) as usize),
            Name::Bermuda => (log(0.2, 5.0), 1 + random.below(20) as usize),
            Name::RoomAssistant => (log(0.02, 5.0), 0),
        };
        Self { name, bounds, filter }
    }

    /// The score of the rule on a tape.
    pub fn judge(&self, tape: &Tape, settings: &Settings) -> Score {
        let (gateways, (filter, samples)) = (settings.gateways.len(), self.filter);
        let bounds = &self.bounds;
        match self.name {
            Name::Threshold => judge(tape, settings, bounds, || Threshold::new(gateways, filter)),
            Name::Espresense => {
                judge(tape, settings, bounds, || Espresense::new(gateways, samples))
            }
            Name::Bermuda => {
                judge(tape, settings, bounds, || Bermuda::new(gateways, filter, samples))
            }
            Name::RoomAssistant => {
                judge(tape, settings, bounds, || RoomAssistant::new(gateways, filter, 15.0))
            }
        }
    }
}

/// Log-distance, as all of them estimate it; 1 m is at -60 dBm. The exponent only stretches the
/// bounds, which are searched.
pub fn metres(dbm: f64) -> f64 {
    10_f64.powf((-60.0 - dbm) / 25.0)
}

/// The gateway with the shortest distance among those that are fresh.
pub fn nearest(metres: &[Option<(f64, f64)>], now_s: f64, fresh_s: f64) -> Option<Near> {
    let fresh = (0_u8..).zip(metres).filter_map(|(gateway, heard)| {
        let (at_s, metres) = (*heard)?;
        (now_s - at_s <= fresh_s).then_some(Near { gateway, metres })
    });
    fresh.min_by(|one, other| one.metres.total_cmp(&other.metres))
}

/// The score of a rule on a tape.
pub fn judge<R: Rule>(
    tape: &Tape,
    settings: &Settings,
    bounds: &Bounds,
    rule: impl Fn() -> R,
) -> Score {
    let outside: Vec<bool> =
        settings.gateways.iter().map(|gateway| gateway.place == Some(Place::Outside)).collect();
    let follow = || Follow::new(rule(), bounds, settings.presence.rejoin.as_secs_f64());
    let mut customers: Vec<_> = tape.clients.iter().map(|_| follow()).collect();
    for contact in &tape.contacts {
        if let Some(customer) = customers.get_mut(usize::from(contact.customer)) {
            customer.hear(*contact, &outside);
        }
    }
    let events = customers.into_iter().zip(&tape.clients).flat_map(|(customer, client)| {
        let event = |(at_s, kind)| Event {
            at: Duration::from_secs_f64(at_s),
            kind,
            client: client.clone(),
        };
        customer.finish().into_iter().map(event)
    });
    score(tape, events.collect())
}

/// Turns the places that the rule gives for a customer into arrivals and departures.
struct Follow<'a, R> {
    rule: R,
    bounds: &'a Bounds,
    rejoin_s: f64,
    last_s: f64,
    within_since: Option<f64>,
    beyond_since: Option<f64>,
    here: bool,
    departed: Option<f64>,
    said: Vec<(f64, EventKind)>,
}

impl<'a, R: Rule> Follow<'a, R> {
    const fn new(rule: R, bounds: &'a Bounds, rejoin_s: f64) -> Self {
        Self {
            rule,
            bounds,
            rejoin_s,
            last_s: 0.0,
            within_since: None,
            beyond_since: None,
            here: false,
            departed: None,
            said: Vec::new(),
        }
    }

    fn hear(&mut self, contact: Contact, outside: &[bool]) {
        let now_s = contact.at_s();
        self.pass(now_s);
        self.last_s = now_s;
        let near = self.rule.hear(contact);
        let enter_m = near.map_or(0.0, |near| self.bounds.enter_m(near.gateway));
        let is_outside = |near: Near| outside.get(usize::from(near.gateway)).is_some_and(|is| *is);
        let near = near.filter(|near| !is_outside(*near));
        let within = near.is_some_and(|near| near.metres <= enter_m);
        let beyond = near.is_none_or(|near| near.metres > enter_m * self.bounds.exit_factor);
        if self.here {
            self.within_since = None;
            if beyond {
                let since = *self.beyond_since.get_or_insert(now_s);
                if now_s - since >= self.bounds.timeout_s {
                    self.depart(now_s);
                }
            } else {
                self.beyond_since = None;
            }
        } else if within {
            let since = *self.within_since.get_or_insert(now_s);
            if now_s - since >= self.bounds.dwell_s {
                self.arrive(now_s);
            }
        } else {
            self.within_since = None;
        }
    }

    /// Lets time pass without a contact until `now_s`.
    fn pass(&mut self, now_s: f64) {
        let due_s = self.last_s + self.bounds.timeout_s;
        if self.here && now_s > due_s {
            self.depart(due_s);
        }
    }

    fn arrive(&mut self, now_s: f64) {
        self.here = true;
        self.beyond_since = None;
        if self.departed.is_none_or(|at_s| now_s - at_s > self.rejoin_s) {
            self.said.push((now_s, EventKind::Arrival));
        }
    }

    fn depart(&mut self, now_s: f64) {
        self.here = false;
        self.within_since = None;
        self.departed = Some(now_s);
        self.said.push((now_s, EventKind::Departure));
    }

    fn finish(mut self) -> Vec<(f64, EventKind)> {
        self.pass(f64::MAX);
        self.said
    }
}
