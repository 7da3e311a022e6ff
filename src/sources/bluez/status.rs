//! What the radio says of itself: to the pipeline, to staff's tablets, to IT.

use std::collections::BTreeMap;

use super::adapter::Hci;
use super::recovery::Step;
use crate::pipeline::event::Hearing;
use crate::sources::capture_path::CapturePath;

/// The radio as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether at least one adapter hears.
    pub hearing: Hearing,
    /// Why nothing is heard, or what keeps one of several adapters from it; nothing where all
    /// is well.
    pub reason: Option<String>,
    /// Every adapter listened to.
    pub adapters: BTreeMap<Hci, AdapterStatus>,
    /// How often each step of the ladder was taken, since the start.
    pub steps: BTreeMap<Step, u64>,
    /// Advertisements heard since the start.
    pub heard: u64,
    /// Advertisements that were shed because the pipeline could not keep up.
    pub shed: u64,
}

impl Status {
    /// How many adapters hear.
    pub fn listening(&self) -> usize {
        let hears = |adapter: &&AdapterStatus| adapter.hearing == Hearing::Listening;
        self.adapters.values().filter(hears).count()
    }

    /// Nothing was heard or tried yet.
    pub fn unheard() -> Self {
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
    /// Whether it hears.
    pub hearing: Hearing,
    /// By which ear.
    pub path: CapturePath,
    /// Its controller reports each device once a scan, so scans are begun anew.
    pub hides: bool,
    /// Why it does not hear.
    pub reason: Option<String>,
}
