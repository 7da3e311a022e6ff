//! How long a device may be silent before its silence means something: learned from its own gaps.

use std::time::Duration;

use crate::pipeline::units::Tick;

/// Number of gaps that are kept; the longest of them counts.
const REMEMBERED: usize = 16;
/// The longest silence that any device may have: after it, the customer is absent.
const MOST_PATIENCE: Duration = Duration::from_mins(15);

/// The longest gap between the last 16 sightings of one device: a ring of [`code`]s, 17 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    gaps: [u8; REMEMBERED],
    next: u8,
}

impl Interval {
    pub const fn new() -> Self {
        Self { gaps: [0; REMEMBERED], next: 0 }
    }

    /// Learns the gap between two sightings.
    pub fn learn(&mut self, earlier: Tick, later: Tick) {
        let gap_cs = u16::try_from(later.since(earlier).as_millis() / 10).unwrap_or(u16::MAX);
        if let Some(slot) = self.gaps.get_mut(usize::from(self.next)) {
            *slot = code(gap_cs);
        }
        self.next = (self.next + 1) % 16;
    }

    /// How long this device may be silent: twice the longest of its gaps plus five seconds, at
    /// least `least`, and at most a quarter of an hour (or `least`).
    pub fn patience(&self, least: Duration) -> Duration {
        let longest_cs = decoded(self.gaps.iter().copied().max().unwrap_or(0));
        let learned = Duration::from_millis(u64::from(longest_cs) * 20) + Duration::from_secs(5);
        learned.clamp(least, MOST_PATIENCE.max(least))
    }
}

/// A number in an octet, rounded up by at most a sixteenth: exact below 32, then four bits of
/// exponent and four of mantissa.
fn code(number: u16) -> u8 {
    let shift = (u16::BITS - number.leading_zeros()).saturating_sub(5);
    let number = u32::from(number);
    let (shift, rounded) = match (number + (1 << shift) - 1) >> shift {
        32 if shift > 0 => (shift + 1, 16),
        rounded => (shift, rounded),
    };
    u8::try_from(16 * shift + rounded).unwrap_or(u8::MAX)
}

fn decoded(code: u8) -> u32 {
    let (exponent, mantissa) = (u32::from(code / 16), u32::from(code % 16));
    if exponent < 2 { code.into() } else { (16 + mantissa) << (exponent - 1) }
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
        let patience = slow.patience(least).as_secs();
        assert!((85..=90).contains(&patience), "{patience}");
    }

    #[test]
    fn a_gap_is_rounded_up_by_at_most_a_sixteenth() {
        for gap in 0..=u16::MAX {
            let (gap, kept) = (u32::from(gap), decoded(code(gap)));
            assert!((gap..=gap + gap / 16).contains(&kept), "{gap} is kept as {kept}");
        }
    }

    #[test]
    fn patience_has_an_end() {
        let mut lost = Interval::new();
        lost.learn(Tick::ZERO, Tick::from_micros(u64::MAX));
        assert_eq!(lost.patience(Duration::from_mins(1)), MOST_PATIENCE);
    }
}
