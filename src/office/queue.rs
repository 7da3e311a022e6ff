//! Reports that wait for head office, in a file of their own: it grows while the line is away, and
//! must not slow down the store.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Result, params};

use super::traces;
use crate::payload::{Report, ReportBatch, ReportKind, Trace};
use crate::pipeline::units::WallTime;
use crate::private;

/// In the state directory.
const FILE: &str = "reports.db";

/// Reports that wait: weeks of a busy shop, about 10 MB. Then the oldest are dropped, and counted.
const MOST: i64 = 50_000;

/// The steps from nothing to the newest schema.
const STEPS: [&str; 2] = [include_str!("schema_1.sql"), include_str!("schema_2.sql")];

/// Octets of one batch, about.
const BATCH: usize = 24 * 1024;

/// Reports that wait, in an `SQLite` file.
#[derive(Debug)]
pub(super) struct ReportQueue {
    db: Connection,
    path: PathBuf,
    id: String,
    secret: Vec<u8>,
}

impl ReportQueue {
    /// The queue in the state directory `dir`; a damaged file is replaced by an empty one.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        match Self::open_file(&path) {
            Err(error) if is_corrupt(&error) => {
                tracing::error!(path = %path.display(), %error, "the reports cannot be read: an empty queue takes their place");
                remove(&path);
                Self::open_file(&path)
            }
            opened => opened,
        }
    }

    fn open_file(path: &Path) -> Result<Self> {
        private::touch(path).map_err(failed)?;
        let db = Connection::open(path)?;
        db.pragma_update(None, "secure_delete", true)?;
        db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.pragma_update(None, "cache_size", -64)?;
        let version: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let steps = (1..).zip(STEPS).filter(|(step, _)| *step > version);
        for (step, schema) in steps {
            db.execute_batch(&format!("BEGIN; {schema} PRAGMA user_version = {step}; COMMIT;"))?;
        }
        let (id, secret) =
            db.query_row("SELECT id, secret FROM queue", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Self { db, path: path.to_owned(), id, secret })
    }

    /// Makes references to visits that only this gateway can make.
    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Adds a report; the oldest makes room.
    pub(super) fn add(&self, report: &Report) -> Result<()> {
        let text = serde_json::to_string(report).unwrap_or_default();
        self.db.prepare_cached("INSERT INTO reports (report) VALUES (?1)")?.execute([text])?;
        let last = self.db.last_insert_rowid();
        let sql = "DELETE FROM reports WHERE n <= ?1";
        let dropped = self.db.prepare_cached(sql)?.execute([last - MOST])?;
        self.count_dropped(dropped)
    }

    fn count_dropped(&self, dropped: usize) -> Result<()> {
        if dropped > 0 {
            let dropped = i64::try_from(dropped).unwrap_or(i64::MAX);
            self.db.execute("UPDATE queue SET dropped = dropped + ?1", params![dropped])?;
        }
        Ok(())
    }

    /// Adds a trace of `customer`, a hash; both are deleted after `until`.
    pub(super) fn add_trace(
        &self,
        trace: Trace,
        customer: &str,
        at: WallTime,
        until: WallTime,
    ) -> Result<()> {
        let id = traces::new_id(&self.db)?;
        let what = ReportKind::Trace(Box::new(Trace { trace: id.clone(), ..trace }));
        let report = Report { n: 0, at: at.to_string(), what };
        let dropped = traces::add(&self.db, (&id, customer), &report, until)?;
        self.count_dropped(dropped)
    }

    /// Deletes traces that waited for too long at `now`.
    pub(super) fn age(&self, now: WallTime) -> Result<()> {
        let dropped = traces::age(&self.db, now)?;
        self.count_dropped(dropped)
    }

    /// These customers, as hashes, have withdrawn consent: deletes their traces here, and reports to
    /// head office which they were.
    pub(super) fn forget(&self, customers: &[String], at: WallTime) -> Result<()> {
        traces::forget(&self.db, customers, at)
    }

    /// Deletes the traces that wait.
    pub(super) fn delete_traces(&self) -> Result<()> {
        self.db.execute("DELETE FROM reports WHERE trace IS NOT NULL", []).map(drop)
    }

    /// The oldest reports, as one message; `None` where none waits.
    pub(super) fn batch(&self) -> Result<Option<ReportBatch>> {
        let mut query =
            self.db.prepare_cached("SELECT n, report FROM reports ORDER BY n LIMIT 200")?;
        let mut rows = query.query([])?;
        let (mut reports, mut octets, mut last) = (Vec::new(), 0, 0);
        while let Some(row) = rows.next()? {
            let text: String = row.get("report")?;
            octets += text.len();
            if octets > BATCH && !reports.is_empty() {
                break;
            }
            last = row.get("n")?;
            let n = u64::try_from(last).unwrap_or(0);
            match serde_json::from_str::<Report>(&text) {
                Ok(report) => reports.push(Report { n, ..report }),
                Err(error) => tracing::warn!(n, %error, "a report cannot be read and is left out"),
            }
        }
        let dropped: i64 = self.db.query_row("SELECT dropped FROM queue", [], |row| row.get(0))?;
        let dropped = u64::try_from(dropped).unwrap_or(0);
        let queue = self.id.clone();
        let v = crate::payload::VERSION;
        Ok((last > 0).then_some(ReportBatch { v, queue, dropped, reports }))
    }

    /// Head office has all reports up to this one.
    pub(super) fn acknowledged(&self, last: u64) -> Result<()> {
        let last = i64::try_from(last).unwrap_or(i64::MAX);
        self.db.execute("DELETE FROM reports WHERE n <= ?1", [last]).map(drop)
    }

    pub(super) fn len(&self) -> Result<u64> {
        let count: i64 = self.db.query_row("SELECT count(*) FROM reports", [], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// For messages.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn failed(error: io::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        // What is not there need not be removed.
        let _ = std::fs::remove_file(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{ReportKind, VisitReport};

    fn report(confidence: f64) -> Report {
        let what = ReportKind::Visit(VisitReport { confidence, ..VisitReport::default() });
        Report { n: 0, at: "2026-01-05T09:00:00Z".to_owned(), what }
    }

    #[test]
    fn reports_wait_in_order_until_they_are_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let queue = ReportQueue::open(dir.path()).unwrap();
        assert_eq!(queue.batch().unwrap(), None);
        for n in 0..500 {
            queue.add(&report(f64::from(n))).unwrap();
        }
        let first = queue.batch().unwrap().unwrap();
        let last = first.reports.last().unwrap().n;
        assert!(first.reports.len() > 50 && first.reports[0].n == 1, "{}", first.reports.len());
        let again = ReportQueue::open(dir.path()).unwrap();
        assert_eq!(again.batch().unwrap().unwrap(), first, "after a restart, too");
        again.acknowledged(last).unwrap();
        let second = again.batch().unwrap().unwrap();
        assert_eq!(second.reports[0].n, first.reports.last().unwrap().n + 1);
        assert_eq!(again.len().unwrap(), 500 - first.reports.len() as u64);
    }

    #[test]
    fn a_number_is_never_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let queue = ReportQueue::open(dir.path()).unwrap();
        queue.add(&report(0.5)).unwrap();
        queue.acknowledged(1).unwrap();
        drop(queue);
        let queue = ReportQueue::open(dir.path()).unwrap();
        queue.add(&report(0.5)).unwrap();
        assert_eq!(queue.batch().unwrap().unwrap().reports[0].n, 2);
    }

    #[test]
    fn a_damaged_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "no database at all, but long enough for one")
            .unwrap();
        assert_eq!(ReportQueue::open(dir.path()).unwrap().len().unwrap(), 0);
    }
}
