//! The floor plan: the shop, the street, the shop next door, and the walls and shelves.
//!
//! Metres. The facade lies along `y = 0`, the street below it; the door is around `x = 0`; the shop
//! reaches up to `DEPTH`, and to `HALF_WIDTH` on both sides.

/// A place, or a direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Along the street, in metres.
    pub x: f64,
    /// Into the shop, in metres.
    pub y: f64,
}

/// Half the width of the shop's front.
pub const HALF_WIDTH: f64 = 4.0;

/// From the door to the back wall.
pub const DEPTH: f64 = 14.0;

/// Half the width of the open door.
pub const HALF_DOOR: f64 = 0.8;

/// Panes and frames of a shop front at 2.4 GHz: ITU-R P.2040-3 gives 2 to 4 dB for plain double
/// glazing (coated glass would be ten times that).
const FACADE_DB: f64 = 3.5;

/// A party wall: ITU-R P.2040-3 for 10 to 15 cm of brick at 2.4 GHz.
const PARTY_WALL_DB: f64 = 9.0;

/// A row of shelves with goods: between 0 dB (wire) and 4 dB (a full gondola); an assumption.
const SHELVES_DB: f64 = 2.0;

/// Rows of shelves along `x`, from the first `y` to the second.
const SHELVES: [(f64, f64, f64); 2] = [(-2.0, 3.5, 11.0), (2.0, 3.5, 11.0)];

impl Point {
    /// The place at `x`, `y`.
    pub const fn at(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// How far `other` is.
    pub fn distance(self, other: Self) -> f64 {
        let (dx, dy) = (other.x - self.x, other.y - self.y);
        (dx * dx + dy * dy).sqrt()
    }

    /// The direction of `other`, of length 1; `None` for the same place.
    pub fn towards(self, other: Self) -> Option<Self> {
        let distance = self.distance(other);
        let direction = Self::at((other.x - self.x) / distance, (other.y - self.y) / distance);
        (distance > 1e-9).then_some(direction)
    }

    /// The point at `part` (0 to 1) of the way to `other`.
    #[must_use]
    pub fn on_the_way(self, other: Self, part: f64) -> Self {
        Self::at(self.x + (other.x - self.x) * part, self.y + (other.y - self.y) * part)
    }

    /// The cosine of the angle between two directions.
    pub fn cosine(self, other: Self) -> f64 {
        self.x * other.x + self.y * other.y
    }

    /// This direction, turned left by the angle with this cosine and sine.
    #[must_use]
    pub fn turned(self, (cosine, sine): (f64, f64)) -> Self {
        Self::at(self.x * cosine - self.y * sine, self.x * sine + self.y * cosine)
    }
}

/// Attenuation by walls and shelves on the straight line between two places, in dB.
pub fn obstruction_db(a: Point, b: Point) -> f64 {
    let mut loss = 0.0;
    if let Some(x) = crossing((a.y, a.x), (b.y, b.x), 0.0)
        && x.abs() > HALF_DOOR
    {
        loss += FACADE_DB;
    }
    for wall in [-HALF_WIDTH, HALF_WIDTH] {
        if crossing((a.x, a.y), (b.x, b.y), wall).is_some_and(|y| y > 0.0) {
            loss += PARTY_WALL_DB;
        }
    }
    for (row, from, to) in SHELVES {
        if crossing((a.x, a.y), (b.x, b.y), row).is_some_and(|y| y > from && y < to) {
            loss += SHELVES_DB;
        }
    }
    loss
}

/// Where a line from `a` to `b` crosses `line`: coordinates across the line first.
fn crossing(a: (f64, f64), b: (f64, f64), line: f64) -> Option<f64> {
    let (before, after) = (a.0 - line, b.0 - line);
    if (before < 0.0) == (after < 0.0) {
        return None;
    }
    Some(a.1 + (b.1 - a.1) * before / (before - after))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "sums of the very constants")]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_takes_anything_away() {
        let door_gateway = Point::at(1.0, 1.0);
        assert_eq!(obstruction_db(door_gateway, Point::at(0.5, 3.0)), 0.0);
        assert_eq!(obstruction_db(door_gateway, Point::at(-0.5, -1.0)), 0.0);
        assert_eq!(obstruction_db(door_gateway, Point::at(6.0, -1.0)), FACADE_DB);
        assert_eq!(obstruction_db(door_gateway, Point::at(6.0, 2.0)), PARTY_WALL_DB);
        assert_eq!(obstruction_db(Point::at(0.0, 8.0), Point::at(-3.0, 8.0)), SHELVES_DB);
    }
}
