//! The spots where somebody may be, as far as radio can tell them apart, and what is heard of
//! them there.
//!
//! The shop's own two levels (`presence.gateway_inside_dbm` and `gateway_outside_dbm`, by default
//! `arrive_rssi_dbm` and `leave_rssi_dbm`) say how loud a customer is a few steps in and before
//! the window; what is usual elsewhere lies so many dB from these. Fitted to simulated shops, see
//! `tests/detection/fit` and `docs/detection.md`.

/// How many spots there are, in the order of a way in: the street, before the door, at the window
/// on the gateway's side of it, at the one on the other side, on the threshold, a few steps in,
/// well within, at the back.
pub const SPOTS: usize = 8;

/// Ways to turn: a body shadows what is behind it. With the phone towards the inside of the shop,
/// and towards the street.
pub const TURNS: usize = 2;

/// Something for each spot.
pub type BySpot<T = f32> = [T; SPOTS];

/// Something for each turn and spot.
pub type ByStance = [BySpot; TURNS];

/// Spots from here on are inside.
pub const THRESHOLD: usize = 4;

/// Where somebody is who is heard for the first time.
pub const FIRST_HEARD: BySpot = [0.8808, 0.0549, 0.0205, 0.0170, 0.0133, 0.0067, 0.0034, 0.0034];

/// Where somebody is who is known to be inside.
pub const KNOWN_INSIDE: BySpot = [0.00, 0.00, 0.00, 0.01, 0.09, 0.30, 0.40, 0.20];

/// From one spot to another, and how often in a second one goes there and back.
pub const WAYS: [(usize, usize, f32, f32); 12] = [
    (0, 1, 0.070, 0.091),
    (0, 2, 0.034, 0.072),
    (0, 3, 0.036, 0.144),
    (1, 2, 0.158, 0.062),
    (1, 3, 0.082, 0.071),
    (1, 4, 0.181, 0.069),
    (2, 4, 0.173, 0.097),
    (3, 4, 0.231, 0.060),
    (2, 3, 0.029, 0.051),
    (4, 5, 0.655, 0.085),
    (5, 6, 0.367, 0.085),
    (6, 7, 0.075, 0.026),
];

/// Customers turn so often in a second, outside and inside.
pub const TURNING: [f32; 2] = [0.009, 0.118];

/// What is usually measured of a customer: on each spot a normal distribution, the spread of which
/// (its standard deviation, in dB) is the same whichever way the customer is turned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// In each stance, in dB or dBm.
    pub mean: ByStance,
    /// Fading and shadowing, on each spot.
    pub spread: BySpot,
}

impl Profile {
    /// Chosen, not fitted: the same whichever way the customer is turned.
    const fn either_way(mean: BySpot, spread: BySpot) -> Self {
        Self { mean: [mean, mean], spread }
    }
}

/// How much what was chosen scatters.
const USUAL_SPREAD: BySpot = [6.5; SPOTS];

/// A gateway at the door: in dB from the level of the spot's side, as the next four.
pub const AT_THE_DOOR: Profile = Profile {
    mean: [
        [-13.3, -0.2, 7.0, 0.2, -1.4, -6.7, -10.1, -10.9],
        [-7.2, 0.3, 10.1, 2.3, 5.0, 2.1, -5.6, -8.3],
    ],
    spread: [8.3, 8.9, 3.5, 6.9, 8.0, 7.4, 8.7, 12.4],
};

/// One near the door of which no walk test says how loud customers are where.
pub const SOMEWHERE: Profile =
    Profile::either_way([-3.0, 2.0, 2.0, 2.0, 6.0, -3.0, -8.0, -9.0], USUAL_SPREAD);

/// One well inside, at the till, beside one at the door; where its two levels are 10 dB apart.
pub const DEEP_INSIDE: Profile = Profile {
    mean: [[1.9, 4.4, 9.7, 10.3, 2.9, 0.8, 4.3, 6.7], [-6.2, 2.0, 4.5, 3.7, -2.0, -2.0, 1.6, -1.1]],
    spread: [7.8, 8.7, 4.8, 5.3, 5.0, 8.6, 9.2, 9.1],
};

/// One inside that watches the door itself, as at the measured one: people pass it within moments.
pub const NEAR_THE_DOOR: Profile =
    Profile::either_way([-3.3, 0.0, 0.0, 0.0, -5.0, 0.0, 5.0, 5.0], USUAL_SPREAD);

/// One outside, as at the measured door.
pub const OUTSIDE: Profile =
    Profile::either_way([-3.3, 0.0, 0.0, 0.0, 5.0, 0.0, 0.0, -3.3], USUAL_SPREAD);

/// How loud a phone hears the beacon at the door, in dBm. It averages a few packets; the body it is
/// carried on does not average out.
pub const DOOR_BEACON: Profile = Profile {
    mean: [
        [-89.9, -74.6, -77.0, -69.6, -71.3, -68.2, -75.3, -85.1],
        [-82.2, -70.1, -71.4, -62.7, -57.4, -65.6, -74.3, -81.6],
    ],
    spread: [10.7, 4.1, 6.0, 3.5, 4.5, 7.8, 5.3, 7.2],
};

/// The same of the beacon inside.
pub const INSIDE_BEACON: Profile = Profile {
    mean: [
        [-83.1, -76.8, -77.1, -80.2, -67.9, -67.5, -64.0, -67.7],
        [-85.6, -82.3, -83.2, -84.2, -78.2, -76.0, -72.9, -73.8],
    ],
    spread: [4.8, 5.1, 6.6, 4.9, 1.6, 5.1, 8.8, 11.2],
};

/// The same of a beacon outside (its levels are not fitted).
pub const OUTSIDE_BEACON: Profile = Profile::either_way(
    [-80.0, -62.0, -62.0, -62.0, -67.0, -73.0, -80.0, -84.0],
    INSIDE_BEACON.spread,
);
