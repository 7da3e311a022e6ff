//! All settings of the pipeline.

use super::beacons::OwnBeacon;
use super::gateway::{Gateway, Place};
use super::policy::Settings as Policy;
use super::presence::settings::Settings as Presence;

/// What head office and IT configure for the pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub store: u16,
    /// The store's gateways; the first is this one.
    pub gateways: Vec<Gateway>,
    /// Where the shop's beacons stand, by zone (1 to 15; index 0 unused).
    pub zones: [Option<Place>; 16],
    /// The shop's own beacons, to be watched.
    pub beacons: Vec<OwnBeacon>,
    /// When a customer counts as inside.
    pub presence: Presence,
    /// When and for which customers to alert.
    pub policy: Policy,
}
