//! The clock: tokens change every ten minutes, so it must be right to the minute.

use super::Finding;
use crate::clock::{Clocks, WallClock};
use crate::config::Config;
use crate::pipeline::units::Clock;

const ABOUT: &str = "clock";
const REMEDY: &str = "sudo timedatectl set-ntp true, or install chrony; a machine with a \
                      real-time clock and no time server needs gateway.clock = \"trusted\"";

/// Whether the clock counts, according to the kernel.
pub(super) fn finding(config: Option<&Config>) -> Finding {
    let wall_clock = config.map(|config| config.wall_clock).unwrap_or_default();
    let clock = Clocks::of_gateway(wall_clock, None).now().clock;
    let quiet_hours = config.is_some_and(|config| config.policy.quiet_hours.is_some());
    judge(clock, wall_clock, quiet_hours)
}

fn judge(clock: Clock, wall_clock: WallClock, quiet_hours: bool) -> Finding {
    match (clock, wall_clock) {
        (Clock::Set(now), WallClock::Trusted) => {
            Finding::ok(ABOUT, format!("{now}, trusted by gateway.clock"))
        }
        (Clock::Set(now), WallClock::Synchronised) => {
            Finding::ok(ABOUT, format!("{now}, set by a time server"))
        }
        (Clock::Unset(now), WallClock::Trusted) => {
            Finding::fail(ABOUT, format!("{now}: it was never set"), REMEDY)
        }
        (Clock::Unset(now), WallClock::Synchronised) => {
            let says = format!("{now}, not set by a time server since this machine booted");
            if quiet_hours {
                let says = format!("{says}: quiet hours are unknown, so no alert is sent");
                return Finding::fail(ABOUT, says, REMEDY);
            }
            Finding::warn(ABOUT, says, REMEDY)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::pipeline::units::WallTime;

    #[test]
    fn a_clock_that_no_time_server_set_is_named_with_its_remedy() {
        let unset = Clock::Unset(WallTime::parse("2026-03-01T09:00:00Z").unwrap());
        let finding = judge(unset, WallClock::Synchronised, false);
        assert_eq!(finding.verdict, Verdict::Warn);
        assert!(finding.remedy.unwrap().contains("gateway.clock"));
        let silent = judge(unset, WallClock::Synchronised, true);
        assert!(silent.verdict == Verdict::Fail && silent.says.contains("no alert is sent"));
        let set = Clock::Set(unset.reading());
        assert_eq!(judge(set, WallClock::Trusted, true).verdict, Verdict::Ok);
    }
}
