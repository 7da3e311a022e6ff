//! Settings tried on recordings: the same pipeline as in `replay` and `run`, on all cores.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;

use super::corpus::{Known, Recording};
use super::counts::Counts;
use super::labels;
use super::space::{Point, Space};
use crate::commands::replay::ScoreInput;
use crate::commands::score::{Event, EventKind};
use crate::config::Config;
use crate::config::detection::Detection;
use crate::daemon::playback::{self, PlaybackEvent};
use crate::pipeline::Effect;
use crate::pipeline::identity::Registry;
use crate::sources::ReplaySource;

/// What each point that was tried did, recording by recording.
pub type Board = BTreeMap<Point, Vec<Counts>>;

/// Everything that a trial needs.
pub struct Bench<'a> {
    pub config: &'a Config,
    pub space: &'a Space,
    pub recordings: &'a [Recording],
}

impl Bench<'_> {
    /// Tries all of `points` that are not on the board yet, on all cores, and calls `done` for
    /// each, in no particular order.
    ///
    /// # Errors
    /// A recording cannot be played, or `done` failed.
    pub fn try_all(
        &self,
        points: &BTreeSet<Point>,
        board: &mut Board,
        mut done: impl FnMut(&Point, &[Counts]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let points: Vec<&Point> = points.iter().filter(|p| !board.contains_key(p)).collect();
        let files = self.recordings.len();
        let (next, jobs) = (AtomicUsize::new(0), points.len() * files);
        let workers = thread::available_parallelism().map_or(1, usize::from).min(jobs);
        let (results, received) = sync_channel(workers);
        let mut open: BTreeMap<usize, Vec<Option<Counts>>> = BTreeMap::new();
        thread::scope(|scope| {
            for _ in 0..workers {
                let (results, next, points) = (results.clone(), &next, &points);
                scope.spawn(move || {
                    loop {
                        let job = next.fetch_add(1, Ordering::Relaxed);
                        let (at, file) = (job / files, job % files);
                        let (Some(point), Some(recording)) =
                            (points.get(at), self.recordings.get(file))
                        else {
                            return;
                        };
                        let settings = self.space.settings(point);
                        let counts = counts(self.config, settings, recording);
                        // The receiver is gone where one trial has failed.
                        if results.send((at, file, counts)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(results);
            for (at, file, counts) in received {
                let row = open.entry(at).or_insert_with(|| vec![None; files]);
                if let Some(place) = row.get_mut(file) {
                    *place = Some(counts?);
                }
                if row.iter().all(Option::is_some)
                    && let (Some(row), Some(point)) = (open.remove(&at), points.get(at))
                {
                    let row: Vec<Counts> = row.into_iter().flatten().collect();
                    done(point, &row)?;
                    board.insert((*point).clone(), row);
                }
            }
            anyhow::Ok(())
        })
    }
}

/// What `settings` do on what is kept of one recording.
///
/// # Errors
/// The recording's registry cannot be loaded, or the recording cannot be played.
pub fn counts(config: &Config, settings: Detection, on: &Recording) -> anyhow::Result<Counts> {
    if let Known::Traces(judged) = &on.known {
        return Ok(judged.counts(&settings));
    }
    play(config, settings, on, on.replay(), on.registry()?)
        .with_context(|| format!("trying on {}", on.path.display()))
}

/// What `settings` do on `replay source`, which is all or what matters of `on`.
///
/// # Errors
/// The recording cannot be played.
pub fn play(
    config: &Config,
    settings: Detection,
    on: &Recording,
    replay: Box<dyn ReplaySource>,
    registry: Registry,
) -> anyhow::Result<Counts> {
    let settings = playback::with_gateways(config.settings_with(settings), on.gateways());
    let mut score_input = ScoreInput::default();
    let mut arrivals = Vec::new();
    playback::play(replay, settings, registry, |at, event| {
        score_input.note(at, &event);
        arrivals.extend(arrival(at, &event));
    })?;
    Ok(match &on.known {
        Known::Labels(said) => labels::judge(said, &arrivals),
        _ => Counts::from(&score_input.score(on.ends_at)),
    })
}

fn arrival(at: Duration, event: &PlaybackEvent) -> Option<Event> {
    let PlaybackEvent::Effect(Effect::Arrived { visit, .. }) = event else { return None };
    Some(Event { at, kind: EventKind::Arrival, client: visit.client.to_string() })
}
