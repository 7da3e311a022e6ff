//! The trade-off as SVG: missed visits against false arrivals.
//!
//! It uses no drawing library: a scatter, a staircase, two axes and a cross are less code.

use std::fmt::Write as _;

use super::Outcome;
use super::confidence;
use super::pareto::Offer;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 64.0;

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#333}\
.title{font-size:17px;font-weight:600;fill:#111}\
.quiet{fill:#777;font-size:12px}\
.grid{stroke:#e8e8e8}.axis{stroke:#999}\
.tried{fill:#b9c4cf;fill-opacity:.55}\
.front{fill:none;stroke:#2a6fbb;stroke-width:2}\
.offer{fill:#2a6fbb}\
.sure{stroke:#c2571a;stroke-width:1.5;stroke-opacity:.7}\
.now{fill:#fff;stroke:#333;stroke-width:2}\
.chosen{fill:#c2571a;stroke:#fff;stroke-width:2}";

/// Both axes: counts for 100 visits.
struct Axes {
    x: Axis,
    y: Axis,
}

struct Axis {
    most: f64,
    step: f64,
}

impl Axis {
    /// From 0 to a little more than `most`, in round steps.
    fn to(most: f64) -> Self {
        let most = most.max(1.0);
        let rough = most / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * power).find(|s| *s >= rough);
        let step = step.unwrap_or(rough);
        Self { most: (most / step).ceil() * step, step }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (most, step) = (self.most, self.step);
        (0..=20)
            .map(move |n| f64::from(n) * step)
            .take_while(move |tick| *tick <= most + step / 2.0)
    }
}

impl Axes {
    fn x(&self, value: f64) -> f64 {
        LEFT + value.min(self.x.most) / self.x.most * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value.min(self.y.most) / self.y.most * (HEIGHT - TOP - BOTTOM)
    }
}

/// False arrivals and missed visits, for 100 visits.
fn place(offer: &Offer) -> (f64, f64) {
    let visits = f64::from(offer.counts.visits.max(1));
    let share = |count: u32| f64::from(count) * 100.0 / visits;
    (share(offer.counts.falsely), share(offer.counts.missed()))
}

pub fn draw(outcome: &Outcome<'_>) -> String {
    let verdict = &outcome.verdict;
    let key = [&verdict.now, &verdict.chosen].into_iter().chain(&verdict.front).map(place);
    let most = key.fold((0.0_f64, 0.0_f64), |(x, y), (a, b)| (x.max(a), y.max(b)));
    let axes = Axes { x: Axis::to(most.0 * 1.25), y: Axis::to((most.1 * 1.25).min(100.0)) };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\">\n<title>Missed visits against \
         false arrivals</title>\n<style>{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    heading(&mut svg, outcome);
    grid(&mut svg, &axes);
    for offer in &verdict.tried {
        dot(&mut svg, &axes, offer, "tried", 3.0);
    }
    staircase(&mut svg, &axes, &verdict.tried);
    for offer in &verdict.front {
        dot(&mut svg, &axes, offer, "offer", 4.0);
    }
    surety(&mut svg, &axes, outcome);
    dot(&mut svg, &axes, &verdict.now, "now", 6.0);
    name(&mut svg, &axes, &verdict.now, "now");
    dot(&mut svg, &axes, &verdict.chosen, "chosen", 7.0);
    name(&mut svg, &axes, &verdict.chosen, "chosen");
    svg + "</svg>\n"
}

fn heading(svg: &mut String, outcome: &Outcome<'_>) {
    let _ = writeln!(
        svg,
        "<text class=\"title\" x=\"{LEFT}\" y=\"28\">What is missed, what is false</text>\n\
         <text class=\"quiet\" x=\"{LEFT}\" y=\"46\">{} settings on {} recordings with {} visits; \
         the cross: 95 % for the choice on recordings it had not seen</text>",
        outcome.verdict.tried.len(),
        outcome.recordings.len(),
        outcome.verdict.now.counts.visits
    );
}

fn grid(svg: &mut String, axes: &Axes) {
    let (right, foot) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    for tick in axes.x.ticks() {
        let x = axes.x(tick);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{foot}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            foot + 18.0,
            round(tick)
        );
    }
    for tick in axes.y.ticks() {
        let y = axes.y(tick);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + 4.0,
            round(tick)
        );
    }
    let _ = writeln!(
        svg,
        "<path class=\"axis\" fill=\"none\" d=\"M{LEFT} {TOP}V{foot}H{right}\"/>\n\
         <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">false arrivals for 100 visits</text>\n\
         <text x=\"20\" y=\"{:.0}\" text-anchor=\"middle\" transform=\"rotate(-90 20 {:.0})\">\
         missed of 100 visits</text>",
        f64::midpoint(LEFT, right),
        foot + 42.0,
        f64::midpoint(TOP, foot),
        f64::midpoint(TOP, foot)
    );
}

/// A tick without the digits that arithmetic adds.
fn round(tick: f64) -> f64 {
    (tick * 1000.0).round() / 1000.0
}

fn dot(svg: &mut String, axes: &Axes, offer: &Offer, class: &str, radius: f64) {
    let (x, y) = place(offer);
    if x <= axes.x.most && y <= axes.y.most {
        let _ = writeln!(
            svg,
            "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\"/>",
            axes.x(x),
            axes.y(y)
        );
    }
}

fn name(svg: &mut String, axes: &Axes, offer: &Offer, name: &str) {
    let (x, y) = place(offer);
    let (cx, cy) = (axes.x(x), axes.y(y));
    let (at, anchor) = if cx > WIDTH - 140.0 { (cx - 12.0, "end") } else { (cx + 12.0, "start") };
    let up = if name == "now" { 10.0 } else { -12.0 };
    let late = offer.counts.late_s(50).map_or(String::new(), |late| format!(", after {late:.1} s"));
    let _ = writeln!(
        svg,
        "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{name}{late}</text>",
        (cy - up).clamp(TOP + 12.0, HEIGHT - BOTTOM - 6.0)
    );
}

/// The least that is missed, for each number of false arrivals.
fn staircase(svg: &mut String, axes: &Axes, tried: &[Offer]) {
    let mut places: Vec<(f64, f64)> = tried.iter().map(place).collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut path = String::new();
    let mut least = f64::INFINITY;
    for (x, y) in places.into_iter().filter(|(x, _)| *x <= axes.x.most) {
        if y < least {
            least = y;
            let (x, y) = (axes.x(x), axes.y(y));
            let _ = if path.is_empty() {
                write!(path, "M{x:.1} {y:.1}")
            } else {
                write!(path, "H{x:.1}V{y:.1}")
            };
        }
    }
    if !path.is_empty() {
        let _ = writeln!(svg, "<path class=\"front\" d=\"{path}H{:.1}\"/>", WIDTH - RIGHT);
    }
}

/// What may be expected of the choice, as a cross.
fn surety(svg: &mut String, axes: &Axes, outcome: &Outcome<'_>) {
    let Some(unseen) = &outcome.verdict.unseen else { return };
    let counts = &unseen.counts;
    let Some((low, high)) = confidence::share(counts.missed(), counts.visits) else { return };
    let visits = f64::from(counts.visits) / 100.0;
    let (few, many) = (unseen.falsely.0 / visits, unseen.falsely.1 / visits);
    let (x, y) = (f64::from(counts.falsely) / visits, f64::from(counts.missed()) / visits);
    let (x, y) = (axes.x(x), axes.y(y));
    let _ = writeln!(
        svg,
        "<path class=\"sure\" d=\"M{:.1} {y:.1}H{:.1}M{x:.1} {:.1}V{:.1}\"/>",
        axes.x(few),
        axes.x(many),
        axes.y(low * 100.0),
        axes.y(high * 100.0)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (most, end, step) in [(0.0, 1.0, 0.2), (7.0, 8.0, 2.0), (33.0, 40.0, 10.0)] {
            let axis = Axis::to(most);
            assert!((axis.most - end).abs() < 1e-9 && (axis.step - step).abs() < 1e-9, "{most}");
            assert!((axis.ticks().last().unwrap() - end).abs() < 1e-9);
        }
    }
}
