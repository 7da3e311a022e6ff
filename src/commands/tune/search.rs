//! The search: points spread over the whole space, then from the best of them step by step to
//! its best neighbour (compass search, Kolda, Lewis and Torczon, SIAM Review 45, 2003).
//!
//! One search sees all recordings; for each fold another one never sees that fold's, so that what
//! it finds can be judged on them.

use std::collections::BTreeSet;

use super::counts::{Counts, Weights};
use super::space::{Point, Space};
use super::trial::Board;
use crate::sources::simulated::Random;

/// The first neighbours are this many steps of the grid away.
const FIRST_STEP: u16 = 4;
/// A search that still improves after this many rounds is on a plateau.
const MOST_ROUNDS: usize = 24;

#[derive(Debug)]
pub struct Search {
    /// It sees these recordings.
    sees: Vec<usize>,
    /// It judges by these weights.
    weights: Weights,
    /// Points it may choose from: no other search's.
    mine: BTreeSet<Point>,
    /// The best so far.
    pub best: Point,
    step: u16,
}

impl Search {
    /// From `spread`, which holds the settings in force.
    pub fn new(sees: Vec<usize>, spread: &BTreeSet<Point>, weights: Weights, start: Point) -> Self {
        Self { sees, weights, mine: spread.clone(), best: start, step: FIRST_STEP }
    }

    /// Points it wants tried next; none once it has ended.
    pub fn wants(&self, space: &Space) -> Vec<Point> {
        if self.step == 0 { Vec::new() } else { space.around(&self.best, self.step) }
    }

    /// Takes what was tried into account: moves to a better point, or takes smaller steps.
    pub fn go_on(&mut self, space: &Space, board: &Board) {
        self.mine.extend(self.wants(space));
        let better = self.choose(space, board);
        match better {
            Some(better) if better != self.best => self.best = better,
            _ => self.step /= 2,
        }
    }

    /// The best of its points: the cheapest, then the one that changes least.
    pub fn choose(&self, space: &Space, board: &Board) -> Option<Point> {
        let tried = self.mine.iter().filter_map(|point| Some((point, board.get(point)?)));
        let ranked = tried.map(|(point, row)| (self.cost(row), space.distance(point), point));
        let best =
            ranked.min_by(|a, b| a.0.total_cmp(&b.0).then_with(|| (a.1, a.2).cmp(&(b.1, b.2))));
        best.map(|(_, _, point)| point.clone())
    }

    /// Cost on the recordings it sees, rounded so that the order of summation does not matter.
    fn cost(&self, row: &[Counts]) -> f64 {
        let seen = self.sees.iter().filter_map(|recording| row.get(*recording));
        let cost: f64 = seen.map(|counts| self.weights.cost(counts)).sum();
        (cost * 1e6).round()
    }
}

/// Runs all searches in step until none wants more; `attempt` tries points.
///
/// # Errors
/// `attempt` failed.
pub fn climb(
    space: &Space,
    searches: &mut [Search],
    board: &mut Board,
    mut attempt: impl FnMut(usize, &BTreeSet<Point>, &mut Board) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for search in searches.iter_mut() {
        if let Some(best) = search.choose(space, board) {
            search.best = best;
        }
    }
    for round in 1..=MOST_ROUNDS {
        let wanted: BTreeSet<Point> = searches.iter().flat_map(|s| s.wants(space)).collect();
        if wanted.is_empty() {
            break;
        }
        attempt(round, &wanted, board)?;
        for search in searches.iter_mut() {
            search.go_on(space, board);
        }
    }
    Ok(())
}

/// Which fold each of `recordings` is judged in: `folds` of them, as equal as can be, assigned at
/// random.
pub fn deal(recordings: usize, folds: usize, seed: u64) -> Vec<usize> {
    let mut random = Random::new(seed, &[]);
    let mut order: Vec<usize> = (0..recordings).collect();
    for end in (1..recordings).rev() {
        order.swap(end, random.index(end + 1));
    }
    let mut fold = vec![0; recordings];
    for (place, recording) in order.into_iter().enumerate() {
        if let Some(slot) = fold.get_mut(recording) {
            *slot = place % folds.max(1);
        }
    }
    fold
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::tune::space::SearchOptions;
    use crate::config::detection::Detection;

    /// A made-up world: each recording likes one dwell best, and missing it costs.
    fn world(space: &Space, likes: &[f64]) -> impl Fn(&Point) -> Vec<Counts> {
        let likes = likes.to_vec();
        let space = space.clone();
        move |point| {
            let settings = space.settings(point).presence;
            let far = |like: &f64| {
                let off = (settings.dwell.as_secs_f64() - like).abs()
                    + f64::from(settings.arrive_rssi_dbm + 60.0).abs();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "small"
                )]
                let falsely = (off * 10.0) as u32;
                Counts { visits: 1, found: 1, falsely, ..Counts::default() }
            };
            likes.iter().map(far).collect()
        }
    }

    fn found(likes: &[f64], sees: &[usize]) -> Detection {
        let space = Space::new(Detection::default(), &[], SearchOptions::default());
        let attempt = world(&space, likes);
        let mut spread = space.halton_points(30, 1);
        spread.insert(space.start());
        let mut board: Board = spread.iter().map(|p| (p.clone(), attempt(p))).collect();
        let search = Search::new(sees.to_vec(), &spread, Weights::default(), space.start());
        let mut searches = [search];
        climb(&space, &mut searches, &mut board, |_, points, board| {
            board.extend(points.iter().map(|point| (point.clone(), attempt(point))));
            Ok(())
        })
        .unwrap();
        space.settings(&searches[0].choose(&space, &board).unwrap())
    }

    #[test]
    fn a_summit_that_no_first_point_hit_is_found() {
        let settings = found(&[7.0], &[0]).presence;
        assert_eq!(settings.dwell.as_secs(), 7);
        assert!((settings.arrive_rssi_dbm + 60.0).abs() < 0.1);
    }

    #[test]
    fn what_a_search_does_not_see_does_not_move_it() {
        assert_eq!(found(&[3.0, 30.0], &[0]), found(&[3.0, 0.0], &[0]));
    }

    #[test]
    fn every_recording_is_judged_in_one_fold_and_folds_are_even() {
        let dealt = deal(10, 3, 5);
        let counts: Vec<_> = (0..3).map(|f| dealt.iter().filter(|d| **d == f).count()).collect();
        assert_eq!(counts, [4, 3, 3]);
        assert_ne!(dealt, deal(10, 3, 6));
    }
}
