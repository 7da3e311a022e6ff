//! How sure it is that a customer is inside: a recurrent network (a GRU, Cho et al. 2014) that
//! takes a step about once a second, with the readings of that second and with what is known of the
//! shop. Fitted on random shops (`tests/detection/fit/recurrent.py`), so its confidence is counted
//! on many visits.
//!
//! Of each group of gateways (`known.rs`) the loudest counts.

use wide::{bytemuck, f32x8, i8x16, i16x8, i32x8};

use super::belief::Whereabouts;
use super::grid::{dither, each, exp, nearest};
use super::known::{ABOUT, GROUPS, absolute, indicator};
pub use super::recurrent_fitted::INPUTS;
use super::recurrent_fitted::{
    BIAS, FROM_FEATURE, FROM_HIDDEN, INPUT, INPUT_BIAS, INSIDE, MIDDLE, MIDDLE_BIAS, NEW_BIAS, OUT,
    OUT_BIAS, UNITS,
};
use super::site_model::{Reading, SiteModel};
use super::survey::kind;
use crate::pipeline::advert::Echo;
use crate::pipeline::gateway::Place;

/// Time from one step to the next, in milliseconds.
const STEP_MS: u16 = 1000;
/// Inputs of one group's readings.
const READ: usize = 8;
/// Inputs are clamped to this.
const FURTHEST: f32 = 6.0;
/// Values that a unit's octet distinguishes on either side of zero.
const UNIT: f32 = 127.0;

/// The network's state of one customer, and the readings since the last step.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    units: [[i8; 8]; UNITS],
    /// Mean of each group, in 1/128 dB, its highest reading in dBm, and how many there were.
    mean: [i16; GROUPS],
    peak: [i8; GROUPS],
    count: [u8; GROUPS],
    /// The gateway of the highest reading.
    gateway: [u8; GROUPS],
    /// Whether the last reading was of a phone whose model is known.
    of_known_model: bool,
    /// The last echo, as its octet; 0 is none.
    echo: u8,
    /// Since the last step, in milliseconds.
    waited_ms: u16,
    /// Since the first contact, in tenths of a second.
    heard_ds: u16,
}

impl Memory {
    /// A customer who is received for the first time.
    pub const NEW: Self = Self {
        units: [[0; 8]; UNITS],
        mean: [0; GROUPS],
        peak: [0; GROUPS],
        count: [0; GROUPS],
        gateway: [0; GROUPS],
        of_known_model: false,
        echo: 0,
        waited_ms: STEP_MS,
        heard_ds: 0,
    };

    /// A customer who is known to be inside.
    pub const INSIDE: Self = Self { units: INSIDE, ..Self::NEW };

    /// Adds one reading, `gap_s` after the last one, with the filter's state after it. Returns the
    /// inputs of a step, if one is due.
    pub fn hear(
        &mut self,
        gap_s: f32,
        reading: &Reading<'_>,
        whereabouts: &Whereabouts,
        site: &SiteModel,
    ) -> Option<[f32; INPUTS]> {
        self.waited_ms = self.waited_ms.saturating_add(saturating(gap_s * 1000.0));
        self.of_known_model = reading.of_known_model;
        if let Some(dbm) = reading.rssi_dbm {
            let dbm = dbm.clamp(-127.0, 20.0);
            let group = reading.usual.known.group;
            let (mean, peak) = (&mut self.mean[group], &mut self.peak[group]);
            let count = &mut self.count[group];
            *count = count.saturating_add(1);
            #[expect(clippy::cast_possible_truncation, reason = "a level")]
            let (level, whole) = (dbm * 128.0, dbm.round() as i8);
            #[expect(clippy::cast_possible_truncation, reason = "between the two")]
            {
                *mean = (f32::from(*mean) + (level - f32::from(*mean)) / f32::from(*count)) as i16;
            }
            if *count == 1 || whole > *peak {
                *peak = whole;
                self.gateway[group] = reading.gateway.0;
            }
        }
        if let Some(echo) = reading.echo.filter(|_| reading.echo_place.is_some()) {
            self.echo = echo.to_byte();
        }
        if self.waited_ms < STEP_MS {
            return None;
        }
        let inputs = self.inputs(whereabouts, site);
        let waited_ds = self.waited_ms / 100;
        let units = self.units;
        let heard_ds = self.heard_ds.saturating_add(waited_ds);
        *self = Self { units, heard_ds, waited_ms: 0, ..Self::NEW };
        Some(inputs)
    }

    fn inputs(&self, whereabouts: &Whereabouts, site: &SiteModel) -> [f32; INPUTS] {
        let mut inputs = [0.0; INPUTS];
        let mut rest = inputs.iter_mut();
        let mut put = |value: f32| {
            if let Some(input) = rest.next() {
                *input = value.clamp(-FURTHEST, FURTHEST);
            }
        };
        put((f32::from(self.waited_ms) / 1000.0 + 0.3).ln());
        put((1.0 + f32::from(self.heard_ds) / 10.0).ln() / 3.0);
        put(logit(whereabouts.inside()) / 2.0);
        put(logit(whereabouts.on_the_threshold()) / 2.0);
        put(whereabouts.offset_db / 10.0);
        put(indicator(self.of_known_model));
        for group in 0..GROUPS {
            let heard = self.count[group] > 0;
            let first = site.shop.first[group];
            let nth = if heard { Some(self.gateway[group].into()) } else { first };
            let Some(nth) = nth else {
                (0..READ + ABOUT).for_each(|_| put(0.0));
                continue;
            };
            let known = &site.usual_at(nth).known;
            if heard {
                let mean = f32::from(self.mean[group]) / 128.0;
                let peak = f32::from(self.peak[group]);
                put((1.0 + f32::from(self.count[group])).ln());
                put(absolute(mean - known.shift_db));
                put(absolute(peak - known.shift_db));
                known.mean_dbm.iter().for_each(|of| put(apart(mean, *of)));
                known.peak_dbm.iter().for_each(|of| put(apart(peak, *of)));
            } else {
                (0..READ).for_each(|_| put(0.0));
            }
            known.about.iter().for_each(|value| put(*value));
        }
        let echo = Some(Echo::from_byte(self.echo)).filter(|_| self.echo != 0);
        let place = echo.and_then(|echo| site.place_of(echo));
        put(indicator(place.is_some_and(|place| place != Place::Inside)));
        put(indicator(place == Some(Place::Inside)));
        let dbm = echo.and_then(Echo::rssi).map(f32::from);
        put(dbm.map_or(0.0, absolute));
        let usual = place.map(|place| site.shop.echoes[kind(place)]).unwrap_or_default();
        usual.dbm.iter().for_each(|of| put(dbm.map_or(0.0, |dbm| apart(dbm, *of))));
        usual.share.iter().for_each(|share| put(*share));
        site.shop.about.iter().for_each(|value| put(*value));
        inputs
    }

    /// Takes a step. Returns the probability of being inside. `chance` differs each time, so that
    /// changes below a unit's resolution are not lost on average.
    pub fn step(&mut self, inputs: &[f32; INPUTS], chance: u32) -> f32 {
        let before = self
            .units
            .map(|octets| f32x8::from(octets.map(f32::from)) * const { each(1.0 / UNIT) });
        let features = layer(&INPUT_BIAS, inputs, INPUT.iter());
        let features: [f32; 8 * UNITS] =
            bytemuck::cast(features.map(|some| some.fast_max(f32x8::ZERO)));
        let units: [f32; 8 * UNITS] = bytemuck::cast(before);
        // The reset, update and new gate, whose hidden part stays apart.
        let from_features = |gate: usize| {
            layer(&BIAS[gate], &features, FROM_FEATURE.iter().map(|gates| &gates[gate]))
        };
        let from_units =
            |gate: usize, bias| layer(bias, &units, FROM_HIDDEN.iter().map(|gates| &gates[gate]));
        let (reset, from_reset) = (from_features(0), from_units(0, &NOTHING));
        let (update, from_update) = (from_features(1), from_units(1, &NOTHING));
        let (new, from_new) = (from_features(2), from_units(2, &NEW_BIAS));
        let mut after = before;
        for nth in 0..UNITS {
            let reset = sigmoid(reset[nth] + from_reset[nth]);
            let update = sigmoid(update[nth] + from_update[nth]);
            let new = tanh(new[nth] + reset * from_new[nth]);
            after[nth] = new + update * (before[nth] - new);
        }
        self.units = packed(&after, chance);
        let units: [f32; 8 * UNITS] = bytemuck::cast(after);
        let [mut low, mut high] = MIDDLE_BIAS.map(f32x8::new);
        for (unit, [to_low, to_high]) in units.iter().zip(&MIDDLE) {
            low += f32x8::new(*to_low) * each(*unit);
            high += f32x8::new(*to_high) * each(*unit);
        }
        let out = [low, high].iter().zip(&OUT).fold(f32x8::ZERO, |sum, (middle, out)| {
            sum + middle.fast_max(f32x8::ZERO) * f32x8::new(*out)
        });
        let [inside, ..] = sigmoid(each(out.reduce_add() + OUT_BIAS)).to_array();
        inside
    }
}

/// One number for each unit, in vectors of eight.
type Units = [[f32; 8]; UNITS];

const NOTHING: Units = [[0.0; 8]; UNITS];

/// The sums of a layer: its bias, and each value times its weights. The sums have names so that they
/// stay in registers where the compiler saves space.
#[expect(clippy::many_single_char_names, reason = "they differ in nothing")]
fn layer<'w>(
    bias: &Units,
    values: &[f32],
    weights: impl Iterator<Item = &'w Units>,
) -> [f32x8; UNITS] {
    let [mut a, mut b, mut c, mut d, mut e, mut f] = bias.map(f32x8::new);
    for (value, [to_a, to_b, to_c, to_d, to_e, to_f]) in values.iter().zip(weights) {
        if *value == 0.0 {
            continue;
        }
        let value = each(*value);
        a += f32x8::new(*to_a) * value;
        b += f32x8::new(*to_b) * value;
        c += f32x8::new(*to_c) * value;
        d += f32x8::new(*to_d) * value;
        e += f32x8::new(*to_e) * value;
        f += f32x8::new(*to_f) * value;
    }
    [a, b, c, d, e, f]
}

/// Units as octets, rounded up or down by dither.
fn packed(units: &[f32x8; UNITS], mut chance: u32) -> [[i8; 8]; UNITS] {
    units.map(|some| {
        let add: i32x8 = bytemuck::cast(dither(&mut chance) >> 8);
        let dither = add.round_float() * const { each(1.0 / 16_777_216.0) } - const { each(0.5) };
        let whole = nearest(some * const { each(UNIT) } + dither);
        let whole = i8x16::from_i16x16_saturate(bytemuck::cast([
            i16x8::from_i32x8_saturate(whole),
            i16x8::ZERO,
        ]));
        let [low, _]: [[i8; 8]; 2] = bytemuck::cast(whole);
        low
    })
}

/// 1 / (1 + e^-x).
fn sigmoid(x: f32x8) -> f32x8 {
    f32x8::ONE / (f32x8::ONE + exp(f32x8::ZERO - x))
}

fn tanh(x: f32x8) -> f32x8 {
    sigmoid(x + x) * const { each(2.0) } - f32x8::ONE
}

/// A level relative to another, if that is known.
fn apart(dbm: f32, of: Option<f32>) -> f32 {
    of.map_or(0.0, |of| (dbm - of) / 10.0)
}

fn logit(part: f32) -> f32 {
    let part = part.clamp(1e-4, 1.0 - 1e-4);
    (part / (1.0 - part)).ln()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
fn saturating(value: f32) -> u16 {
    value as u16
}
