//! A multi-wall radio with few rays (after ITU-R P.1238 and COST 231): free space, every wall on
//! the way, the carrier's body and the bodies between, and reflections that add up in phase, so
//! that the level of a phone that does not move stays the same, and differs between advertising
//! channels.

use grelot::sources::simulated::Random;

use super::plan::{FloorPlan, Point};

/// Wavelengths of the advertising channels 37, 38 and 39 (2402, 2426, 2480 MHz), in metres.
const WAVELENGTHS_M: [f64; 3] = [0.124_81, 0.123_57, 0.120_88];

/// Attenuation by a body on the way, in dB, and the most by several bodies.
const BODY_DB: (f64, f64) = (2.5, 10.0);

/// Where on the body a phone is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// In front of the chest.
    Hand,
    /// On the thigh.
    FrontPocket,
    /// Behind the body.
    BackPocket,
    /// At the side.
    Bag,
}

impl Carried {
    const ALL: [Self; 4] = [Self::Hand, Self::FrontPocket, Self::BackPocket, Self::Bag];

    /// Draws a place at random.
    pub fn draw(random: &mut Random) -> Self {
        random.pick(&Self::ALL).unwrap_or(Self::Hand)
    }

    /// Its height in metres, its direction relative to where the carrier faces, as cosine and sine,
    /// and the attenuation by its cover and by the whole body behind it, in dB.
    const fn about(self) -> (f64, (f64, f64), f64, f64) {
        match self {
            Self::Hand => (1.2, (1.0, 0.0), 0.0, 7.0),
            Self::FrontPocket => (0.8, (0.9, 0.4), 3.0, 10.0),
            Self::BackPocket => (0.9, (-1.0, 0.0), 3.0, 11.0),
            Self::Bag => (0.9, (0.0, 1.0), 5.0, 6.0),
        }
    }
}

/// A person at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Body {
    /// Position on the floor plan.
    pub at: (f64, f64),
    /// Direction they face, as a unit vector.
    pub facing: (f64, f64),
}

/// Position of the phone, the direction in which the body does not cover it, and the attenuation.
struct Held {
    at: Point,
    free: (f64, f64),
    cover_db: f64,
    behind_db: f64,
}

impl Held {
    fn of(body: Body, carried: Carried) -> Self {
        let (height, (cosine, sine), cover_db, behind_db) = carried.about();
        let (x, y) = body.facing;
        let free = (x * cosine - y * sine, x * sine + y * cosine);
        let at = Point::at(body.at.0 + 0.2 * free.0, body.at.1 + 0.2 * free.1, height);
        Self { at, free, cover_db, behind_db }
    }

    /// Attenuation by the carrier's body for a signal from `there`, in dB.
    fn shadow_db(&self, there: Point) -> f64 {
        let (x, y) = (there.x - self.at.x, there.y - self.at.y);
        let cosine = (x * self.free.0 + y * self.free.1) / (x * x + y * y).sqrt().max(0.1);
        self.cover_db + self.behind_db * (0.5 - 0.5 * cosine)
    }
}

/// The level between a carried phone and a device at `there`, in dB relative to 1 m in free space.
pub fn gain_db(
    plan: &FloorPlan,
    (body, carried): (Body, Carried),
    there: Point,
    others: &[Body],
    channel: usize,
) -> f64 {
    let phone = Held::of(body, carried);
    let between = others.iter().filter(|other| is_between(phone.at, there, other.at)).count();
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let bodies_db = (between as f64 * BODY_DB.0).min(BODY_DB.1);
    let direct_m = phone.at.distance(there).max(0.3);
    let direct = from_db(-phone.shadow_db(there) - bodies_db) / direct_m;
    let wave = std::f64::consts::TAU / WAVELENGTHS_M[channel % 3];
    let (mut real, mut imaginary) = (direct, 0.0);
    for reflector in &plan.reflectors {
        let way_m = phone.at.distance(reflector.at) + reflector.at.distance(there);
        let amplitude =
            reflector.strength / way_m * from_db(-phone.cover_db - 0.5 * phone.behind_db);
        let (sine, cosine) = (wave * (way_m - direct_m)).sin_cos();
        real += amplitude * cosine;
        imaginary += amplitude * sine;
    }
    let amplitude = (real * real + imaginary * imaginary).sqrt();
    20.0 * amplitude.max(1e-5).log10() - plan.walls_db(phone.at, there)
}

fn from_db(db: f64) -> f64 {
    10.0_f64.powf(db / 20.0)
}

/// Whether somebody at `other` stands in the way.
fn is_between(one: Point, there: Point, (x, y): (f64, f64)) -> bool {
    let (way_x, way_y) = (there.x - one.x, there.y - one.y);
    let length = (way_x * way_x + way_y * way_y).max(1e-6);
    let part = ((x - one.x) * way_x + (y - one.y) * way_y) / length;
    let (off_x, off_y) = (one.x + part * way_x - x, one.y + part * way_y - y);
    let height = one.z + (there.z - one.z) * part;
    (0.05..0.95).contains(&part) && off_x * off_x + off_y * off_y < 0.09 && height < 1.75
}
