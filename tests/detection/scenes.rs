//! The simulated scenes: who comes to the shop, and the equipment that receives them.
//!
//! A street scene is ten minutes of arrivals, with all the cases that arrival detection gets wrong;
//! a chair scene is one customer who sits at the back for an hour. Calibration, tuning and
//! evaluation never share a seed.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use grelot::pipeline::Place;
use grelot::sources::simulated::floor_plan::Point;
use grelot::sources::simulated::scene::{beacon_at, gateway_at};
use grelot::sources::simulated::{Customers, People, Random, Role, Scene, Trajectory};

pub const STORE: u16 = 42;

#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Its name in the tables.
    pub name: &'static str,
    /// Gateways: one alone hangs inside, the first of two at the door.
    pub gateways: &'static [(&'static str, Place)],
    /// Whether beacons stand at the door (zone 1) and inside (zone 2).
    pub beacons: bool,
}

const DOOR: (&str, Place) = ("door", Place::Door);
const INSIDE: (&str, Place) = ("inside", Place::Inside);

/// The four setups of the tables.
pub const SETUPS: [Setup; 4] = [
    Setup { name: "(a) one gateway", gateways: &[INSIDE], beacons: false },
    Setup { name: "(b) one, echoes", gateways: &[INSIDE], beacons: true },
    Setup { name: "(c) two gateways", gateways: &[DOOR, INSIDE], beacons: false },
    Setup { name: "(d) two, echoes", gateways: &[DOOR, INSIDE], beacons: true },
];

/// The same equipment at other places.
pub const ELSEWHERE: [(Setup, Layout); 5] = [
    (
        Setup { name: "(a) the gateway at the door", gateways: &[DOOR], beacons: false },
        Layout::USUAL,
    ),
    (
        Setup { name: "(b) the gateway at the door", gateways: &[DOOR], beacons: true },
        Layout::USUAL,
    ),
    (
        Setup {
            name: "(b) that, beacons inside the door and 6 m in",
            gateways: &[DOOR],
            beacons: true,
        },
        Layout::AT_HAND,
    ),
    (Setup { name: "(c) the second gateway at the till, 7 m in", ..SETUPS[2] }, Layout::AT_HAND),
    (Setup { name: "(d) that, and these beacons", ..SETUPS[3] }, Layout::AT_HAND),
];

impl Setup {
    /// Where its beacons stand, by zone.
    pub fn zones(&self) -> [Option<Place>; 16] {
        let mut zones = [None; 16];
        if let ([_, door, inside, ..], true) = (&mut zones, self.beacons) {
            (*door, *inside) = (Some(Place::Door), Some(Place::Inside));
        }
        zones
    }

    fn scene(&self, layout: &Layout, customers: Vec<Role>, lasts: Duration) -> Scene {
        let beacons = [(1, layout.door_beacon), (2, layout.inside_beacon)];
        let beacons = if self.beacons { &beacons[..] } else { &[] };
        let gateway = |(name, place): &(&str, Place)| (Arc::from(*name), layout.gateway(*place));
        Scene {
            store: STORE,
            gateways: self.gateways.iter().map(gateway).collect(),
            beacons: beacons.to_vec(),
            people: People {
                customers: Customers::Planned(customers),
                staying: 8,
                passing_per_minute: 0.0,
            },
            lasts: Some(lasts),
        }
    }
}

/// Where a shop's gateways and beacons are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layout {
    door_gateway: Point,
    inside_gateway: Point,
    door_beacon: Point,
    inside_beacon: Point,
}

impl Layout {
    /// The shop of the tables.
    pub const USUAL: Self = Self {
        door_gateway: gateway_at(Place::Door),
        inside_gateway: gateway_at(Place::Inside),
        door_beacon: beacon_at(Place::Door),
        inside_beacon: beacon_at(Place::Inside),
    };

    /// The same shop with its inside gateway at the till and its beacons at convenient places: just
    /// inside the door, and well within.
    const AT_HAND: Self = Self {
        inside_gateway: Point::at(-3.0, 7.0),
        door_beacon: Point::at(-0.9, 0.3),
        inside_beacon: Point::at(0.5, 6.0),
        ..Self::USUAL
    };

    /// Another shop for each seed: gateway and beacon on either side of the door, the others
    /// somewhere within.
    pub fn other(seed: u64) -> Self {
        let mut random = Random::new(seed, &[u64::from(b'l')]);
        let side = if random.chance(0.5) { 1.0 } else { -1.0 };
        let mut at = |x: (f64, f64), y: (f64, f64)| {
            Point::at(random.between(x.0, x.1), random.between(y.0, y.1))
        };
        Self {
            door_gateway: at((side * 0.9, side * 2.0), (0.3, 1.2)),
            inside_gateway: at((-1.5, 1.5), (3.5, 5.0)),
            door_beacon: at((-side * 0.85, -side * 1.5), (-0.5, -0.1)),
            inside_beacon: at((-1.5, 1.5), (2.0, 3.5)),
        }
    }

    /// Where the gateway at `place` hangs.
    pub const fn gateway(&self, place: Place) -> Point {
        match place {
            Place::Inside => self.inside_gateway,
            _ => self.door_gateway,
        }
    }
}

/// The purpose of a scene; each has its own seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The model's constants were chosen on these.
    Calibrating,
    /// The settings of grelot and of its peers are searched on these.
    Tuning,
    /// The tables are counted on these.
    Judging,
}

impl Part {
    /// Seeds of `count` scenes.
    pub const fn seeds(self, count: u64) -> Range<u64> {
        let first = match self {
            Self::Calibrating => 10_000,
            Self::Tuning => 20_000,
            Self::Judging => 30_000,
        };
        first..first + count
    }
}

/// Ten minutes of arrivals: nine visits, and seven customers who never come in.
pub fn street(setup: &Setup, layout: &Layout, seed: u64) -> Scene {
    let mut random = Random::new(seed, &[u64::from(b'd')]);
    let mut roles = Vec::new();
    let mut add = |beside: u8, trajectory: Trajectory, random: &mut Random| {
        let at = Duration::from_secs_f64(random.between(0.0, 600.0));
        for nth in 0..=beside {
            roles.push(Role { customer: app(roles.len()), at, trajectory, beside: nth });
        }
    };
    let stay = |random: &mut Random| random.wait(150.0).clamp(40.0, 600.0);
    for _ in 0..3 {
        add(0, Trajectory::ComeIn { for_s: stay(&mut random) }, &mut random);
    }
    for _ in 0..3 {
        let look_s = random.between(5.0, 40.0);
        add(0, Trajectory::LookFirst { look_s, for_s: stay(&mut random) }, &mut random);
    }
    add(1, Trajectory::ComeIn { for_s: stay(&mut random) }, &mut random);
    let out_s = random.between(60.0, 240.0);
    add(0, Trajectory::StepOut { for_s: out_s }, &mut random);
    for _ in 0..2 {
        let for_s = random.between(15.0, 60.0);
        add(0, Trajectory::LingerAndGo { for_s }, &mut random);
    }
    for _ in 0..4 {
        add(0, Trajectory::PassBy, &mut random);
    }
    add(0, Trajectory::NextDoor { for_s: stay(&mut random) }, &mut random);
    setup.scene(layout, roles, Duration::from_mins(40))
}

/// One customer who sits down for an hour.
pub fn chair(setup: &Setup, layout: &Layout, _seed: u64) -> Scene {
    let trajectory = Trajectory::Sit { for_s: 3600.0 };
    let role = Role { customer: app(0), at: Duration::from_secs(5), trajectory, beside: 0 };
    let mut scene = setup.scene(layout, vec![role], Duration::from_mins(65));
    scene.people.staying = 0;
    scene
}

/// The number of the `nth` customer whose phone has the app. The others carry cards, which receive
/// no beacon.
fn app(nth: usize) -> u32 {
    let mut with_app = (0_u32..).filter(|number| !matches!(number % 12, 7 | 10));
    with_app.nth(nth).unwrap_or(0)
}
