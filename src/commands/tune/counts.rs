//! What one setting did on one recording, and its cost.

use serde::{Deserialize, Serialize};

use crate::commands::score::Score;

/// What counts, of one recording or of several. It is written to the state file, so delays are
/// whole milliseconds: read back, they are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Customers who came in.
    pub visits: u32,
    /// Visits that were announced.
    pub found: u32,
    /// Announced though no one came in.
    pub falsely: u32,
    /// Taken for gone though still here.
    pub dropped: u32,
    /// From entering to each announcement, in ms; negative where it came early.
    pub late_ms: Vec<i64>,
    /// From leaving to each departure, in ms.
    pub lingering_ms: Vec<i64>,
}

impl From<&Score> for Counts {
    fn from(score: &Score) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a recording is shorter than 10^8 years"
        )]
        let millis = |delays: &[f64]| delays.iter().map(|s| (s * 1000.0).round() as i64).collect();
        Self {
            visits: score.visits,
            found: score.found,
            falsely: score.false_arrivals.total(),
            dropped: score.false_departures,
            late_ms: millis(&score.arrival_delays_s),
            lingering_ms: millis(&score.departure_delays_s),
        }
    }
}

impl Counts {
    /// Of all of `tallies` together.
    pub fn sum<'a>(tallies: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for counts in tallies {
            sum.visits += counts.visits;
            sum.found += counts.found;
            sum.falsely += counts.falsely;
            sum.dropped += counts.dropped;
            sum.late_ms.extend(&counts.late_ms);
            sum.lingering_ms.extend(&counts.lingering_ms);
        }
        sum
    }

    /// Visits that were never announced.
    pub const fn missed(&self) -> u32 {
        self.visits.saturating_sub(self.found)
    }

    /// Wrong events: arrivals of no one, departures of customers who are still here.
    pub const fn wrong(&self) -> u32 {
        self.falsely + self.dropped
    }

    /// Seconds from entering to the announcement, by nearest rank; `None` if no one was found.
    pub fn late_s(&self, percent: usize) -> Option<f64> {
        rank(&self.late_ms, percent)
    }

    /// Seconds from leaving to the departure, by nearest rank.
    pub fn lingering_s(&self, percent: usize) -> Option<f64> {
        rank(&self.lingering_ms, percent)
    }
}

fn rank(delays_ms: &[i64], percent: usize) -> Option<f64> {
    let mut sorted = delays_ms.to_vec();
    sorted.sort_unstable();
    let index = (percent * sorted.len()).div_ceil(100).saturating_sub(1);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a recording")]
    sorted.get(index).map(|millis| *millis as f64 / 1000.0)
}

/// What each mistake costs; a missed visit, by default, 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// A visit that is never announced.
    pub missed: f64,
    /// An announcement of no one.
    pub falsely: f64,
    /// Ten seconds between entering and the announcement.
    pub late: f64,
    /// A customer taken for gone while still here.
    pub dropped: f64,
    /// A minute during which staff see a customer who has left.
    pub lingering: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { missed: 1.0, falsely: 1.0, late: 0.1, dropped: 0.5, lingering: 0.02 }
    }
}

/// A greeting that comes later than this is no greeting: later costs no more.
const LATEST_S: f64 = 60.0;

/// The longest wait for a departure that counts.
const LONGEST_LINGERING_S: f64 = 900.0;

impl Weights {
    /// Each weight's word on the command line, and its place.
    fn place(&mut self, word: &str) -> Option<&mut f64> {
        match word {
            "missed" => Some(&mut self.missed),
            "false" => Some(&mut self.falsely),
            "late" => Some(&mut self.late),
            "dropped" => Some(&mut self.dropped),
            "lingering" => Some(&mut self.lingering),
            _ => None,
        }
    }

    /// With what `--weight` says.
    #[must_use]
    pub fn with(mut self, wishes: &[Wish]) -> Self {
        for wish in wishes {
            if let Some(place) = self.place(&wish.word) {
                *place = wish.weight;
            }
        }
        self
    }

    /// What a counts costs.
    pub fn cost(&self, counts: &Counts) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a recording")]
        let seconds = |delays: &[i64], most: f64| -> f64 {
            delays.iter().map(|millis| (*millis as f64 / 1000.0).clamp(0.0, most)).sum()
        };
        self.missed * f64::from(counts.missed())
            + self.falsely * f64::from(counts.falsely)
            + self.dropped * f64::from(counts.dropped)
            + self.late * seconds(&counts.late_ms, LATEST_S) / 10.0
            + self.lingering * seconds(&counts.lingering_ms, LONGEST_LINGERING_S) / 60.0
    }
}

/// A weight from the command line, such as `false=2`.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    word: String,
    weight: f64,
}

impl std::str::FromStr for Wish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (word, weight) = text.split_once('=').ok_or("such as false=2")?;
        if Weights::default().place(word).is_none() {
            return Err("missed, false, late, dropped or lingering can be weighed".to_owned());
        }
        match weight.parse::<f64>() {
            Ok(weight) if (0.0..=1e6).contains(&weight) => {
                Ok(Self { word: word.to_owned(), weight })
            }
            _ => Err("a weight is a number from 0 to 1000000".to_owned()),
        }
    }
}

/// `1 visit`, `2 visits`
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> Counts {
        Counts {
            visits: 4,
            found: 3,
            falsely: 2,
            dropped: 1,
            late_ms: vec![-500, 10_000, 90_000],
            lingering_ms: vec![30_000],
        }
    }

    #[test]
    fn each_mistake_costs_what_it_weighs() {
        let weights = Weights::default();
        let expected = 1.0 + 2.0 + 0.5 + 0.1 * 7.0 + 0.02 * 0.5;
        assert!((weights.cost(&counts()) - expected).abs() < 1e-9);
        let dearer = weights.with(&["false=3".parse().unwrap(), "late=0".parse().unwrap()]);
        assert!((dearer.cost(&counts()) - (1.0 + 6.0 + 0.5 + 0.01)).abs() < 1e-9);
    }

    #[test]
    fn an_unknown_or_senseless_weight_is_refused() {
        for text in ["fals=1", "false", "false=-1", "false=nan", "false=x"] {
            assert!(text.parse::<Wish>().is_err(), "{text}");
        }
    }

    #[test]
    fn percentiles_are_delays_that_were_measured() {
        assert_eq!((counts().late_s(50), counts().late_s(95)), (Some(10.0), Some(90.0)));
        assert_eq!(Counts::default().late_s(50), None);
    }
}
