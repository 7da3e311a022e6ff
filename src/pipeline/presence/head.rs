//! From the filter's state and a few running levels to a calibrated confidence: a small network
//! with one hidden layer, fitted on random shops (`tests/detection/fit/head.py`).
//!
//! The filter treats readings as independent, but the errors of one visit are correlated: walls,
//! body and phone stay the same. The network's confidence is counted on many visits instead.

use wide::f32x8;

use super::belief::Whereabouts;
pub use super::head_fitted::INPUTS;
use super::head_fitted::{BIAS, HIDDEN, HIDDEN_BIAS, MEAN, OUT, SCALE};
use super::site_model::{Reading, SiteModel, Usual};
use super::survey::kind;
use crate::pipeline::gateway::Place;

/// Time constants of the running levels, in seconds.
const FAST_S: f32 = 1.5;
const SLOW_S: f32 = 8.0;
const LONG_S: f32 = 25.0;
/// Weight of a new echo in the running mean.
const ECHO: f32 = 0.3;
/// Weight of a new gap in the running mean; and the shortest gap that is assumed.
const GAP: f32 = 0.1;
const SHORTEST_GAP_S: f32 = 0.05;
/// The longest time that is counted, in seconds.
const LONGEST_S: f32 = 3600.0;
/// Standard deviations to which inputs are clamped.
const FURTHEST: f32 = 4.0;

/// Running levels of one customer, in a compact form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Time since the first reading, in seconds.
    heard_s: f32,
    /// Running levels, relative to the usual level inside, in 1/128 dB: `fast` over [`FAST_S`], for
    /// gateways inside and for the others; `slow` over [`SLOW_S`]; the highest `fast` and the
    /// lowest `slow`.
    fast: [i16; 2],
    slow: i16,
    peak: i16,
    least: i16,
    /// Running means of the filter's probability of being inside, over [`SLOW_S`] and [`LONG_S`].
    sure: u16,
    long_sure: u16,
    /// Running mean of the time between two readings, in milliseconds.
    gap_ms: u16,
    /// Fraction of echoes that name a beacon inside, in 1/254; [`NO_ECHO`] where there was none.
    echo: u8,
    /// Whether gateways inside, and the others, have measured no level yet.
    silent: [bool; 2],
}

/// Stands for "no echo yet".
const NO_ECHO: u8 = 255;

impl Trend {
    /// A customer who is received for the first time.
    pub const NEW: Self = Self {
        heard_s: 0.0,
        fast: [0; 2],
        slow: 0,
        peak: 0,
        least: 0,
        sure: 0,
        long_sure: 0,
        gap_ms: 1000,
        echo: NO_ECHO,
        silent: [true; 2],
    };

    /// A customer who is known to be inside.
    pub const INSIDE: Self = Self { sure: u16::MAX, long_sure: u16::MAX, ..Self::NEW };

    /// Updates the levels with one reading, `gap_s` after the last one. `inside` is the filter's
    /// probability of being inside after it.
    pub fn hear(&mut self, gap_s: f32, reading: &Reading<'_>, inside: f32) {
        self.heard_s = (self.heard_s + gap_s).min(LONGEST_S);
        let level = reading.rssi_dbm.map(|dbm| units(dbm - reading.usual.inside_dbm));
        if let Some(level) = level {
            let first = self.silent == [true; 2];
            let side = side(reading.usual.place);
            let fast = &mut self.fast[side];
            let follows =
                if std::mem::take(&mut self.silent[side]) { 1.0 } else { part(gap_s, FAST_S) };
            *fast = towards(*fast, level, follows);
            let fast = *fast;
            if first {
                (self.slow, self.peak, self.least) = (level, level, level);
            } else {
                self.slow = towards(self.slow, level, part(gap_s, SLOW_S));
                self.peak = self.peak.max(fast);
                self.least = self.least.min(self.slow);
            }
        }
        self.sure = follow(self.sure, inside, part(gap_s, SLOW_S));
        self.long_sure = follow(self.long_sure, inside, part(gap_s, LONG_S));
        let gap_ms = f32::from(self.gap_ms);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most ten seconds"
        )]
        {
            self.gap_ms = (gap_ms + (gap_s.min(10.0) * 1000.0 - gap_ms) * GAP) as u16;
        }
        if let Some((place, _)) = reading.echo_level() {
            let before = if self.echo == NO_ECHO { 0.0 } else { f32::from(self.echo) };
            let now = indicator(place == kind(Place::Inside)) * 254.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at most 254"
            )]
            {
                self.echo = (before + (now - before) * ECHO).round() as u8;
            }
        }
    }

    /// Whether no echo was received yet.
    pub const fn has_no_echo(&self) -> bool {
        self.echo == NO_ECHO
    }

    /// The `fast` level on the side of the gateway of `usual`, in dB from the usual level inside.
    pub fn level_db(&self, usual: &Usual) -> f32 {
        decibels(self.fast[side(usual.place)])
    }

    /// The inputs of the network, for a customer whom the gateway of `usual` has just received.
    pub fn inputs(
        &self,
        usual: &Usual,
        site: &SiteModel,
        whereabouts: &Whereabouts,
    ) -> [f32; INPUTS] {
        let [to_passing, to_standing, to_threshold] = usual.apart_db;
        let [odds, counted, gateways] = site.about;
        [
            logit(whereabouts.inside()),
            logit(share(self.sure)),
            decibels(self.peak),
            decibels(self.slow),
            self.level_db(usual),
            (1.0 + self.heard_s).ln(),
            decibels(self.least),
            whereabouts.offset_db,
            odds,
            to_passing,
            to_standing,
            to_threshold,
            usual.inside_dbm,
            if self.echo == NO_ECHO { 0.0 } else { f32::from(self.echo) / 254.0 },
            indicator(self.echo != NO_ECHO),
            counted,
            gateways,
            indicator(usual.place == Place::Door),
            indicator(usual.place == Place::Outside),
            logit(share(self.long_sure)),
            (f32::from(self.gap_ms) / 1000.0).max(SHORTEST_GAP_S).ln(),
        ]
    }
}

/// The probability of being inside.
pub fn confidence(inputs: &[f32; INPUTS]) -> f32 {
    let mut hidden = HIDDEN_BIAS.map(f32x8::new);
    for (((input, mean), scale), weights) in inputs.iter().zip(&MEAN).zip(&SCALE).zip(&HIDDEN) {
        let input = ((input - mean) * scale).clamp(-FURTHEST, FURTHEST);
        for (hidden, weights) in hidden.iter_mut().zip(weights) {
            *hidden += f32x8::new(*weights) * input;
        }
    }
    let out = hidden.iter().zip(&OUT).fold(f32x8::ZERO, |sum, (hidden, out)| {
        sum + hidden.fast_max(f32x8::ZERO) * f32x8::new(*out)
    });
    1.0 / (1.0 + (-(out.reduce_add() + BIAS)).exp())
}

/// Index of a gateway's side: inside is 0, the door and outside are 1.
fn side(place: Place) -> usize {
    usize::from(place != Place::Inside)
}

fn decibels(units: i16) -> f32 {
    f32::from(units) / 128.0
}

#[expect(clippy::cast_possible_truncation, reason = "it saturates")]
fn units(decibels: f32) -> i16 {
    (decibels * 128.0) as i16
}

#[expect(clippy::cast_possible_truncation, reason = "between the two")]
fn towards(from: i16, to: i16, part: f32) -> i16 {
    (f32::from(from) + (f32::from(to) - f32::from(from)) * part).round() as i16
}

fn share(of: u16) -> f32 {
    f32::from(of) / f32::from(u16::MAX)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
fn follow(from: u16, to: f32, part: f32) -> u16 {
    ((share(from) + (to - share(from)) * part) * f32::from(u16::MAX)).round() as u16
}

fn indicator(yes: bool) -> f32 {
    if yes { 1.0 } else { 0.0 }
}

/// Weight of a new value in a running mean with time constant `follows_s`, after `gap_s`.
fn part(gap_s: f32, follows_s: f32) -> f32 {
    1.0 - (-gap_s.min(5.0) / follows_s).exp()
}

fn logit(part: f32) -> f32 {
    let part = part.clamp(1e-4, 1.0 - 1e-4);
    (part / (1.0 - part)).ln()
}
