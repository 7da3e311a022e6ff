//! What people do, as paths through the scene with the ground truth.

use super::floor_plan::{DEPTH, HALF_WIDTH, Point};
use super::path::Path;
use super::random::Random;
use crate::sources::GroundTruth;

/// What a person does in the scene.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trajectory {
    /// Comes in at once, strolls for about this many seconds, pays, goes.
    ComeIn {
        /// Time among the shelves, in seconds.
        for_s: f64,
    },
    /// Looks at the window first, then comes in.
    LookFirst {
        /// Time at the window, in seconds.
        look_s: f64,
        /// Time among the shelves, in seconds.
        for_s: f64,
    },
    /// Lingers before the window and goes.
    LingerAndGo {
        /// Time at the window, in seconds.
        for_s: f64,
    },
    PassBy,
    /// Comes in and sits down at the back.
    Sit {
        /// Time in the chair, in seconds.
        for_s: f64,
    },
    /// Steps out in the middle of the visit, for a cigarette or a call, and comes back.
    StepOut {
        /// Time outside, in seconds.
        for_s: f64,
    },
    /// Goes to the shop next door.
    NextDoor {
        /// Time in there, in seconds.
        for_s: f64,
    },
    /// Is inside when the scene begins, strolls, goes.
    AlreadyInside {
        /// Time among the shelves, in seconds.
        for_s: f64,
    },
    /// Stays where they are all the time: staff, or things that advertise.
    Stay {
        place: Point,
        /// In seconds.
        for_s: f64,
    },
}

/// A path through the scene, and the ground truth along it.
#[derive(Debug, Clone)]
pub struct Walk {
    pub path: Path,
    /// Changes of the ground truth with their time in seconds, in order.
    pub truth: Vec<(f64, GroundTruth)>,
}

/// The end of the street, barely or not within radio range.
const STREET_END: f64 = 25.0;

const TO_THE_SHOP: Point = Point::at(0.0, 1.0);

/// Distance between people who walk side by side.
const BESIDE: f64 = 0.6;

impl Trajectory {
    /// The walk from `at_s` on of a person beside `beside` others (0 alone, 1 the second).
    pub fn walk(self, at_s: f64, beside: u8, random: &mut Random) -> Walk {
        let side = if random.chance(0.5) { STREET_END } else { -STREET_END };
        let offset = BESIDE * f64::from(beside);
        let pavement = Point::at(side, random.between(-2.8, -1.2) - offset);
        let start = match self {
            Self::AlreadyInside { .. } => somewhere_inside(random),
            Self::Stay { place, .. } => place,
            _ => pavement,
        };
        let mut walk = Walk { path: Path::new(at_s, start, random), truth: Vec::new() };
        let window = Point::at(random.between(1.6, 3.4) * side.signum(), -0.9 - offset);
        match self {
            Self::ComeIn { for_s } => walk.visit(for_s, offset, random),
            Self::LookFirst { look_s, for_s } => {
                walk.path.walk(window);
                walk.path.stay(look_s, TO_THE_SHOP);
                walk.visit(for_s, offset, random);
            }
            Self::LingerAndGo { for_s } => {
                let there = walk.path.walk(window);
                walk.path.linger(for_s * 0.2, 3.0, random);
                walk.path.stay(for_s * 0.8, TO_THE_SHOP);
                walk.truth.push((there, GroundTruth::Pass));
            }
            Self::PassBy => {
                let before_the_door = walk.path.walk(Point::at(0.0, pavement.y));
                walk.truth.push((before_the_door, GroundTruth::Pass));
            }
            Self::Sit { for_s } => walk.sit(for_s, offset, random),
            Self::StepOut { for_s } => walk.step_out(for_s, offset, random),
            Self::NextDoor { for_s } => walk.next_door(for_s, random),
            Self::AlreadyInside { for_s } => {
                walk.truth.push((at_s, GroundTruth::Inside));
                walk.among_the_shelves(for_s, random);
                walk.leave(offset);
            }
            Self::Stay { for_s, .. } => {
                walk.path.stay(for_s, random.direction());
                return walk;
            }
        }
        walk.path.walk(Point::at(-side, pavement.y));
        walk
    }
}

impl Walk {
    fn visit(&mut self, for_s: f64, offset: f64, random: &mut Random) {
        self.enter(offset, GroundTruth::Enter);
        self.among_the_shelves(for_s, random);
        self.leave(offset);
    }

    /// Through the door: ground truth changes in the doorway.
    fn enter(&mut self, offset: f64, truth: GroundTruth) {
        self.path.walk(Point::at(-offset / 2.0, -0.8 - offset));
        let threshold = self.path.walk(Point::at(-offset / 2.0, 0.0));
        self.truth.push((threshold, truth));
        self.path.walk(Point::at(offset, 1.5));
    }

    fn go_out(&mut self, offset: f64, truth: GroundTruth) {
        self.path.walk(Point::at(offset, 1.5));
        let threshold = self.path.walk(Point::at(0.0, 0.0));
        self.truth.push((threshold, truth));
        self.path.walk(Point::at(0.0, -1.0 - offset));
    }

    /// Walks to the till, then out.
    fn leave(&mut self, offset: f64) {
        self.path.stroll(Point::at(-2.8, 2.6));
        self.path.stay(20.0, Point::at(-1.0, 0.0));
        self.go_out(offset, GroundTruth::Leave);
    }

    /// Walks from one shelf to the next, and stops at most of them.
    fn among_the_shelves(&mut self, for_s: f64, random: &mut Random) {
        let until = self.path.end_s() + for_s;
        while self.path.end_s() < until {
            self.path.stroll(somewhere_inside(random));
            let stop = random.wait(20.0).min(90.0).min((until - self.path.end_s()).max(1.0));
            self.path.linger(stop, 8.0, random);
        }
    }

    fn sit(&mut self, for_s: f64, offset: f64, random: &mut Random) {
        self.enter(offset, GroundTruth::Enter);
        self.path.stroll(Point::at(3.0, DEPTH - 3.0));
        self.path.linger(for_s, 120.0, random);
        self.leave(offset);
    }

    fn step_out(&mut self, for_s: f64, offset: f64, random: &mut Random) {
        self.enter(offset, GroundTruth::Enter);
        self.among_the_shelves(random.between(60.0, 150.0), random);
        self.go_out(offset, GroundTruth::StepOut);
        self.path.walk(Point::at(random.between(-4.0, 4.0), random.between(-2.5, -1.2)));
        self.path.linger(for_s, 6.0, random);
        self.enter(offset, GroundTruth::StepIn);
        self.among_the_shelves(random.between(60.0, 150.0), random);
        self.leave(offset);
    }

    fn next_door(&mut self, for_s: f64, random: &mut Random) {
        let door = HALF_WIDTH + 4.0;
        let passing = self.path.walk(Point::at(door, -1.0));
        self.truth.push((passing, GroundTruth::Pass));
        self.path.walk(Point::at(door, 1.5));
        let until = self.path.end_s() + for_s;
        while self.path.end_s() < until {
            let x = random.between(HALF_WIDTH + 0.5, HALF_WIDTH + 8.0);
            self.path.stroll(Point::at(x, random.between(1.0, 10.0)));
            self.path.linger(random.wait(25.0).min(90.0), 8.0, random);
        }
        self.path.walk(Point::at(door, 1.5));
        self.path.walk(Point::at(door, -1.0));
    }
}

/// A random place where a customer looks at goods.
fn somewhere_inside(random: &mut Random) -> Point {
    let side = HALF_WIDTH - 0.5;
    Point::at(random.between(-side, side), random.between(2.0, DEPTH - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(trajectory: Trajectory) -> Vec<GroundTruth> {
        let walk = trajectory.walk(5.0, 0, &mut Random::new(3, &[]));
        assert!(walk.truth.is_sorted_by(|a, b| a.0 <= b.0));
        assert!(walk.truth.iter().all(|(at, _)| *at >= 5.0 && *at <= walk.path.end_s()));
        walk.truth.into_iter().map(|(_, word)| word).collect()
    }

    #[test]
    fn every_plan_has_the_right_ground_truth() {
        use GroundTruth::{Enter, Inside, Leave, Pass, StepIn, StepOut};
        assert_eq!(words(Trajectory::ComeIn { for_s: 60.0 }), [Enter, Leave]);
        assert_eq!(words(Trajectory::LookFirst { look_s: 20.0, for_s: 60.0 }), [Enter, Leave]);
        assert_eq!(words(Trajectory::LingerAndGo { for_s: 60.0 }), [Pass]);
        assert_eq!(words(Trajectory::PassBy), [Pass]);
        assert_eq!(words(Trajectory::Sit { for_s: 3600.0 }), [Enter, Leave]);
        assert_eq!(words(Trajectory::StepOut { for_s: 120.0 }), [Enter, StepOut, StepIn, Leave]);
        assert_eq!(words(Trajectory::NextDoor { for_s: 300.0 }), [Pass]);
        assert_eq!(words(Trajectory::AlreadyInside { for_s: 60.0 }), [Inside, Leave]);
        assert_eq!(words(Trajectory::Stay { place: Point::at(0.0, 5.0), for_s: 60.0 }), []);
    }

    #[test]
    fn a_person_who_is_inside_by_the_ground_truth_is_behind_the_facade() {
        let trajectory = Trajectory::LookFirst { look_s: 20.0, for_s: 60.0 };
        let mut walk = trajectory.walk(0.0, 0, &mut Random::new(9, &[]));
        let [(enter, _), (leave, _)] = walk.truth[..] else { panic!("{:?}", walk.truth) };
        let mut at = 0.0;
        while at < walk.path.end_s() {
            let (place, _) = walk.path.at(at);
            let inside = at > enter + 0.01 && at < leave - 0.01;
            assert!((place.y > 0.0) == inside || place.y.abs() < 0.02, "{at}: {place:?}");
            at += 0.1;
        }
    }
}
