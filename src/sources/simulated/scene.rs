//! What is simulated: where gateways and beacons stand, and who comes.

use std::sync::Arc;
use std::time::Duration;

use super::floor_plan::Point;
use super::trajectory::Trajectory;
use crate::pipeline::Place;

/// A simulated shop, its surroundings and its people.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    /// The store's number.
    pub store: u16,
    /// Its gateways: names and places.
    pub gateways: Vec<(Arc<str>, Point)>,
    /// Its beacons: zones and places. Without any, the app always advertises.
    pub beacons: Vec<(u8, Point)>,
    /// Who comes.
    pub people: People,
    /// When it is over; never, where absent.
    pub lasts: Option<Duration>,
}

/// Who comes to a scene.
#[derive(Debug, Clone, PartialEq)]
pub struct People {
    /// Enrolled customers.
    pub customers: Customers,
    /// Strangers' devices that stay all the time.
    pub staying: u32,
    /// Strangers who walk past or come in, for each minute.
    pub passing_per_minute: f64,
}

/// Enrolled customers of a scene.
#[derive(Debug, Clone, PartialEq)]
pub enum Customers {
    /// Each with a plan, from a moment on.
    Planned(Vec<Role>),
    /// They come and go without end, out of this many.
    Daily(u32),
}

/// A customer with a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Role {
    /// The customer's number.
    pub customer: u32,
    /// When it begins.
    pub at: Duration,
    /// What the customer means to do.
    pub trajectory: Trajectory,
    /// Walks beside this many others with the same trajectory.
    pub beside: u8,
}

impl Scene {
    /// An ordinary day in `store`, for demonstrations: where its gateways and beacons stand by
    /// what the configuration says of them (a gateway of which it says nothing, at the door).
    pub fn daily(store: u16, gateways: &[(&str, Option<Place>)], zones: &[Option<Place>]) -> Self {
        let post = |(name, place): &(&str, Option<Place>)| {
            (Arc::from(*name), gateway_at(place.unwrap_or(Place::Door)))
        };
        let zones = zones.iter().zip(0..16).skip(1);
        Self {
            store,
            gateways: gateways.iter().map(post).collect(),
            beacons: zones.filter_map(|(place, zone)| Some((zone, beacon_at((*place)?)))).collect(),
            people: People {
                customers: Customers::Daily(DAILY_CUSTOMERS),
                staying: 12,
                passing_per_minute: 6.0,
            },
            lasts: None,
        }
    }

    /// Only strangers, `staying` of them at a time, for `lasts`.
    pub fn crowd(staying: u32, lasts: Duration) -> Self {
        let mut scene = Self::daily(42, &[("door", None)], &[]);
        scene.people =
            People { customers: Customers::Planned(Vec::new()), staying, passing_per_minute: 0.0 };
        scene.lasts = Some(lasts);
        scene
    }

    /// How many customers the registry has.
    pub fn enrolled(&self) -> u32 {
        match &self.people.customers {
            Customers::Daily(enrolled) => *enrolled,
            Customers::Planned(roles) => {
                roles.iter().map(|role| role.customer + 1).max().unwrap_or(0)
            }
        }
    }
}

/// Enough that hardly anybody comes twice within the hours between two alerts.
const DAILY_CUSTOMERS: u32 = 240;

/// Where a gateway usually hangs.
pub const fn gateway_at(place: Place) -> Point {
    match place {
        Place::Door => Point::at(1.2, 0.6),
        Place::Inside => Point::at(-1.0, 4.0),
        Place::Outside => Point::at(2.0, -0.3),
    }
}

/// Where a beacon usually sticks.
pub const fn beacon_at(place: Place) -> Point {
    match place {
        Place::Door => Point::at(-0.9, -0.3),
        Place::Inside => Point::at(0.5, 2.5),
        Place::Outside => Point::at(-2.0, -0.3),
    }
}
