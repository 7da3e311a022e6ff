//! The pipeline's decisions as sentences, for `explain` and debug logs.

use std::fmt;

use crate::pipeline::explain::{Evidence, Why};
use crate::pipeline::presence::{Loudness, PlaceShares};
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
        if self.steady {
            f.write_str("; it stayed at the inside level")?;
        }
        if let Some(places) = self.places {
            write!(f, "; by the filter alone {places}")?;
        }
        match offset(self.phone) {
            Some(offset) => write!(f, "; its phone is usually {offset}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for PlaceShares {
    /// The most probable place first; those of less than 1 % are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { street, in_front, next_door, threshold, inside } = *self;
        let mut places = [
            (inside, "inside"),
            (threshold, "on the threshold"),
            (in_front, "in front of the shop"),
            (next_door, "next door"),
            (street, "down the street"),
        ];
        places.sort_by_key(|(percent, _)| std::cmp::Reverse(*percent));
        let places = places.iter().filter(|(percent, _)| *percent > 0);
        for (nth, (percent, place)) in places.enumerate() {
            let comma = if nth == 0 { "" } else { ", " };
            write!(f, "{comma}{place} {percent} %")?;
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_decision_is_explained_by_the_probability_of_each_place() {
        let by_place = [0.021, 0.05, 0.06, 0.004, 0.065, 0.3, 0.3, 0.2];
        let evidence = Evidence {
            received_for: Duration::from_secs(4),
            level: Some(("door".into(), -61.4)),
            echo: None,
            phone: Loudness::UNKNOWN,
            places: Some(PlaceShares::of(&by_place)),
            steady: true,
        };
        let why = Why::Passed { best: 0.4, needed: 0.95, evidence };
        let numbers = "not announced: at most 40 % sure, 95 % needed, received for 4.0 s; \
                       when surest, door measured -61 dBm; it stayed at the inside level";
        let places = "; by the filter alone inside 80 %, in front of the shop 11 %, \
                      on the threshold 7 %, down the street 2 %";
        assert_eq!(why.to_string(), format!("{numbers}{places}"));
        assert_eq!(why.without_places().to_string(), numbers);
    }
}
