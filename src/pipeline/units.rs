//! The quantities the pipeline reasons with, each a type of its own.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

/// A monotonic instant: microseconds since an arbitrary start (the process's, or a recording's).
///
/// Presence is decided on ticks alone, so a stepped wall clock cannot open or close a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(
    /// One more than the microseconds: `Option<Tick>` is no larger than a tick.
    NonZeroU64,
);

impl Tick {
    /// The start of the time line.
    pub const ZERO: Self = Self(NonZeroU64::MIN);

    /// The instant `micros` microseconds after the start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(micros))
    }

    /// Microseconds since the start.
    pub const fn as_micros(self) -> u64 {
        self.0.get() - 1
    }

    /// The instant `later` after this one; saturates.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The earlier of two that may be absent.
    #[must_use]
    pub fn earlier(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            _ => one.or(other),
        }
    }

    /// Time passed since `earlier`; zero if `earlier` is in fact later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.get().saturating_sub(earlier.0.get()))
    }
}

/// A wall-clock instant: milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(i64);

impl WallTime {
    /// From milliseconds since the Unix epoch.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since the Unix epoch; saturates.
    pub const fn from_unix_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn unix_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The instant `later` after this one; saturates.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(later.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The instant `earlier` before this one; saturates.
    #[must_use]
    pub fn minus(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(earlier.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Reads an RFC 3339 time with any offset.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_millisecond()))
    }
}

/// RFC 3339, UTC, with milliseconds only where there are some.
impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{} ms since 1970", self.0),
        }
    }
}

/// The wall clock's reading, and whether the clock is known to be set.
///
/// A Raspberry Pi has the wrong date from its boot until a time server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Set by a time server, or trusted by the configuration.
    Set(WallTime),
    /// Not known to be set: good enough to try tokens with a wider window, and to measure time
    /// from one reading to the next.
    Unset(WallTime),
}

impl Clock {
    /// The reading, whether the clock is set or not.
    pub const fn reading(self) -> WallTime {
        match self {
            Self::Set(time) | Self::Unset(time) => time,
        }
    }

    /// The time, where the clock is known to be set.
    pub const fn known(self) -> Option<WallTime> {
        match self {
            Self::Set(time) => Some(time),
            Self::Unset(_) => None,
        }
    }
}

/// How far a wall clock was set that was not set before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStep {
    /// The first reading of the clock as it was: earlier times were read from another one.
    pub since: WallTime,
    /// Added to every reading from then on.
    pub by_millis: i64,
}

impl ClockStep {
    /// Smaller steps are ignored.
    const NEGLIGIBLE_MS: u64 = 1_000;

    /// The step of a clock that would have read `expected` and reads `actual`; `None` where that
    /// differs by up to a second.
    pub const fn between(since: WallTime, expected: WallTime, actual: WallTime) -> Option<Self> {
        let by_millis = actual.0.saturating_sub(expected.0);
        if by_millis.unsigned_abs() < Self::NEGLIGIBLE_MS {
            return None;
        }
        Some(Self { since, by_millis })
    }

    /// `time` as the clock would have read it had it been set.
    pub fn applied(self, time: WallTime) -> WallTime {
        if time < self.since { time } else { WallTime(time.0.saturating_add(self.by_millis)) }
    }
}

/// The two clocks at the moment of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Decides presence.
    pub tick: Tick,
    /// Decides tokens, caps and quiet hours.
    pub clock: Clock,
}

/// A received signal strength in dBm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dbm(i8);

impl Dbm {
    /// A reading as a driver gives it; `None` for what means "unknown".
    ///
    /// 127 is the HCI's "not available", 0 is what several drivers report instead; anything
    /// above +20 dBm exceeds what the Core specification lets a controller report.
    pub const fn measured(raw: i16) -> Option<Self> {
        if raw >= -127 && raw <= 20 && raw != 0 {
            #[expect(clippy::cast_possible_truncation, reason = "the range is checked above")]
            return Some(Self(raw as i8));
        }
        None
    }

    /// The value in dBm.
    pub const fn value(self) -> i8 {
        self.0
    }
}

impl From<Dbm> for f32 {
    fn from(dbm: Dbm) -> Self {
        Self::from(dbm.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_rssi_is_not_a_reading() {
        assert_eq!(Dbm::measured(127), None);
        assert_eq!(Dbm::measured(0), None);
        assert_eq!(Dbm::measured(-71).map(Dbm::value), Some(-71));
    }

    #[test]
    fn wall_time_is_written_and_read_as_rfc_3339() {
        let time = WallTime::from_unix_millis(1_767_603_614_250);
        assert_eq!(time.to_string(), "2026-01-05T09:00:14.25Z");
        assert_eq!(WallTime::parse("2026-01-05T10:00:14.250+01:00"), Some(time));
    }
}
