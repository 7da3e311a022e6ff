//! The places on the way into a shop that a customer may be at, and what is known of every shop before
//! anything is measured in this one.
//!
//! Fitted on a family of random shops (`cargo run --release --example judge -- fit`): rates and levels
//! are counted there, not searched.

use super::gaussian::Joint;

/// How many places there are.
pub const PLACES: usize = 8;

/// Something for each place.
pub type ByPlace<T = f32> = [T; PLACES];

/// Down the street, out of sight.
pub const STREET: usize = 0;
/// Before the shop, walking.
pub const PASSING: usize = 1;
/// Before the shop, standing: at the window, waiting.
pub const STANDING: usize = 2;
/// In the shop next door.
pub const NEXT_DOOR: usize = 3;
/// The first steps behind the door.
pub const THRESHOLD: usize = 4;
/// Up to a third of the depth.
pub const NEAR: usize = 5;
/// Up to two thirds.
pub const MIDDLE: usize = 6;
/// The back.
pub const BACK: usize = 7;

/// What is measured of a gateway beside the levels at each place: those who stay, their highest, those
/// who pass, the walk test inside and outside.
pub const OBSERVED: usize = 5;
/// Levels at the places, then what is observed.
pub type GatewayJoint = Joint<{ PLACES + OBSERVED }>;

/// The same of a beacon: the level of those who stay, their share, of those who pass, their share.
pub const BEACON_OBSERVED: usize = 4;
/// Levels at the places, then what is observed.
pub type BeaconJoint = Joint<{ PLACES + BEACON_OBSERVED }>;
