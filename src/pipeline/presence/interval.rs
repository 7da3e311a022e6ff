//! How long a device may be silent before its silence means something: learned from its own gaps.

use std::time::Duration;

use crate::pipeline::units::Tick;

/// Number of gaps that are kept; the longest of them counts.
const REMEMBERED: usize = 16;
/// The longest silence that any device may have: after it, the customer is absent.
const MOST_PATIENCE: Duration = Duration::from_mins(15);

/// The longest gap between the last 16 sightings of one device: a ring of gaps in
/// hundredths of a second, 36 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    gaps_cs: [u16; REMEMBERED],
    next: u8,
    seen: u8,
}

impl Interval {
    pub const fn new() -> Self {
        Self { gaps_cs: [0; REMEMBERED], next: 0, seen: 0 }
    }

    /// Learns the gap between two sightings.
    pub fn learn(&mut self, earlier: Tick, later: Tick) {
        let gap = later.since(earlier).as_millis() / 10;
        if let Some(slot) = self.gaps_cs.get_mut(usize::from(self.next)) {
            *slot = u16::try_from(gap).unwrap_or(u16::MAX);
        }
        self.next = (self.next + 1) % 16;
        self.seen = self.seen.saturating_add(1).min(16);
    }

    /// How long this device may be silent: twice the longest of its gaps plus five seconds, at
    /// least `least`, and at most a quarter of an hour (or `least`).
    pub fn patience(&self, least: Duration) -> Duration {
        let longest = self.gaps_cs.iter().copied().max().unwrap_or(0);
        let learned = Duration::from_millis(u64::from(longest) * 20) + Duration::from_secs(5);
        learned.clamp(least, MOST_PATIENCE.max(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_device_is_granted_more_silence_than_a_fast_one() {
        let least = Duration::from_secs(30);
        let mut fast = Interval::new();
        let mut slow = Interval::new();
        for second in 0..40 {
            fast.learn(
                Tick::from_micros(second * 100_000),
                Tick::from_micros(second * 100_000 + 100_000),
            );
            slow.learn(
                Tick::from_micros(second * 40_000_000),
                Tick::from_micros((second + 1) * 40_000_000),
            );
        }
        assert_eq!(fast.patience(least), least);
        assert_eq!(slow.patience(least), Duration::from_secs(85));
    }

    #[test]
    fn patience_has_an_end() {
        let mut lost = Interval::new();
        lost.learn(Tick::ZERO, Tick::from_micros(u64::MAX));
        assert_eq!(lost.patience(Duration::from_mins(1)), MOST_PATIENCE);
    }
}
