//! The last sign of life, and the time since then.

use std::time::Duration;

use crate::clock::kernel::Boot;
use crate::pipeline::event::Away;
use crate::pipeline::units::{Clock, ClockStep, WallTime};

/// A moment, with all that a later start needs to know how long ago it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The wall clock's reading.
    pub at: WallTime,
    /// Whether the wall clock was known to be set.
    pub clock_set: bool,
    /// The machine's boot; `None` in virtual time.
    pub boot: Option<Boot>,
}

impl Heartbeat {
    /// The heartbeat of a machine whose wall clock is `clock`.
    pub const fn new(clock: Clock, boot: Option<Boot>) -> Self {
        Self { at: clock.reading(), clock_set: clock.known().is_some(), boot }
    }

    /// Time from this heartbeat to `now`: by the kernel within one boot, otherwise by the wall
    /// clock, if it was set both times.
    pub fn away(&self, now: &Self) -> Away {
        if let Some(passed) = self.within_boot(now) {
            return Away::Known(passed);
        }
        if self.clock_set && now.clock_set {
            let passed = now.at.unix_millis().saturating_sub(self.at.unix_millis());
            return Away::Known(Duration::from_millis(u64::try_from(passed).unwrap_or(0)));
        }
        Away::Unknown
    }

    /// The step of the wall clock between this heartbeat, when it was not set, and `now`, within
    /// one boot.
    pub fn step(&self, now: &Self) -> Option<ClockStep> {
        let passed = self.within_boot(now).filter(|_| !self.clock_set)?;
        let since = self.since()?;
        let expected = self.at.plus(passed);
        ClockStep::between(since, expected, now.at)
    }

    /// The first reading of this wall clock: at the machine's boot.
    pub fn since(&self) -> Option<WallTime> {
        self.boot.as_ref().map(|boot| self.at.minus(boot.uptime))
    }

    /// The earliest possible time in `boot`, where this heartbeat's clock was set.
    pub fn earliest(&self, boot: &Boot) -> Option<WallTime> {
        let before = self.boot.as_ref().filter(|before| before.id == boot.id);
        let passed = boot.uptime.saturating_sub(before.map_or(Duration::ZERO, |b| b.uptime));
        self.clock_set.then(|| self.at.plus(passed))
    }

    fn within_boot(&self, now: &Self) -> Option<Duration> {
        let (before, now) = (self.boot.as_ref()?, now.boot.as_ref()?);
        (before.id == now.id).then(|| now.uptime.saturating_sub(before.uptime))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENING: WallTime = WallTime::from_unix_secs(1_767_639_600);
    const NIGHT: Duration = Duration::from_hours(14);

    #[expect(clippy::unnecessary_wraps, reason = "as a heartbeat takes it")]
    fn boot(id: &str, uptime_secs: u64) -> Option<Boot> {
        Some(Boot { id: id.to_owned(), uptime: Duration::from_secs(uptime_secs) })
    }

    #[test]
    fn a_night_without_power_is_known_where_the_clock_counts_and_unknown_where_it_does_not() {
        let before = Heartbeat::new(Clock::Set(EVENING), boot("a", 500));
        let morning = Heartbeat::new(Clock::Set(EVENING.plus(NIGHT)), boot("b", 20));
        assert_eq!(before.away(&morning), Away::Known(NIGHT));
        let yesterdays = Heartbeat::new(Clock::Unset(EVENING), boot("b", 20));
        assert_eq!(before.away(&yesterdays), Away::Unknown);
    }

    #[test]
    fn within_a_boot_the_time_away_is_known_without_a_time_server() {
        let before = Heartbeat::new(Clock::Unset(EVENING), boot("a", 500));
        let now = Heartbeat::new(Clock::Unset(EVENING.plus(NIGHT)), boot("a", 530));
        assert_eq!(before.away(&now), Away::Known(Duration::from_secs(30)));
    }

    #[test]
    fn a_clock_that_was_set_between_two_lives_says_how_far() {
        let before = Heartbeat::new(Clock::Unset(EVENING), boot("a", 500));
        let now = Heartbeat::new(Clock::Set(EVENING.plus(NIGHT)), boot("a", 530));
        let step = before.step(&now).unwrap();
        let after_boot = EVENING.minus(Duration::from_secs(100));
        assert_eq!(step.applied(after_boot), after_boot.plus(NIGHT).minus(Duration::from_secs(30)));
        let before_boot = EVENING.minus(Duration::from_mins(10));
        assert_eq!(step.applied(before_boot), before_boot);
    }

    #[test]
    fn a_machine_that_boots_into_the_past_reads_no_earlier_than_its_last_heartbeat() {
        let before = Heartbeat::new(Clock::Set(EVENING), boot("a", 500));
        let earliest = before.earliest(&boot("b", 20).unwrap());
        assert_eq!(earliest, Some(EVENING.plus(Duration::from_secs(20))));
    }
}
