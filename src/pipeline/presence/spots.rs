//! The spots where somebody may be, as far as radio can tell them apart, and what is heard of
//! them there.
//!
//! A spot is a place and a way to face it: a body shadows what is behind it, so that the same place
//! sounds otherwise to those who come and to those who go. There are four for each of eight places
//! on the way in: the street, before the door, at the window on the gateway's side of it, at the one
//! on the other side, the threshold, a few steps in, well within, the back. The fit began with
//! these, and was free to go elsewhere.
//!
//! The shop's own two levels (`presence.gateway_inside_dbm` and `gateway_outside_dbm`, by default
//! `arrive_rssi_dbm` and `leave_rssi_dbm`) say how loud a customer is a few steps in and before
//! the window; what is usual elsewhere lies so many dB from these. Fitted to simulated shops, see
//! `tests/detection/fit` and `docs/detection.md`.

use super::fitted::{self, LOUDER_DB};
pub use super::fitted::{
    AT_THE_DOOR, BESIDE_ECHO, DOOR_BEACON, ECHO_REPEATS_S, FIRST_HEARD, INSIDE_BEACON,
    KNOWN_INSIDE, LOUDNESS_DRIFT, NEW_ECHO, REPEATS_S, WITHIN,
};
use super::lanes::Lanes;

/// How many spots there are.
pub const SPOTS: usize = PLACES * 4;

/// How many places they are in.
const PLACES: usize = 8;

/// Something for each spot.
pub type BySpot<T = f32> = [T; SPOTS];

/// Spots from here on are inside.
pub const THRESHOLD: usize = 16;

/// One for each spot inside, nothing for those outside.
pub const INSIDE: Lanes = Lanes::new(everywhere([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]));

/// One for each spot on the threshold.
pub const THE_DOOR: Lanes = Lanes::new(everywhere([0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]));

/// Whoever is in the street walks out of reach so often in a second (chosen: it is some thirty
/// metres. The fit looks at a first half minute, this is about the minutes after it).
const WALKS_ON: f32 = 0.04;

/// [`fitted::MOVES`], spots side by side.
#[expect(clippy::indexing_slicing, reason = "computed by the compiler, which would say so")]
pub static MOVES: BySpot<Lanes> = {
    let mut moves = [Lanes::NOTHING; SPOTS];
    let mut from = 0;
    while from < SPOTS {
        let mut rates = fitted::MOVES[from];
        if from < SPOTS / PLACES {
            rates[from] -= WALKS_ON;
        }
        moves[from] = Lanes::new(rates);
        from += 1;
    }
    moves
};

/// Phones, in dB from the usual.
pub const LOUDNESS_DB: [f32; 3] = [-LOUDER_DB, 0.0, LOUDER_DB];

/// What is usually measured of a customer: on each spot a normal distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// In dB or dBm.
    pub mean: BySpot,
    /// Fading and shadowing: the standard deviation above the mean, in dB.
    pub spread: BySpot,
    /// Below the mean it is as many times less.
    pub skew: f32,
}

impl Profile {
    /// Chosen, not fitted: the same whichever way the customer is turned.
    const fn chosen(by_place: [f32; PLACES], spread: BySpot) -> Self {
        Self { mean: everywhere(by_place), spread, skew: 1.0 }
    }
}

/// The same on all spots of a place.
#[expect(clippy::indexing_slicing, reason = "computed by the compiler, which would say so")]
const fn everywhere(by_place: [f32; PLACES]) -> BySpot {
    let mut by_spot = [0.0; SPOTS];
    let mut spot = 0;
    while spot < SPOTS {
        by_spot[spot] = by_place[spot * PLACES / SPOTS];
        spot += 1;
    }
    by_spot
}

/// One of which no walk test says how loud customers are where: loud is inside.
pub const SOMEWHERE: Profile =
    Profile::chosen([-3.0, 2.0, 2.0, 2.0, 6.0, -3.0, -8.0, -9.0], [6.5; SPOTS]);

/// One inside, with others outside, as at the measured door: people pass it within moments.
pub const NEAR_THE_DOOR: Profile =
    Profile::chosen([-5.0, 3.1, -2.4, 0.0, 0.2, -2.0, 5.7, 5.0], [4.7; SPOTS]);

/// One outside, as at the measured door.
pub const OUTSIDE: Profile =
    Profile::chosen([0.5, 3.9, 1.9, -0.9, 7.2, 3.4, -4.0, -2.9], [7.0; SPOTS]);

/// How loud a phone hears a beacon outside, in dBm (its levels are not fitted).
pub const OUTSIDE_BEACON: Profile =
    Profile::chosen([-80.0, -62.0, -62.0, -62.0, -67.0, -73.0, -80.0, -84.0], INSIDE_BEACON.spread);
