//! What a walk test prints.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::document::Levels;
use super::levels::Proposal;
use super::walk::{Measured, Stand};
use super::whom::Chosen;

/// With a greater error one gateway is not enough.
const POOR: f64 = 0.25;

/// What to know for the installation.
pub fn remarks(chosen: &Chosen, proposal: &Proposal) -> Vec<String> {
    let mut remarks = Vec::new();
    remarks.extend(chosen.doubt.clone());
    if proposal.any_phone > POOR {
        remarks.push(
            "this gateway alone hardly tells inside from outside: move it further in, or add a \
             second one"
                .to_owned(),
        );
    }
    if proposal.at_door.is_some_and(|share| share > 0.5) {
        remarks.push(
            "a person in the doorway is received as if inside: a longer presence.dwell_secs, or \
             a second gateway, keeps those who turn round there from ringing"
                .to_owned(),
        );
    }
    if proposal.inside_dbm < proposal.outside_dbm {
        remarks.push(
            "it receives outside better than inside: right only for a gateway that hangs outside"
                .to_owned(),
        );
    }
    remarks
}

pub fn text(chosen: &Chosen, proposal: &Proposal, levels: &Levels<'_>) -> String {
    let mut text = format!("Walk test of gateway {}\n  {}\n\n", levels.gateway, chosen.name);
    let stands = [Some(proposal.outside), proposal.door, Some(proposal.inside)];
    for (stand, measured) in Stand::ALL.into_iter().zip(stands) {
        let measured = measured.map_or("not measured".to_owned(), |m| {
            format!(
                "{:>6.1} dBm ± {:.1}   spread {:.1} dB, {} readings in {} s",
                m.mean_dbm,
                m.uncertain_db(),
                m.spread_db(),
                m.readings,
                m.seconds
            )
        });
        let _ = writeln!(text, "  {:<9}{measured}", stand.word());
    }
    let percent = |share: f64| match share {
        ..0.0005 => "< 0.1 %".to_owned(),
        _ => format!("{:>5.1} %", share * 100.0),
    };
    let _ = write!(
        text,
        "\nError to expect, of each second by this gateway alone\n  {}  this phone is taken for \
         the wrong side\n  {}  any customer's is, with another phone in another pocket\n",
        percent(proposal.this_phone),
        percent(proposal.any_phone)
    );
    if let Some(share) = proposal.at_door {
        let _ = writeln!(text, "  {}  somebody in the doorway is taken for inside", percent(share));
    }
    text += "  Φ(-|inside - outside| / 2σ), σ the spread of a second, for any phone with 5 dB more;\n  \
             grelot weighs many seconds, so that it errs less often than this\n";
    for remark in remarks(chosen, proposal) {
        let _ = writeln!(text, "\nnote: {remark}");
    }
    let _ = write!(text, "\nLevels\n{}", indented(&levels.lines()));
    text
}

fn indented(lines: &str) -> String {
    lines.lines().fold(String::new(), |text, line| text + "  " + line + "\n")
}

pub fn json(
    chosen: &Chosen,
    proposal: &Proposal,
    levels: &Levels<'_>,
    offset_db: f64,
    written: bool,
) -> Value {
    let round = |value: f64, digits: i32| {
        let scale = 10_f64.powi(digits);
        (value * scale).round() / scale
    };
    let stand = |measured: Measured| {
        json!({
            "mean_dbm": round(measured.mean_dbm, 2),
            "uncertain_db": round(measured.uncertain_db(), 2),
            "spread_db": round(measured.spread_db(), 2),
            "readings": measured.readings,
            "seconds": measured.seconds,
        })
    };
    json!({ "walk_test": {
        "gateway": levels.gateway,
        "by": chosen.by,
        "whom": chosen.name,
        "outside": stand(proposal.outside),
        "door": proposal.door.map(stand),
        "inside": stand(proposal.inside),
        "offset_db": round(offset_db, 2),
        "gateway_inside_dbm": levels.inside_dbm,
        "gateway_outside_dbm": levels.outside_dbm,
        "error": {
            "this_phone": round(proposal.this_phone, 4),
            "any_phone": round(proposal.any_phone, 4),
            "at_door_taken_for_inside": proposal.at_door.map(|share| round(share, 4)),
        },
        "notes": remarks(chosen, proposal),
        "written": written,
    }})
}
