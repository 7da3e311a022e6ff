//! How sure we are that a customer is inside: a hidden Markov filter over the spots of a way in
//! and over how loud the customer's phone is.
//!
//! People move from spot to spot at a walker's pace, and a phone stays as loud as it is, give or
//! take how it is carried. So a passer-by, who is as loud before the door as a customer behind
//! it, betrays themself by the way they came and go, and two gateways by the difference. Evidence
//! is tempered by time: ten readings within a second say little more than three.

use std::time::Duration;

use wide::{bytemuck, f32x8, i16x8, i32x8, u16x8};

use super::lanes::{all, exp, sum};
use super::premises::{Reading, Stances};
use super::spots::{BySpot, FIRST_HEARD, KNOWN_INSIDE, SPOTS, THRESHOLD, TURNING, TURNS, WAYS};
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
/// Probabilities by turn and loudness, all spots side by side.
type Grid<T = f32x8> = [ByLoudness<T>; TURNS];

/// The filter's state for one customer, in few octets.
#[derive(Debug, Clone, PartialEq)]
pub struct Belief {
    /// How probable each turn, loudness and spot is, in parts of [`WHOLE`].
    share: Grid<BySpot<u16>>,
    /// When each gateway heard the customer last, in units of [`STAMP_S`]; 0 is never.
    heard: [u16; EARS],
    echoed: u16,
    updated: Option<Tick>,
}

/// Where a customer probably is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Whereabouts {
    /// How probable each stance is.
    by_turn: Stances,
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
        let share = [[[0; SPOTS]; LOUDNESS.len()]; TURNS];
        let mut belief = Self { share, heard: [0; EARS], echoed: 0, updated: None };
        belief.keep(&[LOUDNESS.map(|loudness| f32x8::new(spots) * loudness); TURNS]);
        belief
    }

    /// Where the customer probably is.
    pub fn whereabouts(&self) -> Whereabouts {
        Whereabouts::of(&self.grid())
    }

    /// Weighs one contact.
    pub fn hear(&mut self, now: Tick, reading: &Reading<'_>) -> Whereabouts {
        let mut grid = self.grid();
        if let Some(updated) = self.updated {
            walk(&mut grid, now.since(updated).as_secs_f32());
        }
        let elapsed = Elapsed::until(now, self.updated);
        let mut weight = self.weight(&elapsed, reading);
        let mut echo = [f32x8::ZERO; TURNS];
        if let Some(likelihood) = reading.echo_likelihood {
            let fresh = (elapsed.since(self.echoed) / ECHO_REPEATS_S).min(1.0);
            self.echoed = elapsed.now;
            let ([toward, away], fresh) = (likelihood, all(fresh));
            echo = [toward * fresh, away * fresh];
            weight *= BESIDE_ECHO;
        }
        weigh(&mut grid, reading, weight, &echo);
        self.updated = Some(now);
        self.keep(&grid)
    }

    /// How much a reading of this gateway says that its last ones, and the other gateways, did
    /// not say.
    fn weight(&mut self, elapsed: &Elapsed, reading: &Reading<'_>) -> f32 {
        let ear = usize::from(reading.gateway.0) % EARS;
        let Some(heard) = self.heard.get_mut(ear) else { return 1.0 };
        let gap_s = elapsed.since(std::mem::replace(heard, elapsed.now));
        let witness = |heard: &&u16| elapsed.since(**heard) <= WITNESS_S;
        let witnesses = self.heard.iter().filter(witness).count();
        let fresh = (gap_s / reading.usual.repeats_s).min(1.0);
        fresh * (INDEPENDENT / f32::from(u8::try_from(witnesses).unwrap_or(u8::MAX))).min(1.0)
    }

    fn grid(&self) -> Grid {
        let mut grid = [[f32x8::ZERO; LOUDNESS.len()]; TURNS];
        let shares = self.share.as_flattened().iter();
        for (part, share) in grid.as_flattened_mut().iter_mut().zip(shares) {
            *part = i32x8::from_u16x8(u16x8::new(*share)).round_float();
        }
        grid
    }

    fn keep(&mut self, grid: &Grid) -> Whereabouts {
        const LOWEST: i32x8 = i32x8::new([i16::MIN as i32; SPOTS]);
        const SIGN: u16x8 = u16x8::new([1 << 15; SPOTS]);
        let whole = all(WHOLE / sum(grid.as_flattened()).reduce_add());
        let shares = self.share.as_flattened_mut().iter_mut();
        for (share, part) in shares.zip(grid.as_flattened()) {
            // Nothing is ever impossible.
            let parts = (*part * whole).fast_round_int().max(i32x8::ONE);
            // Only signed numbers are packed at once.
            let packed: u16x8 = bytemuck::cast(i16x8::from_i32x8_saturate(parts + LOWEST));
            *share = (packed ^ SIGN).to_array();
        }
        Whereabouts::of(grid)
    }
}

impl Whereabouts {
    fn of(grid: &Grid) -> Self {
        let [one, other] = grid;
        let (one, other) = (sum(one), sum(other));
        let part = all(1.0 / (one + other).reduce_add());
        Self { by_turn: [one * part, other * part] }
    }

    /// Probability of being inside, 0 to 1.
    pub fn confidence(&self) -> f32 {
        (sum(&self.by_turn) * INSIDE).reduce_add()
    }

    /// Probability of being on the threshold, 0 to 1.
    pub fn on_the_threshold(&self) -> f32 {
        sum(&self.by_turn).to_array().into_iter().nth(THRESHOLD).unwrap_or_default()
    }

    /// What is usual where the customer is, if inside.
    pub fn usual_inside(&self, usual: &Stances) -> f32 {
        let weighed = self.by_turn.iter().zip(usual).map(|(turn, usual)| *turn * *usual * INSIDE);
        weighed.sum::<f32x8>().reduce_add() / self.confidence().max(1.0 / WHOLE)
    }
}

/// How long ago the moments were that a belief remembers.
struct Elapsed {
    now: u16,
    /// Otherwise all of them were long ago.
    recent: bool,
}

/// The unit of a moment's stamp: fine enough for ten packets a second, wraps after a quarter of an
/// hour.
const STAMP_S: f32 = 0.016;

impl Elapsed {
    fn until(now: Tick, updated: Option<Tick>) -> Self {
        let [.., high, low] = (now.as_micros() / 16_000).to_be_bytes();
        let recent = updated.is_some_and(|at| now.since(at) <= Duration::from_mins(1));
        // 0 is none.
        Self { now: u16::from_be_bytes([high, low]).max(1), recent }
    }

    /// Seconds since a stamp; for ever since none.
    fn since(&self, then: u16) -> f32 {
        if then == 0 || !self.recent {
            return f32::INFINITY;
        }
        f32::from(self.now.wrapping_sub(then)) * STAMP_S
    }
}

/// Spots inside.
const INSIDE: f32x8 = sides([0.0, 1.0]);

/// How often in a second those on a spot turn.
const TURNS_ON: f32x8 = sides(TURNING);

/// The first for spots outside, the second for spots inside.
const fn sides([outside, inside]: [f32; 2]) -> f32x8 {
    const { assert!(SPOTS == 8 && THRESHOLD == 4) };
    f32x8::new([outside, outside, outside, outside, inside, inside, inside, inside])
}

/// How often in a second those on a spot (the row) move to another (the column); those who leave
/// the spot are in the diagonal, below zero.
static MOVES: BySpot<f32x8> = moves();

#[expect(clippy::indexing_slicing, reason = "computed by the compiler, which would say so")]
const fn moves() -> BySpot<f32x8> {
    let mut rates = [[0.0; SPOTS]; SPOTS];
    let mut way = 0;
    while way < WAYS.len() {
        let (from, to, onward, back) = WAYS[way];
        rates[from][to] += onward;
        rates[from][from] -= onward;
        rates[to][from] += back;
        rates[to][to] -= back;
        way += 1;
    }
    let mut moves = [f32x8::ZERO; SPOTS];
    let mut from = 0;
    while from < SPOTS {
        moves[from] = f32x8::new(rates[from]);
        from += 1;
    }
    moves
}

/// People walk on for so long.
fn walk(grid: &mut Grid, seconds: f32) {
    let steps = (seconds / STEP_S).ceil().clamp(1.0, MOST_STEPS);
    let each_s = (seconds / steps).min(2.0 * STEP_S);
    let mut left = steps;
    while left > 0.5 {
        step(grid, each_s);
        left -= 1.0;
    }
}

fn step(grid: &mut Grid, seconds: f32) {
    for row in grid.as_flattened_mut() {
        let mut flow = f32x8::ZERO;
        for (part, moves) in row.as_array().iter().zip(&MOVES) {
            flow += *moves * all(*part);
        }
        *row += flow * all(seconds);
    }
    turn(grid, TURNS_ON * all(0.5 * seconds));
    for turn in grid {
        drift(turn, 0.5 * seconds * LOUDNESS_DRIFT);
    }
}

/// This part of those who face one way turns the other way.
fn turn([one, other]: &mut Grid, part: f32x8) {
    for (one, other) in one.iter_mut().zip(other) {
        let flow = part * (*one - *other);
        *one -= flow;
        *other += flow;
    }
}

/// This part of the phones becomes one step louder, and as many quieter.
fn drift([quiet, usual, loud]: &mut ByLoudness<f32x8>, part: f32) {
    let part = all(part);
    let (from_quiet, from_loud) = ((*quiet - *usual) * part, (*loud - *usual) * part);
    *quiet -= from_quiet;
    *usual += from_quiet + from_loud;
    *loud -= from_loud;
}

/// Weighs a level, which counts for `weight` readings, and an echo's log-likelihood.
fn weigh(grid: &mut Grid, reading: &Reading<'_>, weight: f32, echo: &Stances) {
    const FURTHEST: f32x8 = all(FURTHEST_DB);
    const NEAREST: f32x8 = all(-FURTHEST_DB);
    let [toward, away] = *echo;
    let mut evidence = [toward, toward, toward, away, away, away];
    if let Some(rssi_dbm) = reading.rssi_dbm {
        let usual = &reading.usual.levels;
        let certain = usual.log_spread * all(weight);
        let precision = usual.inverse_spread * usual.inverse_spread * all(-0.5 * weight);
        for (evidence, mean) in evidence.chunks_exact_mut(LOUDNESS.len()).zip(&usual.mean) {
            for (evidence, loudness) in evidence.iter_mut().zip(&LOUDNESS_DB) {
                let away = all(rssi_dbm - loudness) - *mean;
                let away = away.fast_max(NEAREST).fast_min(FURTHEST);
                *evidence += precision * away * away - certain;
            }
        }
    }
    let best = evidence.iter().fold(all(f32::MIN), |best, some| best.fast_max(*some));
    let best = all(best.as_array().iter().fold(f32::MIN, |best, some| best.max(*some)));
    let parts = grid.as_flattened_mut().iter_mut();
    parts.zip(&evidence).for_each(|(part, evidence)| *part *= exp(*evidence - best));
}

#[cfg(test)]
mod tests;
