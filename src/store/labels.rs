//! Staff feedback on visits, kept as labels for tuning: one per visit, for 90 days, and deleted
//! with its customer.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Result, Transaction, params};

use super::columns::visit_id;
use crate::pipeline::VisitId;
use crate::pipeline::units::WallTime;

/// Older labels describe another season.
const KEPT: Duration = Duration::from_hours(90 * 24);

/// More labels than a busy shop gives in that time; then the oldest are deleted.
const MOST: u32 = 20_000;

/// What staff said of one visit.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    pub visit: VisitId,
    /// The customer's handle.
    pub client: Arc<str>,
    /// The name of the gateway that opened it.
    pub gateway: String,
    /// When it was opened.
    pub arrived_at: WallTime,
    /// Confidence of the arrival.
    pub confidence: f32,
    /// Whether the customer was here.
    pub was_here: bool,
    /// When staff last said so.
    pub said_at: WallTime,
}

/// Stores the feedback on `visit`, if the visit is known. The last feedback counts; `None` takes it
/// back.
pub(super) fn put(
    db: &Transaction<'_>,
    visit: VisitId,
    was_here: Option<bool>,
    at: WallTime,
) -> Result<()> {
    if was_here.is_none() {
        let sql = "DELETE FROM labels WHERE visit = ?1";
        return db.prepare_cached(sql)?.execute([visit.to_string()]).map(drop);
    }
    let sql = "INSERT OR REPLACE INTO labels
               SELECT id, client, gateway, arrived_at, confidence, ?2, ?3 FROM visits WHERE id = ?1";
    let row = params![visit.to_string(), was_here, at.unix_millis()];
    db.prepare_cached(sql)?.execute(row).map(drop)
}

/// Deletes what is too old at `now`, and what is too much.
pub(super) fn age(db: &Transaction<'_>, now: WallTime) -> Result<()> {
    let sql = "DELETE FROM labels WHERE said_at < ?1";
    db.prepare_cached(sql)?.execute(params![now.minus(KEPT).unix_millis()])?;
    let sql = "DELETE FROM labels WHERE said_at <
               (SELECT said_at FROM labels ORDER BY said_at DESC LIMIT 1 OFFSET ?1)";
    db.prepare_cached(sql)?.execute(params![MOST]).map(drop)
}

/// All labels, oldest visit first.
pub(super) fn all(db: &Connection) -> Result<Vec<Label>> {
    db.prepare("SELECT * FROM labels ORDER BY arrived_at, visit")?
        .query_map([], |row| {
            Ok(Label {
                visit: visit_id(row, "visit")?,
                client: row.get("client")?,
                gateway: row.get("gateway")?,
                arrived_at: WallTime::from_unix_millis(row.get("arrived_at")?),
                confidence: row.get("confidence")?,
                was_here: row.get("was_here")?,
                said_at: WallTime::from_unix_millis(row.get("said_at")?),
            })
        })?
        .filter_map(super::columns::readable)
        .collect()
}
