//! The page's part of the configuration.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::pipeline::units::WallTime;

/// `[tablets]`, as far as the page needs it.
#[derive(Debug, Clone)]
pub struct PageSettings {
    /// Interval of rings for a customer who waits; zero rings once.
    pub repeat: Duration,
    /// A customer who waits longer is shown as waiting too long.
    pub late: Duration,
    /// A tablet that no one touches for this time forgets who used it; zero means never.
    pub idle: Duration,
    /// When the shift ends: minute of the store's day.
    pub shift_end: Option<u16>,
    /// The store's time zone.
    pub time_zone: TimeZone,
}

impl Default for PageSettings {
    fn default() -> Self {
        Self {
            repeat: Duration::from_secs(20),
            late: Duration::from_mins(5),
            idle: Duration::from_hours(4),
            shift_end: None,
            time_zone: TimeZone::UTC,
        }
    }
}

impl PageSettings {
    /// When a shift last ended.
    pub fn shift_ended_at(&self, now: WallTime) -> Option<WallTime> {
        let minute = self.shift_end?;
        let timestamp = jiff::Timestamp::from_millisecond(now.unix_millis()).ok()?;
        let today = timestamp.to_zoned(self.time_zone.clone()).date();
        let end = |day: jiff::civil::Date| {
            let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
            let zoned = day.at(hour, minute, 0, 0).to_zoned(self.time_zone.clone()).ok()?;
            Some(WallTime::from_unix_millis(zoned.timestamp().as_millisecond()))
        };
        end(today).filter(|end| *end <= now).or_else(|| end(today.yesterday().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_last_ended_today_or_yesterday_in_local_time() {
        let time_zone = TimeZone::fixed(jiff::tz::offset(1));
        let settings =
            PageSettings { shift_end: Some(20 * 60), time_zone, ..PageSettings::default() };
        let ended = |now| settings.shift_ended_at(WallTime::parse(now).unwrap());
        let at = |time| WallTime::parse(time);
        assert_eq!(ended("2026-01-05T19:00:00Z"), at("2026-01-05T19:00:00Z"));
        assert_eq!(ended("2026-01-05T18:59:59Z"), at("2026-01-04T19:00:00Z"));
        assert_eq!(
            PageSettings::default().shift_ended_at(at("2026-01-05T19:00:00Z").unwrap()),
            None
        );
    }
}
