//! One shop and its street, in three dimensions: walls that attenuate, shelves, reflectors.
//!
//! The door is at the origin, `x` runs along the front, `y` into the shop, `z` up; all in metres.

use grelot::sources::simulated::Random;

/// A point in space, in metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Along the front, in metres.
    pub x: f64,
    /// Into the shop; negative in the street.
    pub y: f64,
    /// Above the floor, in metres.
    pub z: f64,
}

impl Point {
    /// At `x`, `y`, `z`.
    pub const fn at(x: f64, y: f64, z: f64) -> Self {
        Self { x, y, z }
    }

    /// How far away `other` is.
    pub fn distance(self, other: Self) -> f64 {
        let (x, y, z) = (self.x - other.x, self.y - other.y, self.z - other.z);
        (x * x + y * y + z * z).sqrt()
    }
}

/// An upright surface from one point of the floor plan to another.
#[derive(Debug, Clone, Copy)]
pub struct Wall {
    from: (f64, f64),
    to: (f64, f64),
    /// Signals that pass above it are not attenuated.
    height: f64,
    /// Attenuation, in dB.
    loss_db: f64,
}

impl Wall {
    /// Attenuation on the way from `one` to `other`, in dB.
    fn between(&self, one: Point, other: Point) -> f64 {
        let (way_x, way_y) = (other.x - one.x, other.y - one.y);
        let (wall_x, wall_y) = (self.to.0 - self.from.0, self.to.1 - self.from.1);
        let cross = way_x * wall_y - way_y * wall_x;
        if cross.abs() < 1e-9 {
            return 0.0;
        }
        let (apart_x, apart_y) = (self.from.0 - one.x, self.from.1 - one.y);
        let along_way = (apart_x * wall_y - apart_y * wall_x) / cross;
        let along_wall = (apart_x * way_y - apart_y * way_x) / cross;
        let crossed = (0.0..=1.0).contains(&along_way) && (0.0..=1.0).contains(&along_wall);
        let height = one.z + (other.z - one.z) * along_way;
        if crossed && height < self.height { self.loss_db } else { 0.0 }
    }
}

/// A surface that reflects signals.
#[derive(Debug, Clone, Copy)]
pub struct Reflector {
    pub at: Point,
    /// Reflected amplitude, 0 to 1.
    pub strength: f64,
}

/// A shop, the shop next door, and what lies in front of them.
#[derive(Debug, Clone)]
pub struct FloorPlan {
    /// The shop's left and right wall.
    pub sides: (f64, f64),
    /// How far the back wall is from the door.
    pub depth: f64,
    /// How wide the pavement is, or the corridor of a mall.
    pub pavement: f64,
    /// Where people can look in: from, to.
    pub windows: Vec<(f64, f64)>,
    /// The right wall of the shop next door, of the same chain.
    pub neighbour: f64,
    walls: Vec<Wall>,
    pub reflectors: Vec<Reflector>,
}

/// Half the width of the door.
pub const DOOR_HALF: f64 = 0.7;

/// What shops of one kind have in common.
#[derive(Debug, Clone, Copy)]
pub struct Building {
    /// Width of the front: least and most, in metres.
    pub width: (f64, f64),
    /// Depth: least and most, in metres.
    pub depth: (f64, f64),
    /// Attenuation by a wall: least and most, in dB.
    pub wall_db: (f64, f64),
    /// Attenuation by a window: least and most, in dB.
    pub glass_db: (f64, f64),
    /// The largest number of shelves.
    pub shelves: u32,
    /// Width of the pavement: least and most, in metres.
    pub pavement: (f64, f64),
}

impl FloorPlan {
    /// Draws a shop of a kind.
    pub fn draw(kind: &Building, random: &mut Random) -> Self {
        let width = random.between(kind.width.0, kind.width.1);
        let depth = random.between(kind.depth.0, kind.depth.1);
        let left = -width * random.between(0.25, 0.75);
        let sides = (left, left + width);
        let neighbour = sides.1 + random.between(5.0, 10.0);
        let wall_db = random.between(kind.wall_db.0, kind.wall_db.1);
        let glass_db = random.between(kind.glass_db.0, kind.glass_db.1);
        let wall = |from, to, loss_db| Wall { from, to, height: 3.0, loss_db };
        let mut walls = vec![
            wall((sides.0, 0.0), (sides.0, depth), wall_db),
            wall((sides.1, 0.0), (sides.1, depth), wall_db),
            wall((sides.0, depth), (sides.1, depth), wall_db),
            wall((neighbour, 0.0), (neighbour, depth), wall_db),
            wall((sides.1, 0.0), (neighbour, 0.0), glass_db),
        ];
        let mut windows = Vec::new();
        for (from, to) in [(sides.0, -DOOR_HALF), (DOOR_HALF, sides.1)] {
            let glazed = random.chance(0.8);
            walls.push(wall((from, 0.0), (to, 0.0), if glazed { glass_db } else { wall_db }));
            if glazed && to - from > 0.8 {
                windows.push((from, to));
            }
        }
        if random.chance(0.5) {
            let closed_db = random.between(1.0, 3.0);
            walls.push(wall((-DOOR_HALF, 0.0), (DOOR_HALF, 0.0), closed_db));
        }
        if depth > 6.0 && random.chance(0.5) {
            let y = depth * random.between(0.6, 0.85);
            let gap = random.between(sides.0, sides.1 - 1.0);
            let loss_db = random.between(2.0, wall_db);
            walls.push(wall((sides.0, y), (gap, y), loss_db));
            walls.push(wall((gap + 1.0, y), (sides.1, y), loss_db));
        }
        for _ in 0..random.below(kind.shelves + 1) {
            let at = (random.between(sides.0, sides.1), random.between(1.0, depth));
            let length = random.between(1.0, 3.0);
            let to = if random.chance(0.5) { (at.0 + length, at.1) } else { (at.0, at.1 + length) };
            let (height, loss_db) = (random.between(1.2, 2.0), random.between(1.0, 4.0));
            walls.push(Wall { from: at, to, height, loss_db });
        }
        let reflectors = (0..7)
            .map(|_| Reflector {
                at: Point::at(
                    random.between(sides.0 - 2.0, sides.1 + 2.0),
                    random.between(-6.0, depth),
                    random.between(0.2, 3.0),
                ),
                strength: random.between(0.25, 0.75),
            })
            .collect();
        let pavement = random.between(kind.pavement.0, kind.pavement.1);
        Self { sides, depth, pavement, windows, neighbour, walls, reflectors }
    }

    /// Attenuation by all walls on the way, in dB.
    pub fn walls_db(&self, one: Point, other: Point) -> f64 {
        self.walls.iter().map(|wall| wall.between(one, other)).sum()
    }
}
