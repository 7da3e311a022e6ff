//! A simulated shop: door, street, aisles, people and their phones, with the ground truth.
//!
//! Invariant: the same scene, seed and start give the same records, on every machine. Each random
//! number comes from the stream of its purpose, so that another gateway or another stranger does
//! not change the others' paths.

pub(crate) mod advertiser;
mod agent;
mod arrivals;
mod customer;
pub mod floor_plan;
mod math;
mod path;
pub mod radio;
mod random;
pub mod scene;
pub mod trajectory;

pub use random::Random;
pub use scene::{Customers, People, Role, Scene};
pub use trajectory::Trajectory;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::{Advertisement, Record, RecordKind, ReplayError, ReplaySource};
use crate::pipeline::identity::window;
use crate::pipeline::units::WallTime;
use agent::{Agent, Next};
use arrivals::Arrivals;
use customer::Customer;

pub struct Shop {
    scene: Scene,
    seed: u64,
    started_at: WallTime,
    gateways: Vec<Arc<str>>,
    arrivals: Arrivals,
    agents: Vec<Option<Agent>>,
    vacant: Vec<usize>,
    /// When each agent, or the arrivals, have their next event.
    due: BinaryHeap<Reverse<(Moment, Turn)>>,
    /// Packets a second on each advertising channel, of all devices present.
    load: f64,
    waiting: VecDeque<Record>,
}

/// Microseconds since the start.
type Moment = u64;

/// What the next event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// The next person comes.
    Arrivals,
    /// The agent at this index of `agents`.
    Agent(usize),
}

impl std::fmt::Debug for Shop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shop({} people)", self.agents.len() - self.vacant.len())
    }
}

impl Shop {
    pub fn new(scene: Scene, seed: u64, started_at: WallTime) -> Self {
        let mut shop = Self {
            gateways: scene.gateways.iter().map(|(name, _)| Arc::clone(name)).collect(),
            arrivals: Arrivals::new(&scene, seed),
            scene,
            seed,
            started_at,
            agents: Vec::new(),
            vacant: Vec::new(),
            due: BinaryHeap::new(),
            load: 0.0,
            waiting: VecDeque::new(),
        };
        shop.schedule_arrivals();
        shop
    }

    /// The registry of its customers, one line each, with keys for the day on which the scene
    /// begins and `days` more.
    pub fn registry_lines(&self, days: u32) -> impl Iterator<Item = String> + '_ {
        let today = window::day_of(window::window_at(self.started_at));
        let line = move |number| {
            Customer::new(self.seed, number).registry_line(self.scene.store, today..today + days)
        };
        (0..self.scene.enrolled()).map(line)
    }

    /// The handle of customer `number`.
    pub fn client(&self, number: u32) -> String {
        Customer::new(self.seed, number).client()
    }

    fn schedule_arrivals(&mut self) {
        if let Some(at_s) = self.arrivals.next_s() {
            self.due.push(Reverse((moment(at_s), Turn::Arrivals)));
        }
    }

    fn schedule(&mut self, place: usize) {
        let Some(Some(agent)) = self.agents.get(place) else { return };
        match agent.next() {
            Next::GroundTruth(at_s) | Next::Advertises(at_s) => {
                self.due.push(Reverse((moment(at_s), Turn::Agent(place))));
            }
            Next::Gone => {
                self.load -= agent.load();
                if let Some(left) = self.agents.get_mut(place) {
                    *left = None;
                }
                self.vacant.push(place);
            }
        }
    }

    fn admit(&mut self, agent: Agent) {
        self.load += agent.load();
        let place = self.vacant.pop().unwrap_or(self.agents.len());
        match self.agents.get_mut(place) {
            Some(vacant) => *vacant = Some(agent),
            None => self.agents.push(Some(agent)),
        }
        self.schedule(place);
    }

    fn take_turn(&mut self, now: Moment, turn: Turn) {
        match turn {
            Turn::Arrivals => {
                for agent in self.arrivals.arrivals(&self.scene) {
                    self.admit(agent);
                }
                self.schedule_arrivals();
            }
            Turn::Agent(place) => {
                self.go_on(now, place);
                self.schedule(place);
            }
        }
    }

    fn go_on(&mut self, now: Moment, place: usize) {
        let Some(Some(agent)) = self.agents.get_mut(place) else { return };
        let at = Duration::from_micros(now);
        if let Next::GroundTruth(_) = agent.next() {
            let truths = agent.tell();
            self.waiting.extend(truths.map(|(word, client)| Record {
                at,
                what: RecordKind::GroundTruth { word, client: client.to_string() },
            }));
            return;
        }
        let others = self.load - agent.load();
        let (gateways, waiting) = (&self.gateways, &mut self.waiting);
        agent.advertise(self.started_at.plus(at), others, |gateway, address, rssi, payload| {
            let gateway = gateways.get(gateway).cloned();
            let heard =
                Advertisement { gateway, address, rssi: Some(rssi), payload: payload.to_vec() };
            waiting.push_back(Record { at, what: RecordKind::Received(heard) });
        });
    }
}

fn moment(at_s: f64) -> Moment {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let micros = (at_s * 1e6) as u64;
    micros
}

impl Iterator for Shop {
    type Item = Result<Record, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.waiting.pop_front() {
                return Some(Ok(record));
            }
            let Reverse((now, turn)) = self.due.pop()?;
            if self.scene.lasts.is_some_and(|lasts| Duration::from_micros(now) > lasts) {
                self.due.clear();
                return None;
            }
            self.take_turn(now, turn);
        }
    }
}

impl ReplaySource for Shop {
    fn started_at(&self) -> WallTime {
        self.started_at
    }

    fn store(&self) -> Option<u16> {
        Some(self.scene.store)
    }

    fn gateways(&self) -> &[Arc<str>] {
        &self.gateways
    }
}

#[cfg(test)]
mod tests;
