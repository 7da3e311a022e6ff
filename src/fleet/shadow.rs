//! What candidates for settings would have changed, as gateways report it.

use serde::Serialize;

use super::database::{FleetError, values};
use super::store::{FleetStore, report};
use crate::payload::{ReportKind, ShadowChange};

/// Changes that are listed one by one.
const MOST_TOLD: usize = 20;

/// The latest reports, which are searched for changes to list.
const LATEST: u32 = 2_000;

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
        let mut results = self.shadow_sums()?;
        let sql = "SELECT report FROM reports WHERE kind = 'shadow' ORDER BY at DESC LIMIT ?1";
        let latest = self.db().query(sql, values![LATEST], |row| report(&row.text(0)))?;
        for report in latest.into_iter().flatten() {
            let ReportKind::Shadow(report) = report.what else { continue };
            if let Some(result) = results.iter_mut().find(|one| one.serial == report.serial) {
                let room = MOST_TOLD.saturating_sub(result.changes.len());
                result.changes.extend(report.changes.into_iter().take(room));
            }
        }
        Ok(results)
    }

    /// The same without changes one by one.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn shadow_sums(&mut self) -> Result<Vec<ShadowResult>, FleetError> {
        let sql = "SELECT serial, count(*),
                       CAST(sum(same) AS BIGINT), CAST(sum(more) AS BIGINT),
                       CAST(sum(fewer) AS BIGINT), CAST(sum(sooner) AS BIGINT),
                       CAST(sum(later) AS BIGINT), CAST(sum(otherwise) AS BIGINT)
                   FROM shadows GROUP BY serial ORDER BY serial DESC";
        self.db().query(sql, values![], |row| ShadowResult {
            serial: row.number(0),
            stores: row.number(1),
            same: row.number(2),
            more: row.number(3),
            fewer: row.number(4),
            sooner: row.number(5),
            later: row.number(6),
            otherwise: row.number(7),
            changes: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Report, ReportBatch, ShadowKind, ShadowReport};

    fn batch(n: u64, serial: u64, more: u64) -> ReportBatch {
        let change = ShadowChange {
            kind: ShadowKind::More,
            by_s: 0.0,
            because: format!("change {n} of {serial}"),
        };
        let what = ReportKind::Shadow(ShadowReport {
            serial,
            same: 10,
            more,
            fewer: 0,
            sooner: 1,
            later: 0,
            otherwise: 0,
            changes: vec![change; 8],
        });
        let at = format!("2026-01-05T{n:02}:00:00Z");
        ReportBatch { v: 1, queue: "q".into(), dropped: 0, reports: vec![Report { n, at, what }] }
    }

    #[test]
    fn sums_count_each_report_once_and_only_pushed_candidates() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FleetStore::open(folder.path().join("fleet.db")).unwrap();
        for serial in 1..=2 {
            let text = |n| Ok::<_, FleetError>(format!("[document]\nserial = {n}\n"));
            assert_eq!(store.push("t", "", "", text).unwrap().serial, serial);
        }
        for (number, n, serial, more) in
            [(7, 1, 1, 2), (7, 1, 1, 2), (8, 1, 1, 3), (8, 2, 1, u64::MAX), (9, 3, 2, 0)]
        {
            store.report(number, "door", &batch(n, serial, more)).unwrap();
        }
        for (n, made_up) in [(10, 3), (11, u64::MAX)] {
            assert_eq!(store.report(9, "door", &batch(n, made_up, 1)).unwrap(), 1);
        }
        let [second, first] = &store.shadows().unwrap()[..] else { panic!("two candidates") };
        assert_eq!((second.serial, second.stores, second.same, second.more), (2, 1, 10, 0));
        assert_eq!((first.stores, first.same, first.sooner), (2, 30, 3));
        assert_eq!(first.more, 5 + (1 << 40), "no gateway counts more in an hour");
        assert_eq!((first.changes.len(), second.changes.len()), (20, 8));
        assert_eq!(first.changes[0].because, "change 2 of 1", "the latest comes first");
    }

    #[test]
    fn results_do_not_look_at_all_reports() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FleetStore::open(folder.path().join("fleet.db")).unwrap();
        let sql = "EXPLAIN QUERY PLAN
                   SELECT report FROM reports WHERE kind = 'shadow' ORDER BY at DESC LIMIT 5";
        let plan = store.db().query(sql, values![], |row| row.text(3)).unwrap();
        assert_eq!(plan, ["SCAN reports USING INDEX shadows_by_time"]);
    }
}
