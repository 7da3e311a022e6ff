//! Captures of common tools: btsnoop, pcap, pcapng.
//!
//! Invariant: one frame is held at a time, so memory does not grow with the file; a frame that
//! cannot be read is an error of that frame alone.

mod btsnoop;
mod link;
mod octets;
mod pcap;
mod pcapng;

pub use link::{Content, LinkType};

use std::collections::VecDeque;
use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use super::chains::Chains;
use super::link_layer::AuxPointers;
use super::report::Report;
use super::skipped::Skipped;
use super::{MAX_LENGTH, MAX_SILENCE, Record, RecordKind, ReplayError, ReplaySource};
use crate::pipeline::units::WallTime;

/// One frame of a capture.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// From 1 on.
    pub number: u64,
    /// Microseconds since the Unix epoch.
    pub unix_micros: i64,
    /// How to read its octets.
    pub link: LinkType,
    /// The interface that captured it, or the adapter where the capture names that instead.
    pub interface: u16,
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
    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read further.
    fn next_frame(&mut self) -> Result<Option<Frame<'_>>, ReplayError>;

    /// Frames that were passed over because their link type is unknown.
    fn unsupported(&self) -> u64 {
        0
    }
}

/// The formats of captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `btmon -w`, Android's HCI log.
    Btsnoop,
    /// As tcpdump writes it.
    Pcap,
    /// As Wireshark writes it.
    PcapNg,
}

impl Format {
    /// The longest of the formats' marks.
    pub const MARK_LENGTH: usize = 8;

    /// The format of a file that begins with `head`.
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
    ///
    /// # Errors
    /// The head of the file cannot be read, or its link type holds no advertisements.
    pub fn frames(
        self,
        input: impl BufRead + Send + 'static,
    ) -> Result<Box<dyn Frames>, ReplayError> {
        let input = octets::Octets::new(Box::new(input));
        Ok(match self {
            Self::Btsnoop => Box::new(btsnoop::Btsnoop::open(input)?),
            Self::Pcap => Box::new(pcap::Pcap::open(input)?),
            Self::PcapNg => Box::new(pcapng::PcapNg::new(input)),
        })
    }
}

/// A capture as a replay source: what this one gateway received, without ground truth.
pub struct Capture {
    frames: Box<dyn Frames>,
    clock: Option<CaptureClock>,
    assembly: Assembly,
    waiting: VecDeque<Result<Record, ReplayError>>,
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
        let (assembly, waiting) = (Assembly::default(), VecDeque::new());
        let mut capture = Self { frames, clock: None, assembly, waiting, over: false };
        while capture.clock.is_none() && capture.read_frame() {}
        capture
    }

    /// Adds the next frame's records to `waiting`; false at the end.
    fn read_frame(&mut self) -> bool {
        if self.over {
            return false;
        }
        let frame = match self.frames.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                self.over = true;
                return false;
            }
            Err(error) => {
                self.over = true;
                self.waiting.push_back(Err(error));
                return false;
            }
        };
        let clock = self.clock.get_or_insert(CaptureClock::starting_at(frame.unix_micros));
        match clock.at(frame.unix_micros) {
            Ok(at) => self.assembly.read(at, &frame, &mut self.waiting),
            Err(problem) => {
                self.over = clock.last > MAX_LENGTH_MICROS;
                self.waiting.push_back(Err(ReplayError::Line { line: frame.number, problem }));
            }
        }
        true
    }
}

/// Builds advertisements from frames.
#[derive(Debug, Default)]
struct Assembly {
    pointers: AuxPointers,
    chains: Chains,
    skipped: Skipped,
}

impl Assembly {
    /// Adds the advertisements in `frame` to `records`.
    fn read(
        &mut self,
        at: Duration,
        frame: &Frame<'_>,
        records: &mut VecDeque<Result<Record, ReplayError>>,
    ) {
        let adapter =
            u32::from(frame.interface) << 16 | u32::from(frame.link.adapter(frame.octets));
        match frame.link.read(frame.octets) {
            Content::Event(reports) => {
                let mut is_empty = true;
                for report in reports {
                    is_empty = false;
                    match report {
                        Ok(report) => records.extend(self.join(adapter, at, report).map(Ok)),
                        Err(damaged) => records.push_back(Err(ReplayError::Line {
                            line: frame.number,
                            problem: damaged.to_string(),
                        })),
                    }
                }
                self.skipped.not_advertising += u64::from(is_empty);
            }
            Content::Packet(packet) if packet.is_damaged() => self.skipped.damaged += 1,
            Content::Packet(packet) if packet.is_extended() => {
                let report = self.pointers.report(adapter, at, &packet);
                let record = report.and_then(|report| self.join(adapter, at, report));
                records.extend(record.map(Ok));
            }
            Content::Packet(packet) => match packet.legacy_report() {
                Some(report) => records.extend(self.join(adapter, at, report).map(Ok)),
                None => self.skipped.not_advertising += 1,
            },
            Content::Other => self.skipped.not_advertising += 1,
            Content::Unsupported => self.skipped.unsupported += 1,
        }
    }

    fn join(&mut self, adapter: u32, at: Duration, report: Report<'_>) -> Option<Record> {
        let whole = self.chains.join(adapter, at, report)?;
        Some(Record { at, what: RecordKind::Received(whole.into()) })
    }

    fn skipped(&self) -> Skipped {
        let unfinished = self.chains.unfinished() as u64;
        let incomplete = self.pointers.orphans() + self.chains.dropped() + unfinished;
        Skipped { incomplete, ..self.skipped }
    }
}

impl Iterator for Capture {
    type Item = Result<Record, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.waiting.is_empty() && self.read_frame() {}
        self.waiting.pop_front()
    }
}

impl ReplaySource for Capture {
    fn started_at(&self) -> WallTime {
        WallTime::from_unix_millis(self.clock.map_or(0, |c| c.started.div_euclid(1000)))
    }

    fn store(&self) -> Option<u16> {
        None
    }

    fn gateways(&self) -> &[Arc<str>] {
        &[]
    }

    fn skipped(&self) -> Skipped {
        let skipped = self.assembly.skipped();
        Skipped { unsupported: skipped.unsupported + self.frames.unsupported(), ..skipped }
    }
}

/// A clock that goes back by more than this was stepped; by less, frames of several interfaces were
/// merged out of order.
const STEP_MICROS: i64 = 1_000_000;

const MAX_SILENCE_MICROS: i64 = MAX_SILENCE.as_secs().cast_signed() * 1_000_000;
const MAX_LENGTH_MICROS: i64 = MAX_LENGTH.as_secs().cast_signed() * 1_000_000;

/// Turns the capture's wall clock, which may be stepped, into a time that never goes back and never
/// leaps: a leap of years costs the pipeline years of deadlines.
#[derive(Debug, Clone, Copy)]
struct CaptureClock {
    started: i64,
    /// Subtracted from the wall clock: the start and all steps since.
    offset: i64,
    last: i64,
}

impl CaptureClock {
    const fn starting_at(unix_micros: i64) -> Self {
        Self { started: unix_micros, offset: unix_micros, last: 0 }
    }

    /// # Errors
    /// The time is more than [`MAX_SILENCE`] after the frame before; then this frame takes no time,
    /// and the next ones count from it. Or the capture is longer than [`MAX_LENGTH`].
    fn at(&mut self, unix_micros: i64) -> Result<Duration, String> {
        let at = unix_micros.saturating_sub(self.offset);
        let ahead = at.saturating_sub(self.last);
        if ahead > MAX_SILENCE_MICROS {
            self.offset = unix_micros.saturating_sub(self.last);
            let days = ahead / 86_400_000_000;
            return Err(format!("its time is {days} days after the frame before"));
        }
        if ahead < -STEP_MICROS {
            self.offset = unix_micros.saturating_sub(self.last);
        }
        self.last = self.last.max(at);
        if self.last > MAX_LENGTH_MICROS {
            let days = MAX_LENGTH.as_secs() / 86_400;
            return Err(format!(
                "more than {days} days after the first frame: the rest is left out"
            ));
        }
        Ok(Duration::from_micros(self.last.unsigned_abs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_does_not_stop_the_capture() {
        let mut clock = CaptureClock::starting_at(5_000_000_000);
        let times = [5_000_000_000, 5_010_000_000, 5_009_999_000, 1_000, 2_001_000, 1_999_000];
        let at: Vec<_> = times.map(|t| clock.at(t).unwrap().as_millis()).to_vec();
        assert_eq!(at, [0, 10_000, 10_000, 10_000, 12_000, 12_000]);
    }

    #[test]
    fn a_clock_set_ahead_by_years_takes_no_time() {
        const YEARS: i64 = 20 * 365 * 86_400_000_000;
        let mut clock = CaptureClock::starting_at(0);
        let times = [0, 1_000_000, YEARS, YEARS + 1_000_000, 2_000_000, 3_000_000];
        let at: Vec<_> = times.map(|t| clock.at(t).ok().map(|at| at.as_secs())).to_vec();
        assert_eq!(at, [Some(0), Some(1), None, Some(2), Some(2), Some(3)]);
    }

    #[test]
    fn a_capture_ends_after_a_year() {
        let mut clock = CaptureClock::starting_at(0);
        let weeks = (1..).map(|week| week * MAX_SILENCE_MICROS);
        assert_eq!(weeks.map_while(|time| clock.at(time).ok()).count(), 52);
    }
}
