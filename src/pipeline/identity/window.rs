//! Windows of 600 s: which ones count now, which tables to keep, and when that changes.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::pipeline::units::{Clock, WallTime};

/// A token counts for one window; 144 windows a day, none straddles two days.
pub const WINDOW_MS: i64 = 600_000;
/// Accepted error of a phone's clock: a token counts this long before and after its window.
pub const SKEW_MS: i64 = 120_000;
/// When the next window's table is started: once the last one no longer counts, so that there are
/// never more than two. It opens 480 s into the window, and the old one closes at 120 s.
const AHEAD_MS: i64 = 359_999;

/// A window's number: Unix seconds divided by 600.
pub type Window = u32;

/// A day's number: Unix seconds divided by 86,400.
pub type Day = u32;

/// The day that a window lies in.
pub const fn day_of(window: Window) -> Day {
    window / 144
}

/// The window of a time; before 1970 it is the first.
pub fn window_at(time: WallTime) -> Window {
    u32::try_from(time.unix_millis().div_euclid(WINDOW_MS)).unwrap_or(0)
}

/// When a window opens.
pub fn opens_at(window: Window) -> WallTime {
    WallTime::from_unix_millis(i64::from(window) * WINDOW_MS)
}

/// How far off the sender's clock and ours may be: one more window where ours was never set.
pub const fn skew_ms(clock: Clock) -> i64 {
    match clock {
        Clock::Set(_) => SKEW_MS,
        Clock::Unset(_) => SKEW_MS + WINDOW_MS,
    }
}

/// Whether a token of `window` counts now.
#[inline]
pub fn counts(window: Window, clock: Clock) -> bool {
    let (now, skew) = (clock.reading().unix_millis(), skew_ms(clock));
    let opens = i64::from(window) * WINDOW_MS;
    opens - skew <= now && now <= opens + WINDOW_MS + skew
}

/// The windows that count now.
pub fn counting(clock: Clock) -> RangeInclusive<Window> {
    between(clock, 0)
}

/// The windows whose tables to keep or build: those that count now or soon.
pub fn wanted(clock: Clock) -> RangeInclusive<Window> {
    between(clock, AHEAD_MS)
}

fn between(clock: Clock, ahead: i64) -> RangeInclusive<Window> {
    let (now, skew) = (clock.reading().unix_millis(), skew_ms(clock));
    let first = now.saturating_sub(skew + 1).div_euclid(WINDOW_MS);
    let last = now.saturating_add(skew + ahead).div_euclid(WINDOW_MS);
    let window = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
    window(first)..=window(last)
}

/// Time until [`wanted`] changes, unless the clock is stepped.
pub fn unchanged_for(clock: Clock) -> Duration {
    let into = clock.reading().unix_millis().rem_euclid(WINDOW_MS);
    let change = SKEW_MS + 1;
    let left = if into < change { change - into } else { change + WINDOW_MS - into };
    Duration::from_millis(left.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: u32 = 2_945_376;

    fn at(ms: i64) -> Clock {
        Clock::Set(WallTime::from_unix_millis(i64::from(W) * WINDOW_MS + ms))
    }

    #[test]
    fn a_window_counts_from_120_s_before_it_opens_to_120_s_after_it_closes() {
        for (ms, expected) in [
            (-120_001, false),
            (-120_000, true),
            (0, true),
            (599_999, true),
            (720_000, true),
            (720_001, false),
        ] {
            assert_eq!(counts(W, at(ms)), expected, "{ms}");
            assert_eq!(counting(at(ms)).contains(&W), expected, "{ms}");
        }
    }

    #[test]
    fn an_unset_clock_counts_a_window_more_on_either_side() {
        for (ms, expected) in
            [(-720_001, false), (-720_000, true), (1_320_000, true), (1_320_001, false)]
        {
            let clock = Clock::Unset(at(ms).reading());
            assert_eq!(counts(W, clock), expected, "{ms}");
            assert_eq!(counting(clock).contains(&W), expected, "{ms}");
        }
    }

    #[test]
    fn never_more_than_two_tables_and_the_next_one_long_before_it_counts() {
        let mut begun = None;
        for ms in (0..600_000).step_by(1) {
            let wanted = wanted(at(ms));
            assert!(wanted.end() - wanted.start() < 2, "{ms}");
            if wanted.contains(&(W + 1)) && begun.is_none() {
                begun = Some(ms);
            }
        }
        assert_eq!(begun, Some(120_001));
    }

    #[test]
    fn what_is_wanted_changes_when_announced_and_not_before() {
        for clock in [at(0), at(120_000), at(120_001), at(599_999)] {
            for unset in [false, true] {
                let later = |by: Duration| {
                    let time = clock.reading().plus(by);
                    if unset { Clock::Unset(time) } else { Clock::Set(time) }
                };
                let change = unchanged_for(clock);
                let just_before = change.saturating_sub(Duration::from_millis(1));
                let before = wanted(later(just_before));
                assert_eq!(wanted(later(Duration::ZERO)), before);
                assert_ne!(wanted(later(change)), before);
            }
        }
    }

    #[test]
    fn times_before_1970_and_far_away_are_no_panic() {
        for ms in [i64::MIN, -1, 0, i64::MAX] {
            let clock = Clock::Unset(WallTime::from_unix_millis(ms));
            let _ = (counting(clock), wanted(clock), unchanged_for(clock), counts(0, clock));
        }
    }
}
