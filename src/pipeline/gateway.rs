//! The store's gateways: where they stand, and whether they receive.

/// This gateway's index in [`Settings::gateways`](super::settings::Settings::gateways).
pub const HERE: GatewayIndex = GatewayIndex(0);

/// Where in the store a gateway or a beacon stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Door,
    /// Outside, or where mostly passers-by are received.
    Outside,
    /// Away from the door, so that people at the door are received weaker.
    Inside,
}

impl Place {
    /// The word for it in configuration and explanations.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Outside => "outside",
            Self::Inside => "inside",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    /// Its name, unique in the store.
    pub name: String,
    /// Where it stands, if known.
    pub place: Option<Place>,
    /// Added to every RSSI it measures, from its walk test.
    pub offset_db: f32,
    /// What it usually measures of customers, from its walk test; by default
    /// `presence.arrive_rssi_dbm` and `presence.leave_rssi_dbm`, the other way round outside.
    pub levels: Option<Levels>,
}

/// What a gateway usually measures of customers on either side of the door, offset added.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// Of customers inside, in dBm.
    pub inside_dbm: f32,
    /// Of passers-by outside, in dBm.
    pub outside_dbm: f32,
}

/// A gateway's index in [`Settings::gateways`](super::settings::Settings::gateways).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayIndex(pub u8);

/// Whether a gateway's radio receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    Listening,
    /// The adapter is gone or the scan has stopped: its silence means nothing.
    Blind,
}

/// The state of another gateway, from its status topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    Online,
    /// It runs, but its radio receives nothing.
    Blind,
    /// It does not run, or cannot be reached.
    Offline,
}
