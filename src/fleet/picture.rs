//! Pictures of the page, as SVG: a tile for each store, and an hour's bar beside the next.

use std::fmt::Write as _;

use super::overview::Condition;
use super::stores::{Hour, StoreOverview};

/// From one tile to the next.
const TILE: usize = 10;

/// Of a bar's picture.
const HEIGHT: u64 = 60;

/// Every store as a tile, in the order of their numbers; `data-stores` has the numbers, as ranges.
pub fn map(stores: &[StoreOverview]) -> String {
    let columns = columns(stores.len());
    let rows = stores.len().div_ceil(columns).max(1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" \
         data-columns=\"{columns}\" data-tile=\"{TILE}\" data-stores=\"{}\" \
         aria-label=\"{} stores, a tile each\">",
        columns * TILE,
        rows * TILE,
        ranges(stores),
        stores.len(),
    );
    for condition in Condition::ALL {
        let mut path = String::new();
        let tiles = stores.iter().enumerate().filter(|(_, store)| store.condition == condition);
        for (place, _) in tiles {
            let (x, y) = (place % columns * TILE, place / columns * TILE);
            let _ = write!(path, "M{x} {y}h8v8h-8z");
        }
        let _ = write!(svg, "<path class=\"{condition}\" d=\"{path}\"/>");
    }
    svg + "</svg>"
}

/// Four tiles wide to one high.
fn columns(stores: usize) -> usize {
    let mut columns = 1;
    while columns * columns < stores * 4 {
        columns += 1;
    }
    columns
}

fn ranges(stores: &[StoreOverview]) -> String {
    let of = |stores: &[StoreOverview]| match stores {
        [one] => one.store.to_string(),
        [first, .., last] => format!("{}-{}", first.store, last.store),
        [] => String::new(),
    };
    let runs = stores.chunk_by(|one, next| u32::from(one.store) + 1 == u32::from(next.store));
    runs.map(of).collect::<Vec<_>>().join(",")
}

/// Arrivals in each hour from `since` until `until`, alerts among them, and hours without reception.
pub fn hours(hours: &[Hour], since: i64, until: i64) -> String {
    let shown = || hours.iter().filter(|hour| (since..until).contains(&hour.hour));
    let most = shown().map(|hour| hour.arrivals).max().unwrap_or(0).max(1);
    let width = until.saturating_sub(since).max(1);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {HEIGHT}\" role=\"img\" \
         preserveAspectRatio=\"none\" aria-label=\"arrivals an hour, at most {most}\">",
        width * 4,
    );
    for hour in shown() {
        let x = (hour.hour - since) * 4;
        let mut bar = |class: &str, high: u64| {
            if high > 0 {
                let y = HEIGHT - high;
                let _ = write!(
                    svg,
                    "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"3\" height=\"{high}\"/>"
                );
            }
        };
        if hour.blind_s * 2 > hour.seconds {
            bar("blind", HEIGHT);
        }
        bar("arrivals", hour.arrivals * HEIGHT / most);
        bar("alerts", hour.alerts.min(hour.arrivals) * HEIGHT / most);
    }
    svg + "</svg>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_without_reception_is_marked_and_the_busiest_is_full_height() {
        let hour =
            |hour, arrivals, blind_s| Hour { hour, arrivals, alerts: 1, seconds: 3600, blind_s };
        let svg = hours(&[hour(10, 6, 0), hour(11, 3, 3600), hour(99, 9, 0)], 10, 20);
        assert!(
            svg.contains("class=\"arrivals\" x=\"0\" y=\"0\" width=\"3\" height=\"60\""),
            "{svg}"
        );
        assert!(svg.contains("class=\"blind\" x=\"4\""), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 5, "the last one is of another time: {svg}");
    }

    #[test]
    fn the_map_is_four_times_as_wide_as_high() {
        assert_eq!((columns(0), columns(1), columns(10_000)), (1, 2, 200));
    }
}
