//! Is this ear alive? Pure: pulses in, a verdict out.
//!
//! An API that says "discovering" proves nothing; advertisements do. But silence alone proves
//! nothing either: the last phone of the evening leaves, too. Whoever walks away fades; a radio
//! that dies falls silent in mid-sentence, and for everybody at once.

use std::collections::VecDeque;
use std::time::Duration;

use crate::pipeline::units::{Dbm, Tick};
use crate::sources::activity::ActivitySample;

/// So much silence on air that has at least one advertisement a second is no chance
/// (e^-8 = 0.03 %), and leaves a second or two of the ten in which it must be told.
const SILENCE: Duration = Duration::from_secs(8);
/// Nothing at all for so long is worth telling, whatever was there before.
const LONG_SILENCE: Duration = Duration::from_mins(2);
/// What the rate and the number of devices are taken from, before the silence.
const MEMORY: Duration = Duration::from_secs(30);
/// Who is heard in these last seconds of sound at all is counted as one of a crowd.
const LAST_SECONDS: Duration = Duration::from_secs(5);
/// One customer may carry phone, watch and earphones; four devices do not leave at once.
const CROWD: u32 = 4;
/// Nobody gets from this loud to out of hearing within [`LAST_WORDS`], not even through a door.
const LOUD: i8 = -75;
/// The very end of the sound.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the silence, or the sound, means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanState {
    /// Nothing was heard since listening began.
    NothingYet,
    /// Advertisements come in, or their absence is as good as them: who was there has left.
    Receiving,
    /// There must be something to hear, and it is not heard.
    Silent,
}

/// One ear's recent pulses.
#[derive(Debug, Clone)]
pub struct ScanHealth {
    began: Tick,
    samples: VecDeque<(Tick, ActivitySample)>,
    /// The controller was reset since the last sound, and is silent all the same.
    reset: bool,
}

impl ScanHealth {
    /// Listening begins.
    pub fn new(now: Tick) -> Self {
        Self { began: now, samples: VecDeque::new(), reset: false }
    }

    /// Adds what was heard since the last call; at most one call a second is remembered.
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

    /// The controller was switched off and on, successfully: it can hear as far as anybody knows.
    pub fn was_reset(&mut self) {
        self.reset = true;
    }

    /// How long nothing has been heard.
    pub fn silence(&self, now: Tick) -> Duration {
        now.since(self.last_sound().unwrap_or(self.began))
    }

    /// What to make of it.
    pub fn verdict(&self, now: Tick) -> ScanState {
        let silence = self.silence(now);
        let Some(last) = self.last_sound() else {
            return if silence >= LONG_SILENCE { ScanState::Silent } else { ScanState::NothingYet };
        };
        let suspicious = silence >= LONG_SILENCE
            || self.crowd(last) >= CROWD
            || (self.ended_loud(last) && !self.reset);
        if silence >= self.tolerated(last) && suspicious {
            ScanState::Silent
        } else {
            ScanState::Receiving
        }
    }

    /// When something was received last.
    pub fn last_sound(&self) -> Option<Tick> {
        self.samples.back().map(|(at, _)| *at)
    }

    /// Sparse air is silent for longer: eight times the mean interval between advertisements.
    fn tolerated(&self, last: Tick) -> Duration {
        let received: u64 = self.samples.iter().map(|(_, sample)| sample.received).sum();
        let over = last.since(self.began).min(MEMORY);
        let interval = over / u32::try_from(received.max(1)).unwrap_or(u32::MAX);
        SILENCE.max(interval * 8).min(LONG_SILENCE)
    }

    fn crowd(&self, last: Tick) -> u32 {
        let classes = self.within(last, LAST_SECONDS).fold(0, |all, sample| all | sample.devices);
        classes.count_ones()
    }

    fn ended_loud(&self, last: Tick) -> bool {
        let strongest = self.within(last, LAST_WORDS).filter_map(|sample| sample.strongest).max();
        strongest.is_some_and(|rssi: Dbm| rssi.value() >= LOUD)
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

    /// `devices` devices, twice a second each, for the seconds in `when`.
    fn sound(ear: &mut ScanHealth, when: std::ops::Range<u64>, devices: u32, rssi: i16) {
        for second in when {
            let devices_seen = (1u64 << devices) - 1;
            let strongest = Dbm::measured(rssi);
            let received = u64::from(devices) * 2;
            ear.add(
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
    fn a_crowd_that_falls_silent_at_once_means_deafness_within_ten_seconds() {
        let mut ear = ScanHealth::new(at(0));
        sound(&mut ear, 0..60, 5, -85);
        assert_eq!(ear.verdict(at(66)), ScanState::Receiving);
        assert_eq!(ear.verdict(at(67)), ScanState::Silent);
    }

    #[test]
    fn the_last_customer_who_fades_away_has_left() {
        let mut ear = ScanHealth::new(at(0));
        sound(&mut ear, 0..60, 1, -60);
        sound(&mut ear, 60..70, 1, -88);
        assert_eq!(ear.verdict(at(110)), ScanState::Receiving);
        assert_eq!(ear.verdict(at(190)), ScanState::Silent);
    }

    #[test]
    fn a_loud_voice_cut_off_means_deafness_until_the_controller_was_reset() {
        let mut ear = ScanHealth::new(at(0));
        sound(&mut ear, 0..60, 1, -55);
        assert_eq!(ear.verdict(at(68)), ScanState::Silent);
        ear.was_reset();
        assert_eq!(ear.verdict(at(75)), ScanState::Receiving);
    }

    #[test]
    fn sparse_air_may_be_silent_for_longer() {
        let mut ear = ScanHealth::new(at(0));
        for second in (0..120).step_by(10) {
            sound(&mut ear, second..second + 1, 1, -60);
        }
        assert_eq!(ear.verdict(at(125)), ScanState::Receiving);
    }

    #[test]
    fn nothing_heard_at_all_is_not_yet_hearing() {
        let ear = ScanHealth::new(at(5));
        assert_eq!(ear.verdict(at(6)), ScanState::NothingYet);
        assert_eq!(ear.verdict(at(125)), ScanState::Silent);
    }
}
