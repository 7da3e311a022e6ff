//! What is known of a shop before any reading, as inputs of the network.
//!
//! Gateways are in two groups, so that any number of them fits: those inside and those at the door
//! or outside, or two halves where all hang at one side.

use super::survey::{BeaconTraffic, GatewayTraffic, KINDS, Mean, Survey, kind};
use crate::pipeline::gateway::{Gateway, Levels, Place};

/// Groups of gateways.
pub const GROUPS: usize = 2;
/// A mean over this many customers is as good as known.
const MANY: f32 = 30.0;

/// What is known of a gateway before any reading, as inputs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Known {
    /// The group, 0 or 1.
    pub group: usize,
    /// What the settings of head office add to the usual levels, in dB.
    pub shift_db: f32,
    pub about: [f32; ABOUT],
    /// Levels that readings are compared with, in dBm: means of traffic, then those of the walk
    /// test.
    pub mean_dbm: [Option<f32>; 3],
    /// The same for the highest reading.
    pub peak_dbm: [Option<f32>; 2],
}

/// What is known of the whole shop, as inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shop {
    pub about: [f32; SHOP],
    /// The first gateway of each group.
    pub first: [Option<usize>; GROUPS],
    /// By [`kind`] of place.
    pub echoes: [KnownEcho; KINDS],
}

/// What phones report of the beacons at one kind of place.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct KnownEcho {
    /// Mean levels of customers who stay and who pass, in dBm.
    pub dbm: [Option<f32>; 2],
    /// The fraction of their echoes that name it, from -1 to 1; 0 where it is not known.
    pub share: [f32; 2],
}

/// Inputs that are known of a gateway.
pub const ABOUT: usize = 10;
const SHOP: usize = 15;

impl Known {
    /// `shift_db` is what the settings of head office add to the usual levels.
    pub fn new(
        gateway: Option<&Gateway>,
        place: Place,
        traffic: &GatewayTraffic,
        shift_db: f32,
    ) -> Self {
        let walk = gateway.and_then(|one| one.levels);
        let [door, inside, outside] = [0, 1, 2].map(|nth| indicator(kind(place) == nth));
        let (stays, passes) = (known(traffic.stays), known(traffic.passes));
        let level = |dbm: Option<f32>| dbm.map_or(0.0, |dbm| absolute(dbm - shift_db));
        let at = |of: fn(Levels) -> f32| walk.map(of);
        let (within, without) = (at(|walk| walk.inside_dbm), at(|walk| walk.outside_dbm));
        Self {
            group: 0,
            shift_db,
            about: [
                door,
                inside,
                outside,
                part(traffic.stays),
                part(traffic.passes),
                level(stays),
                level(passes),
                indicator(walk.is_some()),
                level(within),
                level(without),
            ],
            mean_dbm: [stays, within, without],
            peak_dbm: [known(traffic.stay_peaks), passes],
        }
    }
}

impl Shop {
    /// `groups` has the group of each gateway.
    pub fn new(survey: &Survey, groups: &[usize]) -> Self {
        let log = |count: f32| (1.0 + count).ln() / 3.0;
        let odds = ((survey.stays + 1.0) / (survey.passes + 3.0)).ln();
        let mut about = [0.0; SHOP];
        about[..3].copy_from_slice(&[log(survey.stays), log(survey.passes), odds]);
        let echoes = survey.beacons.map(|traffic| KnownEcho::new(&traffic));
        let beacons = survey.beacons.iter().zip(&echoes);
        for (inputs, (traffic, echo)) in about[3..].chunks_exact_mut(6).zip(beacons) {
            inputs.copy_from_slice(&beacon(traffic, echo));
        }
        let first = [0, 1].map(|group| groups.iter().position(|one| *one == group));
        Self { about, first, echoes }
    }
}

impl KnownEcho {
    fn new(traffic: &BeaconTraffic) -> Self {
        let share = |mean: Mean| known(mean).map_or(0.0, |share| 2.0 * share - 1.0);
        Self {
            dbm: [known(traffic.stays), known(traffic.passes)],
            share: [share(traffic.stay_share), share(traffic.pass_share)],
        }
    }
}

fn beacon(traffic: &BeaconTraffic, echo: &KnownEcho) -> [f32; 6] {
    let [stays, passes] = echo.dbm.map(|dbm| dbm.map_or(0.0, absolute));
    let [stay_share, pass_share] = echo.share;
    [part(traffic.stays), stays, stay_share, part(traffic.passes), passes, pass_share]
}

/// The group of each gateway.
pub fn groups(places: &[Place]) -> Vec<usize> {
    let within = places.iter().filter(|place| **place == Place::Inside).count();
    let half = places.len().div_ceil(2);
    let of = |(nth, place): (usize, &Place)| {
        usize::from(if within == 0 || within == places.len() {
            nth >= half
        } else {
            *place != Place::Inside
        })
    };
    places.iter().enumerate().map(of).collect()
}

fn known(mean: Mean) -> Option<f32> {
    (mean.count > 0.0).then_some(mean.mean)
}

fn part(mean: Mean) -> f32 {
    (mean.count / MANY).min(1.0)
}

pub fn absolute(dbm: f32) -> f32 {
    (dbm + 75.0) / 10.0
}

pub fn indicator(yes: bool) -> f32 {
    if yes { 1.0 } else { 0.0 }
}
