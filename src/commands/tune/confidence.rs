//! How sure a count is: 95 % intervals, each with its source.

use super::counts::Counts;
use crate::sources::simulated::Random;

/// Two standard deviations, more exactly.
const Z: f64 = 1.959_964;
/// Half of what is left on either side.
const TAIL: f64 = 0.025;
/// Sets of recordings that are drawn.
pub const RESAMPLES: usize = 2_000;

/// The true share behind `hits` of `trials`: Wilson's score interval (J. Am. Stat. Assoc. 22,
/// 1927), (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n).
pub fn share(hits: u32, trials: u32) -> Option<(f64, f64)> {
    if trials == 0 {
        return None;
    }
    let (hits, n) = (f64::from(hits), f64::from(trials));
    let p = hits / n;
    let centre = p + Z * Z / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + Z * Z / n;
    Some((((centre - spread) / whole).max(0.0), ((centre + spread) / whole).min(1.0)))
}

/// The true mean behind a count of rare events: the exact Poisson interval (Garwood, Biometrika
/// 28, 1936): the means for which this many or more, this many or fewer, have a probability of 2.5 %.
pub fn mean(count: u32) -> (f64, f64) {
    let low = if count == 0 { 0.0 } else { solve(|m| 1.0 - at_most(count - 1, m) < TAIL) };
    (low, solve(|m| at_most(count, m) > TAIL))
}

/// Where `below` turns false, going up from 0.
fn solve(below: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while below(high) {
        low = high;
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if below(middle) { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The chance of `count` or fewer events where `mean` are expected.
fn at_most(count: u32, mean: f64) -> f64 {
    let mut term = -mean;
    let mut sum = term.exp();
    for n in 1..=count {
        term += mean.ln() - f64::from(n).ln();
        sum += term.exp();
    }
    sum
}

/// In how many of the sets of recordings, drawn with replacement from those there are, `ours`
/// cost less than `theirs` (Efron, Ann. Stat. 7, 1979); as much counts half. Visits of one
/// recording resemble each other, so recordings are drawn, not visits.
pub fn better(ours: &[f64], theirs: &[f64], seed: u64) -> f64 {
    let gains: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| theirs - ours).collect();
    let mut random = Random::new(seed, &[]);
    let mut wins = 0.0;
    for _ in 0..RESAMPLES {
        let gain: f64 = drawn(&gains, &mut random).sum();
        wins += if gain.abs() < 1e-9 { 0.5 } else { f64::from(u8::from(gain > 0.0)) };
    }
    #[expect(clippy::cast_precision_loss, reason = "a small whole number")]
    let resamples = RESAMPLES as f64;
    wins / resamples
}

/// 95 % of the sets of recordings, drawn with replacement, have a share of found visits between
/// these.
pub fn share_by_recording(tallies: &[Counts], seed: u64) -> Option<(f64, f64)> {
    let mut random = Random::new(seed, &[]);
    let mut shares = Vec::new();
    for _ in 0..RESAMPLES {
        let (found, visits) = drawn(tallies, &mut random)
            .fold((0, 0), |(found, visits), t| (found + t.found, visits + t.visits));
        if visits > 0 {
            shares.push(f64::from(found) / f64::from(visits));
        }
    }
    shares.sort_by(f64::total_cmp);
    let last = shares.len().checked_sub(1)?;
    let cut = shares.len() / 40;
    Some((shares.get(cut).copied()?, shares.get(last - cut).copied()?))
}

fn drawn<'a, T>(all: &'a [T], random: &mut Random) -> impl Iterator<Item = &'a T> {
    (0..all.len()).filter_map(move |_| all.get(random.index(all.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near((low, high): (f64, f64), expected: (f64, f64)) {
        let close = (low - expected.0).abs() < 5e-4 && (high - expected.1).abs() < 5e-4;
        assert!(close, "{low} to {high}, not {expected:?}");
    }

    #[test]
    fn shares_are_wilsons() {
        // By hand from the formula; (0, 10) is in many textbooks.
        near(share(16, 17).unwrap(), (0.7302, 0.9895));
        near(share(0, 10).unwrap(), (0.0, 0.2775));
        near(share(10, 10).unwrap(), (0.7225, 1.0));
        assert_eq!(share(0, 0), None);
    }

    #[test]
    fn means_are_garwoods() {
        // From tables of the exact interval.
        near(mean(0), (0.0, 3.6889));
        near(mean(3), (0.6187, 8.7673));
        near(mean(100), (81.3639, 121.6270));
    }

    #[test]
    fn what_is_better_everywhere_is_surely_better_and_the_same_is_even() {
        let worse = [2.0, 3.0, 4.0];
        assert!((better(&[1.0, 1.0, 1.0], &worse, 1) - 1.0).abs() < 1e-9);
        assert!((better(&worse, &worse, 1) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn one_bad_recording_widens_what_recordings_tell() {
        let counts = |found| Counts { visits: 10, found, ..Counts::default() };
        let even = share_by_recording(&[counts(8), counts(8), counts(8), counts(8)], 1).unwrap();
        let uneven =
            share_by_recording(&[counts(10), counts(10), counts(10), counts(2)], 1).unwrap();
        assert!((even.0 - even.1).abs() < 1e-9);
        assert!(uneven.1 - uneven.0 > 0.3, "{uneven:?}");
    }
}
