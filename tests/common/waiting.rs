//! Waiting for real programs: for events, never for a time.

use std::time::{Duration, Instant};

/// What takes longer has failed. It bounds failing tests only: long enough for a machine with many
/// times the load that it has processors.
pub const PATIENCE: Duration = Duration::from_mins(2);

#[track_caller]
pub fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !happened() {
        assert!(begun.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until `happened`, however long it takes, as long as `progress` changes from time to time.
#[track_caller]
pub fn eventually_while<P: PartialEq>(
    what: &str,
    mut progress: impl FnMut() -> P,
    mut happened: impl FnMut() -> bool,
) {
    let (mut last, mut at) = (progress(), Instant::now());
    while !happened() {
        let now = progress();
        if now != last {
            (last, at) = (now, Instant::now());
        }
        assert!(at.elapsed() < PATIENCE, "never happened, and nothing goes on: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
