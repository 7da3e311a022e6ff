//! The family's radio: log-distance with walls, correlated shadowing, bodies, fading by channel.

use grelot::sources::simulated::Random;

use super::shop::{Point, Shop};

/// The parameters of a radio world.
#[derive(Debug, Clone, Copy)]
pub struct World {
    /// Its name in the tables.
    pub name: &'static str,
    pub exponent: f64,
    /// Standard deviation of shadowing, in dB.
    pub shadowing_db: f64,
    /// Correlation distance of shadowing, in metres.
    pub correlated_m: f64,
    /// Attenuation by glass, a brick wall, an inner wall, in dB.
    pub glass_db: f64,
    pub wall_db: f64,
    pub inner_db: f64,
    /// Attenuation by a body that stands in the way, in dB.
    pub body_db: f64,
    /// Rician K factor of fading.
    pub rice: f64,
    /// Attenuation by other people, in dB.
    pub crowd_db: f64,
}

impl World {
    /// Draws a radio world; its name is that of the most similar kind.
    pub fn draw(random: &mut Random) -> Self {
        let exponent = random.between(1.6, 3.2);
        let shadowing_db = random.between(2.0, 6.0);
        let name = match (exponent < 2.3, shadowing_db < 4.0) {
            (true, true) => "open",
            (true, false) => "cluttered",
            (false, true) => "steep",
            (false, false) => "steep, cluttered",
        };
        Self {
            name,
            exponent,
            shadowing_db,
            correlated_m: random.between(0.8, 3.0),
            glass_db: random.between(1.0, 6.0),
            wall_db: random.between(5.0, 14.0),
            inner_db: random.between(2.0, 8.0),
            body_db: random.between(3.0, 10.0),
            rice: random.between(0.5, 6.0),
            crowd_db: random.between(0.5, 3.0),
        }
    }
}

/// Shadowing around one receiver: a sum of waves of random directions.
#[derive(Debug, Clone)]
pub struct Shadows {
    waves: [(f64, f64, f64); 10],
    scale_db: f64,
}

impl Shadows {
    pub fn draw(world: &World, random: &mut Random) -> Self {
        let waves = std::array::from_fn(|_| {
            let (x, y) = (random.normal(), random.normal());
            (x / world.correlated_m, y / world.correlated_m, random.between(0.0, 6.3))
        });
        Self { waves, scale_db: world.shadowing_db * (2.0_f64 / 10.0).sqrt() }
    }

    fn at(&self, place: Point) -> f64 {
        let wave = |(x, y, phase): &(f64, f64, f64)| (x * place.x + y * place.y + phase).cos();
        self.waves.iter().map(wave).sum::<f64>() * self.scale_db
    }
}

/// The changing state between one phone and one receiver.
#[derive(Debug, Clone, Default)]
pub struct Link {
    fades: [(f64, f64); 3],
    crowd: f64,
    last: Option<(f64, Point)>,
}

impl Link {
    /// Moves on to `at_s` and `place`; returns the level of a packet, in dB relative to 1 m.
    pub fn gain_db(
        &mut self,
        at_s: f64,
        place: Point,
        facing: (f64, f64),
        receiver: Point,
        (shop, shadows): (&Shop, &Shadows),
        random: &mut Random,
    ) -> f64 {
        let world = &shop.world;
        let (elapsed, moved) = match self.last.replace((at_s, place)) {
            Some((then, before)) => (at_s - then, before.distance(place)),
            None => (100.0, 100.0),
        };
        // A fade lasts for a few centimetres, or some seconds where everyone stands still.
        let keep = (-moved / 0.06 - elapsed / 8.0).exp();
        let renew = (1.0 - keep * keep).sqrt();
        for (re, im) in &mut self.fades {
            *re = *re * keep + renew * random.normal() * 0.5_f64.sqrt();
            *im = *im * keep + renew * random.normal() * 0.5_f64.sqrt();
        }
        let keep = (-elapsed / 10.0).exp();
        self.crowd = self.crowd * keep
            + (1.0 - keep * keep).sqrt() * random.normal() * world.crowd_db * shop.busy;
        let (re, im) = self.fades[random.below(3) as usize];
        let rice = world.rice;
        let power = ((rice.sqrt() + re).powi(2) + im * im) / (rice + 1.0);
        let fade_db = 10.0 * power.max(1e-3).log10();
        let away = place.distance(receiver).max(0.4);
        let (to_x, to_y) = ((receiver.x - place.x) / away, (receiver.y - place.y) / away);
        // A person who faces the receiver mostly carries the phone in front of the body.
        let behind = 0.5 - 0.5 * (to_x * facing.0 + to_y * facing.1);
        -10.0 * world.exponent * away.log10()
            - shop.walls_db(place, receiver)
            - behind * world.body_db
            + shadows.at(place)
            + self.crowd
            + fade_db
    }
}
