//! The shop as radio finds it: what each gateway usually measures of a customer, and what
//! customers' phones hear of its beacons. Worked out once, for every contact to be weighed against.

use wide::f32x8;

use super::lanes::{all, exp};
use super::spots::{
    AT_THE_DOOR, BySpot, DEEP_INSIDE, DOOR_BEACON, INSIDE_BEACON, NEAR_THE_DOOR, OUTSIDE,
    OUTSIDE_BEACON, Profile, SOMEWHERE, THRESHOLD, TURNS,
};
use crate::pipeline::advert::Echo;
use crate::pipeline::event::GatewayIndex;
use crate::pipeline::units::Dbm;
use crate::pipeline::{Gateway, Levels, Place, Settings};

/// A gateway inside whose two levels are no more apart than this stands just inside the door ...
const NEAR_DB: f32 = 7.0;
/// ... and from here on, well inside.
const DEEP_DB: f32 = 10.0;

/// Readings closer together than this, in seconds, repeat each other: of a gateway whose levels
/// were fitted, and of others.
const REPEATS_S: [f32; 2] = [1.18, 0.45];

/// Something for each turn, all spots side by side.
pub type Stances = [f32x8; TURNS];

/// A [`Profile`], ready to be weighed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normal {
    /// Means.
    pub mean: Stances,
    /// One over the standard deviation.
    pub inverse_spread: f32x8,
    /// Natural logarithm of the standard deviation.
    pub log_spread: f32x8,
}

/// What a gateway usually measures of a customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usual {
    /// In dBm.
    pub levels: Normal,
    /// Readings closer together than this, in seconds, repeat each other.
    pub repeats_s: f32,
    /// Whether the gateway stands at the door.
    pub at_the_door: bool,
    /// Added to what it measures, in dB.
    offset_db: f32,
}

/// Where the gateways and beacons of a shop stand, as far as radio cares.
#[derive(Debug)]
pub struct Premises {
    gateways: Vec<Usual>,
    /// Of a gateway that is not configured.
    stranger: Usual,
    zones: [Option<Place>; 16],
    /// The places where beacons stand, and what phones hear of one there.
    beacons: Vec<(Place, Normal)>,
}

/// One contact, as the belief weighs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading<'a> {
    /// Who heard it.
    pub gateway: GatewayIndex,
    /// What is usual there.
    pub usual: &'a Usual,
    /// As measured, offset added; `None` if the driver did not say how loud.
    pub rssi_dbm: Option<f32>,
    /// What the phone itself said it hears.
    pub echo: Option<Echo>,
    /// Log-likelihood of that in each stance; `None` where the beacon's place is not known.
    pub echo_likelihood: Option<Stances>,
}

impl Premises {
    /// As configured.
    pub fn new(settings: &Settings) -> Self {
        let Settings { gateways, zones, presence, .. } = settings;
        let (near, far) = (presence.arrive_rssi_dbm, presence.leave_rssi_dbm);
        let usual = |about: Option<&Gateway>| {
            let place = about.and_then(|about| about.place).unwrap_or(Place::Door);
            let usual = match place {
                Place::Outside => Levels { inside_dbm: far, outside_dbm: near },
                Place::Door | Place::Inside => Levels { inside_dbm: near, outside_dbm: far },
            };
            let measured = about.and_then(|about| about.levels);
            let (profile, repeats_s) =
                profile(place, measured.unwrap_or(usual), measured.is_some());
            Usual {
                levels: Normal::of(&profile),
                repeats_s,
                at_the_door: place == Place::Door,
                offset_db: about.map_or(0.0, |about| about.offset_db),
            }
        };
        let beacons = [
            (Place::Door, DOOR_BEACON),
            (Place::Inside, INSIDE_BEACON),
            (Place::Outside, OUTSIDE_BEACON),
        ];
        let stand = beacons.iter().filter(|(place, _)| zones.contains(&Some(*place)));
        Self {
            gateways: gateways.iter().map(|gateway| usual(Some(gateway))).collect(),
            stranger: usual(None),
            zones: *zones,
            beacons: stand.map(|(place, profile)| (*place, Normal::of(profile))).collect(),
        }
    }

    /// A contact, from a measurement and an echo.
    pub fn reading(
        &self,
        gateway: GatewayIndex,
        rssi: Option<Dbm>,
        echo: Option<Echo>,
    ) -> Reading<'_> {
        let usual = self.gateways.get(usize::from(gateway.0)).unwrap_or(&self.stranger);
        Reading {
            gateway,
            usual,
            rssi_dbm: rssi.map(|rssi| f32::from(rssi) + usual.offset_db),
            echo,
            echo_likelihood: echo.and_then(|echo| self.likelihood(echo)),
        }
    }

    /// Log-likelihood of an echo in each stance: that beacon so loud, and those elsewhere no
    /// louder, for a phone reports the one it hears best.
    fn likelihood(&self, echo: Echo) -> Option<Stances> {
        let here = self.zones.get(usize::from(echo.zone)).copied().flatten()?;
        let heard_dbm = all(f32::from(echo.rssi()?));
        let mut sum = [f32x8::ZERO; TURNS];
        for (place, beacon) in &self.beacons {
            for (sum, mean) in sum.iter_mut().zip(beacon.mean) {
                let away = (heard_dbm - mean) * beacon.inverse_spread;
                *sum += if *place == here {
                    away * away * const { all(-0.5) } - beacon.log_spread
                } else {
                    no_louder(away)
                };
            }
        }
        Some(sum)
    }
}

impl Normal {
    fn of(Profile { mean, spread }: &Profile) -> Self {
        Self {
            mean: mean.map(f32x8::new),
            inverse_spread: f32x8::new(spread.map(f32::recip)),
            log_spread: f32x8::new(spread.map(f32::ln)),
        }
    }
}

/// What a gateway usually measures, in dBm, whose two levels were `measured` in a walk test, or are
/// but what is usual: then all that is known is that loud is inside. And how soon it repeats itself.
fn profile(place: Place, levels: Levels, measured: bool) -> (Profile, f32) {
    let Levels { inside_dbm, outside_dbm } = levels;
    let apart_db = (inside_dbm - outside_dbm).abs();
    let deep = ((apart_db - NEAR_DB) / (DEEP_DB - NEAR_DB)).clamp(0.0, 1.0);
    let scale = apart_db / 10.0;
    let (scale, fitted, mut profile) = match (place, measured) {
        (Place::Door, true) => (1.0, 1.0, AT_THE_DOOR),
        (Place::Door, false) => (1.0, 0.0, SOMEWHERE),
        (Place::Inside, true) => (scale, deep, NEAR_THE_DOOR.on_the_way(&DEEP_INSIDE, deep)),
        (Place::Inside, false) => (scale, 0.0, NEAR_THE_DOOR),
        (Place::Outside, _) => (scale, 0.0, OUTSIDE),
    };
    for turn in &mut profile.mean {
        for (nth, level) in turn.iter_mut().enumerate() {
            *level = *level * scale + if nth < THRESHOLD { outside_dbm } else { inside_dbm };
        }
    }
    let [quick, slow] = REPEATS_S;
    (profile, slow + fitted * (quick - slow))
}

impl Profile {
    /// Between this and `other`, `part` (0 to 1) of the way to it.
    fn on_the_way(self, other: &Self, part: f32) -> Self {
        let mix = |this: BySpot, other: &BySpot| {
            let mut mixed = this;
            mixed.iter_mut().zip(other).for_each(|(this, other)| *this += part * (other - *this));
            mixed
        };
        let ([toward, away], [other_toward, other_away]) = (self.mean, &other.mean);
        Self {
            mean: [mix(toward, other_toward), mix(away, other_away)],
            spread: mix(self.spread, &other.spread),
        }
    }
}

/// Logarithm of the normal distribution's integral up to `away`, by the logistic one's.
fn no_louder(away: f32x8) -> f32x8 {
    let steep = away * const { all(-1.7) };
    let above = steep.fast_max(f32x8::ZERO);
    -(above + (exp(-steep.abs()) + const { all(1.0) }).ln())
}
