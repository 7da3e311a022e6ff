//! The pipeline's decisions as sentences, for `explain` and debug logs.

use std::fmt;

use crate::pipeline::explain::{Evidence, Why};
use crate::pipeline::presence::Loudness;
use crate::pipeline::visit::Announcement;

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arrived { confidence, needed, evidence, announcement } => {
                let (sure, needed) = (confidence * 100.0, needed * 100.0);
                write!(f, "arrived: {sure:.0} % sure, {needed:.0} % needed, {evidence}; ")?;
                match announcement {
                    Announcement::Alert { .. } => f.write_str("staff alerted"),
                    Announcement::Silent(because) => {
                        write!(f, "no alert ({})", because.word())
                    }
                }
            }
            Self::Returned { rejoin, confidence } => write!(
                f,
                "came back within {} s ({:.0} % sure): the visit continues, no alert",
                rejoin.as_secs(),
                confidence * 100.0
            ),
            Self::Departed { reason, silent_for } => {
                let silent_s = silent_for.as_secs_f32();
                write!(f, "departed ({}): last received {silent_s:.1} s ago", reason.word())
            }
            Self::Passed { best, needed, evidence } => write!(
                f,
                "not announced: at most {:.0} % sure, {:.0} % needed, {evidence}",
                best * 100.0,
                needed * 100.0
            ),
            Self::PeerWasFirst => {
                f.write_str("not announced: another gateway of the store was first")
            }
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "received for {:.1} s", self.received_for.as_secs_f32())?;
        if let Some((gateway, dbm)) = &self.level {
            write!(f, "; when surest, {gateway} measured {dbm:.0} dBm")?;
        }
        if let Some((place, dbm)) = self.echo {
            write!(f, ", and the phone the {} beacon at {dbm} dBm", place.word())?;
        }
        match offset(self.phone) {
            Some(offset) => write!(f, "; its phone is usually {offset}"),
            None => Ok(()),
        }
    }
}

/// The phone's RSSI offset in whole decibels, if earlier visits gave one.
fn offset(phone: Loudness) -> Option<String> {
    let decibels = phone.above_usual_db.round();
    Some(match decibels {
        _ if phone.visits == 0 => return None,
        0.0 => "as loud as most".to_owned(),
        louder if louder > 0.0 => format!("{louder:.0} dB louder than most"),
        quieter => format!("{:.0} dB quieter than most", -quieter),
    })
}
