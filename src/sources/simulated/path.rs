//! Where somebody is at every moment, and which way they face.

use super::floor_plan::Point;
use super::random::Random;

/// Pedestrians' mean speed and its deviation (Weidmann, Transporttechnik der Fussgänger, 1993).
const WALKING: (f64, f64) = (1.34, 0.26);

/// Among shelves people walk at about half of that.
const STROLLING: f64 = 0.5;

/// A path through the scene: points with times, in order, with straight lines between them.
#[derive(Debug, Clone)]
pub struct Path {
    marks: Vec<Mark>,
    speed: f64,
    /// The last point that was passed. The search begins there, because time never goes back.
    passed: usize,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    at_s: f64,
    place: Point,
    /// From this point on.
    facing: Point,
}

impl Path {
    /// Begins at `place` at `at_s`, at a walking speed of its own.
    pub fn new(at_s: f64, place: Point, random: &mut Random) -> Self {
        let (mean, deviation) = WALKING;
        let speed = (mean + deviation * random.normal()).clamp(0.8, 1.9);
        let facing = Point::at(0.0, 1.0);
        Self { marks: vec![Mark { at_s, place, facing }], speed, passed: 0 }
    }

    /// The last point so far.
    fn end(&self) -> Mark {
        let nowhere = Mark { at_s: 0.0, place: Point::at(0.0, 0.0), facing: Point::at(0.0, 1.0) };
        self.marks.last().copied().unwrap_or(nowhere)
    }

    /// When it ends so far, in seconds.
    pub fn end_s(&self) -> f64 {
        self.end().at_s
    }

    /// Walks to `place`; returns the time of arrival.
    pub fn walk(&mut self, place: Point) -> f64 {
        self.go(place, self.speed)
    }

    /// Strolls to `place`; returns the time of arrival.
    pub fn stroll(&mut self, place: Point) -> f64 {
        self.go(place, self.speed * STROLLING)
    }

    fn go(&mut self, place: Point, speed: f64) -> f64 {
        let end = self.end();
        let Some(facing) = end.place.towards(place) else { return end.at_s };
        if let Some(mark) = self.marks.last_mut() {
            mark.facing = facing;
        }
        let at_s = end.at_s + end.place.distance(place) / speed;
        self.marks.push(Mark { at_s, place, facing });
        at_s
    }

    pub fn stay(&mut self, seconds: f64, facing: Point) {
        if let Some(mark) = self.marks.last_mut() {
            mark.facing = facing;
        }
        let end = self.end();
        self.marks.push(Mark { at_s: end.at_s + seconds, ..end });
    }

    /// Stays and turns in a new direction about every `each` seconds.
    pub fn linger(&mut self, seconds: f64, each: f64, random: &mut Random) {
        let until = self.end_s() + seconds;
        while self.end_s() < until {
            let facing = random.direction();
            self.stay(random.wait(each).min(until - self.end_s()).max(0.1), facing);
        }
    }

    /// Position and facing direction at `at_s`. Times must not go back.
    pub fn at(&mut self, at_s: f64) -> (Point, Point) {
        while self.marks.get(self.passed + 1).is_some_and(|next| next.at_s <= at_s) {
            self.passed += 1;
        }
        let from = self.marks.get(self.passed).copied().unwrap_or_else(|| self.end());
        let Some(to) = self.marks.get(self.passed + 1) else { return (from.place, from.facing) };
        let part = (at_s - from.at_s) / (to.at_s - from.at_s);
        (from.place.on_the_way(to.place, part.clamp(0.0, 1.0)), from.facing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_half_way_at_half_time_and_faces_where_one_goes() {
        let mut path = Path::new(10.0, Point::at(0.0, 0.0), &mut Random::new(1, &[]));
        let there = path.walk(Point::at(4.0, 0.0));
        path.stay(5.0, Point::at(0.0, -1.0));
        assert_eq!(path.at(0.0).0, Point::at(0.0, 0.0));
        let (half_way, facing) = path.at(f64::midpoint(10.0, there));
        assert!((half_way.x - 2.0).abs() < 1e-9);
        assert_eq!(facing, Point::at(1.0, 0.0));
        assert_eq!(path.at(there + 1.0), (Point::at(4.0, 0.0), Point::at(0.0, -1.0)));
        assert_eq!(path.at(1e6).0, Point::at(4.0, 0.0));
        assert!((path.end_s() - there - 5.0).abs() < 1e-9);
    }
}
