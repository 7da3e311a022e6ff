//! The trade-off: of all that was tried, what nothing else beats in every respect at once.

use super::counts::{Counts, Weights};
use super::space::{Point, Space};
use super::trial::Board;

/// A table longer than this is not read.
const MOST_ROWS: usize = 12;

/// One point of the trade-off, on all recordings.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    pub point: Point,
    pub counts: Counts,
    /// Weighted sum of its mistakes.
    pub cost: f64,
}

impl Offer {
    /// The offer of `point`, if it was tried.
    pub fn of(point: &Point, board: &Board, weights: &Weights) -> Option<Self> {
        let counts = Counts::sum(board.get(point)?);
        let cost = weights.cost(&counts);
        Some(Self { point: point.clone(), counts, cost })
    }

    /// What is minimised: missed visits, wrong events, and the median delay in tenths of a second;
    /// a smaller difference is not noticeable.
    fn objectives(&self) -> [i64; 3] {
        #[expect(clippy::cast_possible_truncation, reason = "a delay within a recording")]
        let late = self.counts.late_s(50).map_or(i64::MAX, |s| (s.max(0.0) * 10.0).round() as i64);
        [self.counts.missed().into(), self.counts.wrong().into(), late]
    }
}

/// All offers that no other beats (Pareto). Of several that do the same, the one that changes
/// least; by rising number of wrong messages.
pub fn pareto_front(board: &Board, space: &Space, weights: &Weights) -> Vec<Offer> {
    let mut offers: Vec<Offer> =
        board.keys().filter_map(|point| Offer::of(point, board, weights)).collect();
    offers.sort_by(|a, b| {
        let key = |o: &Offer| (o.objectives(), space.distance(&o.point));
        key(a).cmp(&key(b)).then_with(|| a.point.cmp(&b.point))
    });
    offers.dedup_by_key(|offer| offer.objectives());
    let mut front: Vec<Offer> = Vec::new();
    // Sorted by what is missed: any offer that could beat another stands before it.
    for offer in offers {
        let [_, wrong, late] = offer.objectives();
        let beaten = front.iter().any(|other| {
            let [_, other_wrong, other_late] = other.objectives();
            other_wrong <= wrong && other_late <= late
        });
        if !beaten {
            front.push(offer);
        }
    }
    front.sort_by_key(|offer| {
        let [missed, wrong, late] = offer.objectives();
        (wrong, missed, late)
    });
    front
}

/// As many of `front` as can be read: the extremes, and the cheapest.
pub fn readable(front: &[Offer]) -> Vec<Offer> {
    let mut shown: Vec<usize> = Vec::new();
    for objective in 0..3 {
        let best = |at: &usize| {
            let offer = front.get(*at);
            offer.map(|offer| (offer.objectives().get(objective).copied(), offer.objectives()))
        };
        shown.extend((0..front.len()).min_by_key(best).filter(|at| !shown.contains(at)));
    }
    let mut cheapest: Vec<usize> = (0..front.len()).collect();
    cheapest.sort_by(|a, b| {
        let cost = |at: &usize| front.get(*at).map_or(f64::MAX, |offer| offer.cost);
        cost(a).total_cmp(&cost(b)).then(a.cmp(b))
    });
    for at in cheapest {
        if shown.len() < MOST_ROWS && !shown.contains(&at) {
            shown.push(at);
        }
    }
    shown.sort_unstable();
    shown.into_iter().filter_map(|at| front.get(at).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::tune::space::SearchOptions;
    use crate::config::detection::Detection;

    fn board(rows: &[(u32, u32, i64)]) -> Board {
        let counts = |&(found, falsely, late): &(u32, u32, i64)| Counts {
            visits: 10,
            found,
            falsely,
            late_ms: vec![late],
            ..Counts::default()
        };
        (0..).zip(rows).map(|(at, row)| (Point(vec![at]), vec![counts(row)])).collect()
    }

    fn at(rows: &[(u32, u32, i64)]) -> Vec<u16> {
        let space = Space::new(Detection::default(), &[], SearchOptions::default());
        let front = pareto_front(&board(rows), &space, &Weights::default());
        front.iter().map(|offer| offer.point.0[0]).collect()
    }

    #[test]
    fn only_what_nothing_beats_is_offered() {
        // The second is beaten by the first; the third does what the fourth does, which is nearer
        // to the settings in force.
        assert_eq!(at(&[(9, 1, 2_000), (9, 2, 2_000), (8, 0, 2_000), (8, 0, 2_010)]), [3, 0]);
    }

    #[test]
    fn sooner_is_worth_an_offer_of_its_own() {
        assert_eq!(at(&[(9, 1, 2_000), (9, 3, 500)]), [0, 1]);
    }

    #[test]
    fn a_long_front_is_shortened_and_keeps_its_ends() {
        let space = Space::new(Detection::default(), &[], SearchOptions::default());
        let wide: Board = (0..30)
            .map(|n| {
                let counts = Counts {
                    visits: 30,
                    found: n,
                    falsely: n,
                    late_ms: vec![1],
                    ..Counts::default()
                };
                (Point(vec![u16::try_from(n).unwrap()]), vec![counts])
            })
            .collect();
        let front = pareto_front(&wide, &space, &Weights::default());
        let shown = readable(&front);
        assert_eq!((front.len(), shown.len()), (30, MOST_ROWS));
        assert_eq!((shown[0].counts.wrong(), shown[11].counts.missed()), (0, 1));
    }
}
