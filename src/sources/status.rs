//! The state of a source with adapters, for the pipeline, the tablets and IT.

use std::collections::BTreeMap;

use super::adapter::Hci;
use super::capture_path::CapturePath;
use crate::pipeline::event::Hearing;

/// The state of the radio as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Whether at least one adapter receives.
    pub hearing: Hearing,
    /// Why nothing is received, or why one of several adapters receives nothing; `None` where all
    /// do.
    pub reason: Option<String>,
    /// Every adapter in use.
    pub adapters: BTreeMap<Hci, AdapterStatus>,
    /// How often each recovery step was taken since the start.
    pub steps: BTreeMap<Step, u64>,
    /// Advertisements received since the start.
    pub heard: u64,
    /// Advertisements that were dropped because the pipeline could not keep up.
    pub shed: u64,
}

impl Status {
    /// How many adapters receive.
    pub fn listening(&self) -> usize {
        let receives = |adapter: &&AdapterStatus| adapter.hearing == Hearing::Listening;
        self.adapters.values().filter(receives).count()
    }

    /// At the start: nothing was received or tried.
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterStatus {
    /// The adapter's own address.
    pub address: String,
    pub hearing: Hearing,
    pub path: CapturePath,
    /// Its controller reports each device once a scan, so scans are restarted.
    pub hides: bool,
    /// Why it does not receive.
    pub reason: Option<String>,
}

/// An action on an adapter or on bluetoothd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Switch the adapter on.
    PowerOn,
    Scan,
    /// Restart the scan of a controller that reports each device once in a scan.
    Refresh,
    /// Stop the scan and start it again.
    Rescan,
    /// Advertise the shop's wake-up beacon beside the scan; not a recovery step.
    Advertise,
    /// Connect to D-Bus again: BlueZ drops the state of this client.
    Reconnect,
    /// Switch the adapter off and on.
    PowerCycle,
    /// Ask systemd to start a bluetoothd that is not running.
    StartBluetoothd,
    /// Ask systemd to restart bluetoothd.
    RestartBluetoothd,
    /// No step is left: the process ends, and systemd starts it again.
    GiveUp,
}

impl Step {
    /// Its word in status, health and logs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PowerOn => "power_on",
            Self::Scan => "scan",
            Self::Refresh => "refresh",
            Self::Rescan => "rescan",
            Self::Advertise => "advertise",
            Self::Reconnect => "reconnect",
            Self::PowerCycle => "power_cycle",
            Self::StartBluetoothd => "start_bluetoothd",
            Self::RestartBluetoothd => "restart_bluetoothd",
            Self::GiveUp => "give_up",
        }
    }
}
