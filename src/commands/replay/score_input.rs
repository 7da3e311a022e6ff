//! Listens to a playback for what a score compares: truth and events.

use std::time::Duration;

use crate::commands::score::{Event, EventKind, Fact, Score};
use crate::daemon::playback::PlaybackEvent;
use crate::pipeline::Effect;
use crate::sources::GroundTruth;

/// What one playback reported.
#[derive(Debug, Default)]
pub struct ScoreInput {
    facts: Vec<Fact>,
    events: Vec<Event>,
}

impl ScoreInput {
    /// Takes note of what matters.
    pub fn note(&mut self, at: Duration, event: &PlaybackEvent) {
        let (kind, visit) = match event {
            PlaybackEvent::GroundTruth(word, client) => {
                self.facts.push(Fact { at, word: *word, client: client.clone() });
                return;
            }
            PlaybackEvent::Effect(Effect::Arrived { visit, .. }) => (EventKind::Arrival, visit),
            PlaybackEvent::Effect(Effect::Departed { visit, .. }) => (EventKind::Departure, visit),
            _ => return,
        };
        self.events.push(Event { at, kind, client: visit.client.to_string() });
    }

    /// The score of a recording that ended at `end`. A customer who was still inside did not leave:
    /// the silence after the end is the recording's.
    pub fn score(mut self, end: Duration) -> Score {
        let left = |client: &str| {
            let last = self.facts.iter().rev().find(|fact| fact.client == client);
            last.is_some_and(|fact| fact.word == GroundTruth::Leave)
        };
        self.events.retain(|event| event.at <= end || left(&event.client));
        Score::of(&self.facts, &self.events)
    }
}
