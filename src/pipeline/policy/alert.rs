//! Whether an arrival alerts staff: tiers, quiet hours, frequency caps.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{QuietHours, Settings};
use crate::pipeline::identity::customer::{Customer, Quiet};
use crate::pipeline::units::{Clock, ClockStep, WallTime};
use crate::pipeline::visit::{Announcement, SilentBecause};

/// The time of each customer's last alert, as long as it can suppress another one.
#[derive(Debug)]
pub struct Caps {
    last_alert: BTreeMap<Arc<str>, WallTime>,
    /// Alerts from then on were timed by the wall clock as it runs now. How long ago earlier ones
    /// were is known only where that clock is set.
    clock_since: WallTime,
}

impl Caps {
    /// The caps that survived a restart.
    pub fn restored(last_alerts: Vec<(Arc<str>, WallTime)>, clock_since: WallTime) -> Self {
        Self { last_alert: last_alerts.into_iter().collect(), clock_since }
    }

    /// When each customer was last alerted about.
    pub fn last_alerts(&self) -> Vec<(Arc<str>, WallTime)> {
        self.last_alert.iter().map(|(client, at)| (Arc::clone(client), *at)).collect()
    }

    /// The wall clock was set.
    pub fn set_clock(&mut self, step: ClockStep) {
        self.last_alert.values_mut().for_each(|last| *last = step.applied(*last));
        self.clock_since = step.applied(self.clock_since);
    }

    pub fn forget(&mut self, client: &str) {
        self.last_alert.remove(client);
    }

    /// Another gateway alerted staff of this customer. Returns whether that alert is the latest.
    pub fn note(&mut self, client: &Arc<str>, at: WallTime) -> bool {
        let news = self.last_alert.get(client).is_none_or(|last| *last < at);
        if news {
            self.last_alert.insert(Arc::clone(client), at);
        }
        news
    }

    /// Decides about one arrival; an alert starts the customer's cap.
    pub fn announce(
        &mut self,
        customer: &Customer,
        unfollowed: bool,
        clock: Clock,
        settings: &Settings,
    ) -> Announcement {
        if let Some(because) = self.silent_because(customer, unfollowed, clock, settings) {
            return Announcement::Silent(because);
        }
        let now = clock.reading();
        let comparable = |last: WallTime| clock.known().is_some() || last >= self.clock_since;
        self.last_alert
            .retain(|_, last| !comparable(*last) || now < last.plus(settings.between_alerts));
        if !settings.between_alerts.is_zero() {
            self.last_alert.insert(Arc::clone(&customer.client), now);
        }
        Announcement::Alert { ttl: settings.alert_ttl }
    }

    fn silent_because(
        &self,
        customer: &Customer,
        unfollowed: bool,
        clock: Clock,
        settings: &Settings,
    ) -> Option<SilentBecause> {
        if unfollowed {
            return Some(SilentBecause::WarmUp);
        }
        if customer.quiet == Some(Quiet::GreetOnlyIfAsked) {
            return Some(SilentBecause::GreetOnlyIfAsked);
        }
        if !settings.tiers.is_empty() && !settings.tiers.iter().any(|t| **t == *customer.tier) {
            return Some(SilentBecause::Tier);
        }
        if settings.alerts_per_visit == 0 {
            return Some(SilentBecause::VisitCap);
        }
        let now = clock.reading();
        let set = clock.known().is_some();
        if settings.quiet_hours.is_some() && !set {
            return Some(SilentBecause::ClockUnset);
        }
        if settings.quiet_hours.is_some_and(|hours| hours.contain(now, &settings.time_zone)) {
            return Some(SilentBecause::QuietHours);
        }
        let last = self.last_alert.get(&*customer.client)?;
        if !set && *last < self.clock_since {
            return None;
        }
        // A last alert in the future (the clock was stepped back) does not silence for ever.
        (now >= *last && now < last.plus(settings.between_alerts)).then_some(SilentBecause::Cap)
    }
}

impl QuietHours {
    /// Whether `time` is a quiet one in `zone`.
    pub fn contain(self, time: WallTime, zone: &jiff::tz::TimeZone) -> bool {
        let Ok(timestamp) = jiff::Timestamp::from_millisecond(time.unix_millis()) else {
            return false;
        };
        let local = zone.to_datetime(timestamp);
        let minute =
            u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        if self.from_minute <= self.until_minute {
            (self.from_minute..self.until_minute).contains(&minute)
        } else {
            minute >= self.from_minute || minute < self.until_minute
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn customer(tier: &str) -> Customer {
        Customer {
            client: Arc::from("c-1"),
            tier: Arc::from(tier),
            card: None,
            consent_expires_at: WallTime::from_unix_secs(i64::MAX / 1000),
            quiet: None,
        }
    }

    fn at(text: &str) -> Clock {
        Clock::Set(WallTime::parse(text).unwrap())
    }

    fn caps() -> Caps {
        Caps::restored(Vec::new(), WallTime::from_unix_secs(0))
    }

    fn alerts(announcement: Announcement) -> bool {
        matches!(announcement, Announcement::Alert { .. })
    }

    #[test]
    fn a_customer_is_not_announced_twice_within_the_cap() {
        let settings = Settings { between_alerts: Duration::from_hours(4), ..Settings::default() };
        let mut caps = caps();
        let gold = customer("gold");
        assert!(alerts(caps.announce(&gold, false, at("2026-01-05T09:00:00Z"), &settings)));
        assert_eq!(
            caps.announce(&gold, false, at("2026-01-05T12:59:59Z"), &settings),
            Announcement::Silent(SilentBecause::Cap)
        );
        assert!(alerts(caps.announce(&gold, false, at("2026-01-05T13:00:00Z"), &settings)));
    }

    #[test]
    fn quiet_hours_wrap_round_midnight_in_local_time() {
        let hours = QuietHours { from_minute: 21 * 60, until_minute: 9 * 60 };
        let paris = jiff::tz::TimeZone::fixed(jiff::tz::offset(1));
        let quiet = |text| hours.contain(WallTime::parse(text).unwrap(), &paris);
        assert!(quiet("2026-01-05T20:00:00Z"));
        assert!(quiet("2026-01-05T07:59:00Z"));
        assert!(!quiet("2026-01-05T08:00:00Z"));
        assert!(!quiet("2026-01-05T19:59:00Z"));
    }

    #[test]
    fn only_the_configured_tiers_alert() {
        let settings = Settings { tiers: vec!["gold".into()], ..Settings::default() };
        let mut caps = caps();
        let now = at("2026-01-05T09:00:00Z");
        assert_eq!(
            caps.announce(&customer("silver"), false, now, &settings),
            Announcement::Silent(SilentBecause::Tier)
        );
        assert!(alerts(caps.announce(&customer("gold"), false, now, &settings)));
    }

    #[test]
    fn a_customer_who_was_here_before_the_start_is_not_announced() {
        let now = at("2026-01-05T09:00:00Z");
        assert_eq!(
            caps().announce(&customer("gold"), true, now, &Settings::default()),
            Announcement::Silent(SilentBecause::WarmUp)
        );
    }
}
