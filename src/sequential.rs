//! Sequential tests: they may be evaluated after each case and stopped at any of them, without more
//! errors than a single evaluation. While the limit holds, the likelihood ratio of a mixture of
//! alternatives to the limit stays below 1/α for ever, with probability 1 - α.
//!
//! H. Robbins, "Statistical Methods Related to the Law of the Iterated Logarithm", Annals of
//! Mathematical Statistics 41 (1970); R. Johari, P. Koomen, L. Pekelis, D. Walsh, "Peeking at A/B
//! Tests", KDD 2017. Both families here have a monotone likelihood ratio, so what holds at the
//! limit holds for everything within it.

/// Probability of an error, over all evaluations of a test.
pub const ALPHA: f64 = 0.01;

/// Alternatives of a mixture.
const GRID: u32 = 32;

/// The largest ratio of an alternative to the limit.
const FARTHEST: f64 = 8.0;

/// Tests whether a share is larger than its limit.
#[derive(Debug, Clone, PartialEq)]
pub struct ShareTest {
    limit: f64,
    /// Logarithms of the likelihood ratios of the alternatives.
    ratios: Vec<f64>,
    sure: bool,
}

impl ShareTest {
    /// A test of shares above `limit`, which is between 0 and 1.
    pub fn new(limit: f64) -> Self {
        Self { limit, ratios: vec![0.0; GRID as usize], sure: false }
    }

    /// Adds cases: `count` of `of` are of the kind.
    pub fn add(&mut self, count: u32, of: u32) {
        let (hits, rest) = (f64::from(count.min(of)), f64::from(of.saturating_sub(count)));
        for (place, ratio) in (0..GRID).zip(&mut self.ratios) {
            let share =
                self.limit + (1.0 - self.limit) * (f64::from(place) + 0.5) / f64::from(GRID);
            *ratio +=
                hits * (share / self.limit).ln() + rest * ((1.0 - share) / (1.0 - self.limit)).ln();
        }
        self.sure |= mixture(&self.ratios) >= 1.0 / ALPHA;
    }

    /// Whether the share is larger with confidence; once true, it stays true.
    pub const fn is_sure(&self) -> bool {
        self.sure
    }
}

/// Tests whether a rate is more than `factor` times the expected one, or less than 1/`factor` of
/// it.
///
/// Each step compares a count with another one of the same time or kind, where the expected share
/// of the sum is known: given the sum, the count is binomial at any rate (J. Przyborowski, H.
/// Wilenski, Biometrika 31, 1940).
#[derive(Debug, Clone, PartialEq)]
pub struct RateTest {
    factor: f64,
    more: Vec<f64>,
    fewer: Vec<f64>,
    sure: Option<Change>,
}

/// In which direction a rate has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The rate is larger.
    More,
    /// The rate is smaller.
    Fewer,
}

impl RateTest {
    /// A test of rates that differ by more than `factor`, which is larger than 1.
    pub fn new(factor: f64) -> Self {
        let none = vec![0.0; GRID as usize];
        Self { factor, more: none.clone(), fewer: none, sure: None }
    }

    /// Adds a step: `count` here and `other` there; `share` is the expected share of `count` in the
    /// sum.
    pub fn add(&mut self, count: u32, other: u32, share: f64) {
        if !(0.0 < share && share < 1.0) {
            return;
        }
        let (count, other) = (f64::from(count), f64::from(other));
        for (place, (more, fewer)) in (1..=GRID).zip(self.more.iter_mut().zip(&mut self.fewer)) {
            let beyond = FARTHEST.powf(f64::from(place) / f64::from(GRID));
            let limits = [
                (self.factor, self.factor * beyond),
                (1.0 / self.factor, 1.0 / self.factor / beyond),
            ];
            for (ratio, (limit, alternative)) in [more, fewer].into_iter().zip(limits) {
                let (before, after) = (tilted(share, limit), tilted(share, alternative));
                *ratio +=
                    count * (after / before).ln() + other * ((1.0 - after) / (1.0 - before)).ln();
            }
        }
        // Both tests together have an error probability of at most α.
        let enough = 2.0 / ALPHA;
        if self.sure.is_none() && mixture(&self.more) >= enough {
            self.sure = Some(Change::More);
        } else if self.sure.is_none() && mixture(&self.fewer) >= enough {
            self.sure = Some(Change::Fewer);
        }
    }

    /// The direction in which the rate differs with confidence; once known, it stays.
    pub const fn sure(&self) -> Option<Change> {
        self.sure
    }
}

/// The share once the rate is `factor` times as large.
fn tilted(share: f64, factor: f64) -> f64 {
    share * factor / (share * factor + 1.0 - share)
}

/// The mean of likelihood ratios, from their logarithms.
fn mixture(ratios: &[f64]) -> f64 {
    let largest = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = ratios.iter().map(|ratio| (ratio - largest).exp()).sum();
    (largest + (sum / f64::from(GRID)).ln()).exp()
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::Xoshiro256PlusPlus;
    use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

    use super::*;

    #[test]
    fn a_share_at_its_limit_is_hardly_ever_called_larger_however_often_one_looks() {
        let runs = |share: f64| {
            let wrong = (0..1_000).filter(|seed| {
                let mut random = Xoshiro256PlusPlus::seed_from_u64(*seed);
                let mut test = ShareTest::new(0.3);
                (0..500).any(|_| {
                    let hit = f64::from(random.next_u32()) < share * f64::from(u32::MAX);
                    test.add(u32::from(hit), 1);
                    test.is_sure()
                })
            });
            wrong.count()
        };
        let (at_the_limit, within, beyond) = (runs(0.3), runs(0.2), runs(0.5));
        println!("of 1,000: {at_the_limit} at the limit, {within} within, {beyond} beyond");
        assert!(at_the_limit <= 20 && within == 0 && beyond >= 990);
    }

    #[test]
    fn every_case_of_the_kind_soon_convinces() {
        let mut test = ShareTest::new(0.5);
        let cases = (1..20).find(|_| {
            test.add(1, 1);
            test.is_sure()
        });
        assert!(matches!(cases, Some(8..=11)), "{cases:?}");
    }

    #[test]
    fn a_rate_is_compared_with_its_share_of_both() {
        let mut same = RateTest::new(1.5);
        let mut more = RateTest::new(1.5);
        let mut fewer = RateTest::new(1.5);
        for _ in 0..100 {
            same.add(10, 30, 0.25);
            more.add(20, 30, 0.25);
            fewer.add(5, 30, 0.25);
        }
        assert_eq!(same.sure(), None);
        assert_eq!((more.sure(), fewer.sure()), (Some(Change::More), Some(Change::Fewer)));
    }
}
