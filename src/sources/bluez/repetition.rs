//! Does this controller keep repetitions to itself? Pure: what was heard in, a verdict out.
//!
//! Some report each device once in a scan and then no more, however often it advertises. Nobody
//! says so; it shows in what is heard. A scan begun anew makes them forget whom they reported.

use std::time::Duration;

use super::ears::Pulse;
use crate::pipeline::units::Tick;

/// Phones and beacons repeat themselves within this; the kernel's own scan lasts ten seconds.
const LOOK: Duration = Duration::from_secs(5);
/// A verdict holds for so long, then the scan runs undisturbed for another look.
const HOLDS: Duration = Duration::from_mins(1);
/// What presence needs of each device at least is once a second; each time costs some milliseconds
/// of deafness. Looks are taken each second, give or take a little.
const AGAIN: Duration = Duration::from_millis(900);
/// Of so many advertisements one at least is a repetition, where repetitions are passed on: also
/// where phones advertise once a second and have just changed their addresses.
const ONE_OF: u64 = 4;

/// One adapter's repetitions.
#[derive(Debug)]
pub struct Repetition {
    /// The scan began, or was last begun anew.
    began: Tick,
    pulse: Pulse,
    /// Until when the controller is taken for one that hides them.
    hides_until: Option<Tick>,
}

impl Repetition {
    /// A scan begins.
    pub fn new(now: Tick) -> Self {
        Self { began: now, pulse: Pulse::default(), hides_until: None }
    }

    /// Adds what was heard since the last call.
    pub fn feel(&mut self, pulse: Pulse) {
        self.pulse.join(pulse);
    }

    /// Whether the scan should be begun anew now; if so, it counts as begun.
    pub fn is_due(&mut self, now: Tick) -> bool {
        if self.hides(now) {
            let due = now.since(self.began) >= AGAIN;
            if due {
                self.began = now;
            }
            return due;
        }
        if self.hides_until.take().is_some() {
            *self = Self::new(now);
        }
        if now.since(self.began) < LOOK {
            return false;
        }
        let Pulse { heard, again, .. } = std::mem::take(&mut self.pulse);
        self.began = now;
        if again * ONE_OF < heard {
            self.hides_until = Some(now.plus(HOLDS));
            return true;
        }
        false
    }

    /// Whether repetitions are hidden, as far as anybody knows.
    pub fn hides(&self, now: Tick) -> bool {
        self.hides_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Tick {
        Tick::from_micros(secs * 1_000_000)
    }

    /// How often the scan was begun anew, at one look a second.
    fn begun_anew(
        repetition: &mut Repetition,
        seconds: std::ops::Range<u64>,
        pulse: impl Fn(u64) -> (u64, u64),
    ) -> u64 {
        let look = |second| {
            let (heard, again) = pulse(second);
            repetition.feel(Pulse { heard, again, ..Pulse::default() });
            u64::from(repetition.is_due(at(second)))
        };
        seconds.map(look).sum()
    }

    #[test]
    fn a_controller_that_reports_each_device_once_a_scan_is_asked_anew_every_second() {
        let mut repetition = Repetition::new(at(0));
        // Ten devices in a scan's first second, and silence.
        let first = |second| if second % 10 == 0 { (10, 0) } else { (0, 0) };
        let times = begun_anew(&mut repetition, 0..65, first);
        assert!((55..=62).contains(&times), "{times}");
        assert!(repetition.hides(at(64)));
    }

    #[test]
    fn an_ordinary_controller_is_left_alone_and_so_is_silence() {
        let mut repetition = Repetition::new(at(0));
        assert_eq!(begun_anew(&mut repetition, 0..100, |_| (10, 8)), 0);
        // Fifty phones, once a second each, new addresses: none is known for two seconds of five.
        let changed = |second| if second % 5 < 3 { (50, 0) } else { (50, 50) };
        assert_eq!(begun_anew(&mut repetition, 0..100, changed), 0);
        assert_eq!(begun_anew(&mut repetition, 100..200, |_| (0, 0)), 0);
    }

    #[test]
    fn a_verdict_is_looked_at_again_after_a_minute() {
        let mut repetition = Repetition::new(at(0));
        begun_anew(&mut repetition, 0..20, |_| (1, 0));
        assert!(repetition.hides(at(20)));
        begun_anew(&mut repetition, 20..90, |_| (10, 9));
        assert_eq!(begun_anew(&mut repetition, 90..300, |_| (10, 9)), 0);
    }
}
