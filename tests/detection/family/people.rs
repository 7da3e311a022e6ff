//! Who comes by, and how: paths of points with pauses.

use grelot::sources::simulated::Random;

use super::shop::{Point, Shop};

/// What a customer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    ComeIn,
    LookThenComeIn,
    WalkBy,
    Linger,
    Wait,
    NextDoor,
}

/// The path of a customer.
#[derive(Debug)]
pub struct Way {
    /// When they are at each corner, and where it is.
    pub corners: Vec<(f64, Point)>,
    pub enters_s: Option<f64>,
    pub leaves_s: Option<f64>,
}

/// Distance down the street at which every path begins and ends.
const OUT_OF_SIGHT_M: f64 = 22.0;

impl Plan {
    pub fn draw(shop: &Shop, random: &mut Random) -> Self {
        if random.chance(shop.visiting) {
            return if random.chance(0.3) { Self::LookThenComeIn } else { Self::ComeIn };
        }
        match random.unit() {
            x if x < 0.58 => Self::WalkBy,
            x if x < 0.8 => Self::Linger,
            x if x < 0.9 => Self::Wait,
            _ if shop.sister || random.chance(0.5) => Self::NextDoor,
            _ => Self::WalkBy,
        }
    }
}

struct Walker<'a> {
    corners: Vec<(f64, Point)>,
    speed: f64,
    random: &'a mut Random,
}

impl Walker<'_> {
    fn to(&mut self, x: f64, y: f64) {
        if let Some((at_s, from)) = self.corners.last().copied() {
            let to = Point { x, y, z: from.z };
            self.corners.push((at_s + from.distance(to) / self.speed, to));
        }
    }

    fn stay(&mut self, seconds: f64) {
        // People shift their weight.
        let mut left = seconds;
        while left > 0.0 {
            let Some((at_s, at)) = self.corners.last().copied() else { return };
            let part = left.min(self.random.between(3.0, 15.0));
            let (x, y) = (self.random.normal() * 0.12, self.random.normal() * 0.12);
            self.corners.push((at_s + part, Point { x: at.x + x, y: at.y + y, z: at.z }));
            left -= part;
        }
    }

    fn now(&self) -> f64 {
        self.corners.last().map_or(0.0, |(at_s, _)| *at_s)
    }
}

impl Way {
    pub fn draw(shop: &Shop, plan: Plan, starts_s: f64, random: &mut Random) -> Self {
        let side = if random.chance(0.5) { 1.0 } else { -1.0 };
        let middle = shop.door_x;
        let lane = -random.between(shop.pavement.0, shop.pavement.1);
        let z = random.between(0.7, 1.3);
        let start = Point { x: middle - side * OUT_OF_SIGHT_M, y: lane, z };
        let speed = random.between(0.8, 1.7);
        let mut walker = Walker { corners: vec![(starts_s, start)], speed, random };
        let (mut enters_s, mut leaves_s) = (None, None);
        match plan {
            Plan::WalkBy => {
                if shop.mall && walker.random.chance(0.2) {
                    let x = middle + walker.random.between(-6.0, 6.0);
                    walker.to(x, lane);
                    let seconds = walker.random.between(2.0, 20.0);
                    walker.stay(seconds);
                }
            }
            Plan::Linger => {
                window(&mut walker, shop, 5.0, 120.0);
                if walker.random.chance(0.2) {
                    window(&mut walker, shop, 3.0, 40.0);
                }
                if walker.random.chance(0.15) {
                    let x = middle - side * walker.random.between(4.0, 12.0);
                    walker.to(x, lane);
                    walker.stay(4.0);
                    window(&mut walker, shop, 3.0, 30.0);
                }
            }
            Plan::Wait => {
                let x = middle + walker.random.between(-5.0, 5.0);
                let y = -walker.random.between(0.5, shop.pavement.1.min(4.0));
                walker.to(x, y);
                let seconds = walker.random.between(40.0, 300.0);
                walker.stay(seconds);
            }
            Plan::NextDoor => {
                let (x, beyond) =
                    if walker.random.chance(0.5) { (-1.0, -1.0) } else { (shop.width + 1.0, 1.0) };
                let off = beyond * walker.random.between(0.5, 5.0);
                walker.to(x + off, lane);
                walker.to(x + off, 0.0);
                for _ in 0..=walker.random.below(4) {
                    let (x, y) = (
                        x + beyond * walker.random.between(0.0, 6.0),
                        walker.random.between(0.5, shop.depth),
                    );
                    walker.to(x, y);
                    let seconds = walker.random.wait(60.0).clamp(5.0, 240.0);
                    walker.stay(seconds);
                }
                walker.to(x + off, 0.0);
                walker.to(x + off, lane);
            }
            Plan::ComeIn | Plan::LookThenComeIn => {
                if plan == Plan::LookThenComeIn {
                    window(&mut walker, shop, 5.0, 60.0);
                }
                walker.to(middle - side * 0.3, -0.8);
                walker.to(middle, 0.0);
                enters_s = Some(walker.now());
                walker.speed *= 0.7;
                browse(&mut walker, shop);
                walker.to(middle, 0.4);
                walker.to(middle, 0.0);
                leaves_s = Some(walker.now());
                walker.speed /= 0.7;
                walker.to(middle + side * 0.4, -0.8);
            }
        }
        walker.to(middle + side * OUT_OF_SIGHT_M, lane);
        Self { corners: walker.corners, enters_s, leaves_s }
    }

    /// Where the customer is, and the direction they face.
    pub fn at(&self, at_s: f64) -> Option<(Point, (f64, f64))> {
        let next = self.corners.partition_point(|(corner_s, _)| *corner_s <= at_s);
        let ((left_s, a), (reached_s, b)) =
            (self.corners.get(next.checked_sub(1)?)?, self.corners.get(next)?);
        let part = (at_s - left_s) / (reached_s - left_s).max(1e-6);
        let at = Point { x: a.x + (b.x - a.x) * part, y: a.y + (b.y - a.y) * part, z: a.z };
        let length = a.distance(*b).max(1e-6);
        let facing = ((b.x - a.x) / length, (b.y - a.y) / length);
        // A customer who stands faces the place that they shift to.
        Some((at, facing))
    }

    pub fn ends_s(&self) -> f64 {
        self.corners.last().map_or(0.0, |(at_s, _)| *at_s)
    }
}

fn window(walker: &mut Walker<'_>, shop: &Shop, least_s: f64, most_s: f64) {
    let x = walker.random.between(-0.5, shop.width + 0.5);
    let y = -walker.random.between(0.35, 1.5);
    walker.to(x, y);
    let seconds = least_s * (most_s / least_s).powf(walker.random.unit());
    walker.stay(seconds);
}

fn browse(walker: &mut Walker<'_>, shop: &Shop) {
    let total = walker.random.wait(170.0).clamp(35.0, 700.0);
    let until = walker.now() + total;
    // Some go straight to the back, some stop behind the door.
    let mut reach = walker.random.between(0.08, 0.8);
    while walker.now() < until {
        let x = walker.random.between(0.3, shop.width - 0.3);
        let y = (shop.depth * reach).clamp(0.6, shop.depth - 0.3);
        let x = if y < 2.5 {
            (shop.door_x + (x - shop.door_x) * 0.5).clamp(0.3, shop.width - 0.3)
        } else {
            x
        };
        walker.to(x, y);
        let seconds = walker.random.wait(15.0).clamp(1.0, 120.0);
        walker.stay(seconds);
        reach = walker.random.between(0.1, 0.97);
    }
}
