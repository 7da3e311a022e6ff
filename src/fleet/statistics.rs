//! How sure a share is.

use serde::Serialize;

/// 95 % of a normal distribution lie within this number of standard deviations.
const Z: f64 = 1.959_964;

/// A share of cases, with the interval that has the true share 95 times in 100: Wilson's score
/// interval (E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
/// 1927), which is sound for few cases and for shares near 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Share {
    /// Cases of the kind.
    pub count: u64,
    /// Cases of any kind.
    pub of: u64,
    /// The share; `None` without any case.
    pub share: Option<f64>,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl Share {
    /// Of `count` cases among `of`.
    pub fn new(count: u64, of: u64) -> Self {
        if of == 0 {
            return Self { count, of, share: None, low: 0.0, high: 1.0 };
        }
        let (n, share) = (float(of), float(count) / float(of));
        let z2 = Z * Z;
        let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = Z / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
        let (low, high) = ((middle - half).max(0.0), (middle + half).min(1.0));
        Self { count, of, share: Some(share), low, high }
    }
}

/// Counts here are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts of visits")]
pub const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        // 10 of 100: 0.0552 to 0.1744 (Newcombe 1998, Table I, method 3, gives such figures).
        let share = Share::new(10, 100);
        assert!(
            (share.low - 0.0552).abs() < 1e-4 && (share.high - 0.1744).abs() < 1e-4,
            "{share:?}"
        );
        // Newcombe's own cases: 81 of 263 and 0 of 20.
        let share = Share::new(81, 263);
        assert!(
            (share.low - 0.2553).abs() < 1e-4 && (share.high - 0.3662).abs() < 1e-4,
            "{share:?}"
        );
        let none = Share::new(0, 20);
        assert!(none.low == 0.0 && (none.high - 0.1611).abs() < 1e-4, "{none:?}");
        assert_eq!(Share::new(0, 0).share, None);
    }
}
