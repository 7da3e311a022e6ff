//! Wiring, no decisions: event loop, signals, systemd.

mod canary;
mod contact_rates;
pub mod delivery;
pub mod differences;
pub mod event_loop;
mod guard;
pub mod head_office;
pub mod labels;
mod measures;
mod office_ends;
mod peers;
pub mod playback;
pub mod registry;
mod renewal;
pub mod replay_sources;
mod report;
mod shadow;
mod since;
pub mod socket;
pub mod source_set;
pub mod start;
pub mod status;
pub mod systemd;
mod tablet_watch;
pub mod tap;
mod traces;
