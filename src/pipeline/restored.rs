//! What survived a restart.

use std::sync::Arc;

use super::presence::Survey;
use super::presence::loudness::Loudness;
use super::start::Away;
use super::units::WallTime;
use super::visit::Visit;

/// What the store remembered across a restart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Restored {
    /// Visits that were open, or closed so recently that coming back would continue them.
    pub visits: Vec<RestoredVisit>,
    /// When each customer was last alerted about.
    pub last_alerts: Vec<(Arc<str>, WallTime)>,
    /// Customers who withdrew consent, even if the registry still lists them.
    pub withdrawn: Vec<Arc<str>>,
    /// The RSSI offsets of customers' phones, from earlier visits.
    pub phones: Vec<KnownPhone>,
    /// What the shop's traffic said of its radio.
    pub survey: Survey,
    /// A bit for each gateway, by its index: it has received some customer already, so its silence
    /// means something.
    pub listening: u64,
    /// How long the gateway was away.
    pub away: Away,
    /// Times from then on were read from the wall clock as it runs now; `None` where only times of
    /// this start are.
    pub clock_since: Option<WallTime>,
}

/// The RSSI offset of one customer's phone; the phone itself is not identified.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownPhone {
    pub client: Arc<str>,
    pub loudness: Loudness,
    /// When the last of these visits ended.
    pub at: WallTime,
}

/// A visit that survived a restart.
#[derive(Debug, Clone, PartialEq)]
pub struct RestoredVisit {
    /// The visit's last stored state.
    pub visit: Visit,
    /// When it was closed; `None` while it is open.
    pub departed_at: Option<WallTime>,
}
