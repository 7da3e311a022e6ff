//! The spots where somebody may be, as far as radio can tell them apart, and what is heard of
//! them there.
//!
//! The shop's own two levels (`presence.gateway_inside_dbm` and `gateway_outside_dbm`, by default
//! `arrive_rssi_dbm` and `leave_rssi_dbm`) say how loud a customer is a few steps in and before
//! the window; what is usual elsewhere lies so many dB from these. Fitted to simulated shops, see
//! `tests/detection/fit` and `docs/detection.md`.

use crate::pipeline::{Levels, Place};

/// How many spots there are, in the order of a way in: the street, before the door, at the window
/// on the gateway's side of it, at the one on the other side, on the threshold, a few steps in,
/// well within, at the back.
pub const SPOTS: usize = 8;

/// Ways to turn: a body shadows what is behind it. With the phone towards the inside of the shop,
/// and towards the street.
pub const TURNS: usize = 2;

/// Something for each spot.
pub type BySpot<T = f32> = [T; SPOTS];

/// Something for each spot and turn.
pub type ByStance = BySpot<[f32; TURNS]>;

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

/// A gateway at the door: in dB from the level of the spot's side, as the next three.
const AT_THE_DOOR: Usual = Usual {
    dbm: [
        [-13.3, -7.2],
        [-0.2, 0.3],
        [7.0, 10.1],
        [0.2, 2.3],
        [-1.4, 5.0],
        [-6.7, 2.1],
        [-10.1, -5.6],
        [-10.9, -8.3],
    ],
    spread_db: [8.3, 8.9, 3.5, 6.9, 8.0, 7.4, 8.7, 12.4],
    repeats_s: 1.18,
};

/// One near the door of which no walk test says how loud customers are where.
const SOMEWHERE: Usual = Usual {
    dbm: [
        [-3.0, -3.0],
        [2.0, 2.0],
        [2.0, 2.0],
        [2.0, 2.0],
        [6.0, 6.0],
        [-3.0, -3.0],
        [-8.0, -8.0],
        [-9.0, -9.0],
    ],
    spread_db: [6.5, 6.5, 6.5, 6.5, 6.5, 6.5, 6.5, 6.5],
    repeats_s: 0.45,
};

/// One well inside, at the till, where its two levels are 10 dB apart.
const DEEP_INSIDE: Usual = Usual {
    dbm: [
        [1.9, -6.2],
        [4.4, 2.0],
        [9.7, 4.5],
        [10.3, 3.7],
        [2.9, -2.0],
        [0.8, -2.0],
        [4.3, 1.6],
        [6.7, -1.1],
    ],
    spread_db: [7.8, 8.7, 4.8, 5.3, 5.0, 8.6, 9.2, 9.1],
    repeats_s: 1.18,
};

/// One just inside the door, as at the measured one: people pass it within moments.
const NEAR_THE_DOOR: Usual = Usual {
    dbm: [
        [-3.3, -3.3],
        [0.0, 0.0],
        [0.0, 0.0],
        [0.0, 0.0],
        [-5.0, -5.0],
        [0.0, 0.0],
        [5.0, 5.0],
        [5.0, 5.0],
    ],
    spread_db: [6.5, 6.5, 6.5, 6.5, 6.5, 6.5, 6.5, 6.5],
    repeats_s: 0.45,
};

/// One outside, as at the measured door.
const OUTSIDE: Usual = Usual {
    dbm: [
        [-3.3, -3.3],
        [0.0, 0.0],
        [0.0, 0.0],
        [0.0, 0.0],
        [5.0, 5.0],
        [0.0, 0.0],
        [0.0, 0.0],
        [-3.3, -3.3],
    ],
    spread_db: [6.5, 6.5, 6.5, 6.5, 6.5, 6.5, 6.5, 6.5],
    repeats_s: 0.45,
};

/// A gateway inside whose two levels are no more apart than this stands just inside the door ...
const NEAR_DB: f32 = 7.0;
/// ... and from here on, well inside.
const DEEP_DB: f32 = 10.0;

/// How loud a phone hears the beacon at the door, in dBm.
const DOOR_BEACON_DBM: ByStance = [
    [-89.9, -82.2],
    [-74.6, -70.1],
    [-77.0, -71.4],
    [-69.6, -62.7],
    [-71.3, -57.4],
    [-68.2, -65.6],
    [-75.3, -74.3],
    [-85.1, -81.6],
];

/// The same of the beacon inside.
const INSIDE_BEACON_DBM: ByStance = [
    [-83.1, -85.6],
    [-76.8, -82.3],
    [-77.1, -83.2],
    [-80.2, -84.2],
    [-67.9, -78.2],
    [-67.5, -76.0],
    [-64.0, -72.9],
    [-67.7, -73.8],
];

/// The same of a beacon outside (not fitted).
const OUTSIDE_BEACON_DBM: ByStance = [
    [-80.0, -80.0],
    [-62.0, -62.0],
    [-62.0, -62.0],
    [-62.0, -62.0],
    [-67.0, -67.0],
    [-73.0, -73.0],
    [-80.0, -80.0],
    [-84.0, -84.0],
];

/// How much an echo scatters on each spot, in dB: of the beacon at the door, and of others.
const ECHO_SPREAD_DB: [BySpot; 2] =
    [[10.7, 4.1, 6.0, 3.5, 4.5, 7.8, 5.3, 7.2], [4.8, 5.1, 6.6, 4.9, 1.6, 5.1, 8.8, 11.2]];

/// What a gateway usually measures of a customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usual {
    /// In each stance, in dBm.
    pub dbm: ByStance,
    /// How that scatters on each spot, in dB: fading and shadowing.
    pub spread_db: BySpot,
    /// Readings closer together than this, in seconds, repeat each other.
    pub repeats_s: f32,
}

impl Usual {
    /// Of a gateway whose two levels were `measured` in a walk test, or are but what is usual: then
    /// all that is known is that loud is inside.
    pub fn of(place: Place, levels: Levels, measured: bool) -> Self {
        let Levels { inside_dbm, outside_dbm } = levels;
        let apart_db = (inside_dbm - outside_dbm).abs();
        let deep = ((apart_db - NEAR_DB) / (DEEP_DB - NEAR_DB)).clamp(0.0, 1.0);
        let (scale, mut usual) = match (place, measured) {
            (Place::Door, true) => (1.0, AT_THE_DOOR),
            (Place::Door, false) => (1.0, SOMEWHERE),
            (Place::Inside, true) => {
                (apart_db / 10.0, NEAR_THE_DOOR.on_the_way(&DEEP_INSIDE, deep))
            }
            (Place::Inside, false) => (apart_db / 10.0, NEAR_THE_DOOR),
            (Place::Outside, _) => (apart_db / 10.0, OUTSIDE),
        };
        for (nth, spot) in usual.dbm.iter_mut().enumerate() {
            let side_dbm = if nth < THRESHOLD { outside_dbm } else { inside_dbm };
            spot.iter_mut().for_each(|level| *level = side_dbm + *level * scale);
        }
        usual
    }

    /// Between this and `other`, `part` (0 to 1) of the way to it.
    fn on_the_way(mut self, other: &Self, part: f32) -> Self {
        let mix = |this: &mut f32, other: f32| *this += part * (other - *this);
        let levels = self.dbm.as_flattened_mut().iter_mut();
        levels.zip(other.dbm.as_flattened()).for_each(|(this, other)| mix(this, *other));
        self.spread_db.iter_mut().zip(other.spread_db).for_each(|(this, other)| mix(this, other));
        mix(&mut self.repeats_s, other.repeats_s);
        self
    }
}

/// How loud a customer's phone usually hears a beacon that stands at `place`, in dBm.
pub const fn beacon_dbm(place: Place) -> &'static ByStance {
    match place {
        Place::Door => &DOOR_BEACON_DBM,
        Place::Inside => &INSIDE_BEACON_DBM,
        Place::Outside => &OUTSIDE_BEACON_DBM,
    }
}

/// Standard deviation round that on each spot, in dB: the phone averages a few packets, the body
/// it is carried on does not average out.
pub const fn echo_spread_db(place: Place) -> &'static BySpot {
    let [door, elsewhere] = &ECHO_SPREAD_DB;
    match place {
        Place::Door => door,
        Place::Inside | Place::Outside => elsewhere,
    }
}
