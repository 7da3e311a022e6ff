//! Adds up what gateways report of candidates, as the reports come.

use super::database::{Database, FleetError, values};
use super::figures::credible;
use crate::payload::ShadowReport;

/// Adds a report to the sums of its candidate, if head office has pushed one of this number.
pub(super) fn add(db: &mut Database, store: u16, report: &ShadowReport) -> Result<(), FleetError> {
    // PostgreSQL does not know the types of values in a list of columns.
    let sql = "INSERT INTO shadows (serial, store, same, more, fewer, sooner, later, otherwise)
               SELECT serial, CAST(?2 AS BIGINT), CAST(?3 AS BIGINT), CAST(?4 AS BIGINT),
                   CAST(?5 AS BIGINT), CAST(?6 AS BIGINT), CAST(?7 AS BIGINT), CAST(?8 AS BIGINT)
               FROM documents WHERE serial = ?1
               ON CONFLICT (serial, store) DO UPDATE SET
                   same = shadows.same + excluded.same,
                   more = shadows.more + excluded.more,
                   fewer = shadows.fewer + excluded.fewer,
                   sooner = shadows.sooner + excluded.sooner,
                   later = shadows.later + excluded.later,
                   otherwise = shadows.otherwise + excluded.otherwise";
    let row = values![
        report.serial,
        store,
        credible(report.same),
        credible(report.more),
        credible(report.fewer),
        credible(report.sooner),
        credible(report.later),
        credible(report.otherwise),
    ];
    db.execute(sql, row).map(drop)
}
