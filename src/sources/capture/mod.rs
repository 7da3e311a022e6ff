//! Captures as tools of the field write them: btsnoop, pcap, pcapng.
//!
//! Invariant: one frame is held at a time, whatever the file's length; a frame that cannot be
//! read is an error of that frame alone.

mod btsnoop;
mod link;
mod octets;
mod pcap;
mod pcapng;

pub use link::Link;

use std::collections::VecDeque;
use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use super::report::{Chains, Report};
use super::{Heard, Record, Script, ScriptError, What};
use crate::pipeline::units::WallTime;

/// One frame of a capture.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// From 1.
    pub number: u64,
    /// Microseconds since the Unix epoch.
    pub unix_micros: i64,
    /// How to read its octets.
    pub link: Link,
    /// As they were captured.
    pub octets: &'a [u8],
}

impl std::fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({}, {:?}, {} octets)", self.number, self.link, self.octets.len())
    }
}

/// The frames of a capture, one at a time, so that each can borrow the same buffer.
pub trait Frames: Send {
    /// The next frame; `None` at the end. After an error there is no way on.
    fn next_frame(&mut self) -> Result<Option<Frame<'_>>, ScriptError>;
}

/// Which of the formats a file begins like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `btmon -w`, Android's HCI log.
    Btsnoop,
    /// tcpdump's.
    Pcap,
    /// Wireshark's.
    PcapNg,
}

impl Format {
    /// The longest of the formats' marks.
    pub const MARK_LENGTH: usize = 8;

    /// The format of a file that begins like this.
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [b'b', b't', b's', b'n', b'o', b'o', b'p', 0, ..] => Some(Self::Btsnoop),
            [0x0a, 0x0d, 0x0d, 0x0a, ..] => Some(Self::PcapNg),
            [0xd4, 0xc3, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0xc3, 0xd4, ..]
            | [0x4d, 0x3c, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0x3c, 0x4d, ..] => Some(Self::Pcap),
            _ => None,
        }
    }

    /// The frames of a capture in this format.
    pub fn frames(
        self,
        input: impl BufRead + Send + 'static,
    ) -> Result<Box<dyn Frames>, ScriptError> {
        let input = octets::Octets::new(Box::new(input));
        Ok(match self {
            Self::Btsnoop => Box::new(btsnoop::Btsnoop::open(input)?),
            Self::Pcap => Box::new(pcap::Pcap::open(input)?),
            Self::PcapNg => Box::new(pcapng::PcapNg::new(input)),
        })
    }
}

/// A capture as a script: what this one gateway heard, without truth.
pub struct Capture {
    frames: Box<dyn Frames>,
    clock: Option<CaptureClock>,
    chains: Chains,
    waiting: VecDeque<Result<Record, ScriptError>>,
    over: bool,
}

impl std::fmt::Debug for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Capture({:?})", self.clock)
    }
}

impl Capture {
    /// Reads up to the first frame, for its time.
    pub fn new(frames: Box<dyn Frames>) -> Self {
        let chains = Chains::default();
        let waiting = VecDeque::new();
        let mut capture = Self { frames, clock: None, chains, waiting, over: false };
        while capture.clock.is_none() && capture.read_frame() {}
        capture
    }

    /// Puts what the next frame says into `waiting`; false at the end.
    fn read_frame(&mut self) -> bool {
        if self.over {
            return false;
        }
        let frame = match self.frames.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => return false,
            Err(error) => {
                self.over = true;
                self.waiting.push_back(Err(error));
                return false;
            }
        };
        let clock = self.clock.get_or_insert(CaptureClock::starting_at(frame.unix_micros));
        let at = clock.at(frame.unix_micros);
        for report in frame.link.reports(frame.octets) {
            match report {
                Ok(report) => self.waiting.extend(heard(&mut self.chains, at, report).map(Ok)),
                Err(cut) => self.waiting.push_back(Err(ScriptError::Line {
                    line: frame.number,
                    problem: cut.to_string(),
                })),
            }
        }
        true
    }
}

fn heard(chains: &mut Chains, at: Duration, report: Report<'_>) -> Option<Record> {
    let whole = chains.join(report)?;
    let heard = Heard {
        gateway: None,
        address: whole.address,
        rssi: whole.rssi,
        payload: whole.payload.to_vec(),
    };
    Some(Record { at, what: What::Heard(heard) })
}

impl Iterator for Capture {
    type Item = Result<Record, ScriptError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.waiting.is_empty() && self.read_frame() {}
        self.waiting.pop_front()
    }
}

impl Script for Capture {
    fn started_at(&self) -> WallTime {
        WallTime::from_unix_millis(self.clock.map_or(0, |c| c.started.div_euclid(1000)))
    }

    fn store(&self) -> Option<u16> {
        None
    }

    fn gateways(&self) -> &[Arc<str>] {
        &[]
    }
}

/// A clock that was set back by more than this was stepped; by less, frames of several
/// interfaces were merged out of order.
const STEP_MICROS: i64 = 1_000_000;

/// Turns the capture's wall clock, which may be stepped, into time that never goes back.
#[derive(Debug, Clone, Copy)]
struct CaptureClock {
    started: i64,
    /// What to take off the wall clock: the start, less all steps back since.
    offset: i64,
    last: i64,
}

impl CaptureClock {
    const fn starting_at(unix_micros: i64) -> Self {
        Self { started: unix_micros, offset: unix_micros, last: 0 }
    }

    fn at(&mut self, unix_micros: i64) -> Duration {
        let at = unix_micros.saturating_sub(self.offset);
        if at < self.last.saturating_sub(STEP_MICROS) {
            self.offset = unix_micros.saturating_sub(self.last);
        }
        self.last = self.last.max(at);
        Duration::from_micros(self.last.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_does_not_stop_the_capture() {
        let mut clock = CaptureClock::starting_at(5_000_000_000);
        let times = [5_000_000_000, 5_010_000_000, 5_009_999_000, 1_000, 2_001_000, 1_999_000];
        let at: Vec<_> = times.map(|t| clock.at(t).as_millis()).to_vec();
        assert_eq!(at, [0, 10_000, 10_000, 10_000, 12_000, 12_000]);
    }
}
