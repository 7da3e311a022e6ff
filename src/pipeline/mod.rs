//! PURE: everything that grelot decides. Bytes come in as [`Input`]s, decisions go out as
//! [`Effect`]s.
//!
//! Invariant: no IO, no clock, no task, no log, no random number. Same inputs, same effects,
//! byte for byte, so that `run`, `demo`, `replay` and the tests share one pipeline.

pub mod advert;
pub mod beacons;
pub mod event;
pub mod explain;
pub mod identity;
mod machine;
pub mod policy;
pub mod presence;
pub mod team;
pub mod units;
mod visit_id;
mod visits;

pub use event::{Effect, Input};
pub use machine::Pipeline;
pub use units::Now;
pub use visit_id::VisitId;

/// This gateway's place in [`Settings::gateways`].
pub const HERE: event::GatewayIndex = event::GatewayIndex(0);

/// Where in the store a gateway or a beacon stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the door.
    Door,
    /// Outside, or where only passers-by are heard best.
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

/// All that head office and IT decide for the pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The store's number.
    pub store: u16,
    /// The store's gateways; the first is this one.
    pub gateways: Vec<Gateway>,
    /// Where the shop's beacons stand, by zone (1 to 15; index 0 unused).
    pub zones: [Option<Place>; 16],
    /// The shop's own beacons, to be watched.
    pub beacons: Vec<beacons::OwnBeacon>,
    /// When somebody counts as here.
    pub presence: presence::Settings,
    /// When to say so.
    pub policy: policy::Settings,
}
