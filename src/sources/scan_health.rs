//! Decides whether a scan receives. Pure: activity samples in, a state out.
//!
//! An API that reports "discovering" proves nothing; advertisements do. Silence alone proves
//! nothing either, because the last phone of the evening leaves. A phone that walks away fades; a
//! radio that fails is silent from one second to the next, for all devices at once.

use std::collections::VecDeque;
use std::time::Duration;

use crate::pipeline::units::{Dbm, Tick};
use crate::sources::activity::ActivitySample;

/// With at least one advertisement a second, this much silence is no accident (e^-8 = 0.03 %). It
/// leaves a second or two of the ten within which a silence must be reported.
const SILENCE: Duration = Duration::from_secs(8);
/// This much silence is reported in any case.
const LONG_SILENCE: Duration = Duration::from_mins(2);
/// The rate of advertisements is measured over this time before the silence.
const MEMORY: Duration = Duration::from_secs(30);
/// Devices that are received in these last seconds before the silence count as a crowd.
const CROWD_SPAN: Duration = Duration::from_secs(5);
/// One customer may carry a phone, a watch and earphones; four devices do not leave at once.
const CROWD: u32 = 4;
/// No phone falls from this signal to none within [`FADE`], not even through a door.
const STRONG_DBM: i8 = -75;
/// The last moments before the silence.
const FADE: Duration = Duration::from_secs(2);

/// Whether a scan works, as far as its advertisements show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanState {
    /// Nothing was received since the scan began.
    NothingYet,
    /// Advertisements are received, or there are none because the devices have left.
    Receiving,
    /// There should be advertisements, and none is received.
    Silent,
}

/// The recent activity of one adapter or stream.
#[derive(Debug, Clone)]
pub struct ScanHealth {
    began: Tick,
    samples: VecDeque<(Tick, ActivitySample)>,
    /// The controller was reset since the last advertisement.
    reset: bool,
}

impl ScanHealth {
    /// `now` is the start of the scan.
    pub fn new(now: Tick) -> Self {
        Self { began: now, samples: VecDeque::new(), reset: false }
    }

    /// Adds what was received since the last call; at most one sample a second is kept.
    pub fn add(&mut self, now: Tick, sample: ActivitySample) {
        if sample.received == 0 {
            return;
        }
        self.reset = false;
        match self.samples.back_mut() {
            Some((at, last)) if now.since(*at) < Duration::from_secs(1) => last.add(sample),
            _ => self.samples.push_back((now, sample)),
        }
        while self.samples.front().is_some_and(|(at, _)| now.since(*at) > MEMORY) {
            self.samples.pop_front();
        }
    }

    /// The controller was switched off and on, successfully, so a silence may be real.
    pub fn was_reset(&mut self) {
        self.reset = true;
    }

    /// How long nothing has been received.
    pub fn silence(&self, now: Tick) -> Duration {
        now.since(self.last_received().unwrap_or(self.began))
    }

    /// The state at `now`.
    pub fn state(&self, now: Tick) -> ScanState {
        let silence = self.silence(now);
        let Some(last) = self.last_received() else {
            return if silence >= LONG_SILENCE { ScanState::Silent } else { ScanState::NothingYet };
        };
        let suspicious = silence >= LONG_SILENCE
            || self.crowd(last) >= CROWD
            || (self.ended_strong(last) && !self.reset);
        if silence >= self.tolerated(last) && suspicious {
            ScanState::Silent
        } else {
            ScanState::Receiving
        }
    }

    /// When something was received last.
    pub fn last_received(&self) -> Option<Tick> {
        self.samples.back().map(|(at, _)| *at)
    }

    /// The silence that is not yet a fault: with few advertisements, eight times their mean
    /// interval.
    fn tolerated(&self, last: Tick) -> Duration {
        let received: u64 = self.samples.iter().map(|(_, sample)| sample.received).sum();
        let over = last.since(self.began).min(MEMORY);
        let interval = over / u32::try_from(received.max(1)).unwrap_or(u32::MAX);
        SILENCE.max(interval * 8).min(LONG_SILENCE)
    }

    fn crowd(&self, last: Tick) -> u32 {
        let classes = self.within(last, CROWD_SPAN).fold(0, |all, sample| all | sample.devices);
        classes.count_ones()
    }

    fn ended_strong(&self, last: Tick) -> bool {
        let strongest = self.within(last, FADE).filter_map(|sample| sample.strongest).max();
        strongest.is_some_and(|rssi: Dbm| rssi.value() >= STRONG_DBM)
    }

    fn within(&self, last: Tick, span: Duration) -> impl Iterator<Item = &ActivitySample> {
        self.samples.iter().filter(move |(at, _)| last.since(*at) <= span).map(|(_, sample)| sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Tick {
        Tick::from_micros(secs * 1_000_000)
    }

    /// Receives `devices` devices, twice a second each, in the seconds of `when`.
    fn receive(health: &mut ScanHealth, when: std::ops::Range<u64>, devices: u32, rssi: i16) {
        for second in when {
            let devices_seen = (1u64 << devices) - 1;
            let strongest = Dbm::measured(rssi);
            let received = u64::from(devices) * 2;
            health.add(
                at(second),
                ActivitySample {
                    received,
                    devices: devices_seen,
                    strongest,
                    ..ActivitySample::default()
                },
            );
        }
    }

    #[test]
    fn a_crowd_that_is_silent_at_once_means_a_failure_within_ten_seconds() {
        let mut health = ScanHealth::new(at(0));
        receive(&mut health, 0..60, 5, -85);
        assert_eq!(health.state(at(66)), ScanState::Receiving);
        assert_eq!(health.state(at(67)), ScanState::Silent);
    }

    #[test]
    fn the_last_customer_who_fades_away_has_left() {
        let mut health = ScanHealth::new(at(0));
        receive(&mut health, 0..60, 1, -60);
        receive(&mut health, 60..70, 1, -88);
        assert_eq!(health.state(at(110)), ScanState::Receiving);
        assert_eq!(health.state(at(190)), ScanState::Silent);
    }

    #[test]
    fn a_strong_signal_that_ends_at_once_means_a_failure_until_the_controller_was_reset() {
        let mut health = ScanHealth::new(at(0));
        receive(&mut health, 0..60, 1, -55);
        assert_eq!(health.state(at(68)), ScanState::Silent);
        health.was_reset();
        assert_eq!(health.state(at(75)), ScanState::Receiving);
    }

    #[test]
    fn sparse_air_may_be_silent_for_longer() {
        let mut health = ScanHealth::new(at(0));
        for second in (0..120).step_by(10) {
            receive(&mut health, second..second + 1, 1, -60);
        }
        assert_eq!(health.state(at(125)), ScanState::Receiving);
    }

    #[test]
    fn a_scan_without_any_advertisement_does_not_receive_yet() {
        let health = ScanHealth::new(at(5));
        assert_eq!(health.state(at(6)), ScanState::NothingYet);
        assert_eq!(health.state(at(125)), ScanState::Silent);
    }
}
