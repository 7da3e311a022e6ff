//! A scene: where gateways and beacons stand, and who comes.

use std::sync::Arc;
use std::time::Duration;

use super::floor_plan::Point;
use super::trajectory::Trajectory;
use crate::pipeline::Place;

/// A simulated shop, its surroundings and its people.
#[derive(Debug, Clone, PartialEq)]
pub struct Scene {
    pub store: u16,
    /// Its gateways: names and places.
    pub gateways: Vec<(Arc<str>, Point)>,
    /// Its beacons: zones and places. Without any, the app always advertises.
    pub beacons: Vec<(u8, Point)>,
    pub people: People,
    /// When the scene ends; never, where absent.
    pub lasts: Option<Duration>,
}

/// Who comes to a scene.
#[derive(Debug, Clone, PartialEq)]
pub struct People {
    pub customers: Customers,
    /// Number of strangers' devices that stay all the time.
    pub staying: u32,
    /// Number of strangers a minute who walk past or come in.
    pub passing_per_minute: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Customers {
    /// Each with a trajectory and a start.
    Planned(Vec<Role>),
    /// They come and go without end; there are this many.
    Daily(u32),
}

/// A customer's part in the scene.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Role {
    pub customer: u32,
    /// When the trajectory begins.
    pub at: Duration,
    pub trajectory: Trajectory,
    /// Number of others with the same trajectory who walk beside this customer.
    pub beside: u8,
}

impl Scene {
    /// An ordinary day in `store`, for demonstrations. Gateways and beacons stand where the
    /// configuration says; a gateway without a place stands at the door.
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

    /// Strangers only, `staying` of them at a time, for `lasts`.
    pub fn crowd(staying: u32, lasts: Duration) -> Self {
        let mut scene = Self::daily(42, &[("door", None)], &[]);
        scene.people =
            People { customers: Customers::Planned(Vec::new()), staying, passing_per_minute: 0.0 };
        scene.lasts = Some(lasts);
        scene
    }

    /// Number of customers in the registry.
    pub fn enrolled(&self) -> u32 {
        match &self.people.customers {
            Customers::Daily(enrolled) => *enrolled,
            Customers::Planned(roles) => {
                roles.iter().map(|role| role.customer + 1).max().unwrap_or(0)
            }
        }
    }
}

/// Enough that few people come twice within the hours between two alerts.
const DAILY_CUSTOMERS: u32 = 240;

/// Where a gateway usually hangs.
pub const fn gateway_at(place: Place) -> Point {
    match place {
        Place::Door => Point::at(1.2, 0.6),
        Place::Inside => Point::at(-1.0, 4.0),
        Place::Outside => Point::at(2.0, -0.3),
    }
}

/// Where a beacon is usually attached.
pub const fn beacon_at(place: Place) -> Point {
    match place {
        Place::Door => Point::at(-0.9, -0.3),
        Place::Inside => Point::at(0.5, 2.5),
        Place::Outside => Point::at(-2.0, -0.3),
    }
}
