//! What the walking phone reported of the shop's beacons.

use std::collections::BTreeMap;
use std::time::Duration;

use super::walk::{Loudness, Stand};
use crate::pipeline::Place;
use crate::pipeline::advert::Echo;

/// Beacons inside must be the loudest in this much more of the reports from inside than from
/// outside, or they do not distinguish the two.
const LEAST_SHARE: f64 = 0.5;

/// The reports of one phone. A report names the one beacon that the phone receives best.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beacons {
    /// Seconds with a report, whichever beacon it names.
    all: Loudness,
    by_zone: BTreeMap<u8, Loudness>,
}

/// What was reported of one beacon at one stand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reported {
    /// Fraction of the seconds with a report in which this beacon was named, 0 to 1.
    pub share: f64,
    /// Mean level at the phone.
    pub mean_dbm: f64,
}

impl Beacons {
    /// Takes in a report.
    pub fn add(&mut self, stand: Stand, at: Duration, echo: Echo) {
        // The level of no report at all counts for nothing but its second.
        self.all.add(stand, at, 0.0);
        if let Some(rssi) = echo.rssi().filter(|_| echo.zone > 0) {
            let dbm = f64::from(rssi.value());
            self.by_zone.entry(echo.zone).or_default().add(stand, at, dbm);
        }
    }

    /// Zones of the beacons that were reported.
    pub fn zones(&self) -> impl Iterator<Item = u8> {
        self.by_zone.keys().copied()
    }

    /// What was reported of the beacon of `zone` at `stand`; `None` where it was not.
    pub fn at(&self, zone: u8, stand: Stand) -> Option<Reported> {
        let measured = self.by_zone.get(&zone)?.at(stand)?;
        let all = self.all.at(stand)?;
        let share = f64::from(measured.seconds) / f64::from(all.seconds.max(1));
        Some(Reported { share, mean_dbm: measured.mean_dbm })
    }

    /// What is wrong with the beacons at these places, by zone.
    pub fn remarks(&self, places: &[Option<Place>; 16]) -> Vec<String> {
        if self.by_zone.is_empty() {
            return Vec::new();
        }
        let mut remarks = Vec::new();
        for (zone, place) in (0_u8..).zip(places) {
            if let Some(place) = place.filter(|_| !self.by_zone.contains_key(&zone)) {
                let place = place.word();
                remarks.push(format!(
                    "the beacon of zone {zone} ({place}) was never the loudest: does it work, and \
                     is it where the configuration says?"
                ));
            }
        }
        let is_inside = |zone: &u8| places.get(usize::from(*zone)) == Some(&Some(Place::Inside));
        let inside = |stand| {
            let of_zone = |zone| self.at(zone, stand).map_or(0.0, |reported| reported.share);
            self.zones().filter(is_inside).map(of_zone).sum::<f64>()
        };
        let has_inside = places.contains(&Some(Place::Inside));
        if has_inside && inside(Stand::Inside) - inside(Stand::Outside) < LEAST_SHARE {
            remarks.push(
                "the beacons do not tell inside from outside: hang one on the street side of the \
                 door frame, and one 2.5 m behind it"
                    .to_owned(),
            );
        }
        remarks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One report a second: zones at the three stands, each with a level of 8 (-68 dBm).
    fn beacons(zones: [u8; 3]) -> Beacons {
        let mut beacons = Beacons::default();
        for (stand, zone) in Stand::ALL.into_iter().zip(zones) {
            for second in 0..10 {
                // The phone receives nothing in two of ten seconds.
                let zone = if second < 2 { 0 } else { zone };
                let level = if zone == 0 { 0 } else { 8 };
                beacons.add(stand, Duration::from_secs(second), Echo { zone, level });
            }
        }
        beacons
    }

    fn places() -> [Option<Place>; 16] {
        let mut places = [None; 16];
        (places[1], places[2]) = (Some(Place::Door), Some(Place::Inside));
        places
    }

    #[test]
    fn a_beacon_is_measured_where_the_phone_names_it() {
        let beacons = beacons([1, 1, 2]);
        assert_eq!(beacons.zones().collect::<Vec<_>>(), [1, 2]);
        let reported = Reported { share: 0.8, mean_dbm: -68.0 };
        assert_eq!(beacons.at(2, Stand::Inside), Some(reported));
        assert_eq!(beacons.at(2, Stand::Door), None);
        assert_eq!(beacons.remarks(&places()), Vec::<String>::new());
    }

    #[test]
    fn beacons_that_do_not_help_are_named() {
        let everywhere = beacons([2, 2, 2]).remarks(&places());
        assert!(everywhere[0].contains("zone 1 (door)"), "{everywhere:?}");
        assert!(everywhere[1].contains("do not tell inside from outside"), "{everywhere:?}");
        assert!(Beacons::default().remarks(&places()).is_empty(), "a card reports none");
    }
}
