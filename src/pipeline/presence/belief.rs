//! Estimates where a customer is: a hidden Markov filter over the places on the way in and over how
//! loud the customer's phone is.
//!
//! People move from place to place at a walker's pace, and a phone's RSSI offset does not change.
//! The usual levels at each place are the shop's own ([`SiteModel`]). Readings close in time count
//! less: ten within a second carry little more information than one, because the same body and
//! walls shadow them all.

use std::time::Duration;

use wide::f32x8;

use super::fitted::STAYING;
use super::grid::{Grid, OFFSET_DB, Packed, each};
use super::places::THRESHOLD;
use super::site_model::{Reading, SHORTEST_STEP_S, STEPS, SiteModel, Usual};
use super::survey::millis;
use crate::pipeline::units::Tick;

/// Readings of one gateway that are closer in time than this repeat each other, in seconds.
const REPEATS_S: f32 = 2.0;
/// The same where gateways hang on both sides of the door, close to it.
const CLOSE_REPEATS_S: f32 = 0.41;
/// The same for echoes with the same content; and the weight of an echo with another content.
const ECHO_REPEATS_S: f32 = 3.0;
const NEW_ECHO: f32 = 0.6;
/// Weight of a level that comes with an echo: the same body and walls have shadowed both.
const BESIDE_ECHO: f32 = 0.7;
/// Deviations beyond this many standard deviations count as this many: they are accidents of
/// fading.
const FURTHEST: f32 = 3.0;
/// After this many seconds without a reading a gateway counts as silent.
const SILENT_S: f32 = 3.0;
/// Weight of its silence: silences of several gateways are not independent.
const SILENCE: f32 = 0.5;
/// Number of gateways whose times of reception are kept.
const GATEWAYS: usize = 8;

/// The filter's state for one customer, in a compact form.
#[derive(Debug, Clone, PartialEq)]
pub struct Belief {
    share: Packed,
    /// When each gateway last received the customer, in units of [`STAMP_S`]; 0 is never.
    heard: [u16; GATEWAYS],
    echoed: u16,
    /// The last echo, as its octet.
    echo: u8,
    /// Nothing was received yet.
    fresh: bool,
    /// The time of the last update, as in [`millis`]; 0 is never.
    updated: u32,
}

/// A summary of the filter's state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Whereabouts {
    /// Probability of each place.
    pub by_place: f32x8,
    /// Expected RSSI offset of the phone, in dB from an average one.
    pub offset_db: f32,
}

impl Belief {
    /// A customer who is received for the first time.
    pub fn first() -> Self {
        Self { fresh: true, ..Self::inside() }
    }

    /// A customer who is known to be inside.
    pub fn inside() -> Self {
        let share = Packed::new(&Grid::all(f32x8::new(STAYING)).normalised(), 0);
        Self { share, heard: [0; GATEWAYS], echoed: 0, echo: 0, fresh: false, updated: 0 }
    }

    /// Whether nothing was received yet.
    pub const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Time since the last update, in seconds; 0 where there was none.
    fn age_s(&self, now: Tick) -> f32 {
        let age_ms = if self.updated == 0 { 0 } else { millis(now).wrapping_sub(self.updated) };
        Duration::from_millis(age_ms.into()).as_secs_f32()
    }

    /// A summary of the state.
    pub fn whereabouts(&self) -> Whereabouts {
        Whereabouts::of(&self.share.grid().normalised())
    }

    /// Updates the state with one contact. `listening` has a bit for each gateway whose silence
    /// means something.
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
        // Less than one step is kept for the next update.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "under a step")]
        let rest_ms = (steps.fract() * SHORTEST_STEP_S * 1000.0) as u32;
        self.updated = millis(now).wrapping_sub(rest_ms).max(1);
        self.fresh = false;
        self.share = Packed::new(&grid, chance(now));
        Whereabouts::of(&grid)
    }

    /// The weight of a reading, by the time since the last one of the same gateway.
    fn weight(&mut self, elapsed: &Elapsed, reading: &Reading<'_>, repeats_s: f32) -> f32 {
        let nth = usize::from(reading.gateway.0) % GATEWAYS;
        let Some(heard) = self.heard.get_mut(nth) else { return 1.0 };
        let gap_s = elapsed.since(std::mem::replace(heard, elapsed.now));
        (gap_s / repeats_s).min(1.0)
    }

    /// Adds the evidence of gateways that would receive the customer at some places, and do not.
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

    /// The weight of an echo, by the time since the last one: a phone measures about once a second,
    /// and repeats the result meanwhile.
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

    /// Probability of being inside, 0 to 1.
    pub fn inside(&self) -> f32 {
        self.by_place.as_array()[THRESHOLD..].iter().sum::<f32>().min(1.0)
    }

    /// Probability of being on the threshold, 0 to 1.
    pub fn on_the_threshold(&self) -> f32 {
        self.by_place.as_array()[THRESHOLD]
    }

    /// Expected level at the gateway of `usual` if the customer is inside, in dBm.
    pub fn usual_inside(&self, usual: &Usual) -> f32 {
        let part = &self.by_place.as_array()[THRESHOLD..];
        let mean = &usual.mean.as_array()[THRESHOLD..];
        let sum: f32 = part.iter().zip(mean).map(|(part, mean)| part * mean).sum();
        sum / part.iter().sum::<f32>().max(1e-5)
    }
}

/// Converts stamps to the time since them.
struct Elapsed {
    now: u16,
    /// False where all stamps may have wrapped: then every time is long ago.
    recent: bool,
}

/// The unit of a stamp: fine enough for ten packets a second; stamps wrap after 17 minutes.
const STAMP_S: f32 = 0.016;

/// Ticks that differ by this, in microseconds, are the same to the filter: the stamps wrap, and the
/// dither repeats. So a customer's contacts give the same result again at another time.
pub const PERIOD_US: u64 = 16_000 << 16;

/// What dither is drawn from.
pub fn chance(now: Tick) -> u32 {
    let [.., a, b, c, d] = (now.as_micros() % PERIOD_US).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

impl Elapsed {
    fn until(now: Tick, recent: bool) -> Self {
        let [.., high, low] = (now.as_micros() / 16_000).to_be_bytes();
        // 0 means "never".
        Self { now: u16::from_be_bytes([high, low]).max(1), recent }
    }

    /// Seconds since a stamp; infinite where there is none.
    fn since(&self, then: u16) -> f32 {
        if then == 0 || !self.recent {
            return f32::INFINITY;
        }
        f32::from(self.now.wrapping_sub(then)) * STAMP_S
    }
}

/// The prediction of the filter: people move for this many steps of [`SHORTEST_STEP_S`].
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

/// Adds the log-likelihood of a level that counts as `weight` readings.
fn weigh(evidence: &mut Grid, rssi_dbm: f32, usual: &Usual, weight: f32) {
    let certain = usual.log_spread * weight;
    let precision = usual.precision * weight;
    let furthest = each(-0.5 * FURTHEST * FURTHEST * weight);
    for (row, offset) in evidence.0.iter_mut().zip(&OFFSET_DB) {
        let away = each(rssi_dbm - offset) - usual.mean;
        *row = *row + (precision * away * away).fast_max(furthest) - certain;
    }
}
