//! How sure we are that a customer is inside: a hidden Markov filter over the spots of a way in
//! and over how loud the customer's phone is.
//!
//! People move from spot to spot at a walker's pace, and a phone stays as loud as it is, give or
//! take how it is carried. So a passer-by, who is as loud before the door as a customer behind
//! it, betrays themself by the way they came and go, and two gateways by the difference. Evidence
//! is tempered by time: ten readings within a second say little more than three.

use std::ops::Range;

use super::Reading;
use super::spots::{
    BySpot, ByStance, FIRST_HEARD, KNOWN_INSIDE, SPOTS, THRESHOLD, TURNING, TURNS, WAYS,
};
use crate::pipeline::units::Tick;

/// Phones, in dB from the usual.
const LOUDNESS_DB: [f32; 3] = [-5.6, 0.0, 5.6];
/// How usual each is.
const LOUDNESS: [f32; 3] = [0.27, 0.46, 0.27];
/// A phone becomes one step louder or quieter so often in a second: moved, pocketed.
const LOUDNESS_DRIFT: f32 = 0.018;

/// The phone measures its echo about once a second, and says it again meanwhile.
const ECHO_REPEATS_S: f32 = 1.46;
/// Beside an echo a level says less: the same body and the same walls have shadowed both.
const BESIDE_ECHO: f32 = 0.56;
/// So many gateways are independent witnesses, no more: they share the walls and the body.
const INDEPENDENT: f32 = 3.0;
/// A gateway counts as a witness so long after it heard the customer.
const WITNESS_S: f32 = 2.0;
/// A reading further off than this is an accident of fading, not a fact.
const FURTHEST_DB: f32 = 24.0;

/// People are followed in steps of about this, of twice this after a long silence ...
const STEP_S: f32 = 0.5;
/// ... and after so many of them could be anywhere.
const MOST_STEPS: f32 = 4.0;

/// Gateways whose readings are told apart in time; further ones share their places.
const EARS: usize = 12;
/// The unit of [`Belief::share`]: all together.
const WHOLE: f32 = 65_535.0;

/// Something for each loudness.
type ByLoudness<T> = [T; LOUDNESS.len()];
/// Probabilities by spot, turn and loudness.
type Grid<T = f32> = BySpot<[ByLoudness<T>; TURNS]>;

/// The filter's state for one customer, in few octets.
#[derive(Debug, Clone, PartialEq)]
pub struct Belief {
    /// How probable each spot, turn and loudness is, in parts of [`WHOLE`].
    share: Grid<u16>,
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
        let share = [[[0; LOUDNESS.len()]; TURNS]; SPOTS];
        let mut belief = Self { share, heard: [0; EARS], echoed: 0, updated: None };
        belief.keep(&spots.map(|spot| [LOUDNESS.map(|loudness| spot * loudness); TURNS]));
        belief
    }

    /// Probability of being inside, 0 to 1.
    pub fn confidence(&self) -> f32 {
        self.on(THRESHOLD..SPOTS)
    }

    /// Probability of being on the threshold, 0 to 1.
    pub fn on_the_threshold(&self) -> f32 {
        self.on(THRESHOLD..THRESHOLD + 1)
    }

    /// What is usual where the customer is, in dBm, if inside.
    pub fn usual_inside_dbm(&self, usual_dbm: &ByStance) -> f32 {
        let (mut sum, mut weighed) = (0.0, 0.0);
        let stances = self.share.as_flattened().iter().zip(usual_dbm.as_flattened());
        for (stance, usual) in stances.skip(THRESHOLD * TURNS) {
            let share: f32 = stance.iter().map(|share| f32::from(*share)).sum();
            sum += share;
            weighed += share * usual;
        }
        weighed / sum.max(1.0)
    }

    fn on(&self, spots: Range<usize>) -> f32 {
        let sum = |spots: &[[ByLoudness<u16>; TURNS]]| -> f32 {
            spots.as_flattened().as_flattened().iter().map(|share| f32::from(*share)).sum()
        };
        sum(self.share.get(spots).unwrap_or_default()) / sum(&self.share).max(1.0)
    }

    /// Weighs one contact.
    pub fn hear(&mut self, now: Tick, reading: &Reading) {
        let mut grid = self.share.map(|spot| spot.map(|turn| turn.map(f32::from)));
        if let Some(updated) = self.updated {
            walk(&mut grid, now.since(updated).as_secs_f32());
        }
        let mut weight = self.weight(now, reading);
        let mut echo = [[0.0; TURNS]; SPOTS];
        if let Some(likelihood) = &reading.echo_likelihood {
            let fresh = (self.since(now, self.echoed) / ECHO_REPEATS_S).min(1.0);
            self.echoed = stamp(now);
            echo = likelihood.map(|spot| spot.map(|turn| turn * fresh));
            weight *= BESIDE_ECHO;
        }
        weigh(&mut grid, reading, weight, &echo);
        self.keep(&grid);
        self.updated = Some(now);
    }

    /// How much a reading of this gateway says that its last ones, and the other gateways, did
    /// not say.
    fn weight(&mut self, now: Tick, reading: &Reading) -> f32 {
        let ear = usize::from(reading.gateway.0) % EARS;
        let gap_s = self.since(now, self.heard.get(ear).copied().unwrap_or_default());
        let fresh =
            if self.updated.is_none() { 1.0 } else { (gap_s / reading.usual.repeats_s).min(1.0) };
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
        let parts = grid.as_flattened().as_flattened();
        let whole = WHOLE / parts.iter().sum::<f32>();
        let shares = self.share.as_flattened_mut().as_flattened_mut();
        for (share, part) in shares.iter_mut().zip(parts) {
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
    let steps = (seconds / STEP_S).ceil().clamp(1.0, MOST_STEPS);
    let step_s = (seconds / steps).min(2.0 * STEP_S);
    let mut left = steps;
    while left > 0.5 {
        step(grid, step_s);
        left -= 1.0;
    }
}

fn step(grid: &mut Grid, seconds: f32) {
    let before = *grid;
    for (from, to, onward, back) in WAYS {
        let (Some(here), Some(there)) = (before.get(from), before.get(to)) else { continue };
        let (here, there) = (here.as_flattened(), there.as_flattened());
        let flow = |l: usize| seconds * (onward * at(here, l) - back * at(there, l));
        let flow: [f32; TURNS * LOUDNESS.len()] = std::array::from_fn(flow);
        for (spot, sign) in [(from, -1.0), (to, 1.0)] {
            let parts = grid.get_mut(spot).into_iter().flat_map(|spot| spot.as_flattened_mut());
            parts.zip(flow).for_each(|(part, flow)| *part += sign * flow);
        }
    }
    for (nth, spot) in grid.iter_mut().enumerate() {
        let [outside, inside] = TURNING;
        turn(spot, 0.5 * seconds * if nth < THRESHOLD { outside } else { inside });
        spot.iter_mut().for_each(|turn| drift(turn, 0.5 * seconds * LOUDNESS_DRIFT));
    }
}

/// This part of those who face one way turns the other way.
fn turn([one, other]: &mut [ByLoudness<f32>; TURNS], part: f32) {
    for (one, other) in one.iter_mut().zip(other) {
        let flow = part * (*one - *other);
        (*one, *other) = (*one - flow, *other + flow);
    }
}

/// This part of the phones becomes one step louder, and as many quieter.
fn drift([quiet, usual, loud]: &mut ByLoudness<f32>, part: f32) {
    let (from_quiet, from_loud) = (part * (*quiet - *usual), part * (*loud - *usual));
    *quiet -= from_quiet;
    *usual += from_quiet + from_loud;
    *loud -= from_loud;
}

fn at(row: &[f32], nth: usize) -> f32 {
    row.get(nth).copied().unwrap_or_default()
}

/// Weighs a level, which counts for `weight` readings, and an echo's log-likelihood.
fn weigh(grid: &mut Grid, reading: &Reading, weight: f32, echo: &ByStance) {
    let mut evidence = echo.map(|spot| spot.map(|turn| [turn; LOUDNESS.len()]));
    if let Some(rssi_dbm) = reading.rssi_dbm {
        let usual = reading.usual.dbm.iter().zip(reading.usual.spread_db);
        for (evidence, (usual, spread)) in evidence.iter_mut().zip(usual) {
            let (precision, certain) = (-0.5 * weight / (spread * spread), weight * spread.ln());
            for (evidence, usual) in evidence.iter_mut().zip(usual) {
                for (evidence, loudness) in evidence.iter_mut().zip(LOUDNESS_DB) {
                    let away = (rssi_dbm - usual - loudness).clamp(-FURTHEST_DB, FURTHEST_DB);
                    *evidence += precision * away * away - certain;
                }
            }
        }
    }
    let best = evidence.as_flattened().as_flattened().iter().copied().fold(f32::MIN, f32::max);
    let evidence = evidence.as_flattened().as_flattened();
    let parts = grid.as_flattened_mut().as_flattened_mut();
    parts.iter_mut().zip(evidence).for_each(|(part, evidence)| *part *= (evidence - best).exp());
}

#[cfg(test)]
mod tests;
