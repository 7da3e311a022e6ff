//! One contact, as the belief weighs it.

use super::Settings;
use super::spots::{ByStance, Usual, beacon_dbm, echo_spread_db};
use crate::pipeline::advert::Echo;
use crate::pipeline::event::GatewayIndex;
use crate::pipeline::units::Dbm;
use crate::pipeline::{Gateway, Levels, Place};

/// One contact, as the belief weighs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Who heard it.
    pub gateway: GatewayIndex,
    /// Whether that one stands at the door.
    pub at_the_door: bool,
    /// As measured, offset added; `None` if the driver did not say how loud.
    pub rssi_dbm: Option<f32>,
    /// What is usual there.
    pub usual: Usual,
    /// What the phone itself said it hears.
    pub echo: Option<Echo>,
    /// Log-likelihood of that in each stance; `None` where the beacon's place is not known.
    pub echo_likelihood: Option<ByStance>,
}

impl Reading {
    /// From a measurement, a gateway and an echo.
    pub fn new(
        gateway: GatewayIndex,
        about: Option<&Gateway>,
        rssi: Option<Dbm>,
        echo: Option<Echo>,
        zones: &[Option<Place>; 16],
        settings: &Settings,
    ) -> Self {
        let place = about.and_then(|about| about.place).unwrap_or(Place::Door);
        let (near, far) = (settings.arrive_rssi_dbm, settings.leave_rssi_dbm);
        let usual = match place {
            Place::Outside => Levels { inside_dbm: far, outside_dbm: near },
            _ => Levels { inside_dbm: near, outside_dbm: far },
        };
        let measured = about.and_then(|about| about.levels);
        let offset = about.map_or(0.0, |about| about.offset_db);
        Self {
            gateway,
            at_the_door: place == Place::Door,
            rssi_dbm: rssi.map(|rssi| f32::from(rssi) + offset),
            usual: Usual::of(place, measured.unwrap_or(usual), measured.is_some()),
            echo,
            echo_likelihood: echo.and_then(|echo| likelihood(echo, zones)),
        }
    }
}

/// Log-likelihood of an echo in each stance: that beacon so loud, and those elsewhere no louder,
/// for a phone reports the one it hears best.
fn likelihood(echo: Echo, zones: &[Option<Place>; 16]) -> Option<ByStance> {
    let here = zones.get(usize::from(echo.zone)).copied().flatten()?;
    let heard_dbm = f32::from(echo.rssi()?);
    let mut sum = away(heard_dbm, here);
    for (spot, spread) in sum.iter_mut().zip(echo_spread_db(here)) {
        spot.iter_mut().for_each(|away| *away = -0.5 * *away * *away - spread.ln());
    }
    let elsewhere = [Place::Door, Place::Inside, Place::Outside].into_iter();
    for place in elsewhere.filter(|place| *place != here && zones.contains(&Some(*place))) {
        let others = away(heard_dbm, place);
        for (sum, away) in sum.as_flattened_mut().iter_mut().zip(others.as_flattened()) {
            *sum += no_louder(*away);
        }
    }
    Some(sum)
}

/// How far a level is from what phones hear of the beacon at `place`, in standard deviations.
fn away(heard_dbm: f32, place: Place) -> ByStance {
    let mut away = *beacon_dbm(place);
    for (spot, spread) in away.iter_mut().zip(echo_spread_db(place)) {
        spot.iter_mut().for_each(|level| *level = (heard_dbm - *level) / spread);
    }
    away
}

/// Logarithm of the normal distribution's integral up to `away`, by the logistic one's.
fn no_louder(away: f32) -> f32 {
    -(1.0 + (-1.7 * away).exp()).ln()
}
