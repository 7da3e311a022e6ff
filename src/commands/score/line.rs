//! A score as it is printed.

use serde::Serialize;

use super::{FalseArrivals, Score};

impl Score {
    /// The score as `grelot replay --score --json` prints it.
    pub fn line(&self) -> Line {
        Line {
            visits: self.visits,
            found: self.found,
            false_arrivals: self.false_arrivals.total(),
            false_departures: self.false_departures,
            arrival_delay_s: Delays::of(&self.arrival_delays_s),
            departure_delay_s: Delays::of(&self.departure_delays_s),
            false_by_kind: self.false_arrivals,
            found_within_s: Within { ten: self.found_within(10.0), sixty: self.found_within(60.0) },
            already_inside: self.already_inside,
        }
    }
}

/// A score in its printed form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    pub visits: u32,
    pub found: u32,
    pub false_arrivals: u32,
    pub false_departures: u32,
    pub arrival_delay_s: Delays,
    pub departure_delay_s: Delays,
    pub false_by_kind: FalseArrivals,
    pub found_within_s: Within,
    pub already_inside: u32,
}

/// Delays in seconds, to the millisecond; `None` where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Delays {
    pub p50: Option<f64>,
    pub p95: Option<f64>,
}

impl Delays {
    /// Percentiles by nearest rank, of delays in seconds.
    pub fn of(delays: &[f64]) -> Self {
        let mut sorted = delays.to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = |percent: usize| {
            let index = (percent * sorted.len()).div_ceil(100).saturating_sub(1);
            sorted.get(index).map(|delay| (delay * 1000.0).round() / 1000.0)
        };
        Self { p50: rank(50), p95: rank(95) }
    }
}

/// Visits found soon enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Within {
    #[serde(rename = "10")]
    pub ten: u32,
    /// Within a minute.
    #[serde(rename = "60")]
    pub sixty: u32,
}
