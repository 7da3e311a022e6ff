//! Pictures of the page on tuning, as SVG inside of it; `page/fleet.css` has their colours.

use super::super::proposals::{Found, Offer};
use super::super::statistics::{Share, float};
use super::html::Html;
use super::progress::Gateways;

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;

/// Width of a bar's picture.
const BAR: f64 = 200.0;

/// Ends of the scale of shares.
const SCALES: [f64; 4] = [0.1, 0.25, 0.5, 1.0];

impl Html {
    /// An attribute with a number.
    fn number(&mut self, open: &'static str, number: f64) -> &mut Self {
        self.markup(open).text(format_args!("{number:.1}")).markup("\"")
    }
}

/// The end of a scale that has all these shares' ranges.
pub(super) fn scale<'a>(shares: impl Iterator<Item = &'a Share>) -> f64 {
    let most = shares.map(|share| share.high).fold(0.0, f64::max);
    SCALES.into_iter().find(|end| *end >= most).unwrap_or(1.0)
}

/// A share as a mark on the range that has the true one, on a line from 0 to `end`.
pub(super) fn share(html: &mut Html, share: &Share, end: f64) {
    let x = |value: f64| (value / end).min(1.0) * BAR;
    html.markup(
        "<svg class=\"range\" viewBox=\"0 0 200 14\" preserveAspectRatio=\"none\" \
         aria-hidden=\"true\"><rect class=\"line\" x=\"0\" y=\"6.5\" width=\"200\" height=\"1\"/>",
    );
    html.markup("<rect class=\"span\" y=\"3\" height=\"8\"").number(" x=\"", x(share.low));
    html.number(" width=\"", (x(share.high) - x(share.low)).max(1.0)).markup("/>");
    if let Some(value) = share.share {
        html.markup("<rect class=\"point\" y=\"0\" height=\"14\" width=\"3\"");
        html.number(" x=\"", (x(value) - 1.5).clamp(0.0, BAR - 3.0)).markup("/>");
    }
    html.markup("</svg>");
}

/// The gateways of a document, beside each other.
pub(super) fn gateways(html: &mut Html, gateways: &Gateways) {
    let all = gateways.known();
    html.markup(
        "<svg class=\"states\" viewBox=\"0 0 200 10\" preserveAspectRatio=\"none\" \
         aria-hidden=\"true\">",
    );
    let mut x = 0.0;
    for (open, count) in [
        ("<rect class=\"force\" y=\"0\" height=\"10\"", gateways.in_force),
        ("<rect class=\"shadow\" y=\"0\" height=\"10\"", gateways.shadow),
        ("<rect class=\"waits\" y=\"0\" height=\"10\"", gateways.waits),
        ("<rect class=\"back\" y=\"0\" height=\"10\"", gateways.fell_back),
        ("<rect class=\"others\" y=\"0\" height=\"10\"", gateways.other_stores),
    ] {
        let width = float(count as u64) / float(all.max(1) as u64) * BAR;
        if count > 0 {
            html.markup(open).number(" x=\"", x).number(" width=\"", width).markup("/>");
        }
        x += width;
    }
    html.markup("</svg>");
}

/// False alerts and customers found, for 100 visits.
pub(super) fn place(offer: &Offer) -> (f64, f64) {
    per_hundred(offer.falsely, offer.found, offer.visits)
}

fn per_hundred(falsely: u64, found: u64, visits: u64) -> (f64, f64) {
    let share = |count: u64| float(count) * 100.0 / float(visits.max(1));
    (share(falsely), share(found).min(100.0))
}

/// From 0, or up to 100, in round steps.
struct Axis {
    least: f64,
    most: f64,
    step: f64,
}

impl Axis {
    fn new(least: f64, most: f64) -> Self {
        let rough = (most - least).max(1.0) / 4.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|s| *s >= rough);
        let step = step.unwrap_or(rough);
        let least = (least / step).floor() * step;
        let most = (most / step).ceil() * step;
        Self { least, most: most.max(least + step), step }
    }

    /// Between 0 and 1.
    fn at(&self, value: f64) -> f64 {
        ((value - self.least) / (self.most - self.least)).clamp(0.0, 1.0)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (least, most, step) = (self.least, self.most, self.step);
        (0..=20).map(move |n| least + f64::from(n) * step).take_while(move |t| *t <= most + 0.01)
    }
}

struct Axes {
    x: Axis,
    y: Axis,
}

impl Axes {
    fn of(found: &Found) -> Self {
        let all = || [&found.now, &found.chosen].into_iter().chain(&found.front).map(place);
        let falsely = all().map(|(falsely, _)| falsely).fold(0.0, f64::max);
        let least = all().map(|(_, found)| found).fold(100.0, f64::min);
        Self { x: Axis::new(0.0, falsely * 1.15), y: Axis::new(least.clamp(0.0, 95.0), 100.0) }
    }

    fn at(&self, (falsely, found): (f64, f64)) -> (f64, f64) {
        let x = LEFT + self.x.at(falsely) * (WIDTH - LEFT - RIGHT);
        (x, HEIGHT - BOTTOM - self.y.at(found) * (HEIGHT - TOP - BOTTOM))
    }
}

/// What is found against what is false: all that is worth a choice, the settings in force, the
/// proposal, and where it is to be expected on new days.
pub(super) fn trade_off(html: &mut Html, found: &Found) {
    let axes = Axes::of(found);
    html.markup(
        "<svg class=\"trade\" viewBox=\"0 0 360 280\" role=\"img\" \
         aria-label=\"customers announced, against alerts without a customer\">",
    );
    grid(html, &axes);
    for offer in &found.front {
        dot(html, &axes, place(offer), "<circle class=\"offer\" r=\"3.5\"");
    }
    expected(html, &axes, found);
    dot(html, &axes, place(&found.now), "<circle class=\"now\" r=\"6\"");
    dot(html, &axes, place(&found.chosen), "<circle class=\"chosen\" r=\"6\"");
    let (now, chosen) = (axes.at(place(&found.now)), axes.at(place(&found.chosen)));
    // Names beside each other do not touch.
    let above = now.1 <= chosen.1;
    name(html, now, "in force", above);
    name(html, chosen, "proposed", !above);
    html.markup("</svg>");
}

fn grid(html: &mut Html, axes: &Axes) {
    let foot = HEIGHT - BOTTOM;
    for tick in axes.x.ticks() {
        let (x, _) = axes.at((tick, 0.0));
        html.markup("<line class=\"grid\"").number(" x1=\"", x).number(" x2=\"", x);
        html.number(" y1=\"", TOP).number(" y2=\"", foot).markup("/>");
        html.markup("<text text-anchor=\"middle\"").number(" x=\"", x).number(" y=\"", foot + 15.0);
        html.markup(">").text(tick_text(tick)).markup("</text>");
    }
    for tick in axes.y.ticks() {
        let (_, y) = axes.at((0.0, tick));
        html.markup("<line class=\"grid\"").number(" x1=\"", LEFT).number(" x2=\"", WIDTH - RIGHT);
        html.number(" y1=\"", y).number(" y2=\"", y).markup("/>");
        html.markup("<text text-anchor=\"end\"").number(" x=\"", LEFT - 6.0);
        html.number(" y=\"", y + 4.0).markup(">").text(tick_text(tick)).markup("</text>");
    }
    html.markup("<text text-anchor=\"middle\"").number(" x=\"", f64::midpoint(LEFT, WIDTH - RIGHT));
    html.number(" y=\"", HEIGHT - 8.0).markup(">alerts without a customer, for 100 visits</text>");
    html.markup(
        "<text text-anchor=\"middle\" transform=\"translate(11 125) rotate(-90)\">customers \
         announced, of 100</text>",
    );
}

/// Without the digits that arithmetic adds.
fn tick_text(tick: f64) -> f64 {
    (tick * 100.0).round() / 100.0
}

fn dot(html: &mut Html, axes: &Axes, place: (f64, f64), open: &'static str) {
    let (x, y) = axes.at(place);
    html.markup(open).number(" cx=\"", x).number(" cy=\"", y).markup("/>");
}

fn name(html: &mut Html, (x, y): (f64, f64), name: &'static str, above: bool) {
    let left = x > WIDTH * 0.6;
    html.markup(if left {
        "<text class=\"name\" text-anchor=\"end\""
    } else {
        "<text class=\"name\""
    });
    html.number(" x=\"", if left { x - 10.0 } else { x + 10.0 });
    let y = if above { y - 8.0 } else { y + 18.0 };
    html.number(" y=\"", y.clamp(TOP + 8.0, HEIGHT - BOTTOM - 4.0)).markup(">").text(name);
    html.markup("</text>");
}

/// Where the proposal is on days that it was not chosen on, as a cross of two ranges.
fn expected(html: &mut Html, axes: &Axes, found: &Found) {
    let Some(unseen) = &found.unseen else { return };
    let (Some(falsely), Some(share)) = (unseen.false_garwood95, unseen.found_share_wilson95) else {
        return;
    };
    let visits = float(unseen.visits.max(1)) / 100.0;
    let (x, y) = axes.at(per_hundred(unseen.falsely, unseen.found, unseen.visits));
    let [few, many] = falsely.map(|count| axes.at((count / visits, 0.0)).0);
    let [low, high] = share.map(|share| axes.at((0.0, share * 100.0)).1);
    for (x1, y1, x2, y2) in [(few, y, many, y), (x, low, x, high)] {
        html.markup("<line class=\"sure\"").number(" x1=\"", x1).number(" y1=\"", y1);
        html.number(" x2=\"", x2).number(" y2=\"", y2).markup("/>");
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::proposals::Unseen;
    use super::*;

    fn offer(falsely: u64, found: u64) -> Offer {
        Offer { visits: 50, found, falsely, ..Offer::default() }
    }

    #[test]
    fn what_is_found_is_drawn_against_what_is_false() {
        let found = Found {
            now: offer(10, 50),
            chosen: offer(2, 48),
            front: vec![offer(2, 48), offer(0, 40)],
            unseen: Some(Unseen {
                visits: 50,
                found: 45,
                falsely: 3,
                found_share_wilson95: Some([0.8, 0.97]),
                false_garwood95: Some([0.6, 8.8]),
                better_than_now: 0.9,
            }),
            ..Found::default()
        };
        let mut html = Html::default();
        trade_off(&mut html, &found);
        let svg = html.into_string();
        let axes = Axes::of(&found);
        let at = |falsely, found| {
            let (x, y) = axes.at((falsely, found));
            format!("cx=\"{x:.1}\" cy=\"{y:.1}\"")
        };
        assert!(
            svg.contains(&format!("<circle class=\"now\" r=\"6\" {}", at(20.0, 100.0))),
            "{svg}"
        );
        assert!(svg.contains(&format!("<circle class=\"chosen\" r=\"6\" {}", at(4.0, 96.0))));
        assert_eq!(svg.matches("class=\"offer\"").count(), 2);
        assert_eq!(svg.matches("class=\"sure\"").count(), 2);
        assert_eq!((axes.x.most, axes.y.least, axes.y.most), (30.0, 80.0, 100.0));
    }

    #[test]
    fn hostile_numbers_make_a_picture_all_the_same() {
        let offer = Offer { visits: 0, found: u64::MAX, falsely: u64::MAX, ..Offer::default() };
        let found = Found { now: offer.clone(), chosen: offer, ..Found::default() };
        let mut html = Html::default();
        trade_off(&mut html, &found);
        let svg = html.into_string();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_scale_ends_where_every_range_does() {
        let shares = [Share::new(1, 100), Share::new(10, 100)];
        assert!((scale(shares.iter()) - 0.25).abs() < 1e-9);
        assert!((scale([Share::new(0, 0)].iter()) - 1.0).abs() < 1e-9);
        let mut html = Html::default();
        share(&mut html, &Share::new(0, 0), 1.0);
        assert!(!html.into_string().contains("point"), "nothing was judged");
    }
}
