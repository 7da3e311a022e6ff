//! Detects a controller that reports each device once in a scan. Pure.
//!
//! Such a controller does not announce it, so it is detected from what is received. A restarted
//! scan makes it report every device again. Where many addresses are new, few advertisements are
//! repetitions with any controller; so restarts are tried first, and kept up only if they bring
//! repetitions.

use std::time::Duration;

use crate::pipeline::units::Tick;
use crate::sources::activity::ActivitySample;

/// Phones and beacons repeat themselves within this time; the kernel's own scan lasts ten seconds.
const WINDOW: Duration = Duration::from_secs(5);
/// How long the scan is restarted again and again; then it runs undisturbed for another window.
const REFRESHES_FOR: Duration = Duration::from_mins(1);
/// Interval between restarts: presence needs each device once a second, and each restart costs some
/// milliseconds without a scan. The caller asks once a second, with some jitter.
const REFRESH_EVERY: Duration = Duration::from_millis(900);
/// A controller that reports repetitions reports at least one in this many advertisements, even
/// where phones that advertise once a second have just changed their addresses.
const ONE_OF: u64 = 4;
/// Restarts bring repetitions if at least one in this many advertisements is one.
const ONE_OF_REFRESHED: u64 = 3;
/// Length of a trial of restarts: twice the time after which repetitions are forgotten.
const TRIAL: Duration = Duration::from_secs(10);
/// Pause after a trial that brought no repetitions; doubled by each further one.
const FIRST_REST: Duration = Duration::from_mins(10);
const LONGEST_REST: Duration = Duration::from_hours(2);

/// Decides for one adapter whether its scan must be restarted again and again.
#[derive(Debug)]
pub struct DuplicateFilterDetector {
    /// Received since the window began.
    window: ActivitySample,
    began: Tick,
    phase: Phase,
    rest: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The scan runs undisturbed.
    Watching,
    /// Restarts are tried.
    Trying { refreshed: Tick },
    /// Restarts bring repetitions.
    Refreshing { refreshed: Tick, until: Tick },
    /// Restarts brought nothing.
    Resting { until: Tick },
}

impl DuplicateFilterDetector {
    /// `now` is the start of the scan.
    pub fn new(now: Tick) -> Self {
        let window = ActivitySample::default();
        Self { window, began: now, phase: Phase::Watching, rest: FIRST_REST }
    }

    /// Adds what was received since the last call.
    pub fn received(&mut self, sample: ActivitySample) {
        self.window.add(sample);
    }

    /// Whether the scan is to be restarted now; if so, it counts as restarted.
    pub fn is_refresh_due(&mut self, now: Tick) -> bool {
        self.phase = self.next_phase(now);
        match &mut self.phase {
            Phase::Trying { refreshed } | Phase::Refreshing { refreshed, .. } => {
                let due = now.since(*refreshed) >= REFRESH_EVERY;
                if due {
                    *refreshed = now;
                }
                due
            }
            Phase::Watching | Phase::Resting { .. } => false,
        }
    }

    fn next_phase(&mut self, now: Tick) -> Phase {
        let passed = now.since(self.began);
        match self.phase {
            Phase::Watching if passed >= WINDOW => {
                let ActivitySample { received, repeated, .. } = self.new_window(now);
                let refreshed = Tick::ZERO;
                if repeated * ONE_OF < received {
                    Phase::Trying { refreshed }
                } else {
                    Phase::Watching
                }
            }
            Phase::Trying { refreshed } if passed >= TRIAL => {
                let ActivitySample { received, repeated, .. } = self.new_window(now);
                if received > 0 && repeated * ONE_OF_REFRESHED >= received {
                    self.rest = FIRST_REST;
                    return Phase::Refreshing { refreshed, until: now.plus(REFRESHES_FOR) };
                }
                let until = now.plus(self.rest);
                self.rest = (self.rest * 2).min(LONGEST_REST);
                Phase::Resting { until }
            }
            Phase::Refreshing { until, .. } | Phase::Resting { until } if now >= until => {
                self.new_window(now);
                Phase::Watching
            }
            phase => phase,
        }
    }

    fn new_window(&mut self, now: Tick) -> ActivitySample {
        self.began = now;
        std::mem::take(&mut self.window)
    }

    /// Whether the controller is known to report no repetitions.
    pub fn hides(&self) -> bool {
        matches!(self.phase, Phase::Refreshing { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Tick {
        Tick::from_micros(secs * 1_000_000)
    }

    /// How often the scan is restarted, at one call a second. `received` gives the advertisements
    /// of a second and how many of them are repetitions, by whether the scan was restarted a second
    /// ago.
    fn restarts(
        detector: &mut DuplicateFilterDetector,
        seconds: std::ops::Range<u64>,
        received: impl Fn(u64, bool) -> (u64, u64),
    ) -> u64 {
        let mut refreshed = false;
        let look = |second| {
            let (received, repeated) = received(second, refreshed);
            detector.received(ActivitySample { received, repeated, ..ActivitySample::default() });
            refreshed = detector.is_refresh_due(at(second));
            u64::from(refreshed)
        };
        seconds.map(look).sum()
    }

    #[test]
    fn a_controller_that_reports_each_device_once_a_scan_is_restarted_every_second() {
        let mut detector = DuplicateFilterDetector::new(at(0));
        // Ten devices, in the first second of a scan.
        let hides = |second: u64, refreshed| match (refreshed, second % 10) {
            (true, _) => (10, 8),
            (false, 0) => (10, 0),
            (false, _) => (0, 0),
        };
        let times = restarts(&mut detector, 0..65, hides);
        assert!((55..=62).contains(&times), "{times}");
        assert!(detector.hides());
    }

    #[test]
    fn many_new_addresses_are_not_taken_for_a_controller_that_hides_repetitions() {
        let mut detector = DuplicateFilterDetector::new(at(0));
        // An hour at a station: of a hundred advertisements a second ten come from known devices.
        let times = restarts(&mut detector, 0..3_600, |_, _| (100, 10));
        assert!(times <= 55, "{times}");
        assert!(!detector.hides());
    }

    #[test]
    fn a_lone_beacon_every_ten_seconds_is_not_taken_for_one_either() {
        let mut detector = DuplicateFilterDetector::new(at(0));
        let sparse = |second: u64, _| (u64::from(second.is_multiple_of(10)), 0);
        assert!(restarts(&mut detector, 0..600, sparse) <= 10);
        assert!(!detector.hides());
    }

    #[test]
    fn an_ordinary_controller_and_silence_change_nothing() {
        let mut detector = DuplicateFilterDetector::new(at(0));
        assert_eq!(restarts(&mut detector, 0..100, |_, _| (10, 8)), 0);
        // Fifty phones once a second, with new addresses: for two seconds of five none is known.
        let changed = |second: u64, _| if second % 5 < 3 { (50, 0) } else { (50, 50) };
        assert_eq!(restarts(&mut detector, 0..100, changed), 0);
        assert_eq!(restarts(&mut detector, 100..200, |_, _| (0, 0)), 0);
    }

    #[test]
    fn a_controller_that_hides_no_more_is_left_alone_after_a_minute() {
        let mut detector = DuplicateFilterDetector::new(at(0));
        restarts(&mut detector, 0..20, |_, refreshed| if refreshed { (1, 1) } else { (1, 0) });
        assert!(detector.hides());
        restarts(&mut detector, 20..90, |_, _| (10, 9));
        assert_eq!(restarts(&mut detector, 90..300, |_, _| (10, 9)), 0);
    }
}
