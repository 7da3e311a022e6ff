//! Decides who comes when, with which trajectory and device.

use std::sync::Arc;
use std::time::Duration;

use super::advertiser::{Advertiser, Foreign, random_address};
use super::agent::{Agent, Device, Ranging};
use super::customer::Customer;
use super::floor_plan::{DEPTH, HALF_WIDTH, Point};
use super::radio::{Carried, RadioPath};
use super::random::Random;
use super::scene::{Customers, Role, Scene};
use super::trajectory::{Trajectory, Walk};
use crate::pipeline::advert::Echo;
use crate::pipeline::advert::ibeacon::IBeacon;
use crate::pipeline::event::{Address, AddressKind};

/// RSSI of phones at 1 m: mean, as in the measured walks, and standard deviation.
const PHONE_AT_1_M_DBM: (f64, f64) = (-60.0, 4.0);

/// Mean time between two customers on an ordinary day, in seconds: three or four are inside at a
/// time.
const BETWEEN_CUSTOMERS_S: f64 = 40.0;

/// When the day's first customer crosses the door: soon enough for a spectator, and late enough to
/// be seen coming.
const FIRST_CROSSING_S: f64 = 11.0;

/// Stands for "never": thirty years.
const FOR_EVER_S: f64 = 1e9;

/// The UUID of the chain's beacons.
pub const CHAIN_UUID: [u8; 16] = 0xd8b6_5f4e_0c1b_4d0a_9a55_3e1f_6b7c_2f10_u128.to_be_bytes();

/// The people who have not come yet.
#[derive(Debug)]
pub struct Arrivals {
    seed: u64,
    random: Random,
    /// Planned customers, the next one last.
    roles: Vec<(f64, Role)>,
    daily: Option<Daily>,
    opened: bool,
    next_stranger_s: Option<f64>,
    /// Number of strangers and things so far.
    strangers: u64,
}

#[derive(Debug)]
struct Daily {
    enrolled: u32,
    next: u32,
    next_s: f64,
}

/// Random streams, by their purpose.
mod stream {
    pub const ARRIVALS: u64 = 1;
    pub const ROLE: u64 = 2;
    pub const STRANGER: u64 = 3;
    pub const RECEIVER: u64 = 4;
    pub const BEACON: u64 = 5;
}

impl Arrivals {
    /// The arrivals of `scene`.
    pub fn new(scene: &Scene, seed: u64) -> Self {
        let (mut roles, daily) = match &scene.people.customers {
            Customers::Planned(roles) => {
                (roles.iter().map(|role| (role.at.as_secs_f64(), *role)).collect(), None)
            }
            Customers::Daily(enrolled) => {
                (Vec::new(), Some(Daily { enrolled: *enrolled, next: 0, next_s: 0.0 }))
            }
        };
        roles.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        let mut random = Random::new(seed, &[stream::ARRIVALS]);
        let passing = scene.people.passing_per_minute > 0.0;
        let next_stranger_s = passing.then(|| random.wait(60.0 / scene.people.passing_per_minute));
        Self { seed, random, roles, daily, opened: false, next_stranger_s, strangers: 0 }
    }

    /// The next time when somebody comes.
    pub fn next_s(&self) -> Option<f64> {
        if !self.opened {
            return Some(0.0);
        }
        let planned = self.roles.last().map(|(at_s, _)| *at_s);
        let daily = self.daily.as_ref().map(|daily| daily.next_s);
        [planned, daily, self.next_stranger_s].into_iter().flatten().min_by(f64::total_cmp)
    }

    /// The people who come at [`Arrivals::next_s`].
    pub fn arrivals(&mut self, scene: &Scene) -> Vec<Agent> {
        let Some(now_s) = self.next_s() else { return Vec::new() };
        let mut arrivals = Vec::new();
        if !std::mem::replace(&mut self.opened, true) {
            arrivals.extend(scene.beacons.iter().map(|beacon| self.beacon(*beacon, scene)));
            arrivals.extend((0..scene.people.staying).map(|_| self.stranger(scene, 0.0, true)));
        }
        while let Some((at_s, role)) = self.roles.pop_if(|(at_s, _)| *at_s <= now_s) {
            arrivals.push(self.customer(scene, at_s.to_bits(), at_s, role));
        }
        arrivals.extend(self.daily_customer(scene, now_s));
        if self.next_stranger_s.is_some_and(|at_s| at_s <= now_s) {
            arrivals.push(self.stranger(scene, now_s, false));
            let wait = self.random.wait(60.0 / scene.people.passing_per_minute);
            self.next_stranger_s = Some(now_s + wait);
        }
        arrivals
    }

    fn daily_customer(&mut self, scene: &Scene, now_s: f64) -> Option<Agent> {
        let daily = self.daily.as_mut().filter(|daily| daily.next_s <= now_s)?;
        let number = daily.next;
        daily.next += 1;
        daily.next_s = match number {
            0 => 6.0,
            1 => 12.0,
            _ => now_s + self.random.wait(BETWEEN_CUSTOMERS_S).clamp(8.0, 120.0),
        };
        let trajectory = match number {
            0 => Trajectory::ComeIn { for_s: 150.0 },
            1 => Trajectory::PassBy,
            2 => Trajectory::ComeIn { for_s: 240.0 },
            _ => any_trajectory(&mut self.random),
        };
        let customer = number % daily.enrolled.max(1);
        let role = Role { customer, at: Duration::ZERO, trajectory, beside: 0 };
        let way = u64::from(number);
        let from_s = match number {
            0 => FIRST_CROSSING_S - self.way(way, 0.0, role).truth.first()?.0,
            _ => now_s,
        };
        Some(self.customer(scene, way, from_s, role))
    }

    /// People who walk side by side share `way`, and so their path.
    fn way(&self, way: u64, at_s: f64, role: Role) -> Walk {
        role.trajectory.walk(at_s, role.beside, &mut Random::new(self.seed, &[stream::ROLE, way]))
    }

    fn customer(&self, scene: &Scene, way: u64, at_s: f64, role: Role) -> Agent {
        let customer = Customer::new(self.seed, role.customer);
        let walk = self.way(way, at_s, role);
        let who = [stream::ROLE, way, u64::from(role.customer)];
        let mut random = Random::new(self.seed, &who);
        let (mean, deviation) = PHONE_AT_1_M_DBM;
        let loudness = Random::new(self.seed, &[stream::ROLE, u64::from(role.customer)]).normal();
        let advertiser = customer.advertiser(scene.store);
        let interval_s = match &advertiser {
            Advertiser::App(_) => random.pick(&[0.1, 0.25, 0.25, 0.25, 1.0]),
            _ => random.pick(&[0.5, 1.0]),
        };
        let has_the_app = customer.has_the_app();
        let carried = any_pocket(&mut random, has_the_app);
        let ranging = (has_the_app && !scene.beacons.is_empty())
            .then(|| ranging(scene, self.seed, &who, &mut random));
        let device = Device {
            advertiser,
            carried,
            at_1_m_dbm: mean + deviation * loudness,
            interval_s: interval_s.unwrap_or(0.25),
            address: random_address(&mut random, if has_the_app { 0b01 } else { 0b11 }),
            next_address_s: if has_the_app { at_s + random.between(0.0, 900.0) } else { f64::MAX },
            next_s: at_s.max(0.0) + random.between(0.0, 0.2),
            ranging,
            random,
        };
        let client = Some(Arc::from(customer.client()));
        Agent::new(walk, client, device, receivers(scene, self.seed, &who))
    }

    fn stranger(&mut self, scene: &Scene, at_s: f64, stays: bool) -> Agent {
        self.strangers += 1;
        let who = [stream::STRANGER, self.strangers];
        let mut random = Random::new(self.seed, &who);
        let kind = Foreign::any(&mut random);
        let trajectory = if stays {
            Trajectory::Stay { place: anywhere(&mut random), for_s: FOR_EVER_S }
        } else if random.chance(0.8) {
            Trajectory::PassBy
        } else {
            Trajectory::ComeIn { for_s: random.wait(120.0).clamp(20.0, 600.0) }
        };
        let walk = trajectory.walk(at_s, 0, &mut random);
        let (mean, deviation) = PHONE_AT_1_M_DBM;
        let device = Device {
            advertiser: Advertiser::Foreign(kind, kind.payload(&mut random)),
            carried: if kind.hides() { any_pocket(&mut random, true) } else { Carried::Apart },
            at_1_m_dbm: mean + 1.5 * deviation * random.normal(),
            interval_s: random.pick(&[0.1, 0.25, 0.5, 1.0, 1.0, 2.0]).unwrap_or(1.0),
            address: kind.address(&mut random),
            next_address_s: if kind.hides() { at_s + random.between(0.0, 900.0) } else { f64::MAX },
            next_s: at_s + random.between(0.0, 2.0),
            ranging: None,
            random,
        };
        Agent::new(walk, None, device, receivers(scene, self.seed, &who))
    }

    fn beacon(&self, (zone, place): (u8, Point), scene: &Scene) -> Agent {
        let who = [stream::BEACON, u64::from(zone)];
        let mut random = Random::new(self.seed, &who);
        let minor = u16::from(zone);
        let says = IBeacon { uuid: CHAIN_UUID, major: scene.store, minor, tx_power: -59 };
        let device = Device {
            advertiser: Advertiser::Fixed(says.advertisement().to_vec()),
            carried: Carried::Apart,
            at_1_m_dbm: -59.0,
            interval_s: 0.3,
            address: Address { kind: AddressKind::Public, octets: random.octets() },
            next_address_s: f64::MAX,
            next_s: random.between(0.0, 0.3),
            ranging: None,
            random: random.clone(),
        };
        let walk = Trajectory::Stay { place, for_s: FOR_EVER_S }.walk(0.0, 0, &mut random);
        Agent::new(walk, None, device, receivers(scene, self.seed, &who))
    }
}

fn receivers(scene: &Scene, seed: u64, who: &[u64]) -> Vec<RadioPath> {
    let gateways = scene.gateways.iter().zip(0..);
    gateways
        .map(|((_, place), gateway)| link(seed, stream::RECEIVER, gateway, *place, who))
        .collect()
}

fn ranging(scene: &Scene, seed: u64, who: &[u64], random: &mut Random) -> Ranging {
    let beacon = |(zone, place): &(u8, Point)| {
        (*zone, link(seed, stream::BEACON, (*zone).into(), *place, who))
    };
    Ranging {
        beacons: scene.beacons.iter().map(beacon).collect(),
        wake_s: 0.5 + random.wait(1.0).min(5.0),
        next_s: f64::MIN,
        speaks: None,
        echo: Echo { zone: 0, level: 0 },
    }
}

fn link(seed: u64, kind: u64, which: u64, place: Point, who: &[u64]) -> RadioPath {
    RadioPath::new(place, Random::new(seed, &[&[kind, which], who].concat()))
}

fn any_trajectory(random: &mut Random) -> Trajectory {
    let for_s = random.wait(200.0).clamp(40.0, 900.0);
    match random.below(20) {
        0..9 => Trajectory::ComeIn { for_s },
        9..12 => Trajectory::LookFirst { look_s: random.between(5.0, 40.0), for_s },
        12..14 => Trajectory::LingerAndGo { for_s: random.between(15.0, 60.0) },
        14..17 => Trajectory::PassBy,
        17 => Trajectory::Sit { for_s: random.between(600.0, 1800.0) },
        18 => Trajectory::StepOut { for_s: random.between(60.0, 240.0) },
        _ => Trajectory::NextDoor { for_s },
    }
}

/// Where a phone or card is carried: cards in purses and pockets, phones anywhere.
fn any_pocket(random: &mut Random, phone: bool) -> Carried {
    use Carried::{BackPocket, Ear, FrontPocket, Hand, Purse};
    const PHONES: [Carried; 10] =
        [Hand, Hand, Hand, FrontPocket, FrontPocket, FrontPocket, BackPocket, Purse, Purse, Ear];
    const CARDS: [Carried; 4] = [Purse, Purse, BackPocket, FrontPocket];
    let places: &[Carried] = if phone { &PHONES } else { &CARDS };
    random.pick(places).unwrap_or(Carried::Hand)
}

/// A random place: half of them inside, the others next door and along the street.
fn anywhere(random: &mut Random) -> Point {
    let reach = if random.chance(0.5) { HALF_WIDTH } else { 20.0 };
    let x = random.between(-reach, reach);
    Point::at(x, random.between(-6.0, DEPTH))
}
