//! What candidates for settings would have changed, as gateways report it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::database::{FleetError, values};
use super::store::{FleetStore, report};
use crate::payload::{ReportKind, ShadowChange};

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
    /// Where the database cannot be read.
    pub fn shadows(&mut self) -> Result<Vec<ShadowResult>, FleetError> {
        let sql = "SELECT store, report FROM reports WHERE kind = 'shadow' ORDER BY at DESC";
        let rows: Vec<(u16, String)> =
            self.db().query(sql, values![], |row| (row.number(0), row.text(1)))?;
        let mut stores: BTreeMap<u64, Vec<u16>> = BTreeMap::new();
        let mut results: BTreeMap<u64, ShadowResult> = BTreeMap::new();
        for (store, text) in rows {
            let Some(ReportKind::Shadow(report)) = report(&text).map(|report| report.what) else {
                continue;
            };
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
