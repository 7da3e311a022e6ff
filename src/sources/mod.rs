//! Adverts in: recordings, captures, a simulated shop, the live radio.
//!
//! Recordings, captures and the simulated shop are *scripts*: iterators of [`Record`]s in the
//! order of time, which `replay` runs in virtual time and `run` and `demo` at a given speed.
//! The live radio pushes [`Heard`] into a bounded queue.

pub mod bluez;
pub mod hci;
pub mod intake;
pub mod report;

use std::sync::Arc;
use std::time::Duration;

use crate::pipeline::event::Address;
use crate::pipeline::units::{Dbm, WallTime};

/// One advertisement, owned, as a source heard it. It carries strangers' bytes: never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Heard {
    /// The gateway that heard it, by name; `None` for this process's own.
    pub gateway: Option<Arc<str>>,
    /// Who sent it.
    pub address: Address,
    /// How loud.
    pub rssi: Option<Dbm>,
    /// AD structures.
    pub payload: Vec<u8>,
}

impl std::fmt::Debug for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Heard({} octets)", self.payload.len())
    }
}

/// What a script says next.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Since the script's start; never going back.
    pub at: Duration,
    /// What happens then.
    pub what: What,
}

/// What happens in a script.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// An advertisement is heard.
    Heard(Heard),
    /// The truth about a customer, for scoring; never shown to the pipeline.
    Truth {
        /// What truly happens.
        word: Truth,
        /// The customer's handle.
        client: String,
    },
}

/// Truth words of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// Walks in.
    Enter,
    /// Walks out for good.
    Leave,
    /// Was in already when the recording began.
    Inside,
    /// Steps out, still the same visit.
    StepOut,
    /// Steps in again.
    StepIn,
    /// An enrolled customer who never came in.
    Pass,
}

/// A script: its start and its records.
pub trait Script: Iterator<Item = Result<Record, ScriptError>> + Send {
    /// Wall time at the script's start.
    fn started_at(&self) -> WallTime;
    /// The store it was recorded in, if known.
    fn store(&self) -> Option<u16>;
    /// The gateways it was recorded by, if known.
    fn gateways(&self) -> &[Arc<str>];
}

/// Why a script cannot go on, or had to leave something out.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// One line or frame is not readable; what follows is still read.
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
