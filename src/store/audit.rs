//! Records who was recognised when, by handle, for a day or so: for the customer's right of access.
//!
//! A file of its own, which `grelot customers audit` reads while the daemon writes. Invariants: an
//! entry is overwritten once it is too old or its customer withdrew; a failure of this file does
//! not affect alerts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Result, params};

use super::rows::truncate_journal;
use super::{Change, is_corrupt};
use crate::pipeline::units::{ClockStep, WallTime};

/// Its name in the state directory.
const FILE: &str = "audit.db";
/// Time that a reader may keep the file.
const BUSY: Duration = Duration::from_secs(1);
/// Entries that may wait for the disk; further ones are dropped.
const BACKLOG: usize = 1_000;

/// The audit: its own connection, which is open while customers come and go.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    db: Option<Connection>,
    keep: Duration,
    /// Changes that the disk did not take.
    missed: Vec<Change>,
}

/// One entry about a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub at: WallTime,
    /// `arrived`, `returned`, `departed` or `passed`.
    pub what: String,
    /// The gateway that decided it.
    pub gateway: String,
}

impl Audit {
    /// The audit in the state directory `dir`. Without retention there is no file.
    pub fn open(dir: &Path, keep: Duration) -> Option<Self> {
        let path = dir.join(FILE);
        if keep.is_zero() {
            remove(&path);
            return None;
        }
        Some(Self { path, db: None, keep, missed: Vec::new() })
    }

    /// Applies the store's changes. Those that the disk does not take are tried again with the next
    /// ones; deletions are never dropped.
    pub fn follow<'a>(&mut self, changes: impl IntoIterator<Item = &'a Change>) {
        let mut all = std::mem::take(&mut self.missed);
        all.extend(changes.into_iter().filter(|change| concerns(change)).cloned());
        if all.is_empty() {
            return;
        }
        if let Err(error) = self.write(&all) {
            tracing::warn!(%error, "the audit cannot be written");
            let mut room = BACKLOG;
            all.retain(|change| {
                let note = matches!(change, Change::Recognised { .. });
                room = room.saturating_sub(usize::from(note));
                matches!(change, Change::Forgotten(_)) || note && room > 0
            });
            self.missed = all;
        }
    }

    fn write(&mut self, changes: &[Change]) -> Result<()> {
        let notes = changes.iter().any(|change| matches!(change, Change::Recognised { .. }));
        if !notes && !self.path.exists() {
            return Ok(());
        }
        let db = match &mut self.db {
            Some(db) => db,
            none => none.insert(begin(&self.path)?),
        };
        let transaction = db.transaction()?;
        let mut deleted = 0;
        for change in changes {
            match change {
                Change::Recognised { client, at, what, gateway } => {
                    let sql = "INSERT INTO recognised VALUES (?1, ?2, ?3, ?4)";
                    let row = params![client, at.unix_millis(), what, gateway];
                    transaction.prepare_cached(sql)?.execute(row)?;
                }
                Change::Forgotten(client) => {
                    let sql = "DELETE FROM recognised WHERE client = ?1";
                    deleted += transaction.execute(sql, params![client])?;
                }
                Change::ClockSet(ClockStep { since, by_millis }) => {
                    let sql = "UPDATE recognised SET at = at + ?2 WHERE at >= ?1";
                    transaction.execute(sql, params![since.unix_millis(), by_millis])?;
                }
                Change::Heartbeat { heartbeat, .. } => {
                    let before = heartbeat.at.minus(self.keep).unix_millis();
                    let sql = "DELETE FROM recognised WHERE at < ?1";
                    deleted += transaction.execute(sql, params![before])?;
                }
                _ => {}
            }
        }
        transaction.commit()?;
        if deleted > 0 {
            // Until then the journal still holds the old pages.
            truncate_journal(db)?;
        }
        if changes.iter().any(|change| matches!(change, Change::Heartbeat { .. })) {
            // A connection takes 150 KB: none is kept in an empty shop.
            self.db = None;
        }
        Ok(())
    }
}

const fn concerns(change: &Change) -> bool {
    matches!(
        change,
        Change::Recognised { .. }
            | Change::Forgotten(_)
            | Change::ClockSet(_)
            | Change::Heartbeat { .. }
    )
}

/// Opens the file; a damaged one is replaced by an empty one.
fn begin(path: &Path) -> Result<Connection> {
    match connect(path) {
        Err(error) if is_corrupt(&error) => {
            tracing::error!(path = %path.display(), %error, "the audit cannot be read; it is replaced by an empty one");
            remove(path);
            connect(path)
        }
        connected => connected,
    }
}

fn connect(path: &Path) -> Result<Connection> {
    // The journal gets the file's mode, so the file is made first, and private.
    let private = crate::private::touch(path);
    private.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let db = Connection::open(path)?;
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "secure_delete", true)?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.pragma_update(None, "cache_size", -64)?;
    db.execute_batch(
        "CREATE TABLE IF NOT EXISTS recognised (
             client TEXT NOT NULL, at INTEGER NOT NULL, what TEXT NOT NULL, gateway TEXT NOT NULL
         ) STRICT;
         CREATE INDEX IF NOT EXISTS recognised_by_client ON recognised (client, at);
         CREATE INDEX IF NOT EXISTS recognised_by_time ON recognised (at);",
    )?;
    Ok(db)
}

fn remove(path: &Path) {
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        // What is not there need not be removed.
        let _ = std::fs::remove_file(file);
    }
}

/// The entries about `client` in the state directory `dir`, oldest first.
///
/// # Errors
/// The file cannot be read.
pub fn of(dir: &Path, client: &str) -> Result<Vec<Entry>> {
    let path = dir.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(BUSY)?;
    db.prepare("SELECT at, what, gateway FROM recognised WHERE client = ?1 ORDER BY at")?
        .query_map(params![client], |row| {
            let at = WallTime::from_unix_millis(row.get(0)?);
            Ok(Entry { at, what: row.get(1)?, gateway: row.get(2)? })
        })?
        .collect()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recognised(client: &str, secs: i64) -> Change {
        Change::Recognised {
            client: client.into(),
            at: WallTime::from_unix_secs(secs),
            what: "arrived",
            gateway: "door".into(),
        }
    }

    fn alive(secs: i64) -> Change {
        let at = WallTime::from_unix_secs(secs);
        let heartbeat = super::super::Heartbeat { at, clock_set: true, boot: None };
        Change::Heartbeat { heartbeat, closed_before: at, alerted_before: at, learned_before: at }
    }

    fn raw(dir: &Path) -> Vec<u8> {
        let files = std::fs::read_dir(dir).unwrap();
        files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    fn holds(raw: &[u8], text: &str) -> bool {
        raw.windows(text.len()).any(|part| part == text.as_bytes())
    }

    #[test]
    fn a_customer_learns_when_they_were_recognised_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let hour = Duration::from_hours(1);
        let mut audit = Audit::open(folder.path(), hour).unwrap();
        audit.follow(&[recognised("c-1111", 0), recognised("c-2222", 10)]);
        let entries = of(folder.path(), "c-1111").unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!((entries[0].what.as_str(), entries[0].gateway.as_str()), ("arrived", "door"));
        audit.follow(&[alive(3600)]);
        assert!(audit.db.is_none(), "no connection is kept while no customer comes");
        assert_eq!(of(folder.path(), "c-1111").unwrap().len(), 1, "an hour is not over yet");
        audit.follow(&[alive(3601)]);
        assert_eq!(of(folder.path(), "c-1111").unwrap(), []);
        assert_eq!(of(folder.path(), "c-2222").unwrap().len(), 1);
        let raw = raw(folder.path());
        assert!(!holds(&raw, "c-1111") && holds(&raw, "c-2222"));
    }

    #[test]
    fn a_withdrawn_customer_is_overwritten_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut audit = Audit::open(folder.path(), Duration::from_hours(24)).unwrap();
        audit.follow(&[recognised("c-1111", 0), recognised("c-2222", 10)]);
        audit.follow(&[Change::Forgotten("c-1111".into())]);
        let raw = raw(folder.path());
        assert!(!holds(&raw, "c-1111") && holds(&raw, "c-2222"));
    }

    #[test]
    fn a_damaged_audit_is_replaced_by_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "no database at all, but long enough").unwrap();
        let mut audit = Audit::open(folder.path(), Duration::from_hours(24)).unwrap();
        audit.follow(&[recognised("c-1111", 0)]);
        assert_eq!(of(folder.path(), "c-1111").unwrap().len(), 1);
    }

    #[test]
    fn what_the_disk_did_not_take_is_noted_and_forgotten_later() {
        let folder = tempfile::tempdir().unwrap();
        let mut audit = Audit::open(folder.path(), Duration::from_hours(24)).unwrap();
        audit.follow(&[recognised("c-1111", 0)]);
        let full = |audit: &Audit, full| {
            let db = audit.db.as_ref().unwrap();
            db.pragma_update(None, "query_only", full).unwrap();
        };
        full(&audit, true);
        audit.follow(&[recognised("c-2222", 1), Change::Forgotten("c-1111".into())]);
        assert_eq!(of(folder.path(), "c-1111").unwrap().len(), 1);
        full(&audit, false);
        audit.follow(&[]);
        assert_eq!(of(folder.path(), "c-1111").unwrap(), []);
        assert_eq!(of(folder.path(), "c-2222").unwrap().len(), 1);
    }

    #[test]
    fn nothing_kept_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut audit = Audit::open(folder.path(), Duration::from_hours(1)).unwrap();
        audit.follow(&[recognised("c-1111", 0)]);
        drop(audit);
        assert!(Audit::open(folder.path(), Duration::ZERO).is_none());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(of(folder.path(), "c-1111").unwrap(), []);
    }
}
