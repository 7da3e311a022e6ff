//! What head office tunes about presence.

use std::time::Duration;

/// `[presence]`: when somebody counts as here. Keys and ranges are defined in `config::keys`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// A sighting at or above this speaks for being inside, in dBm.
    pub arrive_rssi_dbm: f32,
    /// How sure to be before a visit opens, 0.5 to 0.999.
    pub arrive_confidence: f32,
    /// Below this a sighting speaks for being outside, in dBm.
    pub leave_rssi_dbm: f32,
    /// Silence or weakness that closes a visit.
    pub leave_after: Duration,
    /// Least time inside before the alert goes out.
    pub dwell: Duration,
    /// Coming back within this continues the visit.
    pub rejoin: Duration,
    /// After a start of the live radio: whoever is heard so early was here already.
    pub warm_up: Duration,
    /// The longest a visit can be.
    pub longest_visit: Duration,
    /// What a visit taught of the customer's phone is known for so long after it; zero learns
    /// nothing. The site's word (`registry.audit_hours`), not head office's.
    pub known_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            arrive_rssi_dbm: -70.0,
            arrive_confidence: 0.95,
            leave_rssi_dbm: -78.0,
            leave_after: Duration::from_mins(1),
            dwell: Duration::ZERO,
            rejoin: Duration::from_mins(10),
            warm_up: Duration::from_secs(10),
            longest_visit: Duration::from_hours(12),
            known_for: Duration::from_hours(24),
        }
    }
}
