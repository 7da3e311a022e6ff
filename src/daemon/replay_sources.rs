//! Recordings and simulated shops as sources of the running daemon: their records, when due.

use std::iter::Peekable;
use std::time::Duration;

use crate::pipeline::units::WallTime;
use crate::sources::{Advertisement, Record, RecordKind, ReplayError, ReplaySource};

/// The replay sources that play, merged in the order of time.
///
/// They share one virtual clock, that of the first: a store has one time.
#[derive(Default)]
pub struct ReplaySources {
    playing: Vec<Playing>,
    unreadable: u64,
}

struct Playing {
    replay: Peekable<Box<dyn ReplaySource>>,
    /// Its place among the configuration's sources.
    source: usize,
}

/// The virtual clock that replay sources bring along.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Wall time where the replay source begins.
    pub started_at: WallTime,
    /// Seconds of the replay source for one real second.
    pub speed: f64,
}

impl ReplaySources {
    /// Adds the replay source of the configuration's `source`.
    pub fn add(&mut self, source: usize, replay: Box<dyn ReplaySource>) {
        self.playing.push(Playing { replay: replay.peekable(), source });
    }

    /// Whether there is anything left to play.
    pub fn is_empty(&self) -> bool {
        self.playing.is_empty()
    }

    /// Lines and frames that could not be read so far.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// When the next record is due.
    pub fn next_due(&mut self) -> Option<Duration> {
        self.earliest().map(|(at, _)| at)
    }

    /// The next advertisement due at `now`, with its source; truth is for scoring and passed over.
    pub fn pop_due(&mut self, now: Duration) -> Option<(Duration, usize, Advertisement)> {
        loop {
            if let (at, source, RecordKind::Received(heard)) = self.pop(now)? {
                return Some((at, source, heard));
            }
        }
    }

    /// The next record due at `now`, with its source.
    pub fn pop(&mut self, now: Duration) -> Option<(Duration, usize, RecordKind)> {
        loop {
            let (at, which) = self.earliest()?;
            if at > now {
                return None;
            }
            let playing = self.playing.get_mut(which)?;
            if let Some(Ok(Record { at, what })) = playing.replay.next() {
                return Some((at, playing.source, what));
            }
        }
    }

    /// The replay source whose next record comes first. Skips and counts what cannot be read, and
    /// removes replay sources that have ended.
    fn earliest(&mut self) -> Option<(Duration, usize)> {
        for Playing { replay, .. } in &mut self.playing {
            while let Some(fault) = replay.next_if(Result::is_err).and_then(Result::err) {
                self.unreadable += 1;
                // A line's own error shows the line's place, never its content.
                tracing::warn!(%fault, "part of a recording is unreadable");
                if !matches!(fault, ReplayError::Line { .. }) {
                    break;
                }
            }
        }
        self.playing.retain_mut(|playing| playing.replay.peek().is_some());
        let dues = self.playing.iter_mut().enumerate().filter_map(|(which, playing)| {
            let at = playing.replay.peek()?.as_ref().map_or(Duration::ZERO, |record| record.at);
            Some((at, which))
        });
        dues.min()
    }
}

impl std::fmt::Debug for ReplaySources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReplaySources({} playing)", self.playing.len())
    }
}
