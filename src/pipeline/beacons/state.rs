//! A beacon that IT listed, and its state.

use std::sync::Arc;
use std::time::Duration;

use crate::pipeline::advert::BeaconIdentity;
use crate::pipeline::units::WallTime;

/// A beacon that IT listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnBeacon {
    /// Its name in the configuration.
    pub name: Arc<str>,
    pub identity: BeaconIdentity,
    /// Silence after which it is missing.
    pub missing_after: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct BeaconState {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// `None` before it was first received.
    pub last_heard: Option<WallTime>,
    /// Silent for longer than `missing_after`.
    pub missing: bool,
    /// Its RSSI is far from the usual one.
    pub moved: bool,
    /// Received from two senders at once.
    pub cloned: bool,
    /// Mean RSSI of the last readings, in dBm.
    pub rssi: Option<f32>,
    /// Of the battery.
    pub battery_mv: Option<u16>,
    pub temperature_c: Option<f32>,
}
