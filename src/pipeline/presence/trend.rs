//! Running levels of one customer, for the rule about a phone that stays at a level.

use super::site_model::{Reading, Usual};
use crate::pipeline::gateway::Place;

/// Time constant of the running levels, in seconds.
const FAST_S: f32 = 1.5;

/// Running levels of one customer, in a compact form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// For gateways inside and for the others, relative to the usual level inside, in 1/128 dB;
    /// [`SILENT`] while they have measured none.
    level: [i16; 2],
    echoed: bool,
}

/// Stands for "no level"; [`units`] never gives it.
pub const SILENT: i16 = i16::MIN;

impl Trend {
    /// A customer who is received for the first time.
    pub const NEW: Self = Self { level: [SILENT; 2], echoed: false };

    /// Updates the levels with one reading, `gap_s` after the last one.
    pub fn hear(&mut self, gap_s: f32, reading: &Reading<'_>) {
        if let Some(dbm) = reading.rssi_dbm {
            let now = units(dbm - reading.usual.inside_dbm);
            let level = &mut self.level[side(reading.usual.place)];
            *level = if *level == SILENT { now } else { towards(*level, now, part(gap_s)) };
        }
        self.echoed |= reading.echo_level().is_some();
    }

    /// Whether no echo was received yet.
    pub const fn has_no_echo(self) -> bool {
        !self.echoed
    }

    /// The level on the side of the gateway of `usual`, in dB from the usual level inside.
    pub fn level_db(self, usual: &Usual) -> f32 {
        match self.level[side(usual.place)] {
            SILENT => 0.0,
            level => f32::from(level) / 128.0,
        }
    }
}

/// Index of a gateway's side: inside is 0, the door and outside are 1.
fn side(place: Place) -> usize {
    usize::from(place != Place::Inside)
}

/// A level in 1/128 dB.
#[expect(clippy::cast_possible_truncation, reason = "it saturates")]
pub fn units(decibels: f32) -> i16 {
    ((decibels * 128.0) as i16).max(SILENT + 1)
}

#[expect(clippy::cast_possible_truncation, reason = "between the two")]
fn towards(from: i16, to: i16, part: f32) -> i16 {
    (f32::from(from) + (f32::from(to) - f32::from(from)) * part).round() as i16
}

/// Weight of a new value in the running mean, after `gap_s`.
fn part(gap_s: f32) -> f32 {
    1.0 - (-gap_s.min(5.0) / FAST_S).exp()
}
