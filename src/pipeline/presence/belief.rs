//! How sure we are that a customer is inside: a hidden Markov filter over the spots of a way in
//! and over how loud the customer's phone is.
//!
//! People move from spot to spot at a walker's pace, and a phone stays as loud as it is, give or
//! take how it is carried. So a passer-by, who is as loud before the door as a customer behind
//! it, betrays themself by the way they came and go, and two gateways by the difference. Evidence
//! is tempered by time: ten readings within a second say little more than three.

use std::ops::Range;

use super::Reading;
use super::spots::{BySpot, FIRST_HEARD, FIRST_INSIDE, KNOWN_INSIDE, SPOTS, WAYS};
use crate::pipeline::units::Tick;

/// Phones and pockets, in dB from the usual.
const LOUDNESS_DB: [f32; 3] = [-4.5, 0.0, 4.5];
/// How usual each is.
const LOUDNESS: [f32; 3] = [0.27, 0.46, 0.27];
/// A phone becomes one step louder or quieter so often in a second: turned, pocketed.
const LOUDNESS_DRIFT: f32 = 0.077;

/// Standard deviation of one reading round what is usual on a spot, dB: fading and shadowing.
const SPREAD_DB: f32 = 6.5;
/// The same beside an echo, which the same body and the same walls have shadowed already.
const SPREAD_BESIDE_ECHO_DB: f32 = 12.5;
/// Readings of one gateway closer together than this repeat each other.
const REPEATS_S: f32 = 0.47;
/// The phone measures its echo about once a second, and says it again meanwhile.
const ECHO_REPEATS_S: f32 = 0.52;
/// So many gateways are independent witnesses, no more: they share the walls and the body.
const INDEPENDENT: f32 = 3.0;
/// A gateway counts as a witness so long after it heard the customer.
const WITNESS_S: f32 = 2.0;
/// A reading further off than this is an accident of fading, not a fact.
const FURTHEST_DB: f32 = 24.0;

/// People are followed in steps of this...
const STEP_S: f32 = 0.5;
/// ... and after so much silence could be anywhere.
const FOLLOWED_S: f32 = 6.0;

/// Gateways whose readings are told apart in time; further ones share their places.
const EARS: usize = 12;
/// The unit of [`Belief::share`]: all together.
const WHOLE: f32 = 65_535.0;

/// Probabilities by spot and loudness.
type Grid = BySpot<[f32; LOUDNESS.len()]>;

/// The filter's state for one customer, in few octets.
#[derive(Debug, Clone, PartialEq)]
pub struct Belief {
    /// How probable each spot and loudness is, in parts of [`WHOLE`].
    share: BySpot<[u16; LOUDNESS.len()]>,
    /// When each gateway heard the customer last, in [`stamp`]s.
    heard: [u16; EARS],
    echoed: u16,
    updated: Option<Tick>,
}

impl Belief {
    /// Of somebody heard for the first time.
    pub fn new() -> Self {
        Self::at(FIRST_HEARD)
    }

    /// Of somebody known to be inside.
    pub fn inside() -> Self {
        Self::at(KNOWN_INSIDE)
    }

    fn at(spots: BySpot) -> Self {
        let share = [[0; LOUDNESS.len()]; SPOTS];
        let mut belief = Self { share, heard: [0; EARS], echoed: 0, updated: None };
        belief.keep(&spots.map(|spot| LOUDNESS.map(|loudness| spot * loudness)));
        belief
    }

    /// Probability of being inside, 0 to 1.
    pub fn confidence(&self) -> f32 {
        self.on(FIRST_INSIDE..SPOTS)
    }

    /// Probability of being on the threshold, 0 to 1.
    pub fn on_the_threshold(&self) -> f32 {
        self.on(FIRST_INSIDE..FIRST_INSIDE + 1)
    }

    /// What is usual where the customer is, in dBm, if inside.
    pub fn usual_inside_dbm(&self, usual_dbm: &BySpot) -> f32 {
        let (mut sum, mut weighed) = (0.0, 0.0);
        for (spot, usual) in self.share.iter().zip(usual_dbm).skip(FIRST_INSIDE) {
            let share: f32 = spot.iter().map(|share| f32::from(*share)).sum();
            sum += share;
            weighed += share * usual;
        }
        weighed / sum.max(1.0)
    }

    fn on(&self, spots: Range<usize>) -> f32 {
        let sum = |spots: &[[u16; LOUDNESS.len()]]| -> f32 {
            spots.iter().flatten().map(|share| f32::from(*share)).sum()
        };
        sum(self.share.get(spots).unwrap_or_default()) / sum(&self.share).max(1.0)
    }

    /// Weighs one contact.
    pub fn hear(&mut self, now: Tick, reading: &Reading) {
        let mut grid = self.share.map(|spot| spot.map(f32::from));
        if let Some(updated) = self.updated {
            walk(&mut grid, now.since(updated).as_secs_f32());
        }
        let weight = self.weight(now, reading.gateway.0.into());
        if let Some(rssi_dbm) = reading.rssi_dbm {
            let spread =
                if reading.echo_likelihood.is_some() { SPREAD_BESIDE_ECHO_DB } else { SPREAD_DB };
            weigh_level(&mut grid, rssi_dbm, &reading.usual_dbm, weight / (spread * spread));
        }
        if let Some(echo) = &reading.echo_likelihood {
            let fresh = (self.since(now, self.echoed) / ECHO_REPEATS_S).min(1.0);
            self.echoed = stamp(now);
            weigh_echo(&mut grid, echo, fresh);
        }
        self.keep(&grid);
        self.updated = Some(now);
    }

    /// How much a reading of this gateway says that its last ones, and the other gateways, did
    /// not say.
    fn weight(&mut self, now: Tick, gateway: usize) -> f32 {
        let ear = gateway % EARS;
        let gap_s = self.since(now, self.heard.get(ear).copied().unwrap_or_default());
        let fresh = if self.updated.is_none() { 1.0 } else { (gap_s / REPEATS_S).min(1.0) };
        if let Some(heard) = self.heard.get_mut(ear) {
            *heard = stamp(now);
        }
        let witness = |heard: &&u16| **heard != 0 && self.since(now, **heard) <= WITNESS_S;
        let witnesses = u16::try_from(self.heard.iter().filter(witness).count()).unwrap_or(1);
        fresh * (INDEPENDENT / f32::from(witnesses.max(1))).min(1.0)
    }

    /// Seconds since a stamp; for ever since none.
    fn since(&self, now: Tick, then: u16) -> f32 {
        if then == 0 || self.updated.is_none_or(|at| now.since(at).as_secs() > 60) {
            return f32::INFINITY;
        }
        f32::from(stamp(now).wrapping_sub(then)) * STAMP_S
    }

    fn keep(&mut self, grid: &Grid) {
        let whole = WHOLE / grid.iter().flatten().sum::<f32>();
        for (share, part) in self.share.iter_mut().flatten().zip(grid.iter().flatten()) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "to 65535")]
            let parts = (part * whole + 0.5) as u16;
            // Nothing is ever impossible.
            *share = parts.max(1);
        }
    }
}

/// The unit of [`stamp`]s: fine enough for ten packets a second, wraps after a quarter of an hour.
const STAMP_S: f32 = 0.016;

/// A moment in two octets; 0 is none.
fn stamp(now: Tick) -> u16 {
    let [.., high, low] = (now.as_micros() / 16_000).to_be_bytes();
    u16::from_be_bytes([high, low]).max(1)
}

/// People walk on for so long.
fn walk(grid: &mut Grid, seconds: f32) {
    let mut left_s = seconds.min(FOLLOWED_S);
    while left_s > 0.0 {
        let step_s = left_s.min(STEP_S);
        left_s -= step_s;
        step(grid, step_s);
    }
}

fn step(grid: &mut Grid, seconds: f32) {
    let before = *grid;
    for (nth, (onward, back)) in WAYS.into_iter().enumerate() {
        let (Some(here), Some(there)) = (before.get(nth), before.get(nth + 1)) else { continue };
        let flow: [f32; LOUDNESS.len()] =
            std::array::from_fn(|l| seconds * (onward * at(here, l) - back * at(there, l)));
        for (spot, sign) in [(nth, -1.0), (nth + 1, 1.0)] {
            for (part, flow) in grid.get_mut(spot).into_iter().flatten().zip(flow) {
                *part += sign * flow;
            }
        }
    }
    let drift = 0.5 * LOUDNESS_DRIFT * seconds;
    for spot in grid {
        let before = *spot;
        for (l, part) in spot.iter_mut().enumerate() {
            let neighbours = [l.checked_sub(1), Some(l + 1)].into_iter().flatten();
            for neighbour in neighbours.filter_map(|l| before.get(l)) {
                *part += drift * (neighbour - at(&before, l));
            }
        }
    }
}

fn at(row: &[f32; LOUDNESS.len()], l: usize) -> f32 {
    row.get(l).copied().unwrap_or_default()
}

/// Weighs a level; `precision` is the inverse of its variance.
fn weigh_level(grid: &mut Grid, rssi_dbm: f32, usual_dbm: &BySpot, precision: f32) {
    for (spot, usual) in grid.iter_mut().zip(usual_dbm) {
        for (part, loudness) in spot.iter_mut().zip(LOUDNESS_DB) {
            let away = (rssi_dbm - usual - loudness).clamp(-FURTHEST_DB, FURTHEST_DB);
            *part *= (-0.5 * precision * away * away).exp();
        }
    }
}

fn weigh_echo(grid: &mut Grid, echo: &BySpot, fresh: f32) {
    let best = echo.iter().copied().fold(f32::MIN, f32::max);
    for (spot, likelihood) in grid.iter_mut().zip(echo) {
        let factor = (fresh * (likelihood - best)).exp();
        spot.iter_mut().for_each(|part| *part *= factor);
    }
}

#[cfg(test)]
mod tests;
