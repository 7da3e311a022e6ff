//! Whether a customer may be recognised now.

use crate::pipeline::identity::customer::{Agreement, Quiet};
use crate::pipeline::units::Clock;

/// False once consent has expired, and while the customer asked for quiet.
///
/// A clock that is not set is late rather than early: consent that has ended by its reading has
/// ended, and a wish for today counts on any day.
pub fn recognisable(agreed: &Agreement<'_>, clock: Clock, zone: &jiff::tz::TimeZone) -> bool {
    let now = clock.reading();
    if agreed.expires_at.is_some_and(|end| end <= now) {
        return false;
    }
    match (agreed.quiet, clock) {
        (None | Some(Quiet::GreetOnlyIfAsked), _) => true,
        (Some(Quiet::Until(until)), _) => *until <= now,
        (Some(Quiet::Today(_)), Clock::Unset(_)) => false,
        (Some(Quiet::Today(day)), Clock::Set(now)) => {
            let time = jiff::Timestamp::from_millisecond(now.unix_millis());
            time.is_ok_and(|time| time.to_zoned(zone.clone()).date() != *day)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::units::WallTime;
    use jiff::tz::TimeZone;

    fn wall(text: &str) -> WallTime {
        WallTime::parse(text).unwrap()
    }

    fn agreed(quiet: Option<&Quiet>) -> Agreement<'_> {
        Agreement { expires_at: Some(wall("2028-11-02T00:00:00Z")), quiet }
    }

    fn today() -> Quiet {
        Quiet::Today("2026-01-05".parse().unwrap())
    }

    fn at(quiet: Option<&Quiet>, time: &str) -> bool {
        let paris = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        recognisable(&agreed(quiet), Clock::Set(wall(time)), &paris)
    }

    #[test]
    fn consent_ends_on_the_second() {
        assert!(at(None, "2028-11-01T23:59:59Z"));
        assert!(!at(None, "2028-11-02T00:00:00Z"));
    }

    #[test]
    fn quiet_today_ends_at_the_shops_midnight_not_at_greenwichs() {
        let today = Some(&today());
        assert!(at(today, "2026-01-04T22:59:59Z"));
        assert!(!at(today, "2026-01-04T23:00:00Z"));
        assert!(!at(today, "2026-01-05T22:59:59Z"));
        assert!(at(today, "2026-01-05T23:00:00Z"));
    }

    #[test]
    fn quiet_until_ends_then() {
        let until = Some(&Quiet::Until(wall("2026-02-01T12:00:00Z")));
        assert!(!at(until, "2026-02-01T11:59:59Z"));
        assert!(at(until, "2026-02-01T12:00:00Z"));
    }

    #[test]
    fn greeted_only_on_asking_is_recognised_all_the_same() {
        assert!(at(Some(&Quiet::GreetOnlyIfAsked), "2026-02-01T11:59:59Z"));
    }

    #[test]
    fn an_unset_clock_grants_a_wish_for_today_and_every_expiry() {
        let zone = TimeZone::UTC;
        let clock = |time| Clock::Unset(wall(time));
        assert!(!recognisable(&agreed(Some(&today())), clock("2026-03-01T00:00:00Z"), &zone));
        assert!(!recognisable(&agreed(None), clock("2029-01-01T00:00:00Z"), &zone));
        assert!(recognisable(&agreed(None), clock("2026-01-01T00:00:00Z"), &zone));
    }
}
