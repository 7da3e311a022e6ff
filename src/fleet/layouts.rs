//! Where a store's gateways and beacons stand: stores of one layout are tuned together.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::database::{FleetError, values};
use super::store::FleetStore;
use crate::payload::Trace;
use crate::payload::trace::{TraceGateway, TracePlace, TraceZone};
use crate::pipeline::Place;

/// Of a trace what its layout needs: the contacts are many.
#[derive(Deserialize)]
struct Placed {
    #[serde(default)]
    gateways: Vec<TraceGateway>,
    #[serde(default)]
    zones: Vec<TraceZone>,
}

/// How many gateways a trace's store has, and where they and its beacons stand.
pub fn layout(trace: &Trace) -> String {
    described(&trace.gateways, &trace.zones)
}

fn described(gateways: &[TraceGateway], zones: &[TraceZone]) -> String {
    let word = |place: TracePlace| Place::from(place).word();
    let mut places: Vec<&str> =
        gateways.iter().map(|one| one.place.map_or("anywhere", word)).collect();
    places.sort_unstable();
    let beacons: BTreeSet<&str> = zones.iter().map(|one| word(one.place)).collect();
    let beacons: Vec<&str> = beacons.into_iter().collect();
    let many = if places.len() == 1 { "" } else { "s" };
    let gateways = format!("{} gateway{many} ({})", places.len(), places.join(", "));
    if beacons.is_empty() {
        gateways
    } else {
        format!("{gateways}, beacons {}", beacons.join(", "))
    }
}

impl FleetStore {
    /// The layout of each store that has traces of contacts, after one of them.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn layouts(&mut self) -> Result<BTreeMap<u16, String>, FleetError> {
        // From store to store, past the other traces of each.
        let next = "SELECT min(store) FROM traces WHERE store > ?1";
        let first = "SELECT report FROM traces WHERE store = ?1 AND report <> ''
                     ORDER BY trace LIMIT 1";
        let (mut layouts, mut store) = (BTreeMap::new(), 0_u16);
        loop {
            store = self.db().first(next, values![store], |row| row.number(0))?.unwrap_or(0);
            if store == 0 {
                break;
            }
            let text = self.db().first(first, values![store], |row| row.text(0))?;
            if let Some(placed) = text.and_then(|text| serde_json::from_str::<Placed>(&text).ok()) {
                layouts.insert(store, described(&placed.gateways, &placed.zones));
            }
        }
        Ok(layouts)
    }
}
