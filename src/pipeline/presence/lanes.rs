//! Arithmetic on all spots at once, a lane for each.

use wide::{bytemuck, f32x8, i32x8};

use super::spots::SPOTS;

/// The same for all spots. Written out: what is optimised for size keeps `splat`'s loop.
#[expect(clippy::many_single_char_names, reason = "eight spots that are all alike")]
pub const fn all(value: f32) -> f32x8 {
    let mut spots = [0.0; SPOTS];
    let [a, b, c, d, e, f, g, h] = &mut spots;
    (*a, *b, *c, *d) = (value, value, value, value);
    (*e, *f, *g, *h) = (value, value, value, value);
    f32x8::new(spots)
}

/// Lane by lane.
pub fn sum(rows: &[f32x8]) -> f32x8 {
    rows.iter().copied().sum()
}

/// The exponential of what is not above zero, to a part in a hundred thousand; nothing is less than
/// e^-80. By `exp(x) = 2^n exp(r)` with |r| < 0.35, and the first terms of its series.
pub fn exp(x: f32x8) -> f32x8 {
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
}
