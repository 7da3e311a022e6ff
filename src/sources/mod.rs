//! Sources of advertisements: recordings, captures, a simulated shop, the live radio.
//!
//! Recordings, captures and the simulated shop are *replay sources*: iterators of [`Record`]s in
//! the order of time, which `replay` runs in virtual time and `run` and `demo` at a given speed.
//! Live sources ([`live`], listed in [`kinds`]) send what they receive in batches.

pub mod activity;
pub mod adapter;
#[cfg(target_os = "linux")]
pub mod bluez;
mod byte_reader;
pub mod capture;
pub mod capture_path;
pub mod chains;
pub mod drop_oldest;
pub mod h4;
pub mod hci;
pub mod kinds;
pub mod link_layer;
pub mod live;
#[cfg(target_os = "linux")]
pub mod monitor;
pub mod portable;
pub mod recording;
pub mod report;
pub mod scan_health;
pub mod simulated;
pub mod skipped;
pub mod status;
mod structures;

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::pipeline::event::Address;
use crate::pipeline::units::{Dbm, WallTime};
use skipped::Skipped;

/// One received advertisement. It holds personal data of strangers, so it is never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Advertisement {
    /// The gateway that received it, by name; `None` for this process's own.
    pub gateway: Option<Arc<str>>,
    /// The sender's address.
    pub address: Address,
    /// Received signal strength; `None` where the controller reports none.
    pub rssi: Option<Dbm>,
    /// AD structures.
    pub payload: Vec<u8>,
}

impl std::fmt::Debug for Advertisement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Advertisement({} octets)", self.payload.len())
    }
}

impl From<report::Report<'_>> for Advertisement {
    /// As received by this process's own gateway.
    fn from(report: report::Report<'_>) -> Self {
        let report::Report { address, rssi, payload, .. } = report;
        Self { gateway: None, address, rssi, payload: payload.to_vec() }
    }
}

/// An event of a replay source.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Time since the start of the replay source; it never goes back.
    pub at: Duration,
    pub what: RecordKind,
}

/// The kinds of events of a replay source.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordKind {
    /// An advertisement is received.
    Received(Advertisement),
    /// What truly happened to a customer, for scoring; the pipeline never gets it.
    GroundTruth { word: GroundTruth, client: String },
}

/// The ground truth labels of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroundTruth {
    /// Walks in.
    Enter,
    /// Walks out for good.
    Leave,
    /// Was in already when the recording began.
    Inside,
    /// Steps out, still the same visit.
    StepOut,
    /// Comes back in.
    StepIn,
    /// An enrolled customer who never came in.
    Pass,
}

impl GroundTruth {
    const ALL: [Self; 6] =
        [Self::Enter, Self::Leave, Self::Inside, Self::StepOut, Self::StepIn, Self::Pass];

    /// The label of a word in a recording; `None` for unknown words.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|truth| truth.word() == word)
    }

    /// Its word in a recording.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::Leave => "leave",
            Self::Inside => "inside",
            Self::StepOut => "step_out",
            Self::StepIn => "step_in",
            Self::Pass => "pass",
        }
    }
}

/// A replay source: its start and its records.
pub trait ReplaySource: Iterator<Item = Result<Record, ReplayError>> + Send {
    /// Wall time at the replay source's start.
    fn started_at(&self) -> WallTime;
    /// The store it was recorded in, if known.
    fn store(&self) -> Option<u16>;
    /// The gateways it was recorded by, if known.
    fn gateways(&self) -> &[Arc<str>];
    /// What was skipped so far.
    fn skipped(&self) -> Skipped {
        Skipped::default()
    }
}

/// The longest silence within a recording or capture: a longer one is a wrong time stamp. Every
/// quarter of an hour of silence makes the pipeline compute the tokens of all customers.
pub const MAX_SILENCE: Duration = Duration::from_hours(7 * 24);

/// The longest recording or capture.
pub const MAX_LENGTH: Duration = Duration::from_hours(366 * 24);

/// Why a replay source ends early, or left something out.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// One line or frame cannot be read; reading continues after it.
    #[error("line {line}: {problem}")]
    Line {
        /// Line or frame, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The file is no recording at all.
    #[error("{0}")]
    NotARecording(String),
}

/// Opens a recording or capture, plain or compressed with zstd, by what it begins with.
///
/// # Errors
/// The file cannot be read, or is no recording and no capture.
pub fn open(path: &Path) -> Result<Box<dyn ReplaySource>, ReplayError> {
    open_stream(BufReader::new(File::open(path)?))
}

/// As [`open()`], from memory.
///
/// # Errors
/// The octets are no recording and no capture.
pub fn open_bytes(bytes: Vec<u8>) -> Result<Box<dyn ReplaySource>, ReplayError> {
    open_stream(Cursor::new(bytes))
}

fn open_stream(input: impl BufRead + Send + 'static) -> Result<Box<dyn ReplaySource>, ReplayError> {
    const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let (head, input) = begin(input)?;
    if head.starts_with(&ZSTD) {
        let (head, input) = begin(BufReader::new(zstd::Decoder::with_buffer(input)?))?;
        return open_plain(&head, input);
    }
    open_plain(&head, input)
}

fn open_plain(
    head: &[u8],
    input: impl BufRead + Send + 'static,
) -> Result<Box<dyn ReplaySource>, ReplayError> {
    if let Some(format) = capture::Format::of(head) {
        return Ok(Box::new(capture::Capture::new(format.frames(input)?)));
    }
    if head.starts_with(&[0x1f, 0x8b]) {
        let problem = "compressed with gzip: unpack it, or compress it with zstd";
        return Err(ReplayError::NotARecording(problem.into()));
    }
    let text = head.iter().all(|octet| !octet.is_ascii_control() || octet.is_ascii_whitespace());
    if !text {
        let problem = "neither a recording nor a btsnoop, pcap or pcapng capture";
        return Err(ReplayError::NotARecording(problem.into()));
    }
    Ok(Box::new(recording::Recording::open(input)?))
}

/// The first octets of `input`, and a reader of all of it.
fn begin(
    mut input: impl BufRead + Send + 'static,
) -> Result<(Vec<u8>, impl BufRead + Send + 'static), ReplayError> {
    let mut head = Vec::new();
    input.by_ref().take(capture::Format::MARK_LENGTH as u64).read_to_end(&mut head)?;
    Ok((head.clone(), Cursor::new(head).chain(input)))
}

/// A binary file whose layout cannot be followed any further.
impl From<byte_reader::CutShort> for ReplayError {
    fn from(_: byte_reader::CutShort) -> Self {
        std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "a frame is cut short").into()
    }
}
