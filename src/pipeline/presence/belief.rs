//! How sure we are that a customer is inside: a hidden Markov filter over the places on the way in and
//! over how loud the customer's phone is.
//!
//! People move from place to place at a walker's pace, and a phone stays as loud as it is. What is
//! usually measured at each place is the shop's ([`SiteModel`]). Evidence is tempered by time: ten
//! readings within a second say little more than one, for the same body and walls shadow them.

use std::time::Duration;

use wide::f32x8;

use super::fitted::STAYING;
use super::grid::{Grid, OFFSET_DB, Packed};
use super::places::THRESHOLD;
use super::site_model::{Reading, SHORTEST_STEP_S, STEPS, SiteModel, Usual};
use super::survey::millis;
use crate::pipeline::units::Tick;

/// Readings of one gateway closer together than this, in seconds, repeat each other.
const REPEATS_S: f32 = 2.0;
/// The same where gateways hang on both sides of the door, close to it.
const CLOSE_REPEATS_S: f32 = 0.41;
/// The same of echoes that say the same, and what one counts that says something else.
const ECHO_REPEATS_S: f32 = 3.0;
const NEW_ECHO: f32 = 0.6;
/// Beside an echo a level counts so much: the same body and the same walls have shadowed both.
const BESIDE_ECHO: f32 = 0.7;
/// Standard deviations from which on a reading is an accident of fading.
const FURTHEST: f32 = 3.0;
/// Seconds without a reading after which a gateway is silent.
const SILENT_S: f32 = 3.0;
/// Its silence counts so much: silences go together, too.
const SILENCE: f32 = 0.5;
/// Gateways whose readings are told apart in time.
const GATEWAYS: usize = 8;

/// The filter's state for one customer, in few octets.
#[derive(Debug, Clone, PartialEq)]
pub struct Belief {
    share: Packed,
    /// When each gateway received the customer last, in units of [`STAMP_S`]; 0 is never.
    heard: [u16; GATEWAYS],
    echoed: u16,
    /// The last echo, as the octet it came in.
    echo: u8,
    /// Nothing is known yet.
    fresh: bool,
    /// When something was weighed last, as [`millis`] has it; 0 is never.
    updated: u32,
}

/// Where a customer probably is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Whereabouts {
    /// How probable each place is.
    pub by_place: f32x8,
    /// How loud the phone probably is, in dB from an average one.
    pub offset_db: f32,
}

impl Belief {
    /// Of somebody heard for the first time.
    pub fn new() -> Self {
        Self { fresh: true, ..Self::inside() }
    }

    /// Of somebody known to be inside.
    pub fn inside() -> Self {
        let share = Packed::new(&Grid::all(f32x8::new(STAYING)).normalised(), 0);
        Self { share, heard: [0; GATEWAYS], echoed: 0, echo: 0, fresh: false, updated: 0 }
    }

    /// Whether nothing was received yet.
    pub const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// How long ago something was weighed, in seconds; 0 where nothing was.
    fn age_s(&self, now: Tick) -> f32 {
        let age_ms = if self.updated == 0 { 0 } else { millis(now).wrapping_sub(self.updated) };
        Duration::from_millis(age_ms.into()).as_secs_f32()
    }

    /// Where the customer probably is.
    pub fn whereabouts(&self) -> Whereabouts {
        Whereabouts::of(&self.share.grid().normalised())
    }

    /// Weighs one contact. `listening` has a bit for each gateway whose silence means something.
    pub fn hear(
        &mut self,
        now: Tick,
        reading: &Reading<'_>,
        site: &SiteModel,
        listening: u64,
    ) -> Whereabouts {
        let mut grid = if self.fresh { reading.usual.first } else { self.share.grid() };
        let since_s = self.age_s(now);
        let elapsed = Elapsed::until(now, self.updated != 0 && since_s <= 60.0);
        let steps = since_s / SHORTEST_STEP_S;
        grid = walk(grid, site, steps);
        let mut evidence = Grid::all(f32x8::ZERO);
        let repeats_s = if site.both_sides { CLOSE_REPEATS_S } else { REPEATS_S };
        let mut weight = self.weight(&elapsed, reading, repeats_s);
        self.silence(&elapsed, since_s, site, listening, &mut evidence);
        if let (Some(echo), Some(likelihood)) = (reading.echo, reading.echo_likelihood) {
            let likelihood = likelihood * self.echo_weight(&elapsed, echo.to_byte());
            evidence = evidence.map(|row| row + likelihood);
            weight *= BESIDE_ECHO;
        }
        if let Some(rssi_dbm) = reading.rssi_dbm {
            weigh(&mut evidence, rssi_dbm, reading.usual, weight);
        }
        grid = grid.weighed(&evidence).normalised();
        // What is less than a step counts the next time.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "under a step")]
        let rest_ms = (steps.fract() * SHORTEST_STEP_S * 1000.0) as u32;
        self.updated = millis(now).wrapping_sub(rest_ms).max(1);
        self.fresh = false;
        let [.., a, b, c, d] = now.as_micros().to_be_bytes();
        self.share = Packed::new(&grid, u32::from_be_bytes([a, b, c, d]));
        Whereabouts::of(&grid)
    }

    /// How much a reading of this gateway says that its last ones did not say.
    fn weight(&mut self, elapsed: &Elapsed, reading: &Reading<'_>, repeats_s: f32) -> f32 {
        let nth = usize::from(reading.gateway.0) % GATEWAYS;
        let Some(heard) = self.heard.get_mut(nth) else { return 1.0 };
        let gap_s = elapsed.since(std::mem::replace(heard, elapsed.now));
        (gap_s / repeats_s).min(1.0)
    }

    /// The gateways that would receive the customer at some places, and do not.
    fn silence(
        &self,
        elapsed: &Elapsed,
        since_s: f32,
        site: &SiteModel,
        listening: u64,
        evidence: &mut Grid,
    ) {
        let weight = (since_s / REPEATS_S).min(1.0) * SILENCE;
        for (nth, (usual, heard)) in site.gateways().iter().zip(&self.heard).enumerate() {
            if listening & (1 << nth) != 0 && elapsed.since(*heard) > SILENT_S {
                *evidence = evidence.zip(&usual.silence, |sum, row| sum + row * weight);
            }
        }
    }

    /// How much an echo says that the last one did not: a phone measures it about once a second,
    /// and says it again meanwhile.
    fn echo_weight(&mut self, elapsed: &Elapsed, echo: u8) -> f32 {
        let gap_s = elapsed.since(std::mem::replace(&mut self.echoed, elapsed.now));
        let same = std::mem::replace(&mut self.echo, echo) == echo;
        if same { (gap_s / ECHO_REPEATS_S).min(1.0) } else { NEW_ECHO }
    }
}

impl Whereabouts {
    fn of(grid: &Grid) -> Self {
        let offset = |sum, (row, offset): (&f32x8, &f32)| sum + row.reduce_add() * offset;
        let offset_db = grid.0.iter().zip(&OFFSET_DB).fold(0.0, offset);
        Self { by_place: grid.by_place(), offset_db }
    }

    /// The filter's probability of being inside, 0 to 1.
    pub fn inside(&self) -> f32 {
        self.by_place.as_array()[THRESHOLD..].iter().sum::<f32>().min(1.0)
    }

    /// Probability of being on the threshold, 0 to 1.
    pub fn on_the_threshold(&self) -> f32 {
        self.by_place.as_array()[THRESHOLD]
    }

    /// What is usual where the customer is, if inside.
    pub fn usual_inside(&self, usual: &Usual) -> f32 {
        let part = &self.by_place.as_array()[THRESHOLD..];
        let mean = &usual.mean.as_array()[THRESHOLD..];
        let sum: f32 = part.iter().zip(mean).map(|(part, mean)| part * mean).sum();
        sum / part.iter().sum::<f32>().max(1e-5)
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
    fn until(now: Tick, recent: bool) -> Self {
        let [.., high, low] = (now.as_micros() / 16_000).to_be_bytes();
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

/// People walk on, step by step.
fn walk(mut grid: Grid, site: &SiteModel, steps: f32) -> Grid {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 127")]
    let mut steps = steps.min(127.0) as u32;
    for moves in site.moves.iter().take(STEPS) {
        if steps & 1 != 0 {
            grid = grid.moved(moves);
        }
        steps >>= 1;
    }
    grid
}

/// Adds a level's log-likelihood, as if it had been measured `weight` times.
fn weigh(evidence: &mut Grid, rssi_dbm: f32, usual: &Usual, weight: f32) {
    let certain = usual.log_spread * weight;
    let precision = usual.precision * weight;
    let furthest = f32x8::splat(-0.5 * FURTHEST * FURTHEST * weight);
    for (row, offset) in evidence.0.iter_mut().zip(&OFFSET_DB) {
        let away = f32x8::splat(rssi_dbm - offset) - usual.mean;
        *row = *row + (precision * away * away).fast_max(furthest) - certain;
    }
}
