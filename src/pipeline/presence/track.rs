//! The state of one customer: passing, here, gone.

use std::num::NonZeroU32;
use std::time::Duration;

use super::belief::{Belief, Whereabouts, chance};
use super::event::{PeakEvidence, PlaceShares, PresenceChange, PresenceEvent};
use super::interval::Interval;
use super::loudness::{CompactLoudness, Loudness, Voice};
use super::recurrent::Memory;
use super::settings::Settings;
use super::site_model::{Reading, SiteModel, Steady};
use super::survey::{Heard, millis};
use super::trend::{SILENT, Trend, units};
use crate::pipeline::advert::Echo;
use crate::pipeline::gateway::GatewayIndex;
use crate::pipeline::identity::customer::CustomerIndex;
use crate::pipeline::units::Tick;
use crate::pipeline::visit::DepartureReason;

/// A customer who is received but never inside is forgotten after this much silence.
const FORGET_PASSER: Duration = Duration::from_mins(2);
/// The level of a candidate's loudest gateway falls by this much a second, so that the visit is
/// credited to the gateway that receives the customer now.
const LOUDEST_FADES_DB_PER_S: f32 = 3.0;

/// Some controllers report no RSSI (127, "not available"). A customer without any measured level,
/// at a gateway or in an echo, counts as inside after this long: a passer-by is out of reception
/// sooner.
const UNMEASURED_STAY: Duration = Duration::from_mins(1);

/// A phone is inside after this many milliseconds at the inside level, wherever it came from ...
const STEADY_MS: u16 = 10_000;
/// ... or at most this far below it ...
const JUST_BELOW_DB: f32 = 1.0;
/// ... with moments at most this far below that ...
const STEADY_DB: f32 = 4.0;
/// ... or after this many milliseconds above half-way to the measured outside level.
const NEAR_MS: u16 = 60_000;
/// Only the longer time counts while the network is less sure than this and the level, a default one, is not
/// surely that of a phone inside: chosen on random shops.
const UNLIKELY: f32 = 0.3;
/// A reading counts for this long at most, in seconds.
const SPEAKS_FOR_S: f32 = 5.0;
/// Time counts once more for each of these dB above the inside level ...
const LOUDER_DB: f32 = 5.0;
/// ... up to this many times.
const LOUDEST: f32 = 3.0;
/// Confidence of a phone that stayed at the inside level: counted on random shops.
const SURE_OF_STEADY: f32 = 0.65;

/// A visit is in doubt while the probability of being inside is at most this ...
const DOUBTFUL: f32 = 0.2;
/// ... if the probability of being at the door was at least this ...
const AT_THE_DOOR: f32 = 0.9;
/// ... at most this long before. A customer who leaves passes the door; a customer who turns their
/// back on the gateway at the far end of the shop is received like somebody down the street, and
/// does not.
const WALKS_OFF_MS: u32 = 20_000;

/// The state of one customer who is received, or was a short while ago.
#[derive(Debug, Clone)]
pub struct Track {
    belief: Belief,
    memory: Memory,
    trend: Trend,
    confidence: f32,
    /// Milliseconds at the inside level; and above half-way to the outside level.
    steady_ms: u16,
    near_ms: u16,
    /// The phone's RSSI offset from earlier visits.
    phone: CompactLoudness,
    interval: Interval,
    /// What this customer will add to the survey.
    heard: Heard,
    /// When the silence that counts began: at the last contact, or later where the radio was blind.
    silent_since: Tick,
    /// Whether that was the last contact.
    heard_then: bool,
    /// In 1/128 dBm, with the time as in [`millis`].
    loudest: Option<(GatewayIndex, i16, u32)>,
    heard_by: u64,
    /// One of them stands at the door: a customer who leaves is loud there.
    door_hears: bool,
    /// A level of this customer was measured, by a gateway or by the phone in an echo.
    measured: bool,
    /// When this customer's timer fires.
    pub armed: Option<Tick>,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    /// Received; not inside, or not for long enough.
    Passing {
        first: Tick,
        /// The highest confidence, in 1/65,535.
        best: u16,
        surest: Surest,
        sure_since: Option<Tick>,
        unfollowed: bool,
    },
    /// A visit is open; `voice` estimates the phone's RSSI offset.
    Here {
        opened: Tick,
        /// As in [`millis`].
        at_the_door: Option<NonZeroU32>,
        doubtful_since: Option<Tick>,
        voice: Voice,
    },
    /// A visit was closed; it continues if the customer comes back before `until`.
    Gone { until: Tick, sure_since: Option<Tick> },
}

/// The evidence at the moment of highest confidence, in a compact form.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Surest {
    /// In 1/128 dBm; [`SILENT`] where no level was measured.
    level: i16,
    gateway: GatewayIndex,
    echo: Option<Echo>,
    /// All zero where they are not known.
    places: PlaceShares,
    steady: bool,
}

impl Track {
    /// A customer who is received for the first time; `unfollowed` where they may have been here
    /// already.
    pub fn passing(now: Tick, phone: Loudness, unfollowed: bool) -> Self {
        Self::new(
            now,
            phone,
            Belief::first(),
            Stage::Passing {
                first: now,
                best: 0,
                surest: Surest::NOTHING,
                sure_since: None,
                unfollowed,
            },
        )
    }

    /// A customer whose visit was open before a restart.
    pub fn here(now: Tick, phone: Loudness) -> Self {
        Self::new(now, phone, Belief::inside(), Stage::here(now))
    }

    /// A customer whose visit was closed before a restart and may continue.
    pub fn gone(now: Tick, phone: Loudness, until: Tick) -> Self {
        Self::new(now, phone, Belief::first(), Stage::Gone { until, sure_since: None })
    }

    fn new(now: Tick, phone: Loudness, belief: Belief, stage: Stage) -> Self {
        Self {
            memory: if belief.is_fresh() { Memory::NEW } else { Memory::INSIDE },
            trend: Trend::NEW,
            belief,
            confidence: 0.0,
            steady_ms: 0,
            near_ms: 0,
            phone: phone.into(),
            interval: Interval::new(),
            heard: Heard::nothing(),
            silent_since: now,
            heard_then: false,
            loudest: None,
            heard_by: 0,
            door_hears: false,
            measured: false,
            armed: None,
            stage,
        }
    }

    /// Whether a visit is open.
    pub fn is_here(&self) -> bool {
        matches!(self.stage, Stage::Here { .. })
    }

    /// Whether `gateway` has received the customer.
    pub fn heard_by(&self, gateway: GatewayIndex) -> bool {
        self.heard_by & bit(gateway) != 0
    }

    /// Opens a visit without looking at the evidence.
    pub fn adopt(&mut self, now: Tick) {
        self.stage = Stage::here(now);
        self.restart_silence(now);
    }

    /// Closes the visit without looking at the evidence. Returns the phone's new RSSI offset, if the visit
    /// gave an estimate.
    pub fn release(&mut self, now: Tick, set: &Settings) -> Option<Loudness> {
        let learned = match self.stage {
            Stage::Here { voice, .. } => voice.teach(self.phone.into()),
            Stage::Passing { .. } | Stage::Gone { .. } => None,
        };
        self.stage = Stage::Gone { until: now.plus(set.rejoin), sure_since: None };
        self.belief = Belief::first();
        self.memory = Memory::NEW;
        self.trend = Trend::NEW;
        self.confidence = 0.0;
        (self.steady_ms, self.near_ms) = (0, 0);
        self.phone = learned.map_or(self.phone, Into::into);
        learned
    }

    /// Takes what this customer adds to the survey.
    pub fn take_heard(&mut self) -> Heard {
        std::mem::replace(&mut self.heard, Heard::nothing())
    }

    /// Deletes what this customer would add of one gateway, or of all gateways and beacons.
    pub fn forget_levels(&mut self, gateway: Option<GatewayIndex>) {
        self.heard.forget(gateway);
    }

    /// The radio received nothing until now: silence counts from here on.
    pub fn restart_silence(&mut self, now: Tick) {
        self.silent_since = self.silent_since.max(now);
        self.heard_then = false;
        if let Stage::Here { doubtful_since, .. } = &mut self.stage {
            *doubtful_since = None;
        }
    }

    /// Silence counts only from `until` on, unless the customer is received before.
    pub fn stay_silent_until(&mut self, until: Tick) {
        self.silent_since = until;
        self.heard_then = false;
    }

    /// Takes one contact.
    pub fn hear(
        &mut self,
        now: Tick,
        reading: &Reading<'_>,
        (site, listening): (&SiteModel, u64),
        set: &Settings,
    ) {
        let echo = reading.echo_level();
        let gap_s = self.heard.add(now, reading.gateway, reading.rssi_dbm, echo);
        let is_candidate = matches!(self.stage, Stage::Passing { .. });
        let gateway = reading.gateway;
        let before = self.heard_then.then_some(self.silent_since);
        if is_candidate || !reading.is_outside_alone() {
            self.heard_then = true;
            if let Some(before) = before {
                self.interval.learn(before, now);
            }
            self.silent_since = now;
            self.heard_by |= bit(gateway);
        } // else: a customer whom the outside gateway alone receives is silent inside.
        self.door_hears |= reading.usual.at_the_door;
        self.measured |= reading.rssi_dbm.is_some() || reading.echo.is_some();
        if !reading.is_evidence() {
            if self.stays_unmeasured(now) {
                self.confidence = 1.0;
            }
            return self.note(now, &self.belief.whereabouts(), reading, set);
        }
        let known = Loudness::from(self.phone).discount(reading);
        let whereabouts = self.belief.hear(now, &known, site, listening);
        self.trend.hear(gap_s, &known);
        let step = self.memory.hear(gap_s, &known, &whereabouts, site);
        if site.both_sides {
            self.confidence = whereabouts.inside();
        } else if let Some(inputs) = step {
            self.confidence = self.memory.step(&inputs, chance(now));
        }
        let rather_inside = site.of_one_place || whereabouts.inside() >= 0.5;
        self.stay_steady(reading, gap_s, rather_inside);
        if self.is_steady() {
            self.confidence = self.confidence.max(SURE_OF_STEADY);
        }
        if let (Stage::Here { voice, .. }, Some(before), Some(rssi)) =
            (&mut self.stage, before, reading.rssi_dbm)
        {
            let above_usual_db = rssi - whereabouts.usual_inside(reading.usual);
            voice.hear(above_usual_db, now.since(before), self.confidence);
        }
        let rssi = reading.rssi_dbm.unwrap_or(f32::from(i8::MIN));
        let louder = self.loudest.is_none_or(|(_, loudest, at)| {
            let gone_ms = millis(now).wrapping_sub(at);
            rssi >= f32::from(loudest) / 128.0
                - Duration::from_millis(gone_ms.into()).as_secs_f32() * LOUDEST_FADES_DB_PER_S
        });
        if louder {
            self.loudest = Some((gateway, units(rssi), millis(now)));
        }
        self.note(now, &whereabouts, reading, set);
    }

    /// Counts the time at or above the inside level, and above half-way to the outside level. A
    /// louder phone needs less time. The count begins again for a phone that a gateway outside
    /// receives as on the threshold, or that gateways at different places together place in front
    /// of the shop.
    fn stay_steady(&mut self, reading: &Reading<'_>, gap_s: f32, rather_inside: bool) {
        let lasted_ms = 1000.0 * gap_s.clamp(0.01, SPEAKS_FOR_S);
        let above_db = self.trend.level_db(reading.usual) - reading.usual.steady_db;
        let from_db =
            |begun: bool, least_db: f32| if begun { least_db - STEADY_DB } else { least_db };
        let (loud, near) = (self.steady_ms > 0, self.near_ms > 0);
        if !self.trend.has_no_echo() || !rather_inside {
            (self.steady_ms, self.near_ms) = (0, 0);
            return;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "15 s at most")]
        let longer = |so_far: u16, times: f32| so_far.saturating_add((lasted_ms * times) as u16);
        match reading.usual.steady {
            Steady::Inside { least_db, surely_db } => {
                let doubted = self.confidence < UNLIKELY
                    && surely_db.is_some_and(|surely| above_db < surely - JUST_BELOW_DB);
                let louder = (1.0 + above_db.max(0.0) / LOUDER_DB).min(LOUDEST);
                let stays = !doubted && above_db >= from_db(loud, -JUST_BELOW_DB);
                self.steady_ms = if stays { longer(self.steady_ms, louder) } else { 0 };
                let stays = above_db >= from_db(near, least_db.min(-JUST_BELOW_DB));
                self.near_ms = if stays { longer(self.near_ms, 1.0) } else { 0 };
            }
            Steady::Outside if above_db >= 0.0 => (self.steady_ms, self.near_ms) = (0, 0),
            Steady::Outside | Steady::Neither => {
                self.steady_ms = if loud { longer(self.steady_ms, 1.0) } else { 0 };
                self.near_ms = if near { longer(self.near_ms, 1.0) } else { 0 };
            }
        }
    }

    /// Whether either time is long enough.
    fn is_steady(&self) -> bool {
        self.steady_ms >= STEADY_MS || self.near_ms >= NEAR_MS
    }

    /// Whether a customer stays in reception and no level was ever measured.
    fn stays_unmeasured(&self, now: Tick) -> bool {
        let stays = match self.stage {
            Stage::Passing { first, .. } => now.since(first) >= UNMEASURED_STAY,
            Stage::Here { .. } | Stage::Gone { .. } => true,
        };
        stays && !self.measured
    }

    fn note(
        &mut self,
        now: Tick,
        whereabouts: &Whereabouts,
        reading: &Reading<'_>,
        set: &Settings,
    ) {
        let confidence = self.confidence;
        let steady = self.is_steady();
        let sure = confidence >= set.arrive_confidence || steady;
        let at_door = !self.door_hears || whereabouts.on_the_threshold() >= AT_THE_DOOR;
        let wavering = confidence < f32::midpoint(set.arrive_confidence, 0.5);
        match &mut self.stage {
            Stage::Passing { best, surest, sure_since, .. } => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "0 to 1"
                )]
                let confidence = (confidence * f32::from(u16::MAX)) as u16;
                if confidence >= *best {
                    *best = confidence;
                    *surest = Surest::of(reading, whereabouts, steady);
                }
                set_since(sure_since, sure, wavering, now);
            }
            Stage::Gone { sure_since, .. } => set_since(sure_since, sure, wavering, now),
            Stage::Here { at_the_door, doubtful_since, .. } => {
                if at_door {
                    *at_the_door = NonZeroU32::new(millis(now).max(1));
                }
                let ago = |at: NonZeroU32| millis(now).wrapping_sub(at.get());
                let leaving = at_the_door.is_some_and(|at| ago(at) <= WALKS_OFF_MS);
                set_since(doubtful_since, confidence < DOUBTFUL && leaving, confidence >= 0.5, now);
            }
        }
    }

    /// The event after a contact, if any: only a contact opens a visit, never silence.
    pub fn after_contact(
        &mut self,
        who: CustomerIndex,
        now: Tick,
        set: &Settings,
    ) -> Option<PresenceEvent> {
        let gateway = self.loudest.map_or(GatewayIndex(0), |(gateway, _, _)| gateway);
        let inside = |since: Option<Tick>| since.is_some_and(|since| now.since(since) >= set.dwell);
        let confidence = || self.confidence;
        let what = match self.stage {
            Stage::Passing { sure_since, unfollowed, first, surest, .. } if inside(sure_since) => {
                let (confidence, heard_for) = (confidence(), now.since(first));
                let grounds = surest.on(self.phone.into());
                PresenceChange::Arrived { gateway, confidence, unfollowed, heard_for, grounds }
            }
            Stage::Gone { sure_since, .. } if inside(sure_since) => {
                PresenceChange::Returned { confidence: confidence() }
            }
            _ => return None,
        };
        self.stage = Stage::here(now);
        Some(PresenceEvent { who, what })
    }

    /// The event that time alone brings, if any. `deaf` while a gateway that received the customer
    /// is blind: then silence means nothing.
    pub fn after_time(
        &mut self,
        who: CustomerIndex,
        now: Tick,
        set: &Settings,
        deaf: bool,
    ) -> Option<PresenceEvent> {
        if now < self.deadline(set) {
            return None;
        }
        let what = match self.stage {
            Stage::Passing { first, best, surest, .. } => PresenceChange::Passed {
                best: f32::from(best) / f32::from(u16::MAX),
                heard_for: self.silent_since.since(first),
                grounds: surest.on(self.phone.into()),
            },
            Stage::Gone { .. } => PresenceChange::Closed,
            Stage::Here { opened, doubtful_since, .. } => {
                let reason = if now >= opened.plus(set.longest_visit) {
                    DepartureReason::TooLong
                } else if deaf {
                    self.restart_silence(now);
                    return None;
                } else if doubtful_since.is_some_and(|since| now >= since.plus(set.leave_after)) {
                    DepartureReason::Left
                } else {
                    DepartureReason::Silent
                };
                let silent_for = now.since(self.silent_since);
                PresenceChange::Departed { reason, silent_for, learned: self.release(now, set) }
            }
        };
        Some(PresenceEvent { who, what })
    }

    /// The next time at which [`Track::after_time`] may have an event, unless the customer is
    /// received before.
    pub fn deadline(&self, set: &Settings) -> Tick {
        match self.stage {
            Stage::Passing { .. } => self.silent_since.plus(FORGET_PASSER),
            Stage::Gone { until, .. } => until,
            Stage::Here { opened, doubtful_since, .. } => {
                let silent = self.silent_since.plus(self.interval.patience(set.leave_after));
                let left = doubtful_since.map_or(silent, |since| since.plus(set.leave_after));
                silent.min(left).min(opened.plus(set.longest_visit))
            }
        }
    }
}

impl Surest {
    const NOTHING: Self = Self {
        level: SILENT,
        gateway: GatewayIndex(0),
        echo: None,
        places: PlaceShares::UNKNOWN,
        steady: false,
    };

    fn of(reading: &Reading<'_>, whereabouts: &Whereabouts, steady: bool) -> Self {
        let level = reading.rssi_dbm.map_or(SILENT, units);
        let places = if reading.is_evidence() {
            PlaceShares::of(whereabouts.by_place.as_array())
        } else {
            PlaceShares::UNKNOWN
        };
        Self { level, gateway: reading.gateway, echo: reading.echo, places, steady }
    }

    fn on(self, phone: Loudness) -> PeakEvidence {
        let Self { level, gateway, echo, places, steady } = self;
        let measured = level != SILENT;
        let level = measured.then_some((gateway, f32::from(level) / 128.0));
        let places = Some(places).filter(|places| *places != PlaceShares::UNKNOWN);
        PeakEvidence { level, echo, phone, places, steady }
    }
}

impl Stage {
    fn here(now: Tick) -> Self {
        let voice = Voice::default();
        Self::Here { opened: now, at_the_door: None, doubtful_since: None, voice }
    }
}

/// Keeps since when a condition holds: set on `yes`, cleared on `no`, otherwise unchanged.
fn set_since(since: &mut Option<Tick>, yes: bool, no: bool, now: Tick) {
    if yes {
        since.get_or_insert(now);
    } else if no {
        *since = None;
    }
}

fn bit(gateway: GatewayIndex) -> u64 {
    1 << (gateway.0 % 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_and_its_place_in_the_map_stay_below_300_octets() {
        // A map's node, a timer's node and the allocator's overhead take some 30 octets.
        assert!(size_of::<Track>() <= 300, "{}", size_of::<Track>());
    }
}
