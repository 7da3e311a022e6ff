//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// The first wait after a failure: a broker that restarts is back soon.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait while the broker cannot be reached.
const LONGEST: Duration = Duration::from_secs(5);

/// The wait after a refusal: a person must correct a password first, and a broker that counts
/// failures must not lock this gateway out.
const REFUSED: Duration = Duration::from_secs(15);

/// The wait before another broker is tried.
pub const SOON: Duration = Duration::from_millis(50);

/// Doubling waits with jitter, so that a chain's gateways do not return in step.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A connection was established.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The broker did not answer.
    pub fn unreachable(&mut self) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.failures.min(6)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        jittered(wait)
    }

    /// The broker refused the connection.
    pub fn refused() -> Duration {
        jittered(REFUSED)
    }
}

/// Waits of one among ten thousand clients of a cluster, whose connections are lost together: anything
/// between nothing and a limit that doubles, so that they return spread over that time.
#[derive(Debug)]
pub struct Spread {
    longest: Duration,
    failures: u32,
}

impl Spread {
    /// The first limit: a node that was killed is replaced by another at once.
    const FIRST: Duration = Duration::from_secs(1);

    /// With `longest` as the last limit.
    pub const fn new(longest: Duration) -> Self {
        Self { longest, failures: 0 }
    }

    /// A connection was established.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Before the next attempt; after a `round` of all addresses the limit doubles.
    pub fn next(&mut self, round: bool) -> Duration {
        let limit = Self::FIRST.saturating_mul(1 << self.failures.min(16)).min(self.longest);
        self.failures = self.failures.saturating_add(u32::from(round));
        limit.mul_f64(random())
    }
}

/// Between 0 and 1.
fn random() -> f64 {
    let mut octets = [0xff, 0xff];
    // Without randomness the wait is the longest.
    let _ = getrandom::fill(&mut octets);
    f64::from(u16::from_le_bytes(octets)) / f64::from(u16::MAX)
}

/// Between three and five quarters of `wait`.
fn jittered(wait: Duration) -> Duration {
    let mut byte = [128];
    // Without randomness the wait is merely exact.
    let _ = getrandom::fill(&mut byte);
    wait.mul_f64(0.75 + f64::from(byte[0]) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_that_were_cut_off_together_return_one_after_another() {
        let mut waits: Vec<Duration> = Vec::new();
        for _ in 0..10_000 {
            let mut spread = Spread::new(Duration::from_mins(1));
            for _ in 0..7 {
                spread.next(true);
            }
            waits.push(spread.next(true));
            spread.succeeded();
            assert!(spread.next(true) <= Spread::FIRST);
        }
        let within = |secs: u64| waits.iter().filter(|wait| wait.as_secs() < secs).count();
        assert!(within(1) < 300 && within(30) < 5_500 && within(61) == 10_000, "{}", within(1));
    }

    #[test]
    fn waits_grow_to_a_limit_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        assert!(backoff.unreachable() <= FIRST * 5 / 4);
        for _ in 0..20 {
            backoff.unreachable();
        }
        assert!(backoff.unreachable() >= LONGEST * 3 / 4);
        backoff.succeeded();
        assert!(backoff.unreachable() <= FIRST * 5 / 4);
    }
}
