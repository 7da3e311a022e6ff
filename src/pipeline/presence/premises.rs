//! The shop as radio finds it: what each gateway usually measures of a customer, and what
//! customers' phones hear of its beacons. Worked out once, for every contact to be weighed against.

use super::lanes::Lanes;
use super::spots::{
    AT_THE_DOOR, DOOR_BEACON, INSIDE_BEACON, NEAR_THE_DOOR, OUTSIDE, OUTSIDE_BEACON, Profile,
    REPEATS_S, SOMEWHERE, THRESHOLD, WITHIN,
};
use crate::pipeline::advert::Echo;
use crate::pipeline::gateway::GatewayIndex;
use crate::pipeline::gateway::{Gateway, Levels, Place};
use crate::pipeline::settings::Settings;
use crate::pipeline::units::Dbm;

/// The same as [`REPEATS_S`], of gateways whose levels were not fitted.
const GUESSED_REPEATS_S: f32 = 0.41;

/// A [`Profile`], ready to be weighed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normal {
    /// Means.
    pub mean: Lanes,
    /// One over the standard deviation.
    pub inverse_spread: Lanes,
    /// Natural logarithm of the standard deviation.
    pub log_spread: Lanes,
    /// Below the mean the standard deviation is as many times less.
    pub skew: f32,
}

/// What a gateway usually measures of a customer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usual {
    /// In dBm.
    pub levels: Normal,
    /// Readings closer together than this, in seconds, repeat each other.
    pub repeats_s: f32,
    /// Whether the gateway hears whoever goes through the door.
    pub at_the_door: bool,
    /// Added to what it measures, in dB.
    offset_db: f32,
    /// Fainter readings are no evidence, in dBm; `None` where all of them are.
    evidence_from_dbm: Option<f32>,
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
    /// As measured, offset added; `None` where the driver reports no level, or it is no evidence.
    pub rssi_dbm: Option<f32>,
    /// What the phone itself said it hears.
    pub echo: Option<Echo>,
    /// Log-likelihood of that on each spot; `None` where the beacon's place is not known.
    pub echo_likelihood: Option<Lanes>,
}

impl Reading<'_> {
    /// Whether it comes from a gateway outside whose faint readings say nothing, without an echo:
    /// it does not keep a visit open.
    pub const fn is_outside_alone(&self) -> bool {
        self.usual.evidence_from_dbm.is_some() && self.echo_likelihood.is_none()
    }

    /// Whether it says anything of where the customer is.
    pub const fn is_evidence(&self) -> bool {
        self.usual.evidence_from_dbm.is_none()
            || self.rssi_dbm.is_some()
            || self.echo_likelihood.is_some()
    }
}

impl Premises {
    /// As configured.
    pub fn new(settings: &Settings) -> Self {
        let Settings { gateways, zones, presence, .. } = settings;
        let (near, far) = (presence.arrive_rssi_dbm, presence.leave_rssi_dbm);
        let watch = Watch::of(gateways);
        let usual = |about: Option<&Gateway>| {
            let place = place_of(about);
            let usual = match place {
                Place::Outside => Levels { inside_dbm: far, outside_dbm: near },
                Place::Door | Place::Inside => Levels { inside_dbm: near, outside_dbm: far },
            };
            let measured = about.and_then(|about| about.levels);
            let (profile, repeats_s) = profile(place, measured.is_some(), watch);
            Usual {
                levels: Normal::of(&profile.between(place, measured.unwrap_or(usual))),
                repeats_s,
                at_the_door: watch.by(place),
                offset_db: about.map_or(0.0, |about| about.offset_db),
                // A gateway outside receives somebody inside as faintly as somebody far down the
                // street: only loud readings say anything, unless a walk test measured this one and
                // none at the door says more.
                evidence_from_dbm: (place == Place::Outside
                    && (watch == Watch::AtTheDoor || measured.is_none()))
                .then(|| {
                    let Levels { inside_dbm, outside_dbm } = measured.unwrap_or(usual);
                    f32::midpoint(inside_dbm, outside_dbm)
                }),
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
            rssi_dbm: rssi
                .map(|rssi| f32::from(rssi) + usual.offset_db)
                .filter(|rssi| usual.evidence_from_dbm.is_none_or(|from| *rssi >= from)),
            echo,
            echo_likelihood: echo.and_then(|echo| self.likelihood(echo)),
        }
    }

    /// Log-likelihood of an echo on each spot: that beacon so loud, and those elsewhere no
    /// louder, for a phone reports the one it hears best.
    fn likelihood(&self, echo: Echo) -> Option<Lanes> {
        let here = self.zones.get(usize::from(echo.zone)).copied().flatten()?;
        let heard_dbm = Lanes::all(f32::from(echo.rssi()?));
        let mut sum = Lanes::NOTHING;
        for (place, beacon) in &self.beacons {
            let away = (heard_dbm - beacon.mean) * beacon.inverse_spread;
            let likelihood = if *place == here {
                away * away * -0.5 - beacon.log_spread
            } else {
                no_louder(away)
            };
            sum = sum + likelihood;
        }
        Some(sum)
    }
}

impl Normal {
    fn of(Profile { mean, spread, skew }: &Profile) -> Self {
        Self {
            mean: Lanes::new(*mean),
            inverse_spread: Lanes::new(spread.map(f32::recip)),
            log_spread: Lanes::new(spread.map(f32::ln)),
            skew: *skew,
        }
    }
}

/// Most gateways stand at the door.
fn place_of(about: Option<&Gateway>) -> Place {
    about.and_then(|about| about.place).unwrap_or(Place::Door)
}

/// Which gateway hears whoever goes through the door.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Watch {
    /// One that hangs there.
    AtTheDoor,
    /// One inside, there being none outside either.
    Within,
    /// Those inside and outside between them.
    EitherSide,
}

impl Watch {
    fn of(gateways: &[Gateway]) -> Self {
        let any = |place| gateways.iter().any(|one| place_of(Some(one)) == place);
        match (any(Place::Door), any(Place::Outside)) {
            (true, _) => Self::AtTheDoor,
            (false, true) => Self::EitherSide,
            (false, false) => Self::Within,
        }
    }

    fn by(self, place: Place) -> bool {
        match self {
            Self::AtTheDoor => place == Place::Door,
            Self::Within => place == Place::Inside,
            Self::EitherSide => false,
        }
    }
}

/// What a gateway usually measures, whose two levels were `measured` in a walk test, or are but
/// what is usual: then all that is known is that loud is inside. And how soon it repeats itself.
const fn profile(place: Place, measured: bool, watch: Watch) -> (&'static Profile, f32) {
    match (place, measured, watch) {
        (Place::Outside, _, _) => (&OUTSIDE, GUESSED_REPEATS_S),
        (Place::Inside, _, Watch::EitherSide) => (&NEAR_THE_DOOR, GUESSED_REPEATS_S),
        (_, false, _) => (&SOMEWHERE, GUESSED_REPEATS_S),
        (Place::Door, true, _) => (&AT_THE_DOOR, REPEATS_S),
        (Place::Inside, true, _) => (&WITHIN, REPEATS_S),
    }
}

impl Profile {
    /// In dBm: spots outside from the outer level, spots inside from the inner one; away from the
    /// door both stretch with what lies between.
    fn between(&self, place: Place, levels: Levels) -> Self {
        let Levels { inside_dbm, outside_dbm } = levels;
        let apart_db = (inside_dbm - outside_dbm).abs();
        let scale = if place == Place::Door { 1.0 } else { apart_db / 10.0 };
        let mut profile = *self;
        for (nth, level) in profile.mean.iter_mut().enumerate() {
            *level = *level * scale + if nth < THRESHOLD { outside_dbm } else { inside_dbm };
        }
        profile
    }
}

/// Logarithm of the normal distribution's integral up to `away`, by the logistic one's.
fn no_louder(away: Lanes) -> Lanes {
    let steep = away * -1.7;
    let above = steep.max(Lanes::NOTHING);
    let below = (steep.abs() * -1.0).exp() + const { Lanes::all(1.0) };
    Lanes::NOTHING - above - below.ln()
}
