//! The RSSI of a phone at a gateway: the radio model.
//!
//! In this order: attenuation of the direct path by distance and obstacles, attenuation by the body
//! of the person who carries the phone, the room's scattered field, slow shadowing, fast fading on
//! each of the three advertising channels, the receiver's limits. `cargo run --example realism`
//! compares every constant with published measurements.

use super::floor_plan::{Point, obstruction_db};
use super::math::{decibels, exp, power};
use super::random::Random;
use crate::pipeline::units::Dbm;

/// Path-loss exponent of the direct path: a little less than 2 in free space.
const DIRECT_EXPONENT: f64 = 1.75;

/// Path-loss exponent of the scattered field of a room (Andersen et al., IEEE Antennas and
/// Propagation Magazine 49, 2007). Both together give the exponent 1.46 that ITU-R P.1238-11, table
/// 2, has for offices in sight, and that the walks have.
const SCATTERED_EXPONENT: f64 = 1.2;

/// The scattered field at 1 m, relative to the direct one (fitted: walks and body positions).
const SCATTERED_AT_1_M_DB: f64 = -7.0;

/// Attenuation by the body from behind, at most (fitted: body positions).
const BODY_DB: f64 = 16.0;

/// Slow shadowing: log-normal with this standard deviation (fitted: walks), and ...
const SHADOWING_DB: f64 = 3.0;

/// ... an exponential correlation over this distance (Gudmundson, Electronics Letters 27, 1991;
/// fitted to the walks).
const SHADOWING_METRES: f64 = 2.2;

/// Fast fading is independent after half a wavelength (Clarke, Bell System Technical Journal 47,
/// 1968): 12.3 cm at 2.44 GHz.
const FADING_METRES: f64 = 0.0615;

/// Around a person who stands still, people and hands move: as if the phone moved at this speed.
const RESTLESSNESS_M_PER_S: f64 = 0.03;

/// An advertisement of 31 octets takes this long on the air at 1 Mbit/s (Core, Vol 6 Part B 2.1).
const AIR_TIME_S: f64 = 376e-6;

/// Probability that the stronger of two colliding packets survives (an assumption).
const CAPTURE: f64 = 0.5;

/// Half of the packets at this level are lost, as in a common receiver ...
const SENSITIVITY_DBM: f64 = -95.0;

/// ... and nearly none this much above.
const SENSITIVITY_WIDTH_DB: f64 = 1.2;

/// Where a phone is on its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carried {
    /// In the hand, in front of the chest.
    Hand,
    /// At the left ear.
    Ear,
    FrontPocket,
    BackPocket,
    /// Purse, on the right.
    Purse,
    /// On no body: a tag on a table, a television.
    Apart,
}

impl Carried {
    /// Cosine and sine of the angle to the left of the owner's direction, and the attenuation of
    /// the place even in front of it, in dB (fitted: body positions).
    const fn bearing(self) -> Option<((f64, f64), f64)> {
        match self {
            Self::Hand => Some(((1.0, 0.0), 0.0)),
            Self::Ear => Some(((0.643, 0.766), 0.0)),
            Self::FrontPocket => Some(((0.866, 0.5), 2.0)),
            Self::BackPocket => Some(((-0.94, -0.342), 2.0)),
            Self::Purse => Some(((0.94, -0.342), 2.0)),
            Self::Apart => None,
        }
    }
}

/// A phone's place, its owner's direction, and its power.
#[derive(Debug, Clone, Copy)]
pub struct Phone {
    /// Seconds since the start.
    pub at_s: f64,
    pub place: Point,
    /// The direction in which its owner faces.
    pub facing: Point,
    /// Where it is carried.
    pub carried: Carried,
    /// RSSI at 1 m in the open, in dBm.
    pub at_1_m_dbm: f64,
}

/// The radio path between one phone and one fixed place, with the state of its fading.
#[derive(Debug, Clone)]
pub struct RadioPath {
    fixed: Point,
    random: Random,
    shadowing: f64,
    /// Scattered field on each advertising channel, real and imaginary part.
    scattered: [(f64, f64); 3],
    last: Option<(f64, Point)>,
    /// No walls, no shelves.
    open: bool,
}

impl RadioPath {
    /// A path to the receiver, or from the beacon, at `fixed`.
    pub fn new(fixed: Point, mut random: Random) -> Self {
        let shadowing = random.normal();
        let scattered = [(); 3].map(|()| (random.normal(), random.normal()));
        Self { fixed, random, shadowing, scattered, last: None, open: false }
    }

    /// A path in a room of its own, without the shop's walls and shelves.
    pub fn in_the_open(fixed: Point, random: Random) -> Self {
        Self { open: true, ..Self::new(fixed, random) }
    }

    /// One packet's level on one of the three channels, in dBm.
    pub fn level_dbm(&mut self, phone: &Phone) -> f64 {
        self.move_on(phone);
        let (real, imaginary) = self.random.pick(&self.scattered).unwrap_or_default();
        let distance = phone.place.distance(self.fixed).max(0.3);
        let decades = decibels(distance);
        let direct = power(self.body_db(phone) - DIRECT_EXPONENT * decades);
        let scattered = power(SCATTERED_AT_1_M_DB - SCATTERED_EXPONENT * decades) / 2.0;
        let (real, imaginary) =
            (direct.sqrt() + scattered.sqrt() * real, scattered.sqrt() * imaginary);
        let obstructed = if self.open { 0.0 } else { obstruction_db(phone.place, self.fixed) };
        phone.at_1_m_dbm - obstructed
            + self.shadowing * SHADOWING_DB
            + decibels(real * real + imaginary * imaginary)
    }

    /// Attenuation of the direct path by the body, in dB (0 or less): none in the direction in
    /// which the phone is worn, most in the opposite one, a raised cosine between.
    fn body_db(&self, phone: &Phone) -> f64 {
        let Some((bearing, lost_anyway)) = phone.carried.bearing() else { return 0.0 };
        let Some(direction) = phone.place.towards(self.fixed) else { return -lost_anyway };
        let cosine = phone.facing.turned(bearing).cosine(direction);
        -lost_anyway - BODY_DB * (1.0 - cosine) / 2.0
    }

    /// Updates shadowing and fading by the distance that the phone has moved, and by time.
    fn move_on(&mut self, phone: &Phone) {
        let Some((then, there)) = self.last.replace((phone.at_s, phone.place)) else { return };
        let moved = there.distance(phone.place) + (phone.at_s - then) * RESTLESSNESS_M_PER_S;
        let random = &mut self.random;
        let kept = exp(-moved / SHADOWING_METRES);
        self.shadowing = kept * self.shadowing + (1.0 - kept * kept).sqrt() * random.normal();
        let kept = exp(-moved / FADING_METRES);
        let fresh = (1.0 - kept * kept).sqrt();
        for (real, imaginary) in &mut self.scattered {
            *real = kept * *real + fresh * random.normal();
            *imaginary = kept * *imaginary + fresh * random.normal();
        }
    }

    /// One packet as a receiver reports it; `None` where it is lost, in noise or by collision with
    /// one of `packets_per_s` others on the channel (pure ALOHA: Abramson, AFIPS 37, 1970).
    pub fn hear(&mut self, phone: &Phone, packets_per_s: f64) -> Option<Dbm> {
        let level = self.level_dbm(phone);
        let over = (level - SENSITIVITY_DBM) / SENSITIVITY_WIDTH_DB;
        let readable = 1.0 / (1.0 + exp(-over));
        let undisturbed = exp(-2.0 * AIR_TIME_S * packets_per_s * (1.0 - CAPTURE));
        if !self.random.chance(readable * undisturbed) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a cast from f64 saturates")]
        Dbm::measured(level.round() as i16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(at_s: f64, x: f64, facing: Point) -> Phone {
        let carried = Carried::Hand;
        Phone { at_s, place: Point::at(x, 5.0), facing, carried, at_1_m_dbm: -60.0 }
    }

    fn mean(x: f64, facing: Point) -> f64 {
        let levels = (0..400).map(|seed| {
            let mut link = RadioPath::new(Point::at(0.0, 5.0), Random::new(seed, &[]));
            link.level_dbm(&phone(0.0, x, facing))
        });
        levels.sum::<f64>() / 400.0
    }

    const TOWARDS: Point = Point::at(-1.0, 0.0);
    const AWAY: Point = Point::at(1.0, 0.0);

    #[test]
    fn further_away_is_quieter() {
        let levels = [1.0, 3.0, 9.0].map(|x| mean(x, TOWARDS));
        assert!(levels.is_sorted_by(|near, far| near > far), "{levels:?}");
        assert!((levels[0] - -60.0).abs() < 2.0, "{levels:?}");
    }

    #[test]
    fn a_body_between_takes_several_decibels_but_the_room_fills_in() {
        let lost = mean(2.0, TOWARDS) - mean(2.0, AWAY);
        assert!((6.0..16.0).contains(&lost), "{lost} dB");
    }

    #[test]
    fn what_is_too_quiet_is_not_heard() {
        let mut link = RadioPath::new(Point::at(0.0, 5.0), Random::new(1, &[]));
        let quiet = Phone { at_1_m_dbm: -100.0, ..phone(0.0, 9.0, TOWARDS) };
        let heard = (0..100).filter(|_| link.hear(&quiet, 0.0).is_some()).count();
        assert_eq!(heard, 0);
    }

    #[test]
    fn a_crowd_costs_packets() {
        let mut link = RadioPath::new(Point::at(0.0, 5.0), Random::new(1, &[]));
        let mut heard = |load| {
            (0..1000).filter(|_| link.hear(&phone(0.0, 2.0, TOWARDS), load).is_some()).count()
        };
        let (alone, crowded) = (heard(0.0), heard(1000.0));
        assert!(alone > 990, "{alone}");
        assert!((600..800).contains(&crowded), "{crowded}");
    }
}
