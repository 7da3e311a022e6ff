//! One search for every rule: settings are drawn at random, and the best are kept.

use grelot::commands::score::Score;
use grelot::sources::simulated::Random;

use super::crew;

/// Number of settings that are tried for each rule.
pub const TRIED: usize = 150;

/// The value of a score to a shop, for 100 visits: a customer found within ten seconds is worth a
/// point, one found later half a point, and a false arrival or departure costs one.
pub fn worth(score: &Score) -> f64 {
    let (soon, found) = (f64::from(score.found_within(10.0)), f64::from(score.found));
    let wrong = f64::from(score.false_arrivals.total() + score.false_departures);
    let visits = f64::from(score.visits.max(1));
    (soon + (found - soon) / 2.0 - wrong) * 100.0 / visits
}

/// The best of [`TRIED`] draws.
pub fn best<S: Sync + Send>(
    seed: u64,
    draw: impl Fn(&mut Random) -> S,
    judge: impl Fn(&S) -> Score + Sync,
) -> Option<S> {
    let mut random = Random::new(seed, &[u64::from(b's')]);
    let settings: Vec<S> = (0..TRIED).map(|_| draw(&mut random)).collect();
    let worths = crew::each(&settings, |settings| worth(&judge(settings)));
    let tried = settings.into_iter().zip(worths);
    tried.max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(settings, _)| settings)
}
