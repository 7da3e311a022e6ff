//! Random shops and streets in three dimensions, and the places where a person installs equipment
//! in them. The front is the line y = 0; the shop lies behind it (y > 0), the pavement before it.

use grelot::pipeline::{Gateway, Levels, Place, Settings, policy, presence};
use grelot::sources::simulated::Random;

use super::radio::{Shadows, World};

/// In metres.
#[derive(Debug, Clone, Copy)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub z: f64,
}

impl Point {
    pub fn distance(self, other: Self) -> f64 {
        let (x, y, z) = (self.x - other.x, self.y - other.y, self.z - other.z);
        (x * x + y * y + z * z).sqrt()
    }
}

/// What is installed in the shop: the rows of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Equipment {
    One,
    OneBeaconsAnywhere,
    OneBeaconsWell,
    DoorInside,
    OutsideDoor,
    OutsideInside,
    TwoBeacons,
    TwoInside,
    Four,
}

impl Equipment {
    pub const ALL: [Self; 9] = [
        Self::One,
        Self::OneBeaconsAnywhere,
        Self::OneBeaconsWell,
        Self::DoorInside,
        Self::OutsideDoor,
        Self::OutsideInside,
        Self::TwoBeacons,
        Self::TwoInside,
        Self::Four,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::One => "one gateway",
            Self::OneBeaconsAnywhere => "one, two beacons anywhere",
            Self::OneBeaconsWell => "one, two beacons as the page says",
            Self::DoorInside => "at the door and inside",
            Self::OutsideDoor => "outside and at the door",
            Self::OutsideInside => "outside and inside",
            Self::TwoBeacons => "at the door and inside, two beacons",
            Self::TwoInside => "two inside",
            Self::Four => "outside, at the door, two inside",
        }
    }
}

/// Where the gateway is installed: the columns of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    Door,
    TwoIn,
    FourIn,
    Till,
    BehindWall,
    Ceiling,
    Window,
    Cellar,
}

impl Spot {
    pub const ALL: [Self; 8] = [
        Self::Door,
        Self::TwoIn,
        Self::FourIn,
        Self::Till,
        Self::BehindWall,
        Self::Ceiling,
        Self::Window,
        Self::Cellar,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::TwoIn => "2 m in",
            Self::FourIn => "4 m in",
            Self::Till => "till",
            Self::BehindWall => "behind a wall",
            Self::Ceiling => "ceiling",
            Self::Window => "window",
            Self::Cellar => "cellar stairs",
        }
    }

    const fn place(self) -> Place {
        match self {
            Self::Door | Self::Window => Place::Door,
            _ => Place::Inside,
        }
    }
}

/// A receiver or beacon.
#[derive(Debug, Clone)]
pub struct Device {
    pub at: Point,
    pub place: Place,
    /// A receiver's deviation from an average one, in dB; for a beacon, its power.
    pub offset_db: f64,
    pub shadows: Shadows,
}

#[derive(Debug, Clone)]
pub struct Shop {
    pub width: f64,
    pub depth: f64,
    pub door_x: f64,
    pub door_width: f64,
    /// Fraction of the front beside the door that is glass; the rest is wall.
    pub glass: f64,
    /// An inner wall across the shop, if any.
    pub inner_y: Option<f64>,
    /// Distance range in front of the shop in which people walk, in metres.
    pub pavement: (f64, f64),
    pub mall: bool,
    pub sister: bool,
    pub busy: f64,
    pub world: World,
    pub equipment: Equipment,
    pub spot: Spot,
    pub gateways: Vec<Device>,
    pub beacons: Vec<Device>,
    /// Fraction of the customers who come near that come in.
    pub visiting: f64,
    /// Fraction of packets that are lost at any level.
    pub lost: f64,
}

impl Shop {
    pub fn draw(equipment: Equipment, spot: Spot, random: &mut Random) -> Self {
        let world = World::draw(random);
        let width = random.between(4.0, 20.0);
        let depth = random.between(5.0, 30.0_f64.min(width * 2.5));
        let door_width = random.between(0.9, 2.4);
        let door_x = random.between(door_width / 2.0 + 0.2, width - door_width / 2.0 - 0.2);
        let mall = random.chance(0.2);
        let mut shop = Self {
            width,
            depth,
            door_x,
            door_width,
            glass: random.between(0.3, 0.9),
            inner_y: random.chance(0.35).then(|| depth * random.between(0.5, 0.8)),
            pavement: if mall { (0.8, 8.0) } else { (0.7, random.between(2.0, 4.5)) },
            mall,
            sister: random.chance(0.25),
            busy: random.between(0.3, 1.5),
            world,
            equipment,
            spot,
            gateways: Vec::new(),
            beacons: Vec::new(),
            visiting: if mall { random.between(0.06, 0.3) } else { random.between(0.15, 0.75) },
            lost: random.between(0.0, 0.7) * random.between(0.0, 1.0),
        };
        shop.hang(random);
        shop
    }

    fn hang(&mut self, random: &mut Random) {
        use Equipment as E;
        let one = self.spot;
        let inside = if one.place() == Place::Inside { one } else { Spot::Till };
        let other = [Spot::TwoIn, Spot::FourIn, Spot::Till, Spot::BehindWall, Spot::Ceiling];
        let other = if matches!(self.equipment, E::TwoInside | E::Four) {
            random.pick(&other).unwrap_or(Spot::Till)
        } else {
            Spot::Till
        };
        let spots: &[Option<Spot>] = match self.equipment {
            E::One | E::OneBeaconsAnywhere | E::OneBeaconsWell => &[Some(one)],
            E::DoorInside | E::TwoBeacons => &[Some(Spot::Door), Some(inside)],
            E::OutsideDoor => &[None, Some(Spot::Door)],
            E::OutsideInside => &[None, Some(inside)],
            E::TwoInside => &[Some(inside), Some(other)],
            E::Four => &[None, Some(Spot::Door), Some(inside), Some(other)],
        };
        for spot in spots {
            let (at, place) = if let Some(spot) = spot {
                (self.point(*spot, random), spot.place())
            } else {
                let x = self.door_x + random.between(-2.5, 2.5);
                let (y, z) = (random.between(-0.6, -0.1), random.between(1.5, 3.0));
                (Point { x, y, z }, Place::Outside)
            };
            self.gateways.push(self.device(at, place, 2.0, random));
        }
        let between = |random: &mut Random, low: f64, high: f64| random.between(low, high);
        let places: Vec<(Point, Place)> = match self.equipment {
            E::OneBeaconsAnywhere => {
                let x = (self.door_x + between(random, -2.5, 2.5)).clamp(0.1, self.width - 0.1);
                let door = Point { x, y: between(random, -0.2, 1.5), z: between(random, 0.5, 2.6) };
                let inside = Point {
                    x: between(random, 0.2, self.width - 0.2),
                    y: between(random, 2.0_f64.min(self.depth * 0.4), self.depth * 0.9),
                    z: between(random, 0.5, 2.8),
                };
                vec![(door, Place::Door), (inside, Place::Inside)]
            }
            E::OneBeaconsWell | E::TwoBeacons => {
                let side = if random.chance(0.5) { 1.0 } else { -1.0 };
                let x = self.door_x + side * (self.door_width / 2.0 + 0.1);
                let door = Point { x, y: -0.1, z: between(random, 0.9, 1.4) };
                let x = (self.door_x + between(random, -0.8, 0.8)).clamp(0.1, self.width - 0.1);
                let inside =
                    Point { x, y: between(random, 2.2, 2.9), z: between(random, 0.9, 1.4) };
                vec![(door, Place::Door), (inside, Place::Inside)]
            }
            _ => Vec::new(),
        };
        for (at, place) in places {
            self.beacons.push(self.device(at, place, 1.5, random));
        }
    }

    fn device(&self, at: Point, place: Place, scatter_db: f64, random: &mut Random) -> Device {
        let shadows = Shadows::draw(&self.world, random);
        Device { at, place, offset_db: random.normal() * scatter_db, shadows }
    }

    fn point(&self, spot: Spot, random: &mut Random) -> Point {
        let across = |random: &mut Random, reach: f64| {
            (self.door_x + random.between(-reach, reach)).clamp(0.2, self.width - 0.2)
        };
        let z = random.between(0.4, 2.6);
        match spot {
            Spot::Door => Point { x: across(random, 2.0), y: random.between(0.1, 1.0), z },
            Spot::Window => Point {
                x: random.between(0.2, self.width - 0.2),
                y: random.between(0.1, 0.5),
                z: random.between(0.2, 2.0),
            },
            Spot::TwoIn => Point { x: across(random, 3.0), y: 2.0, z },
            Spot::FourIn => Point { x: across(random, 3.0), y: 4.0_f64.min(self.depth - 0.2), z },
            Spot::Till => Point {
                x: random.between(0.3, self.width - 0.3),
                y: self.depth * random.between(0.4, 0.85),
                z: 1.0,
            },
            Spot::BehindWall => {
                Point { x: random.between(0.2, self.width - 0.2), y: self.depth + 0.4, z }
            }
            Spot::Ceiling => Point {
                x: random.between(0.5, self.width - 0.5),
                y: self.depth * random.between(0.15, 0.7),
                z: random.between(2.6, 4.5),
            },
            Spot::Cellar => Point {
                x: random.between(0.3, self.width - 0.3),
                y: self.depth * random.between(0.3, 0.9),
                z: -1.5,
            },
        }
    }

    /// Attenuation by the walls between two places, in dB.
    pub fn walls_db(&self, from: Point, to: Point) -> f64 {
        let mut db = 0.0;
        let cross = |level: f64, a: f64, b: f64| (a - level) * (b - level) < 0.0;
        if cross(0.0, from.y, to.y) {
            let x = from.x + (to.x - from.x) * (from.y / (from.y - to.y));
            // Windows lie beside the door, walls at the ends and beyond.
            let off = (x - self.door_x).abs();
            db += if off < self.door_width / 2.0 {
                0.0
            } else if x > 0.0 && x < self.width && (x * 0.37 + 0.11).fract() < self.glass {
                self.world.glass_db
            } else {
                self.world.wall_db
            };
        }
        for side in [0.0, self.width] {
            let inside_y = from.y + (to.y - from.y) * 0.5 > 0.0;
            if inside_y && cross(side, from.x, to.x) {
                db += self.world.wall_db;
            }
        }
        if cross(self.depth, from.y, to.y) {
            db += self.world.wall_db * 0.7;
        }
        if self.inner_y.is_some_and(|level| cross(level, from.y, to.y)) {
            db += self.world.inner_db;
        }
        if cross(-0.3, from.z, to.z) {
            db += self.world.wall_db;
        }
        db
    }

    /// The configuration: places are declared; levels are those of a walk test with one phone, if
    /// there was one.
    pub fn settings(&self, levels: Option<&[Levels]>) -> Settings {
        let gateway = |(nth, device): (usize, &Device)| Gateway {
            name: format!("g{nth}"),
            place: Some(device.place),
            offset_db: 0.0,
            levels: levels.and_then(|levels| levels.get(nth)).copied(),
        };
        let mut zones = [None; 16];
        for (zone, beacon) in zones.iter_mut().skip(1).zip(&self.beacons) {
            *zone = Some(beacon.place);
        }
        Settings {
            store: 42,
            gateways: self.gateways.iter().enumerate().map(gateway).collect(),
            zones,
            beacons: Vec::new(),
            presence: presence::Settings::default(),
            policy: policy::Settings::default(),
        }
    }
}
