//! How sure we are that a customer is inside: a hidden Markov filter over the spots of a way in
//! and over how loud the customer's phone is.
//!
//! People move from spot to spot at a walker's pace, and a phone stays as loud as it is, give or
//! take how it is carried. So a passer-by, who is as loud before the door as a customer behind
//! it, betrays themself by the way they came and go, and two gateways by the difference. Evidence
//! is tempered by time: ten readings within a second say little more than three.

use std::time::Duration;

use super::lanes::{Lanes, Packed};
use super::premises::{Normal, Reading};
use super::spots::{
    BESIDE_ECHO, BySpot, ECHO_REPEATS_S, FIRST_HEARD, INSIDE, KNOWN_INSIDE, LOUDNESS_DB,
    LOUDNESS_DRIFT, MOVES, NEW_ECHO, THE_DOOR,
};
use crate::pipeline::units::Tick;

/// How usual phones are that are so loud as [`LOUDNESS_DB`] says.
const LOUDNESS: [f32; 3] = [0.27, 0.46, 0.27];

/// So many gateways are independent witnesses, no more: they share the walls and the body.
const INDEPENDENT: f32 = 3.0;
/// A gateway counts as a witness so long after it heard the customer.
const WITNESS_S: f32 = 2.0;
/// A reading further off than this is an accident of fading, not a fact.
const FURTHEST_DB: f32 = 24.0;

/// People are followed in steps of at most this ...
const STEP_S: f32 = 1.0;
/// ... and after so many of them could be anywhere.
const MOST_STEPS: f32 = 2.0;

/// Gateways whose readings are told apart in time; further ones share their places.
const EARS: usize = 12;

/// Something for each loudness.
type ByLoudness<T> = [T; LOUDNESS.len()];

/// The filter's state for one customer, in few octets.
#[derive(Debug, Clone, PartialEq)]
pub struct Belief {
    /// How probable each loudness and spot is.
    share: ByLoudness<Packed>,
    /// When each gateway heard the customer last, in units of [`STAMP_S`]; 0 is never.
    heard: [u16; EARS],
    echoed: u16,
    /// The last echo, as the octet it came in.
    echo: u8,
    updated: Option<Tick>,
}

/// Where a customer probably is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Whereabouts {
    /// How probable each spot is.
    by_spot: Lanes,
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
        let share = [Packed::NONE; LOUDNESS.len()];
        let mut belief = Self { share, heard: [0; EARS], echoed: 0, echo: 0, updated: None };
        belief.keep(&LOUDNESS.map(|loudness| Lanes::new(spots) * loudness), 0);
        belief
    }

    /// Where the customer probably is.
    pub fn whereabouts(&self) -> Whereabouts {
        let by_spot = by_spot(&self.grid());
        Whereabouts { by_spot: by_spot * by_spot.sum().recip() }
    }

    /// Weighs one contact.
    pub fn hear(&mut self, now: Tick, reading: &Reading<'_>) -> Whereabouts {
        let mut grid = self.grid();
        if let Some(updated) = self.updated {
            walk(&mut grid, now.since(updated).as_secs_f32());
        }
        let elapsed = Elapsed::until(now, self.updated);
        let mut weight = self.weight(&elapsed, reading);
        let mut evidence = [Lanes::NOTHING; LOUDNESS.len()];
        if let (Some(echo), Some(likelihood)) = (reading.echo, reading.echo_likelihood) {
            evidence = [likelihood * self.echo_weight(&elapsed, echo.to_byte()); LOUDNESS.len()];
            weight *= BESIDE_ECHO;
        }
        if let Some(rssi_dbm) = reading.rssi_dbm {
            weigh(&mut evidence, rssi_dbm, &reading.usual.levels, weight);
        }
        multiply(&mut grid, &evidence);
        self.updated = Some(now);
        self.keep(&grid, now.as_micros())
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

    /// How much an echo says that the last one did not: a phone measures it about once a second,
    /// and says it again meanwhile.
    fn echo_weight(&mut self, elapsed: &Elapsed, echo: u8) -> f32 {
        let gap_s = elapsed.since(std::mem::replace(&mut self.echoed, elapsed.now));
        let same = std::mem::replace(&mut self.echo, echo) == echo;
        if same { (gap_s / ECHO_REPEATS_S).min(1.0) } else { NEW_ECHO }
    }

    fn grid(&self) -> ByLoudness<Lanes> {
        self.share.map(|share| share.lanes())
    }

    fn keep(&mut self, grid: &ByLoudness<Lanes>, chance: u64) -> Whereabouts {
        let by_spot = by_spot(grid);
        let part = by_spot.sum().recip();
        let [.., a, b, c, d] = chance.to_be_bytes();
        let mut chance = u32::from_be_bytes([a, b, c, d]);
        for (share, row) in self.share.iter_mut().zip(grid) {
            *share = Packed::new(*row * part, chance);
            chance = chance.wrapping_add(0x5555_5555);
        }
        Whereabouts { by_spot: by_spot * part }
    }
}

/// However loud the phone is.
fn by_spot([quiet, usual, loud]: &ByLoudness<Lanes>) -> Lanes {
    *quiet + *usual + *loud
}

impl Whereabouts {
    /// Probability of being inside, 0 to 1.
    pub fn confidence(&self) -> f32 {
        (self.by_spot * INSIDE).sum()
    }

    /// Probability of being on the threshold, 0 to 1.
    pub fn on_the_threshold(&self) -> f32 {
        (self.by_spot * THE_DOOR).sum()
    }

    /// What is usual where the customer is, if inside.
    pub fn usual_inside(&self, usual: &Normal) -> f32 {
        (self.by_spot * usual.mean * INSIDE).sum() / self.confidence().max(1e-5)
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

/// People walk on for so long.
fn walk(grid: &mut ByLoudness<Lanes>, seconds: f32) {
    let steps = (seconds / STEP_S).ceil().clamp(1.0, MOST_STEPS);
    let each_s = (seconds / steps).min(STEP_S);
    let mut left = steps;
    while left > 0.5 {
        step(grid, each_s);
        left -= 1.0;
    }
}

fn step(grid: &mut ByLoudness<Lanes>, seconds: f32) {
    for row in &mut *grid {
        let mut flow = Lanes::NOTHING;
        for (part, moves) in row.by_spot().iter().zip(&MOVES) {
            flow = flow + *moves * *part;
        }
        *row = *row + flow * seconds;
    }
    drift(grid, 0.5 * seconds * LOUDNESS_DRIFT);
}

/// This part of the phones becomes one step louder, and as many quieter.
fn drift([quiet, usual, loud]: &mut ByLoudness<Lanes>, part: f32) {
    let (from_quiet, from_loud) = ((*quiet - *usual) * part, (*loud - *usual) * part);
    *quiet = *quiet - from_quiet;
    *usual = *usual + from_quiet + from_loud;
    *loud = *loud - from_loud;
}

/// Adds a level's log-likelihood, as if it had been measured `weight` times.
fn weigh(evidence: &mut ByLoudness<Lanes>, rssi_dbm: f32, usual: &Normal, weight: f32) {
    const FURTHEST: Lanes = Lanes::all(FURTHEST_DB);
    const NEAREST: Lanes = Lanes::all(-FURTHEST_DB);
    let certain = usual.log_spread * weight;
    let precision = usual.inverse_spread * usual.inverse_spread * (-0.5 * weight);
    for (evidence, loudness) in evidence.iter_mut().zip(&LOUDNESS_DB) {
        let away = Lanes::all(rssi_dbm - loudness) - usual.mean;
        let (above, below) =
            (away.min(FURTHEST).max(Lanes::NOTHING), away.max(NEAREST).min(Lanes::NOTHING));
        let away = above + below * usual.skew;
        *evidence = *evidence + precision * away * away - certain;
    }
}

/// Probabilities by likelihoods, but for a common factor.
fn multiply(grid: &mut ByLoudness<Lanes>, evidence: &ByLoudness<Lanes>) {
    let [quiet, usual, loud] = *evidence;
    let best = Lanes::all(quiet.max(usual).max(loud).highest());
    for (part, evidence) in grid.iter_mut().zip(evidence) {
        *part = *part * (*evidence - best).exp();
    }
}

#[cfg(test)]
mod tests;
