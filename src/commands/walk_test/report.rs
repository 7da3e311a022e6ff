//! What a walk test prints.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::beacons::Beacons;
use super::document::Levels;
use super::levels::Proposal;
use super::walk::{Measured, Stand};
use super::whom::Chosen;
use crate::pipeline::Place;

/// With a greater error one gateway is not enough.
const POOR: f64 = 0.25;

/// What the configuration says of the shop.
#[derive(Debug, Clone, Copy)]
pub struct Shop<'a> {
    /// Where each zone's beacon hangs.
    pub zones: &'a [Option<Place>; 16],
    /// Gateways hang outside and inside, and none at the door.
    pub lacks_door: bool,
}

/// What to know for the installation.
pub fn remarks(chosen: &Chosen, proposal: &Proposal, shop: Shop<'_>) -> Vec<String> {
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
    if shop.lacks_door {
        remarks.push(
            "gateways hang outside and inside, and none at the door: there levels announce many \
             passers-by; hang one at the door first"
                .to_owned(),
        );
    }
    remarks.extend(chosen.beacons.remarks(shop.zones));
    remarks
}

pub fn text(chosen: &Chosen, proposal: &Proposal, levels: &Levels<'_>, shop: Shop<'_>) -> String {
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
    text += &beacons(&chosen.beacons, shop);
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
    for remark in remarks(chosen, proposal, shop) {
        let _ = writeln!(text, "\nnote: {remark}");
    }
    let _ = write!(text, "\nLevels\n{}", indented(&levels.lines()));
    text
}

/// A line for each beacon that the phone reported.
fn beacons(beacons: &Beacons, shop: Shop<'_>) -> String {
    let mut text = String::new();
    for zone in beacons.zones() {
        if text.is_empty() {
            text += "\nBeacons: how often each was the loudest at the phone, and how loud\n";
        }
        let place = shop.zones.get(usize::from(zone)).copied().flatten();
        let place = place.map(|place| format!(" ({})", place.word())).unwrap_or_default();
        let stands = Stand::ALL.map(|stand| {
            let reported = beacons.at(zone, stand).map_or("never".to_owned(), |reported| {
                format!("{:.0} %, {:.0} dBm", reported.share * 100.0, reported.mean_dbm)
            });
            format!("{} {reported}", stand.word())
        });
        let _ = writeln!(text, "  zone {zone}{place}: {}", stands.join("; "));
    }
    text
}

fn indented(lines: &str) -> String {
    lines.lines().fold(String::new(), |text, line| text + "  " + line + "\n")
}

pub fn json(
    chosen: &Chosen,
    proposal: &Proposal,
    levels: &Levels<'_>,
    shop: Shop<'_>,
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
    let reported = |zone: u8, stand: Stand| {
        chosen.beacons.at(zone, stand).map(|reported| {
            json!({"share": round(reported.share, 3), "mean_dbm": round(reported.mean_dbm, 2)})
        })
    };
    let beacon = |zone: u8| {
        let place = shop.zones.get(usize::from(zone)).copied().flatten().map(Place::word);
        let [outside, door, inside] = Stand::ALL.map(|stand| reported(zone, stand));
        json!({"zone": zone, "place": place, "outside": outside, "door": door, "inside": inside})
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
        "beacons": chosen.beacons.zones().map(beacon).collect::<Vec<_>>(),
        "notes": remarks(chosen, proposal, shop),
        "written": written,
    }})
}
