//! The one place that reads clocks.

pub mod kernel;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::pipeline::Now;
use crate::pipeline::units::{Clock, Tick, WallTime};
use kernel::Boot;

/// 2026-01-01T00:00:00Z: a wall clock that reads earlier was never set.
const BEFORE_THIS_PROGRAM: WallTime = WallTime::from_unix_secs(1_767_225_600);

/// Interval at which the kernel is asked whether the clock is set, until it is.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Both clocks, read together: the machine's own, or a replay source's virtual time.
#[derive(Clone)]
pub struct Clocks {
    read: Arc<dyn Fn() -> Now + Send + Sync>,
    /// Whether they are the machine's, which continue when this process ends.
    of_machine: bool,
    /// Seconds of these clocks in one real second.
    speed: f64,
}

/// When the wall clock counts as set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WallClock {
    /// Once a time server has set it since the machine booted.
    #[default]
    Synchronised,
    /// Always: the machine has a real-time clock, or a time source that the kernel does not know.
    Trusted,
}

impl Clocks {
    /// Clocks read by `read`.
    pub fn new(read: impl Fn() -> Now + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read), of_machine: false, speed: 1.0 }
    }

    /// The machine's own clocks; the wall clock counts as set once a time server has set it.
    pub fn machine() -> Self {
        Self::of_gateway(WallClock::Synchronised, None)
    }

    /// As [`Clocks::machine`], for a gateway. While the wall clock is not set, it reads no earlier
    /// than `not_before`: a machine without a battery begins in the past.
    #[expect(clippy::disallowed_methods, reason = "clocks are read here and nowhere else")]
    pub fn of_gateway(wall_clock: WallClock, not_before: Option<WallTime>) -> Self {
        let start = Instant::now();
        let synchronised = Synchronised::default();
        let read = move || {
            let tick = tick_since(start, 1.0);
            let reading = wall_clock_reading();
            let counts = match wall_clock {
                WallClock::Trusted => true,
                WallClock::Synchronised => synchronised.at(tick),
            };
            let clock = if counts && reading >= BEFORE_THIS_PROGRAM {
                Clock::Set(reading)
            } else {
                let least = not_before.map(|least| least.plus(tick.since(Tick::ZERO)));
                Clock::Unset(least.map_or(reading, |least| least.max(reading)))
            };
            Now { tick, clock }
        };
        Self { of_machine: true, ..Self::new(read) }
    }

    /// The machine's boot; `None` for a replay source's clocks, which begin again with each process.
    pub fn boot(&self) -> Option<Boot> {
        if self.of_machine { Boot::current() } else { None }
    }

    /// A replay source's clocks: its wall clock begins at `started_at`, and a real second is `speed` of
    /// its own.
    #[expect(clippy::disallowed_methods, reason = "clocks are read here and nowhere else")]
    pub fn paced(started_at: WallTime, speed: f64) -> Self {
        let start = Instant::now();
        let read = move || {
            let tick = tick_since(start, speed);
            Now { tick, clock: Clock::Set(started_at.plus(tick.since(Tick::ZERO))) }
        };
        Self { speed, ..Self::new(read) }
    }

    /// The real time that `time` on these clocks takes, for timeouts of brokers and tablets.
    pub fn real(&self, time: Duration) -> Duration {
        Duration::try_from_secs_f64(time.as_secs_f64() / self.speed).unwrap_or(Duration::MAX)
    }

    pub fn now(&self) -> Now {
        (self.read)()
    }
}

impl fmt::Debug for Clocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clocks")
    }
}

fn tick_since(start: Instant, speed: f64) -> Tick {
    let passed = start.elapsed().as_secs_f64() * speed;
    Tick::ZERO.plus(Duration::try_from_secs_f64(passed).unwrap_or(Duration::MAX))
}

#[expect(clippy::disallowed_methods, reason = "clocks are read here and nowhere else")]
fn wall_clock_reading() -> WallTime {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Whether the kernel has ever reported a synchronised clock. It is asked at intervals until it
/// does: a clock that was set stays right to seconds for days.
#[derive(Debug, Default)]
struct Synchronised {
    seen: AtomicBool,
    /// Microseconds of the tick at which to ask again.
    ask_at: AtomicU64,
}

impl Synchronised {
    fn at(&self, tick: Tick) -> bool {
        if self.seen.load(Ordering::Relaxed) {
            return true;
        }
        if tick.as_micros() < self.ask_at.load(Ordering::Relaxed) {
            return false;
        }
        self.ask_at.store(tick.plus(ASK_EVERY).as_micros(), Ordering::Relaxed);
        let synchronised = kernel::is_synchronised();
        self.seen.store(synchronised, Ordering::Relaxed);
        synchronised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_of_a_fast_recording_is_a_second() {
        let clocks = Clocks::paced(WallTime::from_unix_secs(0), 60.0);
        assert_eq!(clocks.real(Duration::from_mins(1)), Duration::from_secs(1));
        assert_eq!(Clocks::machine().real(Duration::from_mins(1)), Duration::from_mins(1));
    }
}
