//! The spots where somebody may be, as far as radio can tell them apart, and what is heard of
//! them there.
//!
//! The shop's own two levels (`presence.gateway_inside_dbm` and `gateway_outside_dbm`, by default
//! `arrive_rssi_dbm` and `leave_rssi_dbm`) say how loud a customer is a few steps in and before
//! the window; what is usual elsewhere lies so many dB from these. Chosen on simulated scenes and
//! measured doors, see `docs/detection.md`.

use crate::pipeline::{Levels, Place};

/// How many spots there are, in the order of a way in: the street, before the window, on the
/// threshold, a few steps in, well within, at the back.
pub const SPOTS: usize = 6;

/// Something for each spot.
pub type BySpot<T = f32> = [T; SPOTS];

/// Spots from here on are inside.
pub const FIRST_INSIDE: usize = 2;

/// Where somebody is who is heard for the first time.
pub const FIRST_HEARD: BySpot = [0.85, 0.10, 0.03, 0.01, 0.005, 0.005];

/// Where somebody is who is known to be inside.
pub const KNOWN_INSIDE: BySpot = [0.0, 0.01, 0.09, 0.3, 0.4, 0.2];

/// From one spot to the next and back again: how often in a second.
pub const WAYS: [(f32, f32); SPOTS - 1] =
    [(0.10, 0.15), (0.21, 0.24), (0.50, 0.035), (0.49, 0.045), (0.03, 0.03)];

/// What a gateway usually measures of a customer on each spot, in dBm.
pub fn gateway_dbm(place: Option<Place>, levels: Levels) -> BySpot {
    let Levels { inside_dbm: inside, outside_dbm: outside } = levels;
    let threshold = f32::midpoint(inside, outside);
    match place {
        Some(Place::Door) | None => {
            [outside - 3.0, outside + 2.0, inside + 6.0, inside - 3.0, inside - 8.0, inside - 9.0]
        }
        Some(Place::Inside) => {
            [outside - 2.0, outside, threshold, inside, inside + 3.0, inside + 3.0]
        }
        Some(Place::Outside) => [outside - 2.0, outside, threshold, inside, inside, inside - 2.0],
    }
}

/// How loud a customer's phone usually hears a beacon that stands at `place`, in dBm.
pub const fn beacon_dbm(place: Place) -> BySpot {
    match place {
        Place::Door => [-86.0, -66.5, -60.5, -62.0, -71.5, -82.0],
        Place::Inside => [-81.0, -82.0, -74.0, -69.0, -66.0, -70.0],
        Place::Outside => [-80.0, -62.0, -67.0, -73.0, -80.0, -84.0],
    }
}
