//! Whether a presence may be announced: consent, quiet hours, caps.

mod alert;
pub mod consent;

pub use alert::Caps;

use std::collections::BTreeMap;
use std::time::Duration;

/// `[policy]`: when and for which customers to alert. Keys and ranges are defined in `config::keys`.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Maximum number of alerts for one visit; 0 disables alerts.
    pub alerts_per_visit: u32,
    /// Minimum time between two alerts for one customer.
    pub between_alerts: Duration,
    /// When no alert is sent, in the store's local time.
    pub quiet_hours: Option<QuietHours>,
    /// The tiers whose arrivals alert; all tiers where empty.
    pub tiers: Vec<String>,
    /// Display names of tiers, where they differ from the tier's own name.
    pub tier_names: BTreeMap<String, String>,
    /// After how long an unanswered alert is escalated; `None` where none is.
    pub escalate_after: Option<Duration>,
    /// An alert older than this is dropped, never delivered late.
    pub alert_ttl: Duration,
    /// The store's time zone, for quiet hours and `quiet: "today:…"`.
    pub time_zone: jiff::tz::TimeZone,
}

/// A daily span in local minutes since midnight; may wrap round midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    /// First quiet minute, 0 to 1439.
    pub from_minute: u16,
    /// First minute that is no longer quiet, 0 to 1439.
    pub until_minute: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            alerts_per_visit: 1,
            between_alerts: Duration::from_hours(4),
            quiet_hours: None,
            tiers: Vec::new(),
            tier_names: BTreeMap::new(),
            escalate_after: Some(Duration::from_mins(2)),
            alert_ttl: Duration::from_mins(2),
            time_zone: jiff::tz::TimeZone::UTC,
        }
    }
}
