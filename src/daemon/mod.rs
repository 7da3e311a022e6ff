//! Wiring, no decisions: event loop, named tasks, clock, signals, systemd.

pub mod clock;
pub mod delivery;
pub mod playback;
pub mod status;
pub mod tasks;
