//! The simulated shop's walk test: one phone in the hand, outside and inside, 20 s on each spot.

use grelot::pipeline::Levels;
use grelot::sources::simulated::Random;
use grelot::sources::simulated::floor_plan::Point;
use grelot::sources::simulated::radio::{Carried, Phone, RadioPath};

use super::scenes::{Layout, Part, Setup};

/// In front of both windows and the door.
const OUTSIDE: [Point; 3] = [Point::at(-2.5, -1.0), Point::at(0.0, -1.5), Point::at(2.5, -1.0)];

/// A few steps inside.
const INSIDE: [Point; 3] = [Point::at(-1.5, 2.5), Point::at(0.0, 1.5), Point::at(1.5, 3.0)];

/// Packets in 20 s at four a second.
const PACKETS: u32 = 80;

/// The mean level at each gateway.
pub fn levels(setup: &Setup, layout: &Layout) -> Vec<Levels> {
    let seed = Part::Calibrating.seeds(1).start;
    let gateway = |(nth, (_, place)): (u64, &(_, _))| {
        let mean = |spots: &[Point], side: u64| {
            let random = Random::new(seed, &[u64::from(b'w'), nth, side]);
            let mut link = RadioPath::new(layout.gateway(*place), random);
            let levels =
                spots.iter().flat_map(|spot| (0..PACKETS).map(move |packet| (*spot, packet)));
            let levels: Vec<f64> = levels
                .map(|(place, packet)| {
                    let facing = turn(packet);
                    let carried = Carried::Hand;
                    let at_s = f64::from(packet) / 4.0;
                    link.level_dbm(&Phone { at_s, place, facing, carried, at_1_m_dbm: -60.0 })
                })
                .collect();
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "few")]
            let mean = (levels.iter().sum::<f64>() / levels.len() as f64) as f32;
            mean
        };
        Levels { inside_dbm: mean(&INSIDE, 1), outside_dbm: mean(&OUTSIDE, 0) }
    };
    (0..).zip(setup.gateways).map(gateway).collect()
}

/// The direction that the person faces, who turns round once on each spot.
fn turn(packet: u32) -> Point {
    let (sine, cosine) = (f64::from(packet) / f64::from(PACKETS) * std::f64::consts::TAU).sin_cos();
    Point::at(cosine, sine)
}
