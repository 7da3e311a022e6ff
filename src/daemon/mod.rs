//! Wiring, no decisions: event loop, named tasks, clock, signals, systemd.
