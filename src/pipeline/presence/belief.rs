//! How sure we are that a customer is inside: a two-state filter in log-odds.
//!
//! Every reading is evidence for inside or outside, tempered by how long ago the last one was:
//! shadowing and fading are correlated over about a second, so ten readings within a second say
//! hardly more than one. Between readings the odds drift slowly towards "outside", for people
//! leave. A file of its own, so that a better filter can take its place.

use std::time::Duration;

use super::Settings;
use crate::pipeline::Place;
use crate::pipeline::advert::Echo;
use crate::pipeline::units::{Dbm, Tick};

/// Readings closer together than this repeat each other (correlation time of shadowing at
/// walking pace, about half a metre at 1 m/s).
const CORRELATION: Duration = Duration::from_millis(700);
/// Log-odds that the strongest independent reading adds or takes.
const STRONGEST: f32 = 2.2;
/// Log-odds of being inside for somebody who is heard for the first time.
const FIRST_HEARD: f32 = -1.5;
/// Odds are kept within this, so that nobody becomes too certain to be proved wrong.
const CERTAIN: f32 = 6.0;
/// Without any evidence the odds fall back towards [`FIRST_HEARD`] with this time constant.
const DRIFT: Duration = Duration::from_secs(120);

/// One reading, as the belief weighs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The gateway's measurement, its offset added; `None` if the driver did not say.
    pub rssi_dbm: Option<f32>,
    /// Where that gateway stands.
    pub place: Option<Place>,
    /// What the phone itself hears, and where that beacon stands.
    pub echo: Option<(Place, f32)>,
}

impl Reading {
    /// From a measurement, a gateway and an echo.
    pub fn new(
        rssi: Option<Dbm>,
        offset_db: f32,
        place: Option<Place>,
        echo: Option<Echo>,
        zones: &[Option<Place>; 16],
    ) -> Self {
        let echo = echo.and_then(|echo| {
            let place = zones.get(usize::from(echo.zone)).copied().flatten()?;
            (echo.level > 0).then(|| (place, f32::from(echo.level) * 4.0 - 100.0))
        });
        Self { rssi_dbm: rssi.map(|rssi| f32::from(rssi) + offset_db), place, echo }
    }
}

/// The filter's state for one customer: 16 octets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Belief {
    log_odds: f32,
    updated: Tick,
}

impl Belief {
    /// Of somebody heard for the first time.
    pub const fn new(now: Tick) -> Self {
        Self { log_odds: FIRST_HEARD, updated: now }
    }

    /// Of somebody known to be inside.
    pub const fn inside(now: Tick) -> Self {
        Self { log_odds: CERTAIN, updated: now }
    }

    /// Probability of being inside, 0 to 1.
    pub fn confidence(self) -> f32 {
        1.0 / (1.0 + (-self.log_odds).exp())
    }

    /// Weighs one reading.
    pub fn hear(&mut self, now: Tick, reading: &Reading, settings: &Settings) {
        let gap = now.since(self.updated);
        self.log_odds = FIRST_HEARD + (self.log_odds - FIRST_HEARD) * decay(gap, DRIFT);
        let fresh = (1.0 - decay(gap, CORRELATION)).max(if gap.is_zero() { 0.0 } else { 0.05 });
        // The first reading of all has nothing before it to repeat.
        let weight = if self.updated == now && (self.log_odds - FIRST_HEARD).abs() < f32::EPSILON {
            0.5
        } else {
            fresh
        };
        self.log_odds =
            (self.log_odds + weight * evidence(reading, settings)).clamp(-CERTAIN, CERTAIN);
        self.updated = now;
    }
}

fn decay(gap: Duration, constant: Duration) -> f32 {
    (-gap.as_secs_f32() / constant.as_secs_f32()).exp()
}

/// Log-odds for inside that one independent reading carries.
fn evidence(reading: &Reading, settings: &Settings) -> f32 {
    let mut sum = 0.0;
    if let Some(rssi) = reading.rssi_dbm {
        let level = level(rssi, settings);
        sum += match reading.place {
            // Loud outside is outside; faint outside says little.
            Some(Place::Outside) => -level.max(-0.3),
            // Loud at the till is inside; faint there may still be at the door.
            Some(Place::Inside) => level.max(-0.5),
            Some(Place::Door) | None => level,
        };
    }
    if let Some((place, heard_dbm)) = reading.echo {
        let level = level(heard_dbm, settings);
        sum += match place {
            Place::Inside => level.max(0.0),
            Place::Outside => -level.max(0.0),
            // Near the door beacon: on either side of it.
            Place::Door => 0.0,
        };
    }
    sum.clamp(-1.0, 1.0) * STRONGEST
}

/// -1 at or below the leaving level, +1 at or above the arriving one (or a little beyond).
fn level(rssi_dbm: f32, settings: &Settings) -> f32 {
    let middle = f32::midpoint(settings.arrive_rssi_dbm, settings.leave_rssi_dbm);
    let half = (settings.arrive_rssi_dbm - settings.leave_rssi_dbm) / 2.0;
    ((rssi_dbm - middle) / half.max(0.5)).clamp(-1.0, 1.0)
}
