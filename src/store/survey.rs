//! Stores the statistics of the shop's own traffic: counts and means, no customers.

use rusqlite::{Connection, Result, Transaction, params};

use crate::pipeline::presence::survey::{BeaconTraffic, GatewayTraffic, Mean, Survey};

const GATEWAY: &str = "gateway/";
/// In the order of `pipeline::presence::survey::kind`.
const BEACONS: [&str; 3] = ["beacon/door", "beacon/inside", "beacon/outside"];
const STORE: &str = "store";

/// Replaces the stored statistics.
pub(super) fn put(db: &Transaction<'_>, survey: &Survey) -> Result<()> {
    db.execute("DELETE FROM survey", [])?;
    let mut insert = db.prepare_cached("INSERT INTO survey VALUES (?1, ?2, ?3, ?4)")?;
    let mut row = |of: &str, what: &str, Mean { count, mean }: Mean| {
        insert.execute(params![of, what, count, mean]).map(drop)
    };
    for (name, traffic) in &survey.gateways {
        let of = format!("{GATEWAY}{name}");
        row(&of, "stays", traffic.stays)?;
        row(&of, "stay_peaks", traffic.stay_peaks)?;
        row(&of, "passes", traffic.passes)?;
        row(&of, "recent", traffic.recent)?;
    }
    for (of, traffic) in BEACONS.iter().zip(&survey.beacons) {
        row(of, "stays", traffic.stays)?;
        row(of, "stay_share", traffic.stay_share)?;
        row(of, "passes", traffic.passes)?;
        row(of, "pass_share", traffic.pass_share)?;
    }
    row(STORE, "stays", Mean { count: survey.stays, mean: 0.0 })?;
    row(STORE, "passes", Mean { count: survey.passes, mean: 0.0 })
}

/// The stored statistics; rows that cannot be understood are left out.
pub(super) fn get(db: &Connection) -> Result<Survey> {
    let mut survey = Survey::default();
    let mut query = db.prepare("SELECT of, what, count, mean FROM survey")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let (of, what): (String, String) = (row.get(0)?, row.get(1)?);
        let mean = Mean { count: row.get(2)?, mean: row.get(3)? };
        if !mean.count.is_finite() || !mean.mean.is_finite() || mean.count < 0.0 {
            continue;
        }
        let place = if let Some(name) = of.strip_prefix(GATEWAY) {
            of_gateway(survey.gateways.entry(name.to_owned()).or_default(), &what)
        } else if of == STORE {
            match what.as_str() {
                "stays" => survey.stays = mean.count,
                "passes" => survey.passes = mean.count,
                _ => {}
            }
            continue;
        } else {
            let nth = BEACONS.iter().position(|beacon| *beacon == of);
            nth.and_then(|nth| of_beacon(survey.beacons.get_mut(nth)?, &what))
        };
        if let Some(place) = place {
            *place = mean;
        }
    }
    Ok(survey)
}

fn of_gateway<'a>(traffic: &'a mut GatewayTraffic, what: &str) -> Option<&'a mut Mean> {
    match what {
        "stays" => Some(&mut traffic.stays),
        "stay_peaks" => Some(&mut traffic.stay_peaks),
        "passes" => Some(&mut traffic.passes),
        "recent" => Some(&mut traffic.recent),
        _ => None,
    }
}

fn of_beacon<'a>(traffic: &'a mut BeaconTraffic, what: &str) -> Option<&'a mut Mean> {
    match what {
        "stays" => Some(&mut traffic.stays),
        "stay_share" => Some(&mut traffic.stay_share),
        "passes" => Some(&mut traffic.passes),
        "pass_share" => Some(&mut traffic.pass_share),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Change, Store};
    use super::*;

    #[test]
    fn a_survey_is_kept_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let of = |mean| Mean { count: 3.0, mean };
        let mut survey = Survey { stays: 12.0, passes: 90.0, ..Survey::default() };
        let door = survey.gateways.entry("door".to_owned()).or_default();
        *door = GatewayTraffic {
            stays: of(-60.5),
            stay_peaks: of(-50.0),
            passes: of(-70.25),
            recent: of(-61.0),
        };
        survey.beacons[1] = BeaconTraffic {
            stays: of(-65.0),
            stay_share: of(0.75),
            passes: of(-80.0),
            pass_share: of(0.25),
        };
        store
            .commit(&[Change::Surveyed(Survey::default()), Change::Surveyed(survey.clone())])
            .unwrap();

        assert_eq!(get(&store.db).unwrap(), survey);
    }
}
