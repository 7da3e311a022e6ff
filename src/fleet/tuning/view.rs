//! The page's sentences.

use std::fmt::Display;

use super::html::Html;
use super::progress::{Gateways, Progress, Step};
use super::{DAYS, Judged, Tuning, picture};
use crate::fleet::proposals::{Found, Offer, Proposal};
use crate::fleet::shadow::ShadowResult;
use crate::fleet::statistics::{Share, float};
use crate::mqtt::topics::Topic;

/// Documents that are listed.
const MOST_DOCUMENTS: usize = 10;

/// As `grelot tune` says it: below this the choice may be due to chance.
const SURELY: f64 = 0.9;

/// Below this the search is overfitted.
const EVEN: f64 = 0.5;

const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<title>Grelot: tuning</title>
<link rel=\"icon\" href=\"/page/bell.svg\" type=\"image/svg+xml\">
<link rel=\"stylesheet\" href=\"/page/style.css\">
<link rel=\"stylesheet\" href=\"/page/fleet.css\">
</head>
<body>
<header class=\"bar\">
<img class=\"bell\" src=\"/page/bell.svg\" alt=\"\">
<div class=\"where\"><h1>Tuning</h1><p class=\"link\" data-state=\"live\">";

pub(super) fn page(tuning: &Tuning) -> String {
    let mut html = Html::default();
    html.markup(HEAD).text(summary(&tuning.all.false_alerts));
    html.markup("</p></div>\n<a class=\"way\" href=\"/\">All stores</a></header>\n");
    html.markup("<main class=\"fleet tuning\">\n");
    staff(&mut html, tuning);
    html.markup("<section aria-labelledby=\"proposals\"><h2 id=\"proposals\">Proposals</h2>\n");
    if tuning.proposals.is_empty() {
        html.markup(
            "<p>There is none yet. A search (<code>grelot tune --fleet</code>) finds better settings \
             from what gateways received and what staff said, and shows them here.</p>",
        );
    }
    for one in &tuning.proposals {
        proposal(&mut html, one, &tuning.progress);
    }
    html.markup("</section>\n");
    documents(&mut html, &tuning.progress);
    html.markup("<p class=\"hint\">As of ").text(tuning.at);
    html.markup(". Reload the page for newer figures.</p>\n</main></body></html>\n");
    html.into_string()
}

fn summary(share: &Share) -> String {
    match share.share {
        Some(value) => format!("{} of 100 judged alerts were wrong", whole(value * 100.0)),
        None => "No alert was judged yet".to_owned(),
    }
}

fn staff(html: &mut Html, tuning: &Tuning) {
    let share = &tuning.all.false_alerts;
    html.markup("<section aria-labelledby=\"staff\"><h2 id=\"staff\">What staff say</h2>\n<p>");
    if share.of == 0 {
        html.text(format_args!(
            "In the last {DAYS} days staff judged no alert. Ask them to tap on the tablet whether \
             the customer was there: every improvement begins with it."
        ));
        html.markup("</p></section>\n");
        return;
    }
    html.text(format_args!(
        "In the last {DAYS} days staff of {} judged {} on their tablets. In {} the customer was not \
         there: {}.",
        counted(tuning.all.stores as u64, "store"),
        counted(share.of, "alert"),
        counted(share.count, "case"),
        range(share)
    ));
    html.markup(
        "</p>\n<p class=\"hint\">A mark shows the share of wrong alerts. The bar around it has the \
         true share 95 times in 100: with few judgements it is wide, and says little. Staff cannot \
         tap on a customer who was never announced, so these figures do not show who was \
         missed.</p>\n",
    );
    shares(html, "<h3>By layout</h3>", &tuning.layouts, true);
    shares(html, "<h3>Stores that are surely worst</h3>", &tuning.stores, false);
    html.markup("</section>\n");
}

fn shares(html: &mut Html, title: &'static str, judged: &[Judged], with_stores: bool) {
    let end = picture::scale(judged.iter().map(|one| &one.false_alerts));
    html.markup(title).markup("\n<ul class=\"shares\">\n");
    for Judged { name, stores, false_alerts } in judged {
        html.element("<li><span>", name, "");
        if with_stores {
            html.text(format_args!(", {}", counted(*stores as u64, "store")));
        }
        html.markup("</span>");
        picture::share(html, false_alerts, end);
        let of = counted(false_alerts.of, "judged alert");
        html.element("<span>", format_args!("{} of {of}", range(false_alerts)), "</span></li>\n");
    }
    html.markup("</ul>\n<p class=\"hint\">");
    html.text(format_args!("The line goes from 0 to {} %.", whole(end * 100.0)));
    html.markup("</p>\n");
}

fn proposal(html: &mut Html, proposal: &Proposal, progress: &Progress) {
    html.element("<article class=\"proposal\"><h3>", capital(&proposal.name), "</h3>\n");
    let Some(found) = proposal.found() else {
        html.markup(
            "<p>Another version of grelot made this proposal: it cannot be shown here.</p>",
        );
        html.markup("</article>\n");
        return;
    };
    html.markup("<div class=\"beside\"><div>\n");
    for sentence in sentences(proposal, &found) {
        html.element("<p>", sentence, "</p>\n");
    }
    changes(html, &found);
    html.markup("</div><figure>");
    picture::trade_off(html, &found);
    html.markup(
        "<figcaption class=\"hint\">Further up: more customers are announced. Further left: fewer \
         alerts are wrong. Small dots are other settings that could be chosen; the cross is where the \
         proposal is to be expected on new days, 95 times in 100.</figcaption></figure></div>\n",
    );
    html.markup("<ol class=\"steps\">\n");
    html.element("<li data-state=\"done\"><b>Found</b> ", date(&proposal.at), "</li>\n");
    let steps: Vec<&Step> = progress.of(&proposal.document).collect();
    shadow(html, &steps);
    roll_out(html, &steps);
    html.markup("</ol></article>\n");
}

/// What to know of a proposal, and what to do.
fn sentences(proposal: &Proposal, found: &Found) -> Vec<String> {
    let days = counted(found.recordings, "day");
    let stores = counted(found.stores.len() as u64, "store");
    let mut all = vec![format!(
        "Found on {} from {days} of {stores}, with {} of customers who were there.",
        date(&proposal.at),
        counted(found.now.visits, "visit")
    )];
    let of = |offer: &Offer| {
        let (falsely, found) = picture::place(offer);
        format!(
            "{} alerts without a customer for 100 visits, and {} of 100 customers announced",
            tenth(falsely),
            tenth(found)
        )
    };
    all.push(format!("Settings in force: {}.", of(&found.now)));
    if found.chosen.settings == found.now.settings {
        all.push("Nothing that was tried is better: there is nothing to do.".to_owned());
        return all;
    }
    let sooner = match found.chosen.arrival_delay_s.p50 {
        Some(late) if late >= 0.05 => {
            format!(" Half of the alerts come {late:.1} s later than they did, or more.")
        }
        Some(late) if late <= -0.05 => {
            format!(" Half of the alerts come {:.1} s sooner than they did, or more.", -late)
        }
        _ => String::new(),
    };
    all.push(format!("Proposed settings: {}.{sooner}", of(&found.chosen)));
    all.push(surety(found));
    all
}

fn surety(found: &Found) -> String {
    let Some(unseen) = &found.unseen else {
        return "It was found on one day, and no other is left to test it on: wait for more days."
            .to_owned();
    };
    let better = whole(unseen.better_than_now * 100.0);
    let tested = format!(
        "Tested on days that it was not found on, it is better than the settings in force in \
         {better} of 100 comparisons"
    );
    match unseen.better_than_now {
        SURELY.. => format!("{tested}: it is worth a try, first in the shadow."),
        EVEN..SURELY => format!("{tested}: that is not sure. Wait for more judgements."),
        _ => format!("{tested} only: keep the settings in force."),
    }
}

/// Settings that the proposal changes.
fn changes(html: &mut Html, found: &Found) {
    let was = |key: &String| found.now.settings.get(key);
    let changed = found.chosen.settings.iter().filter(|(key, value)| was(key) != Some(*value));
    let mut changed = changed.peekable();
    if changed.peek().is_none() {
        return;
    }
    html.markup("<details><summary>Settings that change</summary><ul class=\"lines\">\n");
    for (key, value) in changed {
        html.element("<li><code>", key, "</code> ");
        let before = was(key).map_or("nothing".to_owned(), ToString::to_string);
        html.text(format_args!("from {before} to {value}")).markup("</li>\n");
    }
    html.markup("</ul></details>\n");
}

/// A step of a proposal's way.
fn step(html: &mut Html, state: State, name: &'static str, sentence: impl Display) {
    html.markup(match state {
        State::Done => "<li data-state=\"done\"><b>",
        State::Now => "<li data-state=\"now\"><b>",
        State::Open => "<li data-state=\"open\"><b>",
        State::Bad => "<li data-state=\"bad\"><b>",
    });
    html.markup(name).markup("</b> ").text(sentence).markup("</li>\n");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    Now,
    Open,
    Bad,
}

fn shadow(html: &mut Html, steps: &[&Step]) {
    let shadows: Vec<&Step> = steps.iter().filter(|step| step.shadow).copied().collect();
    let running: usize = shadows.iter().map(|step| step.gateways.shadow).sum();
    let mut sum = ShadowResult::default();
    for result in shadows.iter().filter_map(|step| step.result.as_ref()) {
        sum.stores += result.stores;
        sum.same += result.same;
        sum.more += result.more;
        sum.fewer += result.fewer;
        sum.sooner += result.sooner;
        sum.later += result.later;
        sum.otherwise += result.otherwise;
    }
    let result = if sum.stores == 0 { String::new() } else { format!(" {}", changed(&sum)) };
    let (state, sentence) = match (shadows.is_empty(), running, sum.stores) {
        (true, ..) => (State::Open, "is not begun.".to_owned()),
        (_, 0, 0) => (State::Now, "is pushed; no gateway has reported it yet.".to_owned()),
        (_, 0, _) => (State::Done, format!("has ended.{result}")),
        _ => {
            let at = counted(running as u64, "gateway");
            (State::Now, format!("runs at {at}, and alerts no one.{result}"))
        }
    };
    step(html, state, "Shadow", sentence);
}

/// What a candidate would have changed.
fn changed(result: &ShadowResult) -> String {
    let ShadowResult { stores, same, more, fewer, sooner, later, otherwise, .. } = result;
    format!(
        "At {} it would have announced {more} more customers and {fewer} fewer, {sooner} sooner and \
         {later} later; {} unchanged.",
        counted(*stores as u64, "store"),
        same + otherwise
    )
}

fn roll_out(html: &mut Html, steps: &[&Step]) {
    let pushed = || steps.iter().filter(|step| !step.shadow);
    let ring = pushed().find(|step| step.ring.is_some());
    let all = pushed().find(|step| step.ring.is_none());
    let state = |one: &Step| match one.gateways {
        Gateways { fell_back: 1.., .. } => State::Bad,
        Gateways { in_force: 1.., .. } => State::Done,
        _ => State::Now,
    };
    match ring {
        Some(one) => {
            let share = one.ring.map(tenth).unwrap_or_default();
            let sentence = format!("{share} % of the stores: {}", standing(one));
            step(html, state(one), "Ring", sentence);
        }
        None if all.is_some() => step(html, State::Done, "Ring", "was left out."),
        None => step(html, State::Open, "Ring", "is not begun."),
    }
    match all {
        Some(one) => step(html, state(one), "All", standing(one)),
        None => step(html, State::Open, "All", "is not begun."),
    }
}

/// Where a document is in force.
fn standing(step: &Step) -> String {
    let Gateways { in_force, shadow, waits, other_stores, fell_back } = step.gateways;
    let parts: Vec<String> = [
        (in_force, "in force at"),
        (shadow, "in the shadow at"),
        (waits, "waiting for its time at"),
        (other_stores, "not meant for"),
        (fell_back, "taken back at"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{what} {}", counted(count as u64, "gateway")))
    .collect();
    let parts = if parts.is_empty() { "no gateway has it".to_owned() } else { parts.join(", ") };
    match &step.why {
        Some(why) => format!("{parts} ({why})."),
        None => format!("{parts}."),
    }
}

fn documents(html: &mut Html, progress: &Progress) {
    html.markup("<section aria-labelledby=\"pushed\"><h2 id=\"pushed\">Last documents</h2>\n");
    if progress.steps.is_empty() {
        html.markup("<p>Head office has pushed no settings yet.</p>");
    }
    html.markup("<ul class=\"shares\">\n");
    for one in progress.steps.iter().take(MOST_DOCUMENTS) {
        let document = &one.document;
        html.element("<li><span>Document ", document.serial, ", ");
        html.text(format_args!("{}, for {}", date(&document.pushed_at), target(&document.topic)));
        if !document.note.is_empty() {
            html.text(format_args!(": {}", document.note));
        }
        html.markup("</span>");
        picture::gateways(html, &one.gateways);
        html.element("<span>", capital(&standing(one)), "</span></li>\n");
    }
    html.markup(
        "</ul>\n<p class=\"hint\">Green: in force. Brown: in the shadow, or waiting. Red: taken back. \
         Grey: not meant for these gateways.</p></section>\n",
    );
}

/// Whom a document is for.
fn target(topic: &str) -> String {
    match Topic::parse(topic).as_ref().map(|(topic, names)| (topic, &names[..])) {
        Some((Topic::FleetSettings, _)) => "all stores".to_owned(),
        Some((Topic::GroupSettings, [group])) => format!("group {group}"),
        Some((Topic::StoreSettings, [store])) => format!("store {store}"),
        Some((Topic::GatewaySettings, [store, name])) => format!("gateway {name} of store {store}"),
        _ => topic.to_owned(),
    }
}

/// The share and its range, in per cent.
fn range(share: &Share) -> String {
    let percent = |share: f64| whole(share * 100.0);
    let value = float(share.count) / float(share.of.max(1));
    format!("{} % ({} to {})", percent(value), percent(share.low), percent(share.high))
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

/// With one digit where it is not whole.
fn tenth(number: f64) -> String {
    format!("{}", (number * 10.0).round() / 10.0)
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The day of an RFC 3339 time.
fn date(at: &str) -> &str {
    at.split('T').next().unwrap_or_default()
}
