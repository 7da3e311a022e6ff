//! The state of the radio, for the pipeline, staff's tablets and IT.

use std::collections::BTreeMap;

use super::adapter::Hci;
use super::recovery::Step;
use crate::pipeline::event::Hearing;
use crate::sources::capture_path::CapturePath;

/// The radio as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether at least one adapter receives.
    pub hearing: Hearing,
    /// Why nothing is received, or what keeps one of several adapters from it.
    pub reason: Option<String>,
    /// Every adapter in use.
    pub adapters: BTreeMap<Hci, AdapterStatus>,
    /// How often each step was taken, since the start.
    pub steps: BTreeMap<Step, u64>,
    /// Advertisements received since the start.
    pub heard: u64,
    /// Advertisements dropped because the pipeline could not keep up.
    pub shed: u64,
}

impl Status {
    /// How many adapters receive.
    pub fn listening(&self) -> usize {
        let hears = |adapter: &&AdapterStatus| adapter.hearing == Hearing::Listening;
        self.adapters.values().filter(hears).count()
    }

    /// Nothing was received or tried yet.
    pub fn starting() -> Self {
        Self {
            hearing: Hearing::Blind,
            reason: Some("starting".to_owned()),
            adapters: BTreeMap::new(),
            steps: BTreeMap::new(),
            heard: 0,
            shed: 0,
        }
    }
}

/// One adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterStatus {
    /// The adapter's own address.
    pub address: String,
    /// Whether it receives.
    pub hearing: Hearing,
    /// The path its advertisements come by.
    pub path: CapturePath,
    /// Its controller reports each device once in a scan, so scans are restarted.
    pub hides: bool,
    /// Why it does not receive.
    pub reason: Option<String>,
}
