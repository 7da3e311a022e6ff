//! What `tune` prints: the trade-off, and how sure it is.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Outcome;
use super::confidence::RESAMPLES;
use super::counts::{Counts, counted};
use super::pareto::Offer;
use super::progress::clock;
use super::space::Space;
use super::verdict::Unseen;
use crate::fleet::Document;

/// Below this the choice may be due to chance.
const SURELY: f64 = 0.9;

/// Below this the search is overfitted.
const EVEN: f64 = 0.5;

pub fn text(outcome: &Outcome<'_>) -> String {
    let verdict = &outcome.verdict;
    let mut text = outcome.group.map(|group| format!("{}\n", group.name)).unwrap_or_default();
    let _ = writeln!(
        text,
        "{}, {}; {} tried in {}",
        counted(outcome.recordings.len(), "recording"),
        counted(verdict.now.counts.visits as usize, "visit"),
        counted(verdict.tried.len(), "setting"),
        clock(outcome.took),
    );
    if outcome.known_before > 0 {
        let _ = writeln!(text, "{} of them were known from an earlier run", outcome.known_before);
    }
    for remark in remarks(outcome) {
        let _ = writeln!(text, "note: {remark}");
    }
    text += "\n          missed   false  dropped   announced after    gone after\n";
    row(&mut text, "now", &verdict.now);
    for offer in &verdict.front {
        if offer.point != verdict.chosen.point {
            row(&mut text, "", offer);
        }
    }
    row(&mut text, "chosen", &verdict.chosen);
    text += "\n          of all visits, announced without a visit, taken for gone too early; median (95th percentile)\n";
    text += "\nChosen\n";
    for (key, value) in outcome.space.written(&verdict.chosen.point) {
        let was = outcome.space.written(&verdict.now.point);
        let was = was.iter().find(|(known, _)| *known == key).map(|(_, was)| was);
        let note = match was {
            Some(was) if *was != value => format!("   was {was}"),
            _ => String::new(),
        };
        let _ = writeln!(text, "  {key} = {value}{note}");
    }
    text += "\nHow sure\n";
    text += &match &verdict.unseen {
        Some(unseen) => surety(unseen),
        None => {
            "  one recording: nothing is left to judge the choice on; record more days\n".to_owned()
        }
    };
    text
}

fn row(text: &mut String, name: &str, offer: &Offer) {
    let counts = &offer.counts;
    let delay = |median: Option<f64>, most: Option<f64>| match (median, most) {
        (Some(median), Some(most)) => format!("{median:.1} s ({most:.1})"),
        _ => "–".to_owned(),
    };
    let _ = writeln!(
        text,
        "  {name:<6}{:>8}{:>8}{:>9}{:>18}{:>14}",
        counts.missed(),
        counts.falsely,
        counts.dropped,
        delay(counts.late_s(50), counts.late_s(95)),
        counts.lingering_s(50).map_or("–".to_owned(), |s| format!("{s:.0} s")),
    );
}

fn surety(unseen: &Unseen) -> String {
    let Unseen { counts, .. } = unseen;
    let percent = |share: f64| format!("{:.0}", share * 100.0);
    let between = |interval: Option<(f64, f64)>| {
        interval.map_or("–".to_owned(), |(low, high)| {
            format!("{} to {} %", percent(low), percent(high))
        })
    };
    let share =
        if counts.visits == 0 { 0.0 } else { f64::from(counts.found) / f64::from(counts.visits) };
    let (few, many) = unseen.falsely;
    format!(
        "  judged on recordings each choice had not seen ({} folds), 95 % intervals:\n  \
         found     {} of {}, {} %: {} (Wilson); {} by recording (bootstrap)\n  \
         false     {}: {few:.1} to {many:.1} where as many visits are made (Garwood)\n  \
         better than now on {} % of {RESAMPLES} redrawn sets of recordings\n",
        unseen.folds,
        counts.found,
        counts.visits,
        percent(share),
        between(unseen.found),
        between(unseen.found_by_recording),
        counts.falsely,
        percent(unseen.better),
    )
}

/// Whether the choice should be taken, if that is not plain.
pub fn doubt(unseen: Option<&Unseen>) -> Option<&'static str> {
    match unseen.map(|unseen| unseen.better) {
        Some(EVEN..SURELY) | None => {
            Some("not surely better than now: record more, or stay as you are")
        }
        Some(..EVEN) => Some("worse than now on recordings it had not seen: stay as you are"),
        _ => None,
    }
}

/// What to know before deciding.
pub fn remarks(outcome: &Outcome<'_>) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(group) = outcome.group {
        remarks.extend(group.remarks());
    } else if outcome.labelled > 0 {
        remarks.push(format!(
            "{} known from staff's labels alone, which do not show missed visits",
            counted(outcome.labelled, "recording")
        ));
    }
    if outcome.unreadable > 0 {
        remarks.push(format!("{} could not be read", counted(outcome.unreadable, "line")));
    }
    let visits = outcome.verdict.now.counts.visits;
    if visits < 20 {
        remarks.push(format!(
            "{} are few: record until there are 20 or more",
            counted(visits as usize, "visit")
        ));
    }
    if outcome.verdict.chosen.point == outcome.verdict.now.point {
        remarks.push("nothing that was tried is better than the settings in force".to_owned());
    } else {
        remarks.extend(doubt(outcome.verdict.unseen.as_ref()).map(str::to_owned));
    }
    remarks
}

/// Whether the choice may be better than the settings in force.
pub fn is_worth_a_shadow(outcome: &Outcome<'_>) -> bool {
    let verdict = &outcome.verdict;
    let better = verdict.unseen.as_ref().is_none_or(|unseen| unseen.better >= EVEN);
    better && verdict.chosen.point != verdict.now.point
}

/// `next` are the commands that follow, where there is a document; `shadows` are documents that were
/// opened in the shadow.
pub fn json(outcome: &Outcome<'_>, next: Option<&[(&str, String)]>, shadows: &[Document]) -> Value {
    let verdict = &outcome.verdict;
    let offer = |offer: &Offer| {
        let mut value = counts(&offer.counts);
        if let Some(object) = value.as_object_mut() {
            object.insert("cost".to_owned(), json!((offer.cost * 1000.0).round() / 1000.0));
            object.insert("settings".to_owned(), settings(outcome.space, offer));
        }
        value
    };
    let interval = |interval: Option<(f64, f64)>| {
        let round = |share: f64| (share * 1000.0).round() / 1000.0;
        interval.map(|(low, high)| [round(low), round(high)])
    };
    let unseen = verdict.unseen.as_ref().map(|unseen| {
        let mut value = counts(&unseen.counts);
        if let Some(object) = value.as_object_mut() {
            object.insert("folds".to_owned(), json!(unseen.folds));
            object.insert("found_share_wilson95".to_owned(), json!(interval(unseen.found)));
            let by_recording = interval(unseen.found_by_recording);
            object.insert("found_share_bootstrap95".to_owned(), json!(by_recording));
            object.insert("false_garwood95".to_owned(), json!(interval(Some(unseen.falsely))));
            object.insert("better_than_now".to_owned(), json!(unseen.better));
        }
        value
    });
    let mut report = json!({
        "recordings": outcome.recordings.len(),
        "labelled": outcome.labelled,
        "unreadable": outcome.unreadable,
        "tried": verdict.tried.len(),
        "known_before": outcome.known_before,
        "notes": remarks(outcome),
        "now": offer(&verdict.now),
        "chosen": offer(&verdict.chosen),
        "unseen": unseen,
        "front": verdict.front.iter().map(offer).collect::<Vec<_>>(),
    });
    if let (Some(group), Some(report)) = (outcome.group, report.as_object_mut()) {
        report.insert("group".to_owned(), json!(group.name));
        report.insert("stores".to_owned(), json!(group.stores));
        let commands = next.unwrap_or_default().iter().map(|(_, command)| command);
        report.insert("next".to_owned(), json!(commands.collect::<Vec<_>>()));
        let shadows = shadows.iter().map(|one| json!({"serial": one.serial, "topic": one.topic}));
        report.insert("shadows".to_owned(), shadows.collect());
    }
    json!({ "tune": report })
}

fn counts(counts: &Counts) -> Value {
    json!({
        "visits": counts.visits,
        "found": counts.found,
        "missed": counts.missed(),
        "false": counts.falsely,
        "dropped": counts.dropped,
        "arrival_delay_s": {"p50": counts.late_s(50), "p95": counts.late_s(95)},
        "departure_delay_s": {"p50": counts.lingering_s(50), "p95": counts.lingering_s(95)},
    })
}

/// By key, as TOML writes them: numbers as numbers, tables as objects.
fn settings(space: &Space, offer: &Offer) -> Value {
    let read = |(key, text): (&str, String)| {
        let value = text.parse::<f64>().map_or_else(
            |_| {
                let table = toml::from_str::<Value>(&format!("{key} = {text}")).ok();
                table.and_then(|table| table.get(key).cloned()).unwrap_or_default()
            },
            |number| json!(number),
        );
        (key.to_owned(), value)
    };
    Value::Object(space.written(&offer.point).into_iter().map(read).collect())
}
