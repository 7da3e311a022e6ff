//! What candidates for settings would have changed, as gateways report it.

use std::collections::BTreeMap;

use rusqlite::params;
use serde::Serialize;

use super::store::{FleetError, FleetStore};
use crate::payload::{Report, ReportKind, ShadowChange};

/// Changes that are listed one by one.
const MOST_TOLD: usize = 20;

/// Of one candidate, over all gateways.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ShadowResult {
    pub serial: u64,
    pub stores: usize,
    /// Arrivals that are the same with it.
    pub same: u64,
    /// Arrivals with it alone.
    pub more: u64,
    /// Arrivals without it alone.
    pub fewer: u64,
    /// Arrivals that are sooner.
    pub sooner: u64,
    /// Arrivals that are later.
    pub later: u64,
    /// Arrivals of the same moment with another confidence or alert.
    pub otherwise: u64,
    /// The latest of the listed changes.
    pub changes: Vec<ShadowChange>,
}

impl FleetStore {
    /// What each candidate would have changed, the latest first.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn shadows(&mut self) -> Result<Vec<ShadowResult>, FleetError> {
        let sql = "SELECT store, report FROM reports WHERE kind = 'shadow' ORDER BY at DESC";
        let rows = self.connection().prepare_cached(sql).and_then(|mut query| {
            let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u16>(0)?, row.get(1)?));
            query.query_map(params![], row)?.collect()
        });
        let rows: Vec<(u16, String)> = self.done(rows)?;
        let mut stores: BTreeMap<u64, Vec<u16>> = BTreeMap::new();
        let mut results: BTreeMap<u64, ShadowResult> = BTreeMap::new();
        for (store, text) in rows {
            let report = serde_json::from_str::<Report>(&text).map(|report| report.what);
            let Ok(ReportKind::Shadow(report)) = report else { continue };
            let result = results.entry(report.serial).or_default();
            result.serial = report.serial;
            result.same += report.same;
            result.more += report.more;
            result.fewer += report.fewer;
            result.sooner += report.sooner;
            result.later += report.later;
            result.otherwise += report.otherwise;
            let told = result.changes.len();
            result.changes.extend(report.changes.into_iter().take(MOST_TOLD.saturating_sub(told)));
            stores.entry(report.serial).or_default().push(store);
        }
        for (serial, mut reporting) in stores {
            reporting.sort_unstable();
            reporting.dedup();
            if let Some(result) = results.get_mut(&serial) {
                result.stores = reporting.len();
            }
        }
        Ok(results.into_values().rev().collect())
    }
}
