//! One contact, as the belief weighs it.

use super::Settings;
use super::spots::{BySpot, beacon_dbm, gateway_dbm};
use crate::pipeline::advert::Echo;
use crate::pipeline::event::GatewayIndex;
use crate::pipeline::units::Dbm;
use crate::pipeline::{Gateway, Levels, Place};

/// Standard deviation of an echo round what is usual on a spot, dB: the phone averages a few
/// packets, the body it is carried on does not average out.
const ECHO_SPREAD_DB: f32 = 6.6;

/// One contact, as the belief weighs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Who heard it.
    pub gateway: GatewayIndex,
    /// Whether that one stands at the door.
    pub at_the_door: bool,
    /// As measured, offset added; `None` if the driver did not say how loud.
    pub rssi_dbm: Option<f32>,
    /// What is usual on each spot.
    pub usual_dbm: BySpot,
    /// What the phone itself said it hears.
    pub echo: Option<Echo>,
    /// Log-likelihood of that on each spot; `None` where the beacon's place is not known.
    pub echo_likelihood: Option<BySpot>,
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
        let place = about.and_then(|about| about.place);
        let (near, far) = (settings.arrive_rssi_dbm, settings.leave_rssi_dbm);
        let usual = match place {
            Some(Place::Outside) => Levels { inside_dbm: far, outside_dbm: near },
            _ => Levels { inside_dbm: near, outside_dbm: far },
        };
        let levels = about.and_then(|about| about.levels).unwrap_or(usual);
        let offset = about.map_or(0.0, |about| about.offset_db);
        Self {
            gateway,
            at_the_door: matches!(place, Some(Place::Door) | None),
            rssi_dbm: rssi.map(|rssi| f32::from(rssi) + offset),
            usual_dbm: gateway_dbm(place, levels),
            echo,
            echo_likelihood: echo.and_then(|echo| likelihood(echo, zones)),
        }
    }
}

/// Log-likelihood of an echo on each spot: that beacon so loud, and those elsewhere no louder,
/// for a phone reports the one it hears best.
fn likelihood(echo: Echo, zones: &[Option<Place>; 16]) -> Option<BySpot> {
    let here = zones.get(usize::from(echo.zone)).copied().flatten()?;
    let heard_dbm = f32::from(echo.rssi()?);
    let mut sum = beacon_dbm(here).map(|usual| {
        let away = (heard_dbm - usual) / ECHO_SPREAD_DB;
        -0.5 * away * away
    });
    let elsewhere = [Place::Door, Place::Inside, Place::Outside].into_iter();
    for place in elsewhere.filter(|place| *place != here && zones.contains(&Some(*place))) {
        for (sum, usual) in sum.iter_mut().zip(beacon_dbm(place)) {
            *sum += no_louder((heard_dbm - usual) / ECHO_SPREAD_DB);
        }
    }
    Some(sum)
}

/// Logarithm of the normal distribution's integral up to `away`, by the logistic one's.
fn no_louder(away: f32) -> f32 {
    -(1.0 + (-1.7 * away).exp()).ln()
}
