//! Logarithm and exponential from exact arithmetic only.
//!
//! The standard library takes them from the platform, and they differ in their last bits; but a
//! seed must give the same bytes everywhere. Both have a relative error of at most 1e-12.

use std::f64::consts::{LN_2, LN_10, SQRT_2};

/// The natural logarithm of a positive, normal number.
///
/// `ln x = e ln 2 + 2 artanh((m - 1) / (m + 1))` for `x = m 2^e`, `m` around 1.
pub(super) fn ln(x: f64) -> f64 {
    const EXPONENT: u64 = 0x7ff;
    let bits = x.to_bits();
    let exponent = f64::from(u16::try_from(bits >> 52 & EXPONENT).unwrap_or(0)) - 1023.0;
    let mantissa = f64::from_bits(bits & !(EXPONENT << 52) | 1023 << 52);
    let (mantissa, exponent) =
        if mantissa > SQRT_2 { (mantissa / 2.0, exponent + 1.0) } else { (mantissa, exponent) };
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let series = (0..9).rev().fold(0.0, |sum, k| sum * s * s + 1.0 / f64::from(2 * k + 1));
    exponent * LN_2 + 2.0 * s * series
}

pub(super) fn decibels(power: f64) -> f64 {
    10.0 / LN_10 * ln(power.max(1e-30))
}

pub(super) fn power(decibels: f64) -> f64 {
    exp(decibels * LN_10 / 10.0)
}

/// The exponential of a number within about 700 of zero.
///
/// `exp x = 2^n exp r`, `r` within half of `ln 2`.
pub(super) fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let n = (x / LN_2).round();
    let r = x - n * LN_2;
    let series = (1..14).rev().fold(1.0, |sum, k| 1.0 + sum * r / f64::from(k));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "13 to 2033")]
    let biased = (n + 1023.0) as u64;
    f64::from_bits(biased << 52) * series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithm_and_exponential_agree_with_the_platforms() {
        for step in 1..4000 {
            let x = f64::from(step) * 0.37;
            assert!((ln(x) - x.ln()).abs() < 1e-12 * x.ln().abs().max(1.0), "ln {x}");
            let small = f64::from(step) * 1e-9;
            assert!((ln(small) - small.ln()).abs() < 1e-11, "ln {small}");
            let y = f64::from(step - 2000) * 0.05;
            assert!((exp(y) / y.exp() - 1.0).abs() < 1e-12, "exp {y}");
            assert!((decibels(power(y)) - y).abs() < 1e-9, "{y} dB");
        }
    }
}
