//! The one place that reads clocks.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::pipeline::Now;
use crate::pipeline::units::{Clock, Tick, WallTime};

/// 2026-01-01T00:00:00Z: a wall clock that reads earlier was never set.
const BEFORE_THIS_PROGRAM: WallTime = WallTime::from_unix_secs(1_767_225_600);

/// Both clocks, read together: the machine's own, or a replay source's virtual time.
#[derive(Clone)]
pub struct Clocks {
    read: Arc<dyn Fn() -> Now + Send + Sync>,
    /// Seconds of these clocks in one real second.
    speed: f64,
}

impl Clocks {
    /// Clocks read by `read`.
    pub fn new(read: impl Fn() -> Now + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read), speed: 1.0 }
    }

    /// The machine's own clocks.
    #[expect(clippy::disallowed_methods, reason = "clocks are read here and nowhere else")]
    pub fn machine() -> Self {
        let start = Instant::now();
        Self::new(move || Now { tick: tick_since(start, 1.0), clock: wall_clock() })
    }

    /// A script's clocks: its wall clock begins at `started_at`, and a real second is `speed` of
    /// its own.
    #[expect(clippy::disallowed_methods, reason = "clocks are read here and nowhere else")]
    pub fn paced(started_at: WallTime, speed: f64) -> Self {
        let start = Instant::now();
        let read = move || {
            let tick = tick_since(start, speed);
            Now { tick, clock: Clock::Set(started_at.plus(tick.since(Tick::ZERO))) }
        };
        Self { read: Arc::new(read), speed }
    }

    /// How long `time` on these clocks takes in real time, which brokers and tablets live in.
    pub fn real(&self, time: Duration) -> Duration {
        Duration::try_from_secs_f64(time.as_secs_f64() / self.speed).unwrap_or(Duration::MAX)
    }

    /// What they say.
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
fn wall_clock() -> Clock {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let reading =
        WallTime::from_unix_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX));
    if reading < BEFORE_THIS_PROGRAM { Clock::Unset(reading) } else { Clock::Set(reading) }
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
