//! Probabilities of each pair of a place and a phone's RSSI offset, and their arithmetic: one
//! vector of eight places for each of seven offsets.

use wide::{bytemuck, f32x8, i16x8, i32x8, u8x16, u32x8};

use super::places::{ByPlace, PLACES};

/// Number of RSSI offsets that are distinguished.
pub const OFFSETS: usize = 7;

/// One value for each RSSI offset.
pub type ByOffset<T> = [T; OFFSETS];

/// The RSSI offsets: how much louder than an average phone, in dB.
pub const OFFSET_DB: ByOffset<f32> = [-15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0];

/// The same number for each place.
///
/// Where the compiler saves space, an array of eight equal expressions, as in `f32x8::splat`, becomes a loop
/// that stores each of them. One that is written in another way prevents it.
pub const fn each(number: f32) -> f32x8 {
    f32x8::new([number, number, number, number, number, number, number, number.copysign(number)])
}

/// A number for each RSSI offset and place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid(pub ByOffset<f32x8>);

impl Grid {
    /// The same numbers for each RSSI offset.
    pub const fn all(by_place: f32x8) -> Self {
        Self([by_place; OFFSETS])
    }

    /// Applies `of` to each row, the places of one RSSI offset.
    #[expect(clippy::many_single_char_names, reason = "they differ in nothing")]
    pub fn map(self, mut of: impl FnMut(f32x8) -> f32x8) -> Self {
        let [a, b, c, d, e, f, g] = self.0;
        Self([of(a), of(b), of(c), of(d), of(e), of(f), of(g)])
    }

    /// Combines the grids row by row.
    pub fn zip(self, other: &Self, of: impl Fn(f32x8, f32x8) -> f32x8) -> Self {
        let mut others = other.0.iter();
        self.map(|row| others.next().map_or(row, |other| of(row, *other)))
    }

    /// Sums over the RSSI offsets.
    pub fn by_place(&self) -> f32x8 {
        self.0.iter().fold(f32x8::ZERO, |sum, row| sum + *row)
    }

    /// The highest number of all.
    pub fn highest(&self) -> f32 {
        let highest = self.0.iter().fold(const { each(f32::MIN) }, |best, row| best.fast_max(*row));
        highest.as_array().iter().fold(f32::MIN, |highest, some| highest.max(*some))
    }

    /// Scaled so that the sum is one.
    pub fn normalised(self) -> Self {
        let part = each(self.by_place().reduce_add().max(f32::MIN_POSITIVE).recip());
        self.map(|row| row * part)
    }

    /// Multiplied by likelihoods, which are given as logarithms and up to a common factor.
    pub fn weighed(self, evidence: &Self) -> Self {
        let best = each(evidence.highest());
        self.zip(evidence, |part, evidence| part * exp(evidence - best))
    }

    /// Moved between places: `matrix` gives for each place (its row) the fraction that goes to each
    /// other place.
    pub fn moved(self, matrix: &ByPlace<f32x8>) -> Self {
        self.map(|row| {
            let parts: ByPlace = bytemuck::cast(row);
            parts.iter().zip(matrix).fold(f32x8::ZERO, |sum, (part, to)| sum + *to * each(*part))
        })
    }
}

/// The exponential, with a relative error of 1e-5, of numbers from -80 to 80; of others, that of the nearer
/// limit. By `exp(x) = 2^n exp(r)` with |r| < 0.35, and the first terms of its series.
///
/// `f32x8::exp` differs between processors in the last bit, and `f32x8::round_int` half-way between numbers.
pub fn exp(x: f32x8) -> f32x8 {
    use std::f32::consts::{LN_2, LOG2_E};
    let x = x.fast_max(const { each(-80.0) }).fast_min(const { each(80.0) });
    let power = nearest(x * const { each(LOG2_E) });
    let r = x - power.round_float() * const { each(LN_2) };
    let near = const { each(1.0 / 120.0) } * r + const { each(1.0 / 24.0) };
    let near = (near * r + const { each(1.0 / 6.0) }) * r + const { each(0.5) };
    let near = (near * r + f32x8::ONE) * r + f32x8::ONE;
    // Adding to the exponent bits of a floating-point number multiplies it by a power of two.
    let bits: i32x8 = bytemuck::cast(near);
    bytemuck::cast(bits + (power << 23))
}

/// The nearest whole numbers to numbers from -128 to 127.
pub fn nearest(x: f32x8) -> i32x8 {
    (x + const { each(128.5) }).fast_trunc_int() - const { i32x8::splat(128) }
}

/// The natural logarithm of the C library; `f32x8::ln` differs between processors in the last bit.
pub fn ln(x: f32x8) -> f32x8 {
    f32x8::new(x.to_array().map(f32::ln))
}

/// The next eight fractions to round up by, in 2^-32: a Weyl sequence by the golden ratio, with a
/// different phase for each lane.
pub fn dither(chance: &mut u32) -> u32x8 {
    const GOLDEN: u32 = 0x9e37_79b9;
    const LANES: u32x8 = u32x8::new([0, 5, 2, 7, 4, 1, 6, 3]);
    *chance = chance.wrapping_add(0x5555_5555);
    let phase = chance.wrapping_mul(GOLDEN);
    u32x8::new([phase, phase, phase, phase, phase, phase, phase, phase.rotate_left(32)])
        + (LANES << 29)
}

/// Quantised probabilities, one octet each: a floating-point number with four bits of exponent and
/// four bits of mantissa, from 2^-16 to 31/32. So no place is ever impossible or certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed(ByOffset<[u8; PLACES]>);

impl Packed {
    /// Low bits of an `f32` that are dropped ...
    const LEFT_AWAY: u32 = 19;
    /// ... and the code of 2^-16 among what is left.
    const LOWEST: i32 = (127 - 16) << 4;

    /// Rounds up or down by dither: `chance` differs each time, so that changes below the
    /// resolution are not lost on average.
    pub fn new(grid: &Grid, mut chance: u32) -> Self {
        Self(grid.0.map(|row| {
            let add = dither(&mut chance);
            let bits: u32x8 = bytemuck::cast(row);
            let code: i32x8 =
                bytemuck::cast((bits + (add >> (32 - Self::LEFT_AWAY))) >> Self::LEFT_AWAY);
            let code = i16x8::from_i32x8_saturate(code - const { i32x8::splat(Self::LOWEST) });
            let [low, _]: [[u8; 8]; 2] = bytemuck::cast(u8x16::narrow_i16x8(code, code));
            low
        }))
    }

    /// The probabilities as floating-point numbers.
    pub fn grid(&self) -> Grid {
        Grid(self.0.map(|row| {
            let codes = row.map(|code| i32::from(code) + Self::LOWEST);
            bytemuck::cast(i32x8::new(codes) << Self::LEFT_AWAY)
        }))
    }
}
