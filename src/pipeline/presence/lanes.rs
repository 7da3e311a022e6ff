//! Arithmetic on all spots at once, a lane for each.

use std::ops::{Add, Mul, Sub};

use wide::{bytemuck, f32x8, i16x8, i32x8, u8x16, u16x8, u32x8};

use super::spots::{BySpot, SPOTS};

/// A number for each spot, eight spots side by side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lanes([f32x8; 4]);

impl Lanes {
    /// Zero on all spots.
    pub const NOTHING: Self = Self::all(0.0);

    /// A number for each spot.
    #[expect(clippy::panic, reason = "the compiler has made sure that there are four times eight")]
    pub const fn new(by_spot: BySpot) -> Self {
        const { assert!(SPOTS == 32) };
        let (eights, _) = by_spot.as_chunks();
        let [a, b, c, d] = eights else { panic!("four times eight") };
        Self([f32x8::new(*a), f32x8::new(*b), f32x8::new(*c), f32x8::new(*d)])
    }

    /// The same for all spots.
    pub const fn all(value: f32) -> Self {
        let eight = all(value);
        Self([eight, eight, eight, eight])
    }

    /// The numbers.
    pub fn by_spot(&self) -> &BySpot {
        bytemuck::cast_ref(&self.0)
    }

    /// Lane by lane.
    #[expect(clippy::many_single_char_names, reason = "eight vectors that are all alike")]
    fn zip(self, Self([e, f, g, h]): Self, of: impl Fn(f32x8, f32x8) -> f32x8) -> Self {
        let Self([a, b, c, d]) = self;
        Self([of(a, e), of(b, f), of(c, g), of(d, h)])
    }

    fn map(self, of: impl Fn(f32x8) -> f32x8) -> Self {
        let Self([a, b, c, d]) = self;
        Self([of(a), of(b), of(c), of(d)])
    }

    /// Lane by lane; of numbers.
    pub fn max(self, other: Self) -> Self {
        self.zip(other, f32x8::fast_max)
    }

    /// Lane by lane; of numbers.
    pub fn min(self, other: Self) -> Self {
        self.zip(other, f32x8::fast_min)
    }

    /// Of all lanes together.
    pub fn sum(self) -> f32 {
        let Self([a, b, c, d]) = self;
        ((a + b) + (c + d)).reduce_add()
    }

    /// Of all lanes together.
    pub fn highest(self) -> f32 {
        let Self([a, b, c, d]) = self;
        let highest = a.fast_max(b).fast_max(c.fast_max(d));
        highest.as_array().iter().fold(f32::MIN, |highest, some| highest.max(*some))
    }

    /// [`exp`], lane by lane.
    pub fn exp(self) -> Self {
        self.map(exp)
    }

    /// The natural logarithm, lane by lane.
    pub fn ln(self) -> Self {
        self.map(f32x8::ln)
    }

    /// Lane by lane.
    pub fn abs(self) -> Self {
        self.map(f32x8::abs)
    }
}

impl Add for Lanes {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.zip(other, Add::add)
    }
}

impl Sub for Lanes {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.zip(other, Sub::sub)
    }
}

impl Mul for Lanes {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.zip(other, Mul::mul)
    }
}

impl Mul<f32> for Lanes {
    type Output = Self;

    fn mul(self, factor: f32) -> Self {
        self * Self::all(factor)
    }
}

/// The same for eight spots. Written out: what is optimised for size keeps `splat`'s loop.
#[expect(clippy::many_single_char_names, reason = "eight spots that are all alike")]
const fn all(value: f32) -> f32x8 {
    let mut spots = [0.0; 8];
    let [a, b, c, d, e, f, g, h] = &mut spots;
    (*a, *b, *c, *d) = (value, value, value, value);
    (*e, *f, *g, *h) = (value, value, value, value);
    f32x8::new(spots)
}

/// The exponential of what is not above zero, to a part in a hundred thousand; nothing is less than
/// e^-80. By `exp(x) = 2^n exp(r)` with |r| < 0.35, and the first terms of its series.
fn exp(x: f32x8) -> f32x8 {
    use std::f32::consts::{LN_2, LOG2_E};
    const ONE: f32x8 = all(1.0);
    let x = x.fast_max(const { all(-80.0) });
    let power = (x * const { all(LOG2_E) }).fast_round_int();
    let r = x - power.round_float() * const { all(LN_2) };
    let near = const { all(1.0 / 120.0) } * r + const { all(1.0 / 24.0) };
    let near = (near * r + const { all(1.0 / 6.0) }) * r + const { all(0.5) };
    let near = (near * r + ONE) * r + ONE;
    // A power of two is added to the exponent of a floating-point number.
    let bits: i32x8 = bytemuck::cast(near);
    bytemuck::cast(bits + (power << 23))
}

/// Probabilities in an octet each: a floating-point number of four bits exponent and four bits
/// mantissa, the lowest 2^-16, the highest 31/32. Nothing is ever impossible, or certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed([u8; SPOTS]);

impl Packed {
    /// Bits of an `f32` that are left away ...
    const LEFT_AWAY: u32 = 19;
    /// ... and what then stands for 2^-16.
    const LOWEST: i32 = (127 - 16) << 4;

    /// Nothing anywhere, as far as can be said.
    pub const NONE: Self = Self([0; SPOTS]);

    /// Rounds up or down as `chance` has it, any number that differs each time: so what always
    /// comes to less than a step is not lost, but counts on average.
    pub fn new(Lanes([a, b, c, d]): Lanes, chance: u32) -> Self {
        // A Weyl sequence, by the golden ratio; and for each of eight lanes its own.
        const GOLDEN: u32 = 0x9e37_79b9;
        const LANES: u32x8 = u32x8::new([0, 5, 2, 7, 4, 1, 6, 3]);
        let chance = u32x8::splat(chance.wrapping_mul(GOLDEN)) + (LANES << 29);
        let chance = chance >> (32 - Self::LEFT_AWAY);
        let round = |part: f32x8| {
            let bits: u32x8 = bytemuck::cast(part);
            let code: i32x8 = bytemuck::cast((bits + chance) >> Self::LEFT_AWAY);
            i16x8::from_i32x8_saturate(code - const { i32x8::new([Self::LOWEST; 8]) })
        };
        let low = u8x16::narrow_i16x8(round(a), round(b));
        let high = u8x16::narrow_i16x8(round(c), round(d));
        Self(bytemuck::cast([low, high]))
    }

    /// The probabilities.
    pub fn lanes(&self) -> Lanes {
        let [low, high]: [u8x16; 2] = bytemuck::cast(self.0);
        let part = |codes: u16x8| -> f32x8 {
            let codes = i32x8::from_u16x8(codes) + const { i32x8::new([Self::LOWEST; 8]) };
            bytemuck::cast(codes << Self::LEFT_AWAY)
        };
        Lanes([
            part(u16x8::from_u8x16_low(low)),
            part(u16x8::from_u8x16_high(low)),
            part(u16x8::from_u8x16_low(high)),
            part(u16x8::from_u8x16_high(high)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_right_to_a_part_in_a_hundred_thousand() {
        for hundredths in 0_i16..=8_000 {
            let x = f32::from(hundredths) / -100.0;
            let [found, ..] = exp(all(x)).to_array();
            let wanted = f64::from(x).exp();
            let off = (f64::from(found) - wanted).abs() / wanted;
            assert!(off < 1e-5, "exp({x}) is {found}, not {wanted}");
        }
        let [of_nothing_less, ..] = exp(all(-1e9)).to_array();
        assert!(of_nothing_less > 0.0 && of_nothing_less < 1e-34);
    }

    #[test]
    fn a_packed_probability_is_right_on_average_and_never_far_off() {
        for thousandths in 1_u16..=960 {
            let wanted = f32::from(thousandths) / 1000.0;
            let packed = |chance: u32| Packed::new(Lanes::all(wanted), chance * 8_191).lanes();
            let mut sum = 0.0;
            for chance in 0..64 {
                let lanes = packed(chance);
                for found in lanes.by_spot() {
                    assert!((found / wanted - 1.0).abs() < 0.0626, "{wanted} becomes {found}");
                }
                sum += lanes.sum();
            }
            let mean = sum / 64.0 / f32::from(u8::try_from(SPOTS).unwrap());
            assert!((mean / wanted - 1.0).abs() < 0.003, "{wanted} is {mean} on average");
        }
    }

    #[test]
    fn nothing_packed_is_impossible_or_certain() {
        for hostile in [0.0, -1.0, f32::MIN_POSITIVE, 1.0, f32::INFINITY, f32::NAN] {
            let lanes = Packed::new(Lanes::all(hostile), 1).lanes();
            assert!(
                lanes.by_spot().iter().all(|part| (1.5e-5..1.0).contains(part)),
                "{hostile}: {lanes:?}"
            );
        }
    }
}
