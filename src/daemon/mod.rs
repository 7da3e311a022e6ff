//! Wiring, no decisions: event loop, named tasks, clock, signals, systemd.

pub mod clock;
pub mod playback;
pub mod tasks;
