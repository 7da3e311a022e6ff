//! The places on the way into a shop, which are the states of the filter, and what is known of
//! every shop before anything is measured in this one.
//!
//! Fitted on a family of random shops (`cargo run --release --example judge -- fit`): rates and
//! levels are counted there, not searched.

use super::gaussian::Joint;

pub const PLACES: usize = 8;

/// One value for each place.
pub type ByPlace<T = f32> = [T; PLACES];

/// Down the street, out of sight.
pub const STREET: usize = 0;
/// In front of the shop, walking.
pub const PASSING: usize = 1;
/// In front of the shop, standing: at the window, waiting.
pub const STANDING: usize = 2;
/// In the shop next door.
pub const NEXT_DOOR: usize = 3;
/// The first steps behind the door.
pub const THRESHOLD: usize = 4;
/// From there up to a third of the shop's depth.
pub const NEAR: usize = 5;
/// Up to two thirds.
pub const MIDDLE: usize = 6;
/// The last third.
pub const BACK: usize = 7;

/// Number of quantities that are measured of a gateway beside the levels at each place: the mean
/// and the highest level of customers who stay, the highest of those who pass, and the walk test
/// inside and outside.
pub const OBSERVED: usize = 5;
/// Levels at the places, then the measured quantities.
pub type GatewayJoint = Joint<{ PLACES + OBSERVED }>;

/// Number of quantities that are measured of a beacon: for customers who stay the level and its
/// fraction of echoes, then the same for those who pass.
pub const BEACON_OBSERVED: usize = 4;
/// Levels at the places, then the measured quantities.
pub type BeaconJoint = Joint<{ PLACES + BEACON_OBSERVED }>;
