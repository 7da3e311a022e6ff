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
