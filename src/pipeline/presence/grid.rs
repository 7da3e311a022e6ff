//! Probabilities for each place and each loudness of the phone, and the arithmetic on them: a vector
//! of eight places for each of seven loudnesses.

use wide::{bytemuck, f32x8, i16x8, i32x8, u8x16, u32x8};

use super::places::{ByPlace, PLACES};

/// How many loudnesses of a phone are told apart.
pub const OFFSETS: usize = 7;

/// Something for each loudness.
pub type ByOffset<T> = [T; OFFSETS];

/// How much louder than an average phone, in dB.
pub const OFFSET_DB: ByOffset<f32> = [-15.0, -10.0, -5.0, 0.0, 5.0, 10.0, 15.0];

/// A number for each loudness and place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid(pub ByOffset<f32x8>);

impl Grid {
    /// The same numbers for each loudness.
    pub const fn all(by_place: f32x8) -> Self {
        Self([by_place; OFFSETS])
    }

    /// Row by row.
    pub fn map(self, of: impl FnMut(f32x8) -> f32x8) -> Self {
        Self(self.0.map(of))
    }

    /// Row by row.
    pub fn zip(mut self, other: &Self, of: impl Fn(f32x8, f32x8) -> f32x8) -> Self {
        for (row, other) in self.0.iter_mut().zip(&other.0) {
            *row = of(*row, *other);
        }
        self
    }

    /// Over all loudnesses.
    pub fn by_place(&self) -> f32x8 {
        self.0.iter().fold(f32x8::ZERO, |sum, row| sum + *row)
    }

    /// The highest number.
    pub fn highest(&self) -> f32 {
        let highest = self.0.iter().fold(f32x8::splat(f32::MIN), |best, row| best.fast_max(*row));
        highest.as_array().iter().fold(f32::MIN, |highest, some| highest.max(*some))
    }

    /// All by the same factor, so that they sum up to one.
    pub fn normalised(self) -> Self {
        let part = f32x8::splat(self.by_place().reduce_add().max(f32::MIN_POSITIVE).recip());
        self.map(|row| row * part)
    }

    /// Multiplied by likelihoods, given as logarithms, up to a common factor.
    pub fn weighed(self, evidence: &Self) -> Self {
        let best = f32x8::splat(evidence.highest());
        self.zip(evidence, |part, evidence| part * exp(evidence - best))
    }

    /// `matrix` says for each place (its row) what part of those there goes where.
    pub fn moved(self, matrix: &ByPlace<f32x8>) -> Self {
        self.map(|row| {
            let parts: ByPlace = bytemuck::cast(row);
            parts.iter().zip(matrix).fold(f32x8::ZERO, |sum, (part, to)| sum + *to * *part)
        })
    }
}

/// The exponential of what is not above zero, to a part in a hundred thousand; nothing is less than
/// e^-80. By `exp(x) = 2^n exp(r)` with |r| < 0.35, and the first terms of its series.
fn exp(x: f32x8) -> f32x8 {
    use std::f32::consts::{LN_2, LOG2_E};
    let x = x.fast_max(f32x8::splat(-80.0));
    let power = (x * f32x8::splat(LOG2_E)).fast_round_int();
    let r = x - power.round_float() * f32x8::splat(LN_2);
    let near = f32x8::splat(1.0 / 120.0) * r + f32x8::splat(1.0 / 24.0);
    let near = (near * r + f32x8::splat(1.0 / 6.0)) * r + f32x8::splat(0.5);
    let near = (near * r + f32x8::ONE) * r + f32x8::ONE;
    // A power of two is added to the exponent of a floating-point number.
    let bits: i32x8 = bytemuck::cast(near);
    bytemuck::cast(bits + (power << 23))
}

/// Probabilities in an octet each: a floating-point number of four bits exponent and four bits
/// mantissa, the lowest 2^-16, the highest 31/32. No place is ever impossible, or certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed(ByOffset<[u8; PLACES]>);

impl Packed {
    /// Bits of an `f32` that are left away ...
    const LEFT_AWAY: u32 = 19;
    /// ... and what then stands for 2^-16.
    const LOWEST: i32 = (127 - 16) << 4;

    /// Rounds up or down by `chance`, a number that differs each time, so that changes of less than a
    /// step are not lost, but count on average.
    pub fn new(grid: &Grid, mut chance: u32) -> Self {
        // A Weyl sequence, by the golden ratio; and for each of eight lanes its own.
        const GOLDEN: u32 = 0x9e37_79b9;
        const LANES: u32x8 = u32x8::new([0, 5, 2, 7, 4, 1, 6, 3]);
        Self(grid.0.map(|row| {
            chance = chance.wrapping_add(0x5555_5555);
            let add = u32x8::splat(chance.wrapping_mul(GOLDEN)) + (LANES << 29);
            let bits: u32x8 = bytemuck::cast(row);
            let code: i32x8 =
                bytemuck::cast((bits + (add >> (32 - Self::LEFT_AWAY))) >> Self::LEFT_AWAY);
            let code = i16x8::from_i32x8_saturate(code - i32x8::splat(Self::LOWEST));
            let [low, _]: [[u8; 8]; 2] = bytemuck::cast(u8x16::narrow_i16x8(code, code));
            low
        }))
    }

    /// The probabilities.
    pub fn grid(&self) -> Grid {
        Grid(self.0.map(|row| {
            let codes = row.map(|code| i32::from(code) + Self::LOWEST);
            bytemuck::cast(i32x8::new(codes) << Self::LEFT_AWAY)
        }))
    }
}
