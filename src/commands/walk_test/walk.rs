//! A walk: what the gateway received while a person stood outside, at the door and inside.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pipeline::advert::Echo;
use crate::sources::Advertisement;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stand {
    /// Before the door, where passers-by walk.
    Outside,
    Door,
    /// A few steps into the shop.
    Inside,
}

impl Stand {
    /// In the order of the walk.
    pub const ALL: [Self; 3] = [Self::Outside, Self::Door, Self::Inside];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Outside => "outside",
            Self::Door => "door",
            Self::Inside => "inside",
        }
    }

    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stand| stand.word() == word)
    }
}

/// One advertisement of the walk.
#[derive(Debug, Clone)]
pub struct Step {
    /// Time since the person reached this stand.
    pub at: Duration,
    pub stand: Stand,
    pub heard: Advertisement,
    /// The customer who sent it, if one did.
    pub client: Option<String>,
    /// What the customer's phone reports of the shop's beacons.
    pub echo: Option<Echo>,
}

/// One transmitter's RSSI over the walk: at each stand the mean of every second in which it was
/// received.
///
/// Readings closer together than a second are correlated: they share the same wall, body and fade.
/// So seconds are counted, not readings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loudness {
    seconds: BTreeMap<Stand, BTreeMap<u64, (f64, u32)>>,
}

impl Loudness {
    /// Takes in a measurement in dBm.
    pub fn add(&mut self, stand: Stand, at: Duration, dbm: f64) {
        let seconds = self.seconds.entry(stand).or_default();
        let (sum, count) = seconds.entry(at.as_secs()).or_default();
        *sum += dbm;
        *count += 1;
    }

    /// What was measured at `stand`; `None` where nothing was.
    pub fn at(&self, stand: Stand) -> Option<Measured> {
        let seconds = self.seconds.get(&stand)?;
        let means: Vec<f64> = seconds.values().map(|(sum, n)| sum / f64::from(*n)).collect();
        let mean_dbm = mean(&means);
        let squares: f64 = means.iter().map(|mean| (mean - mean_dbm).powi(2)).sum();
        Some(Measured {
            seconds: u32::try_from(means.len()).unwrap_or(u32::MAX),
            readings: seconds.values().map(|(_, count)| count).sum(),
            mean_dbm,
            squares,
        })
    }
}

/// What was measured at one stand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Seconds in which anything was received.
    pub seconds: u32,
    pub readings: u32,
    /// Mean of the seconds' means.
    pub mean_dbm: f64,
    /// Sum of their squared distances from it.
    squares: f64,
}

impl Measured {
    /// Standard deviation of a second's mean, dB.
    pub fn spread_db(&self) -> f64 {
        (self.squares / f64::from(self.seconds.saturating_sub(1).max(1))).sqrt()
    }

    /// 95 % of such walks measure a mean this near, dB: 1.96 s / √n.
    pub fn uncertain_db(&self) -> f64 {
        1.96 * self.spread_db() / f64::from(self.seconds.max(1)).sqrt()
    }

    /// Standard deviation of a second's mean round the mean of its own stand, of two stands
    /// together, dB.
    pub fn pooled_spread_db(&self, other: &Self) -> f64 {
        let freedom = (self.seconds + other.seconds).saturating_sub(2).max(1);
        ((self.squares + other.squares) / f64::from(freedom)).sqrt()
    }
}

fn mean(values: &[f64]) -> f64 {
    let count = u32::try_from(values.len()).unwrap_or(u32::MAX).max(1);
    values.iter().sum::<f64>() / f64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_within_a_second_counts_once() {
        let mut loudness = Loudness::default();
        for millis in 0..10 {
            loudness.add(Stand::Door, Duration::from_millis(millis), -50.0);
        }
        loudness.add(Stand::Door, Duration::from_secs(1), -60.0);
        loudness.add(Stand::Door, Duration::from_secs(2), -70.0);
        let door = loudness.at(Stand::Door).unwrap();
        assert_eq!((door.seconds, door.readings), (3, 12));
        assert!((door.mean_dbm + 60.0).abs() < 1e-9 && (door.spread_db() - 10.0).abs() < 1e-9);
        assert_eq!(loudness.at(Stand::Inside), None);
    }
}
