//! How sure we are that a customer is inside: a two-state hidden Markov filter in log-odds.
//!
//! Every gateway's readings are smoothed over the correlation time of shadowing; the smoothed
//! levels of all gateways that hear the customer now are one observation, Gaussian round what a
//! customer inside and one outside would give. All of them share one unknown, how loud this phone
//! is and where it is carried: it is integrated out, so one gateway alone is weak evidence and
//! the *difference* between two is strong. Evidence is tempered by time: ten readings within a
//! second hardly say more than one.
//!
//! A file of its own, so that a better filter can take its place.

use std::time::Duration;

use super::Settings;
use crate::pipeline::advert::Echo;
use crate::pipeline::event::GatewayIndex;
use crate::pipeline::units::{Dbm, Tick};
use crate::pipeline::{Gateway, Place};

/// Correlation time of shadowing at walking pace (about a metre at 1 m/s): readings closer
/// together than this repeat each other.
const CORRELATION_S: f32 = 1.0;
/// Standard deviation of a smoothed level round its mean, dB: what is left of 9 to 11 dB of
/// fading and shadowing after averaging about ten readings.
const SPREAD_DB: f32 = 4.5;
/// Standard deviation of a phone's loudness and of how it is carried, dB.
const LOUDNESS_DB: f32 = 5.0;
/// A level older than this says nothing about now.
const STALE: Duration = Duration::from_secs(4);
/// Log-odds of being inside for somebody who is heard for the first time.
const FIRST_HEARD: f32 = -2.0;
/// Nobody becomes so certainly outside that walking in takes long to believe...
const SURELY_OUTSIDE: f32 = -3.0;
/// ... nor so certainly inside that leaving does.
const SURELY_INSIDE: f32 = 4.5;
/// Log-odds that one correlation time of evidence adds or takes at the most.
const STRONGEST: f32 = 4.0;
/// Gateways that are weighed for one customer: more hear nothing new.
const MOST_EARS: usize = 12;
/// So many gateways are independent witnesses; more share the same walls and the same body.
const INDEPENDENT: f32 = 3.0;

/// One contact, as the belief weighs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Who heard it.
    pub gateway: GatewayIndex,
    /// The measurement less the gateway's own threshold, so that 0 dB is as likely inside as
    /// outside, and positive speaks for inside; `None` if the driver did not say how loud.
    pub excess_db: Option<f32>,
    /// As measured, offset added: for crediting the gateway that hears best.
    pub rssi_dbm: Option<f32>,
    /// Half the way from what is usual outside to what is usual inside, dB; negative where it is
    /// louder outside.
    pub half_step_db: f32,
    /// Log-odds that the phone's own echo speaks for inside.
    pub echo: f32,
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
        let (mut inside, mut outside) = (settings.arrive_rssi_dbm, settings.leave_rssi_dbm);
        if about.is_some_and(|about| about.place == Some(Place::Outside)) {
            std::mem::swap(&mut inside, &mut outside);
        }
        if let Some(levels) = about.and_then(|about| about.levels) {
            (inside, outside) = (levels.inside_dbm, levels.outside_dbm);
        }
        let offset = about.map_or(0.0, |about| about.offset_db);
        let rssi_dbm = rssi.map(|rssi| f32::from(rssi) + offset);
        Self {
            gateway,
            excess_db: rssi_dbm.map(|rssi| rssi - f32::midpoint(inside, outside)),
            rssi_dbm,
            half_step_db: (inside - outside) / 2.0,
            echo: echo.map_or(0.0, |echo| echo_evidence(echo, zones)),
        }
    }
}

/// One gateway's smoothed level for one customer.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ear {
    gateway: GatewayIndex,
    excess_db: f32,
    half_step_db: f32,
    heard: Tick,
}

/// The filter's state for one customer.
#[derive(Debug, Clone, PartialEq)]
pub struct Belief {
    log_odds: f32,
    updated: Option<Tick>,
    ears: Vec<Ear>,
}

impl Belief {
    /// Of somebody heard for the first time.
    pub const fn new() -> Self {
        Self { log_odds: FIRST_HEARD, updated: None, ears: Vec::new() }
    }

    /// Of somebody known to be inside.
    pub const fn inside() -> Self {
        Self { log_odds: SURELY_INSIDE, updated: None, ears: Vec::new() }
    }

    /// Probability of being inside, 0 to 1.
    pub fn confidence(&self) -> f32 {
        1.0 / (1.0 + (-self.log_odds).exp())
    }

    /// Weighs one contact.
    pub fn hear(&mut self, now: Tick, reading: &Reading) {
        self.smooth(now, reading);
        let evidence = (self.evidence(now) + reading.echo).clamp(-STRONGEST, STRONGEST);
        // Half of one correlation time for the first reading of all: it repeats nothing, but may
        // be the luck of one fade.
        let gap_s = self.updated.map_or(0.5 * CORRELATION_S, |at| now.since(at).as_secs_f32());
        let weight = (gap_s / CORRELATION_S).min(1.0);
        self.log_odds = (self.log_odds + weight * evidence).clamp(SURELY_OUTSIDE, SURELY_INSIDE);
        self.updated = Some(now);
    }

    fn smooth(&mut self, now: Tick, reading: &Reading) {
        let Some(excess_db) = reading.excess_db else { return };
        self.ears.retain(|ear| now.since(ear.heard) < STALE);
        let room = self.ears.len() < MOST_EARS;
        match self.ears.iter_mut().find(|ear| ear.gateway == reading.gateway) {
            Some(ear) => {
                let gap_s = now.since(ear.heard).as_secs_f32();
                let new = (1.0 - (-gap_s / CORRELATION_S).exp()).max(0.05);
                ear.excess_db += new * (excess_db - ear.excess_db);
                ear.half_step_db = reading.half_step_db;
                ear.heard = now;
            }
            None if room => {
                // Most customers are heard by one gateway: no room for more on stock.
                self.ears.reserve_exact(1);
                self.ears.push(Ear {
                    gateway: reading.gateway,
                    excess_db,
                    half_step_db: reading.half_step_db,
                    heard: now,
                });
            }
            None => {}
        }
    }

    /// Log-likelihood ratio of the present levels, inside over outside.
    ///
    /// With x the excesses, ±h the half steps, and covariance S = s² I + l² 11ᵀ (spread s,
    /// loudness l), the ratio of the two Gaussians is 2 hᵀ S⁻¹ x; S⁻¹ by Sherman and Morrison.
    fn evidence(&self, now: Tick) -> f32 {
        let (mut n, mut hx, mut h, mut x) = (0.0_f32, 0.0, 0.0, 0.0);
        for ear in self.ears.iter().filter(|ear| now.since(ear.heard) < STALE) {
            // Beyond one step further than usual a level says no more.
            let bound = 2.0 * ear.half_step_db.abs();
            let excess = ear.excess_db.clamp(-bound, bound);
            n += 1.0;
            hx += ear.half_step_db * excess;
            h += ear.half_step_db;
            x += excess;
        }
        let s2 = SPREAD_DB * SPREAD_DB * (n / INDEPENDENT).max(1.0);
        let l2 = LOUDNESS_DB * LOUDNESS_DB;
        2.0 * (hx - l2 / (s2 + n * l2) * h * x) / s2
    }
}

/// What the phone's own ear says, log-odds for inside.
///
/// A phone reports the beacon it hears best: near an inside beacon it is inside; where the door's
/// is louder than the inside one, it is at the door or before it, and before it if even that is
/// faint.
fn echo_evidence(echo: Echo, zones: &[Option<Place>; 16]) -> f32 {
    let Some(place) = zones.get(usize::from(echo.zone)).copied().flatten() else { return 0.0 };
    if echo.level == 0 {
        return 0.0;
    }
    let heard_dbm = f32::from(echo.level) * 4.0 - 100.0;
    let inside_is_known = zones.contains(&Some(Place::Inside));
    match place {
        Place::Inside => ((heard_dbm + 90.0) / 8.0).clamp(0.5, 3.0),
        Place::Door if inside_is_known => ((heard_dbm + 62.0) / 10.0).clamp(-1.5, 0.0),
        Place::Door => ((heard_dbm + 70.0) / 8.0).clamp(-1.5, 1.5),
        Place::Outside => -((heard_dbm + 90.0) / 8.0).clamp(0.5, 3.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(place: Place) -> Gateway {
        Gateway { name: "g".into(), place: Some(place), offset_db: 0.0, levels: None }
    }

    fn hear(belief: &mut Belief, millis: u64, index: u8, place: Place, rssi: i16) {
        let reading = Reading::new(
            GatewayIndex(index),
            Some(&gateway(place)),
            Dbm::measured(rssi),
            None,
            &[None; 16],
            &Settings { arrive_rssi_dbm: -70.0, leave_rssi_dbm: -80.0, ..Settings::default() },
        );
        belief.hear(Tick::from_micros(millis * 1000), &reading);
    }

    #[test]
    fn loud_readings_are_believed_within_seconds() {
        let mut belief = Belief::new();
        (0..30).for_each(|i| hear(&mut belief, i * 100, 0, Place::Door, -62));
        assert!(belief.confidence() > 0.95, "{}", belief.confidence());
    }

    #[test]
    fn one_loud_reading_is_not_enough() {
        let mut belief = Belief::new();
        hear(&mut belief, 0, 0, Place::Door, -40);
        assert!(belief.confidence() < 0.9, "{}", belief.confidence());
    }

    #[test]
    fn a_burst_within_a_moment_says_little_more_than_one_reading() {
        let mut belief = Belief::new();
        (0..30).for_each(|i| hear(&mut belief, i, 0, Place::Door, -60));
        assert!(belief.confidence() < 0.9, "{}", belief.confidence());
    }

    #[test]
    fn a_loud_phone_outside_is_told_by_the_difference_of_two_gateways() {
        let (mut alone, mut both) = (Belief::new(), Belief::new());
        for i in 0..50 {
            hear(&mut alone, i * 100, 0, Place::Inside, -68);
            hear(&mut both, i * 100, 0, Place::Inside, -68);
            hear(&mut both, i * 100 + 50, 1, Place::Outside, -60);
        }
        assert!(both.confidence() < 0.2, "{}", both.confidence());
        assert!(alone.confidence() > 0.8, "{}", alone.confidence());
    }

    #[test]
    fn an_echo_from_within_convinces_where_the_gateway_alone_cannot() {
        let mut zones = [None; 16];
        zones[1] = Some(Place::Door);
        zones[2] = Some(Place::Inside);
        let settings = Settings::default();
        let mut belief = Belief::new();
        for i in 0..20 {
            let reading = Reading::new(
                GatewayIndex(0),
                Some(&gateway(Place::Door)),
                Dbm::measured(-76),
                Some(Echo { zone: 2, level: 8 }),
                &zones,
                &settings,
            );
            belief.hear(Tick::from_micros(i * 200_000), &reading);
        }
        assert!(belief.confidence() > 0.9, "{}", belief.confidence());
    }
}
