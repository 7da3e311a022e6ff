//! Whether a tablet is connected during opening hours.

use std::sync::Arc;
use std::time::Duration;

use crate::pipeline::policy::QuietHours;
use crate::pipeline::units::{Clock, Now, Tick};
use crate::tablets::{LookingOn, Viewers};

/// Tablets reload, and shops open a little late.
const PATIENCE: Duration = Duration::from_mins(5);

/// The tablets of this gateway's page.
#[derive(Debug)]
pub struct TabletWatch {
    viewers: Arc<Viewers>,
    urls: Vec<String>,
    opening_hours: Option<QuietHours>,
    time_zone: jiff::tz::TimeZone,
    /// Since when none is connected although the shop is open.
    missing_since: Option<Tick>,
    alarmed: bool,
}

impl TabletWatch {
    /// Of the page at `urls`. Without opening hours there is no alarm.
    pub fn new(
        viewers: Arc<Viewers>,
        urls: Vec<String>,
        opening_hours: Option<QuietHours>,
        time_zone: jiff::tz::TimeZone,
    ) -> Self {
        Self { viewers, urls, opening_hours, time_zone, missing_since: None, alarmed: false }
    }

    /// Where the page is.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    pub fn looking_on(&self) -> Vec<LookingOn> {
        self.viewers.list()
    }

    /// Event streams and connections that are open.
    pub fn count(&self) -> u64 {
        u64::try_from(*self.viewers.count().borrow()).unwrap_or(u64::MAX)
    }

    /// Checks, at least once a minute; returns whether the alarm has changed.
    pub fn look(&mut self, now: Now) -> bool {
        let open = match (self.opening_hours, now.clock) {
            (Some(hours), Clock::Set(time)) => hours.contain(time, &self.time_zone),
            _ => false,
        };
        if open && self.count() == 0 {
            self.missing_since.get_or_insert(now.tick);
        } else {
            self.missing_since = None;
        }
        let alarmed = self.missing_since.is_some_and(|since| now.tick.since(since) >= PATIENCE);
        std::mem::replace(&mut self.alarmed, alarmed) != alarmed
    }

    /// What is wrong, for people.
    pub fn alarm(&self) -> Option<&'static str> {
        self.alarmed.then_some("no tablet is connected to this gateway although the shop is open")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::units::WallTime;

    fn at(minutes: u64) -> Now {
        let passed = Duration::from_secs(60 * minutes);
        let opening = WallTime::parse("2026-01-05T08:58:00Z").unwrap();
        Now { tick: Tick::ZERO.plus(passed), clock: Clock::Set(opening.plus(passed)) }
    }

    #[test]
    fn no_connected_tablet_is_an_alarm_from_five_minutes_after_opening_until_one_connects() {
        let viewers = Arc::new(Viewers::default());
        let hours = QuietHours { from_minute: 9 * 60, until_minute: 20 * 60 };
        let zone = jiff::tz::TimeZone::UTC;
        let mut watch = TabletWatch::new(Arc::clone(&viewers), Vec::new(), Some(hours), zone);
        let changes: Vec<u64> = (0..10).filter(|minute| watch.look(at(*minute))).collect();
        assert_eq!(changes, [7]);
        assert!(watch.alarm().is_some());
        let tablet = viewers.open(None, "a".to_owned(), at(10).clock.reading());
        assert!(watch.look(at(11)) && watch.alarm().is_none());
        drop(tablet);
        assert!(!watch.look(at(12)), "a reload is no alarm");
        assert!(!watch.look(at(12 * 60)), "closed");
    }

    #[test]
    fn without_a_clock_nothing_is_known_of_opening_hours() {
        let hours = QuietHours { from_minute: 9 * 60, until_minute: 20 * 60 };
        let zone = jiff::tz::TimeZone::UTC;
        let mut watch = TabletWatch::new(Arc::default(), Vec::new(), Some(hours), zone);
        for minute in 0..60 {
            let Now { tick, clock } = at(minute);
            assert!(!watch.look(Now { tick, clock: Clock::Unset(clock.reading()) }));
        }
    }
}
