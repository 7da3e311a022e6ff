//! The parts of a cell of the table: the equipment, where it is installed, and the radio world
//! around it.

use grelot::pipeline::Place;
use grelot::sources::simulated::Random;

use super::plan::{Building, FloorPlan, Point};

/// A shop's equipment, as IT installs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Equipment {
    /// One gateway at a random socket.
    OneAnywhere,
    /// One gateway beside the door.
    OneAtTheDoor,
    /// One gateway about four metres in.
    OneFourMetresIn,
    /// One gateway at a random socket, two beacons at random places.
    OneAndBeaconsAnywhere,
    /// One gateway four metres in, two beacons as `docs/install.md` says.
    OneAndBeaconsAsAdvised,
    /// One gateway at the door, one inside.
    DoorAndInside,
    /// One gateway outside, one at the door.
    OutsideAndDoor,
    TwoInside,
}

impl Equipment {
    /// All, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::OneAnywhere,
        Self::OneAtTheDoor,
        Self::OneFourMetresIn,
        Self::OneAndBeaconsAnywhere,
        Self::OneAndBeaconsAsAdvised,
        Self::DoorAndInside,
        Self::OutsideAndDoor,
        Self::TwoInside,
    ];

    /// Its name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneAnywhere => "one gateway anywhere",
            Self::OneAtTheDoor => "one gateway at the door",
            Self::OneFourMetresIn => "one gateway 4 m in",
            Self::OneAndBeaconsAnywhere => "one anywhere, two beacons anywhere",
            Self::OneAndBeaconsAsAdvised => "one 4 m in, two beacons as advised",
            Self::DoorAndInside => "door and inside",
            Self::OutsideAndDoor => "outside and door",
            Self::TwoInside => "two inside",
        }
    }

    /// Where its gateways and beacons are installed in `plan`; beacons by zone, from 1 on.
    pub fn hang(self, plan: &FloorPlan, random: &mut Random) -> Hung {
        let door = gateway_at_the_door(random);
        let four = Point::at(random.between(-1.5, 1.5), 4.0_f64.min(plan.depth - 0.3), 1.5);
        let (gateways, beacons) = match self {
            Self::OneAnywhere => (vec![anywhere(plan, random)], Vec::new()),
            Self::OneAtTheDoor => (vec![door], Vec::new()),
            Self::OneFourMetresIn => (vec![four], Vec::new()),
            Self::OneAndBeaconsAnywhere => {
                let side = if random.chance(0.5) { 1.0 } else { -1.0 };
                let at_door = Point::at(
                    side * random.between(0.7, 2.0),
                    random.between(-0.1, 1.0),
                    random.between(0.3, 2.4),
                );
                (vec![anywhere(plan, random)], vec![at_door, inside(plan, random)])
            }
            Self::OneAndBeaconsAsAdvised => {
                (vec![four], vec![Point::at(0.8, -0.1, 1.0), Point::at(0.5, 2.5, 1.0)])
            }
            Self::DoorAndInside => (vec![door, inside(plan, random)], Vec::new()),
            Self::OutsideAndDoor => {
                let x = random.between(-3.0, 3.0);
                (vec![Point::at(x, -0.1, random.between(1.8, 2.8)), door], Vec::new())
            }
            Self::TwoInside => (vec![inside(plan, random), inside(plan, random)], Vec::new()),
        };
        Hung { gateways, beacons }
    }
}

/// Where everything is installed.
#[derive(Debug, Clone)]
pub struct Hung {
    /// In the order of the configuration.
    pub gateways: Vec<Point>,
    /// Zone 1 at the door, zone 2 inside.
    pub beacons: Vec<Point>,
}

/// A gateway that is moved hangs at least this far from where it was, in metres.
const MOVED_M: f64 = 2.0;

impl Hung {
    /// The same with the last gateway at another random socket.
    pub fn moved(&self, plan: &FloorPlan, random: &mut Random) -> Self {
        let mut hung = self.clone();
        if let Some(gateway) = hung.gateways.last_mut() {
            let was = *gateway;
            while gateway.distance(was) < MOVED_M {
                *gateway = anywhere(plan, random);
            }
        }
        hung
    }
}

/// The place that IT would declare for a gateway at `at`.
pub fn declared(at: Point) -> Place {
    if at.y < 0.0 {
        Place::Outside
    } else if at.y < 1.5 && at.x.abs() < 2.5 {
        Place::Door
    } else {
        Place::Inside
    }
}

fn gateway_at_the_door(random: &mut Random) -> Point {
    let side = if random.chance(0.5) { 1.0 } else { -1.0 };
    let x = side * random.between(0.8, 2.0);
    Point::at(x, random.between(0.1, 1.0), random.between(0.3, 2.6))
}

fn inside(plan: &FloorPlan, random: &mut Random) -> Point {
    Point::at(
        random.between(plan.sides.0 + 0.2, plan.sides.1 - 0.2),
        random.between(2.0, (plan.depth - 0.2).max(2.1)),
        random.between(0.3, 2.8),
    )
}

/// A random place with a socket: door, shop window, counter, back wall, ceiling, cellar stairs.
fn anywhere(plan: &FloorPlan, random: &mut Random) -> Point {
    match random.below(6) {
        0 => gateway_at_the_door(random),
        1 => {
            let (from, to) = random.pick(&plan.windows).unwrap_or((0.8, 2.0));
            Point::at(random.between(from, to), 0.25, random.between(0.2, 1.2))
        }
        2 => Point::at(random.between(-1.5, 1.5), random.between(1.8, 2.6), 1.2),
        3 => Point::at(random.between(plan.sides.0, plan.sides.1), plan.depth - 0.15, 1.5),
        4 => Point { z: 2.9, ..inside(plan, random) },
        _ => Point { z: -0.8, ..inside(plan, random) },
    }
}

/// The building, people and phones of the shops of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// A light shop in a street, phones four times a second.
    Street,
    /// A small shop between thick walls.
    Thick,
    /// A large, busy shop: bodies between, half of the packets lost.
    Busy,
    /// Apps in the background: 1.5 to 5 s between advertisements.
    Slow,
    /// A mall's corridor with ten times as many passers-by.
    Mall,
}

impl World {
    /// All, in the order of the table.
    pub const ALL: [Self; 5] = [Self::Street, Self::Thick, Self::Busy, Self::Slow, Self::Mall];

    /// Its name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Street => "street",
            Self::Thick => "thick walls",
            Self::Busy => "busy",
            Self::Slow => "slow apps",
            Self::Mall => "mall",
        }
    }

    /// What its shops have in common.
    pub const fn building(self) -> Building {
        let street = Building {
            width: (5.0, 12.0),
            depth: (6.0, 15.0),
            wall_db: (6.0, 10.0),
            glass_db: (2.0, 5.0),
            shelves: 8,
            pavement: (1.5, 4.0),
        };
        match self {
            Self::Street | Self::Slow => street,
            Self::Thick => Building {
                width: (4.0, 6.0),
                depth: (5.0, 9.0),
                wall_db: (9.0, 15.0),
                glass_db: (4.0, 11.0),
                shelves: 5,
                ..street
            },
            Self::Busy => {
                Building { width: (12.0, 20.0), depth: (15.0, 30.0), shelves: 20, ..street }
            }
            Self::Mall => Building { pavement: (3.0, 7.0), glass_db: (1.5, 4.0), ..street },
        }
    }

    /// Fraction of packets that are lost although they are loud enough.
    pub fn loss(self, random: &mut Random) -> f64 {
        match self {
            Self::Busy => random.between(0.4, 0.7),
            _ => random.between(0.0, 0.3),
        }
    }

    /// Advertising interval of a phone, in seconds.
    pub fn interval_s(self, random: &mut Random) -> f64 {
        match self {
            Self::Slow => random.between(1.5, 5.0),
            _ => random.pick(&[0.1, 0.25, 0.25, 1.0]).unwrap_or(0.25),
        }
    }

    /// Number of people who pass by without coming in, for each visit.
    pub const fn passers(self) -> f64 {
        match self {
            Self::Mall => 8.0,
            _ => 0.8,
        }
    }

    /// Number of people without the app who stand inside and walk past outside.
    pub const fn crowd(self) -> (u32, u32) {
        match self {
            Self::Busy => (14, 4),
            Self::Mall => (6, 8),
            _ => (4, 2),
        }
    }
}
