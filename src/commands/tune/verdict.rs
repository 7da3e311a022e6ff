//! A search's result: the choice, and what it does on recordings that it was and was not chosen on.

use super::confidence;
use super::counts::{Counts, Weights};
use super::pareto::{self, Offer};
use super::search::Search;
use super::space::{Point, Space};
use super::trial::Board;

#[derive(Debug)]
pub struct Verdict {
    /// The settings in force.
    pub now: Offer,
    /// The settings to take.
    pub chosen: Offer,
    /// The trade-off, shortened to what a report shows.
    pub front: Vec<Offer>,
    /// All that was tried.
    pub tried: Vec<Offer>,
    /// Judged on recordings it was not chosen on; `None` with a single recording.
    pub unseen: Option<Unseen>,
}

/// What may be expected of the choice.
#[derive(Debug)]
pub struct Unseen {
    /// Folds it was judged in.
    pub folds: usize,
    /// Each fold's choice on that fold's recordings, together.
    pub counts: Counts,
    /// True share of visits found, by visits (Wilson).
    pub found: Option<(f64, f64)>,
    /// The same, by recordings (bootstrap).
    pub found_by_recording: Option<(f64, f64)>,
    /// True number of false arrivals for this many visits (Garwood).
    pub falsely: (f64, f64),
    /// Share of redrawn sets of recordings on which it costs less than the settings in force.
    pub better: f64,
}

/// What the searches found: the first saw all recordings, the n-th after it all but those that
/// `fold` deals to n.
pub fn reach(
    space: &Space,
    searches: &[Search],
    fold: &[usize],
    board: &Board,
    weights: &Weights,
    seed: u64,
) -> Option<Verdict> {
    let (whole, folds) = searches.split_first()?;
    let start = space.start();
    let chosen = Offer::of(&whole.choose(space, board)?, board, weights)?;
    let front = pareto::pareto_front(board, space, weights);
    let choices: Vec<Point> =
        folds.iter().filter_map(|search| search.choose(space, board)).collect();
    let unseen = (folds.len() > 1).then(|| unseen(&choices, fold, board, &start, weights, seed));
    Some(Verdict {
        now: Offer::of(&start, board, weights)?,
        chosen,
        front: pareto::readable(&front),
        tried: board.keys().filter_map(|point| Offer::of(point, board, weights)).collect(),
        unseen,
    })
}

fn unseen(
    choices: &[Point],
    fold: &[usize],
    board: &Board,
    start: &Point,
    weights: &Weights,
    seed: u64,
) -> Unseen {
    let on = |point: &Point, recording: usize| {
        board.get(point).and_then(|row| row.get(recording)).cloned().unwrap_or_default()
    };
    let judged = |(recording, fold): (usize, &usize)| {
        choices.get(*fold).map(|choice| on(choice, recording)).unwrap_or_default()
    };
    let ours: Vec<Counts> = fold.iter().enumerate().map(judged).collect();
    let theirs: Vec<Counts> = (0..fold.len()).map(|recording| on(start, recording)).collect();
    let costs = |tallies: &[Counts]| tallies.iter().map(|t| weights.cost(t)).collect::<Vec<_>>();
    let counts = Counts::sum(&ours);
    Unseen {
        folds: choices.len(),
        found: confidence::share(counts.found, counts.visits),
        found_by_recording: confidence::share_by_recording(&ours, seed),
        falsely: confidence::mean(counts.falsely),
        better: confidence::better(&costs(&ours), &costs(&theirs), seed),
        counts,
    }
}
