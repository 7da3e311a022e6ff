//! The settings that can be turned: each one's way into the detection settings and out of them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::detection::Detection;

/// One setting to turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parameter {
    /// `arrive_rssi_dbm`
    Arrive,
    /// How far `leave_rssi_dbm` is below `arrive_rssi_dbm`.
    Hysteresis,
    /// `arrive_confidence`
    Confidence,
    /// `dwell_secs`
    Dwell,
    /// `leave_after_secs`
    LeaveAfter,
    /// `rejoin_secs`
    Rejoin,
    /// What one gateway measures inside.
    Inside(String),
    /// What one gateway measures outside.
    Outside(String),
    /// What all gateways measure inside, moved together.
    AllInside,
    /// What all gateways measure outside, moved together.
    AllOutside,
}

/// `presence.leave_rssi_dbm` goes no lower.
const LOWEST_LEAVE_DBM: f64 = -110.0;

/// In the order of the reference.
pub const KEYS: [&str; 8] = [
    "arrive_rssi_dbm",
    "arrive_confidence",
    "leave_rssi_dbm",
    "leave_after_secs",
    "dwell_secs",
    "rejoin_secs",
    "gateway_inside_dbm",
    "gateway_outside_dbm",
];

impl Parameter {
    /// Puts `value` into `settings`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "settings need no more digits than f32 has"
    )]
    pub fn turn(&self, settings: &mut Detection, value: f64) {
        let presence = &mut settings.presence;
        let seconds = Duration::try_from_secs_f64(value).unwrap_or_default();
        match self {
            // The next parameter sets the leaving level, below this one.
            Self::Arrive => presence.arrive_rssi_dbm = value as f32,
            Self::Hysteresis => {
                let leave = f64::from(presence.arrive_rssi_dbm) - value;
                presence.leave_rssi_dbm = leave.max(LOWEST_LEAVE_DBM) as f32;
            }
            Self::Confidence => presence.arrive_confidence = value as f32,
            Self::Dwell => presence.dwell = seconds,
            Self::LeaveAfter => presence.leave_after = seconds,
            Self::Rejoin => presence.rejoin = seconds,
            Self::Inside(name) => {
                settings.gateway_inside_dbm.insert(name.clone(), value as f32);
            }
            Self::Outside(name) => {
                settings.gateway_outside_dbm.insert(name.clone(), value as f32);
            }
            Self::AllInside => move_all(&mut settings.gateway_inside_dbm, value),
            Self::AllOutside => move_all(&mut settings.gateway_outside_dbm, value),
        }
    }

    /// The key that says it, and its value, as TOML.
    pub fn written(&self, settings: &Detection) -> (&'static str, String) {
        let presence = &settings.presence;
        match self {
            Self::Arrive => ("arrive_rssi_dbm", presence.arrive_rssi_dbm.to_string()),
            Self::Hysteresis => ("leave_rssi_dbm", presence.leave_rssi_dbm.to_string()),
            Self::Confidence => ("arrive_confidence", presence.arrive_confidence.to_string()),
            Self::Dwell => ("dwell_secs", secs(presence.dwell)),
            Self::LeaveAfter => ("leave_after_secs", secs(presence.leave_after)),
            Self::Rejoin => ("rejoin_secs", secs(presence.rejoin)),
            Self::Inside(_) | Self::AllInside => {
                ("gateway_inside_dbm", table(&settings.gateway_inside_dbm))
            }
            Self::Outside(_) | Self::AllOutside => {
                ("gateway_outside_dbm", table(&settings.gateway_outside_dbm))
            }
        }
    }
}

/// Moves levels, to a tenth of a decibel.
#[expect(clippy::cast_possible_truncation, reason = "settings need no more digits than f32 has")]
fn move_all(levels: &mut BTreeMap<String, f32>, by: f64) {
    for level in levels.values_mut() {
        *level = (((f64::from(*level) + by) * 10.0).round() / 10.0) as f32;
    }
}

fn table(levels: &BTreeMap<String, f32>) -> String {
    let entry = |(name, level): (&String, &f32)| format!("{} = {level}", quoted(name));
    format!("{{ {} }}", levels.iter().map(entry).collect::<Vec<_>>().join(", "))
}

/// The decimal that was written, not its nearest binary neighbour.
pub fn tidy(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

fn secs(duration: Duration) -> String {
    duration.as_secs_f64().to_string()
}

/// A gateway's name as a TOML key: bare where that is allowed.
fn quoted(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { format!("\"{name}\"") }
}
