//! What is searched: the settings that matter, each on a grid of values a person would write.

use std::collections::BTreeSet;

use super::parameter::{self, Parameter, tidy};
use crate::config::detection::Detection;
use crate::pipeline::Place;
use crate::sources::simulated::Random;

/// A parameter and its values, ascending.
#[derive(Debug, Clone)]
struct Dimension {
    parameter: Parameter,
    values: Vec<f64>,
    /// Where the configuration in force has it.
    start: u16,
}

/// A setting of all parameters: a place on each grid.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point(pub Vec<u16>);

/// All settings that may be tried.
#[derive(Debug, Clone)]
pub struct Space {
    base: Detection,
    dimensions: Vec<Dimension>,
}

/// What to search beyond the usual.
#[derive(Debug, Clone, Copy, Default)]
pub struct SearchOptions {
    /// Each gateway's own levels.
    pub levels: bool,
    /// Whether `presence.rejoin_secs` is searched.
    pub rejoin: bool,
}

const CONFIDENCES: [f64; 13] =
    [0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995];
const DWELLS: [f64; 15] =
    [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0];
const LEAVES: [f64; 15] =
    [5.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0, 450.0, 600.0];
const REJOINS: [f64; 9] = [0.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 3600.0];
/// A walk test is not wrong by more.
const LEVELS_MOVE_DB: f64 = 12.0;

impl Space {
    /// Round `base`; `gateways` are those whose contacts are in the recordings, with where they
    /// stand.
    pub fn new(
        base: Detection,
        gateways: &[(String, Option<Place>)],
        options: SearchOptions,
    ) -> Self {
        let mut dimensions = Vec::new();
        let mut turn = |parameter, value: f64, values: &[f64]| {
            dimensions.push(Dimension::new(parameter, value, values));
        };
        let presence = &base.presence;
        let (arrive, leave) = (tidy(presence.arrive_rssi_dbm), tidy(presence.leave_rssi_dbm));
        let levelled = gateways.iter().filter(|(name, _)| base.levels(name).is_some()).count();
        if options.levels {
            for (name, place) in gateways {
                let (inside, outside) = match (base.levels(name), place) {
                    (Some(levels), _) => (tidy(levels.inside_dbm), tidy(levels.outside_dbm)),
                    (None, Some(Place::Outside)) => (leave, arrive),
                    (None, _) => (arrive, leave),
                };
                let around = |level: f64| moves().map(|by| level + by).collect::<Vec<_>>();
                turn(Parameter::Inside(name.clone()), inside, &around(inside));
                turn(Parameter::Outside(name.clone()), outside, &around(outside));
            }
        } else {
            if levelled < gateways.len().max(1) {
                turn(Parameter::Arrive, arrive, &steps(-95, -45));
                turn(Parameter::Hysteresis, arrive - leave, &steps(3, 20));
            }
            if levelled > 0 {
                let moves: Vec<_> = moves().collect();
                turn(Parameter::AllInside, 0.0, &moves);
                turn(Parameter::AllOutside, 0.0, &moves);
            }
        }
        turn(Parameter::Confidence, tidy(presence.arrive_confidence), &CONFIDENCES);
        turn(Parameter::Dwell, presence.dwell.as_secs_f64(), &DWELLS);
        turn(Parameter::LeaveAfter, presence.leave_after.as_secs_f64(), &LEAVES);
        if options.rejoin {
            turn(Parameter::Rejoin, presence.rejoin.as_secs_f64(), &REJOINS);
        }
        Self { base, dimensions }
    }

    /// The settings in force.
    pub fn start(&self) -> Point {
        Point(self.dimensions.iter().map(|dimension| dimension.start).collect())
    }

    /// Steps from the settings in force: of two that are as good, the nearer one changes less.
    pub fn distance(&self, point: &Point) -> u32 {
        let start = self.start();
        start.0.iter().zip(&point.0).map(|(a, b)| u32::from(a.abs_diff(*b))).sum()
    }

    /// Points spread evenly over the whole space: a Halton sequence (Numer. Math. 2, 1960), shifted
    /// at random (Cranley and Patterson, SIAM J. Numer. Anal. 13, 1976).
    pub fn halton_points(&self, count: usize, seed: u64) -> BTreeSet<Point> {
        let mut random = Random::new(seed, &[]);
        let moved: Vec<f64> = self.dimensions.iter().map(|_| random.unit()).collect();
        let point = |index: usize| {
            let place = |((dimension, base), moved): ((&Dimension, u64), &f64)| {
                dimension.at((radical_inverse(index as u64 + 1, base) + moved).fract())
            };
            Point(self.dimensions.iter().zip(primes()).zip(&moved).map(place).collect())
        };
        (0..count).map(point).collect()
    }

    /// The points `step` away along one dimension each.
    pub fn around(&self, point: &Point, step: u16) -> Vec<Point> {
        let mut around = Vec::new();
        for (at, dimension) in self.dimensions.iter().enumerate() {
            let Some(place) = point.0.get(at).copied() else { continue };
            let last = dimension.last();
            for moved in [place.saturating_sub(step), (place + step).min(last)] {
                let mut other = point.clone();
                if let Some(place) = other.0.get_mut(at) {
                    *place = moved;
                }
                if other != *point {
                    around.push(other);
                }
            }
        }
        around
    }

    /// The settings at `point`.
    pub fn settings(&self, point: &Point) -> Detection {
        let mut settings = self.base.clone();
        for (dimension, place) in self.dimensions.iter().zip(&point.0) {
            let value = dimension.values.get(usize::from(*place)).copied().unwrap_or_default();
            dimension.parameter.turn(&mut settings, value);
        }
        settings
    }

    /// What to write of the settings at `point`: keys and values of `[presence]`, as TOML, in the
    /// order of the reference.
    pub fn written(&self, point: &Point) -> Vec<(&'static str, String)> {
        let settings = self.settings(point);
        let mut written: Vec<_> = self
            .dimensions
            .iter()
            .map(|dimension| dimension.parameter.written(&settings))
            .collect();
        written.sort_by_key(|(key, _)| parameter::KEYS.iter().position(|known| known == key));
        written.dedup();
        written
    }
}

impl Dimension {
    /// The value in force has its place on the grid, too.
    fn new(parameter: Parameter, value: f64, values: &[f64]) -> Self {
        let mut values = values.to_vec();
        if !values.contains(&value) {
            values.push(value);
            values.sort_by(f64::total_cmp);
        }
        let start = values.iter().position(|known| *known >= value).unwrap_or(0);
        Self { parameter, values, start: u16::try_from(start).unwrap_or(0) }
    }

    fn last(&self) -> u16 {
        u16::try_from(self.values.len().saturating_sub(1)).unwrap_or(u16::MAX)
    }

    /// The place `share` of the way through the grid, 0 to 1.
    fn at(&self, share: f64) -> u16 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the grid's length, which fits"
        )]
        let place = (share * (f64::from(self.last()) + 1.0)) as u16;
        place.min(self.last())
    }
}

fn steps(from: i32, to: i32) -> Vec<f64> {
    (from..=to).map(f64::from).collect()
}

fn moves() -> impl Iterator<Item = f64> {
    #[expect(clippy::cast_possible_truncation, reason = "a small whole number")]
    let most = LEVELS_MOVE_DB as i32;
    (-most..=most).map(f64::from)
}

fn primes() -> impl Iterator<Item = u64> {
    (2_u64..).filter(|n| (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0))
}

/// `index` written in `base`, mirrored at the point.
fn radical_inverse(mut index: u64, base: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a small prime and its digits")]
    let (mut inverse, mut digit) = (0.0, 1.0 / base as f64);
    while index > 0 {
        #[expect(clippy::cast_precision_loss, reason = "a small prime and its digits")]
        let (value, radix) = ((index % base) as f64, base as f64);
        inverse += value * digit;
        digit /= radix;
        index /= base;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(options: SearchOptions) -> Space {
        Space::new(Detection::default(), &[("door".to_owned(), Some(Place::Door))], options)
    }

    #[test]
    fn the_start_is_the_configuration_in_force_to_the_digit() {
        let mut base = Detection::default();
        base.presence.arrive_rssi_dbm = -71.5;
        base.presence.arrive_confidence = 0.83;
        let space = Space::new(base.clone(), &[], SearchOptions::default());
        assert_eq!(space.settings(&space.start()), base);
    }

    #[test]
    fn every_tried_setting_is_a_valid_configuration() {
        for options in [SearchOptions::default(), SearchOptions { levels: true, rejoin: true }] {
            let space = space(options);
            for point in space.halton_points(200, 7) {
                let lines = space.written(&point);
                let text = lines.iter().map(|(key, value)| format!("{key} = {value}\n"));
                let text = format!(
                    "[store]\nid = 1\n[gateway]\nname = \"door\"\n[presence]\n{}",
                    text.collect::<String>()
                );
                let config = crate::config::parse(&text, "tuned", std::path::Path::new("."))
                    .unwrap_or_else(|problems| panic!("{text}\n{problems}"));
                assert_eq!(Detection::from(&config), space.settings(&point), "{text}");
            }
        }
    }

    #[test]
    fn points_are_spread_by_the_seed_alone() {
        let space = space(SearchOptions::default());
        assert_eq!(space.halton_points(50, 1), space.halton_points(50, 1));
        assert_ne!(space.halton_points(50, 1), space.halton_points(50, 2));
        assert_eq!(space.halton_points(50, 1).len(), 50);
    }

    #[test]
    fn neighbours_stay_on_the_grid() {
        let space = space(SearchOptions::default());
        let corner = Point(vec![0; space.dimensions.len()]);
        assert_eq!(space.around(&corner, 4).len(), space.dimensions.len());
    }
}
