//! The settings of presence that head office tunes.

use std::time::Duration;

/// `[presence]`: when a customer counts as inside. Keys and ranges are defined in `config::keys`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// An RSSI at or above this is evidence of being inside, in dBm.
    pub arrive_rssi_dbm: f32,
    /// Confidence that opens a visit, 0.5 to 0.999.
    pub arrive_confidence: f32,
    /// An RSSI below this is evidence of being outside, in dBm.
    pub leave_rssi_dbm: f32,
    /// How long silence or doubt lasts before it closes a visit.
    pub leave_after: Duration,
    /// Least time inside before the alert goes out.
    pub dwell: Duration,
    /// A customer who comes back within this time continues the visit.
    pub rejoin: Duration,
    /// Customers who are received within this time after a start of the live radio were inside
    /// already.
    pub warm_up: Duration,
    pub longest_visit: Duration,
    /// How long a phone's RSSI offset is kept after a visit; zero keeps none. Set by the site
    /// (`registry.audit_hours`), not by head office.
    pub known_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            arrive_rssi_dbm: -70.0,
            arrive_confidence: 0.9,
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
