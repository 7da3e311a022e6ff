//! One row of a table.

use grelot::commands::score::{Delays, Score};

/// The columns, for a page of Markdown.
pub const HEAD: &str = "\
| rule | found within 10 s | found | false for 100 visits (pass, early, again) | delay p50, p95 | false departures |\n\
|---|---|---|---|---|---|";

/// The row of a rule.
pub fn row(name: &str, score: &Score) -> String {
    let percent = |count: u32| f64::from(count) * 100.0 / f64::from(score.visits.max(1));
    let delays = Delays::of(&score.arrival_delays_s);
    let seconds = |delay: Option<f64>| delay.map_or("–".into(), |delay| format!("{delay:.1}"));
    let kinds = score.false_arrivals;
    let again = kinds.flap + kinds.restart + kinds.other;
    format!(
        "| {name} | {:.1} % | {:.1} % | {:.1} ({:.1}, {:.1}, {:.1}) | {}, {} s | {} |",
        percent(score.found_within(10.0)),
        percent(score.found),
        percent(kinds.total()),
        percent(kinds.pass),
        percent(kinds.early),
        percent(again),
        seconds(delays.p50),
        seconds(delays.p95),
        score.false_departures,
    )
}

/// A row with counts, for small numbers.
pub fn counts(name: &str, score: &Score) -> String {
    let delays = Delays::of(&score.arrival_delays_s);
    let seconds = |delay: Option<f64>| delay.map_or("–".into(), |delay| format!("{delay:.1}"));
    format!(
        "| {name} | {} of {} | {} | {} | {}, {} s | {} |",
        score.found_within(10.0),
        score.visits,
        score.found,
        score.false_arrivals.total(),
        seconds(delays.p50),
        seconds(delays.p95),
        score.false_departures,
    )
}
