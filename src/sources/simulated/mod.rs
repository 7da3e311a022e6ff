//! A simulated shop: door, street, aisles, people and their phones, with the truth about them.
//!
//! Invariant: the same scene, seed and start give the same records, on every machine. Whatever
//! is drawn for one thing comes from that thing's own stream, so that another gateway or another
//! stranger changes nobody else's way.

mod customer;
pub mod floor;
mod life;
mod math;
mod path;
pub mod plan;
pub mod radio;
mod random;
pub mod scene;
mod voice;
mod walker;

pub use plan::Plan;
pub use random::Random;
pub use scene::{Customers, People, Role, Scene};

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::{Advertisement, Record, Script, ScriptError, What};
use crate::pipeline::identity::window;
use crate::pipeline::units::WallTime;
use customer::Customer;
use life::Life;
use walker::{Next, Walker};

/// A running scene.
pub struct Shop {
    scene: Scene,
    seed: u64,
    started_at: WallTime,
    gateways: Vec<Arc<str>>,
    life: Life,
    walkers: Vec<Option<Walker>>,
    vacant: Vec<usize>,
    /// When each walker, or life itself, wants to go on.
    due: BinaryHeap<Reverse<(Moment, Turn)>>,
    /// Packets a second on each advertising channel, of everybody present.
    load: f64,
    waiting: VecDeque<Record>,
}

/// Microseconds since the start.
type Moment = u64;

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// Somebody comes.
    Life,
    /// Whoever is at this place in `walkers`.
    Walker(usize),
}

impl std::fmt::Debug for Shop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shop({} people)", self.walkers.len() - self.vacant.len())
    }
}

impl Shop {
    /// Opens the shop.
    pub fn new(scene: Scene, seed: u64, started_at: WallTime) -> Self {
        let mut shop = Self {
            gateways: scene.gateways.iter().map(|(name, _)| Arc::clone(name)).collect(),
            life: Life::new(&scene, seed),
            scene,
            seed,
            started_at,
            walkers: Vec::new(),
            vacant: Vec::new(),
            due: BinaryHeap::new(),
            load: 0.0,
            waiting: VecDeque::new(),
        };
        shop.schedule_life();
        shop
    }

    /// The registry of its customers, one line each, with keys for the day the scene begins on
    /// and the `days` from then on.
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

    fn schedule_life(&mut self) {
        if let Some(at_s) = self.life.next_s() {
            self.due.push(Reverse((moment(at_s), Turn::Life)));
        }
    }

    fn schedule(&mut self, place: usize) {
        let Some(Some(walker)) = self.walkers.get(place) else { return };
        match walker.next() {
            Next::Truth(at_s) | Next::Advertises(at_s) => {
                self.due.push(Reverse((moment(at_s), Turn::Walker(place))));
            }
            Next::Gone => {
                self.load -= walker.load();
                if let Some(left) = self.walkers.get_mut(place) {
                    *left = None;
                }
                self.vacant.push(place);
            }
        }
    }

    fn admit(&mut self, walker: Walker) {
        self.load += walker.load();
        let place = self.vacant.pop().unwrap_or(self.walkers.len());
        match self.walkers.get_mut(place) {
            Some(vacant) => *vacant = Some(walker),
            None => self.walkers.push(Some(walker)),
        }
        self.schedule(place);
    }

    fn take_turn(&mut self, now: Moment, turn: Turn) {
        match turn {
            Turn::Life => {
                for walker in self.life.arrivals(&self.scene) {
                    self.admit(walker);
                }
                self.schedule_life();
            }
            Turn::Walker(place) => {
                self.go_on(now, place);
                self.schedule(place);
            }
        }
    }

    fn go_on(&mut self, now: Moment, place: usize) {
        let Some(Some(walker)) = self.walkers.get_mut(place) else { return };
        let at = Duration::from_micros(now);
        if let Next::Truth(_) = walker.next() {
            let told = walker.tell();
            self.waiting.extend(told.map(|(word, client)| Record {
                at,
                what: What::Truth { word, client: client.to_string() },
            }));
            return;
        }
        let others = self.load - walker.load();
        let (gateways, waiting) = (&self.gateways, &mut self.waiting);
        walker.advertise(self.started_at.plus(at), others, |gateway, address, rssi, payload| {
            let gateway = gateways.get(gateway).cloned();
            let heard =
                Advertisement { gateway, address, rssi: Some(rssi), payload: payload.to_vec() };
            waiting.push_back(Record { at, what: What::Received(heard) });
        });
    }
}

fn moment(at_s: f64) -> Moment {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let micros = (at_s * 1e6) as u64;
    micros
}

impl Iterator for Shop {
    type Item = Result<Record, ScriptError>;

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

impl Script for Shop {
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
