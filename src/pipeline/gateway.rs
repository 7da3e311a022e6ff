//! The store's gateways: where they stand, and whether they receive.

/// This gateway's place in [`Settings::gateways`].
pub const HERE: GatewayIndex = GatewayIndex(0);

/// Where in the store a gateway or a beacon stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the door.
    Door,
    /// Outside, or where mostly passers-by are received.
    Outside,
    /// Well inside.
    Inside,
}

impl Place {
    /// As configuration and explanations call it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Door => "door",
            Self::Outside => "outside",
            Self::Inside => "inside",
        }
    }
}

/// One gateway of the store.
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

/// One of the store's gateways: its place in [`Settings::gateways`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayIndex(pub u8);

/// Whether a gateway's radio receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hearing {
    /// Advertisements come in.
    Listening,
    /// Adapter gone, scan dead: its silence means nothing.
    Blind,
}

/// The state of another gateway, from its status topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerState {
    /// It receives.
    Online,
    /// It runs, but its radio receives nothing.
    Blind,
    /// It does not run, or cannot be reached.
    Offline,
}
