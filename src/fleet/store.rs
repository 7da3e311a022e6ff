//! Head office's file: withdrawals with their numbers, and what gateways reported.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Result, TransactionBehavior, params};

use super::{figures, trace_rows};
use crate::payload::{Report, ReportBatch, ReportKind};
use crate::pipeline::units::WallTime;
use crate::private;

/// A command and `fleet serve` use the file at the same time.
const BUSY: Duration = Duration::from_secs(5);

/// The steps from nothing to the newest schema.
const STEPS: [&str; 6] = [
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
];

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// No space, no permission, a failing medium, or no database at all.
    #[error("{}: {source}", path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    /// The file cannot be created.
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Written by a later grelot.
    #[error("{}: a later grelot has written it (schema {found})", path.display())]
    Newer {
        path: PathBuf,
        /// The schema version of the file.
        found: u32,
    },
}

/// Head office's file: an `SQLite` database.
#[derive(Debug)]
pub struct FleetStore {
    path: PathBuf,
    db: Connection,
    list: String,
}

/// A withdrawal of consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// Its place in the store's list, from 1.
    pub serial: u64,
    pub client: String,
    /// RFC 3339, UTC.
    pub at: String,
}

/// How far a gateway knows the list of its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    pub store: u16,
    pub gateway: String,
    /// All withdrawals up to this one.
    pub serial: u64,
}

/// What a gateway reported, as JSON.
#[derive(Debug, Clone, Copy)]
pub enum Said<'a> {
    /// Payload of `gateways/<gateway>/status`.
    Status(&'a str),
    /// Payload of `gateways/<gateway>/health`.
    Health(&'a str),
}

impl FleetStore {
    /// Opens the file, and creates it where it is missing.
    ///
    /// # Errors
    /// Where it cannot be read or written, or a later grelot has written it.
    pub fn open(path: &Path) -> Result<Self, FleetError> {
        let file = |source| FleetError::File { path: path.to_owned(), source };
        private::touch(path).map_err(file)?;
        let failed = |source| FleetError::Sqlite { path: path.to_owned(), source };
        let mut db = Connection::open(path).map_err(failed)?;
        prepare(&db).map_err(failed)?;
        let found: u32 =
            db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        let Some(steps) = STEPS.get(usize::try_from(found).unwrap_or(usize::MAX)..) else {
            return Err(FleetError::Newer { path: path.to_owned(), found });
        };
        migrate(&mut db, steps).map_err(failed)?;
        let list = list(&mut db).map_err(failed)?;
        Ok(Self { path: path.to_owned(), db, list })
    }

    /// Which list the numbers of this file count in.
    pub fn list(&self) -> &str {
        &self.list
    }

    /// Enters a withdrawal in a store's list; a customer who is there already keeps their place.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn withdraw(
        &mut self,
        store: u16,
        client: &str,
        at: &str,
    ) -> Result<Withdrawal, FleetError> {
        let entered = (|| {
            let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute(
                "INSERT OR IGNORE INTO withdrawals
                 SELECT ?1, coalesce(max(serial), 0) + 1, ?2, ?3 FROM withdrawals WHERE store = ?1",
                params![store, client, at],
            )?;
            let sql = "SELECT serial, client, at FROM withdrawals WHERE store = ?1 AND client = ?2";
            let entered = transaction.query_row(sql, params![store, client], withdrawal)?;
            transaction.commit()?;
            Ok(entered)
        })();
        self.done(entered)
    }

    /// The withdrawals of a store after number `after`, in order, at most `most`.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn withdrawals(
        &self,
        store: u16,
        after: u64,
        most: u32,
    ) -> Result<Vec<Withdrawal>, FleetError> {
        let sql = "SELECT serial, client, at FROM withdrawals WHERE store = ?1 AND serial > ?2
                   ORDER BY serial LIMIT ?3";
        let all = self.db.prepare_cached(sql).and_then(|mut query| {
            query.query_map(params![store, to_sql(after), most], withdrawal)?.collect()
        });
        self.done(all)
    }

    /// The last number of a store's list; 0 for an empty one.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn last_serial(&self, store: u16) -> Result<u64, FleetError> {
        let sql = "SELECT coalesce(max(serial), 0) FROM withdrawals WHERE store = ?1";
        self.done(self.db.query_row(sql, params![store], |row| unsigned(row, 0)))
    }

    /// Records which withdrawals of this list a gateway knows; of another list it knows none.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn acknowledged(
        &self,
        store: u16,
        gateway: &str,
        list: Option<&str>,
        serial: u64,
        now: WallTime,
    ) -> Result<(), FleetError> {
        let serial = if list == Some(&*self.list) { serial } else { 0 };
        let written = self.db.execute(
            "INSERT INTO gateways (store, name, seen_at, list, serial) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (store, name) DO UPDATE SET seen_at = ?3, list = ?4, serial = ?5",
            params![store, gateway, now.unix_millis(), list, to_sql(serial)],
        );
        self.done(written.map(drop))
    }

    /// Takes a gateway's reports; what is there already is not taken again. Returns how many are new.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn report(
        &mut self,
        store: u16,
        gateway: &str,
        batch: &ReportBatch,
    ) -> Result<usize, FleetError> {
        let taken = (|| {
            let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut new = 0;
            for report in &batch.reports {
                match &report.what {
                    ReportKind::Hour(_) => {
                        new += usize::from(figures::count(&transaction, store, gateway, report)?);
                        continue;
                    }
                    ReportKind::Trace(trace) => {
                        let is_new = trace_rows::put(&transaction, store, gateway, report, trace)?;
                        new += usize::from(is_new);
                        continue;
                    }
                    ReportKind::WithdrawnTraces(withdrawn) => {
                        trace_rows::withdraw(&transaction, store, gateway, report, withdrawn)?;
                    }
                    _ => {}
                }
                let text = serde_json::to_string(report).unwrap_or_default();
                let kind = report.what.word();
                let row =
                    params![store, gateway, batch.queue, to_sql(report.n), report.at, kind, text];
                let sql = "INSERT OR IGNORE INTO reports VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
                if transaction.prepare_cached(sql)?.execute(row)? == 1 {
                    figures::count(&transaction, store, gateway, report)?;
                    new += 1;
                }
            }
            transaction.commit()?;
            Ok(new)
        })();
        self.done(taken)
    }

    /// What a store's gateways report of visits, in the order of their numbers.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn reports(&self, store: u16) -> Result<Vec<Report>, FleetError> {
        let sql = "SELECT report FROM reports WHERE store = ?1 ORDER BY gateway, queue, n";
        let texts: Result<Vec<String>> = self
            .db
            .prepare_cached(sql)
            .and_then(|mut query| query.query_map(params![store], |row| row.get(0))?.collect());
        let texts = self.done(texts)?;
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }

    /// Records a gateway's status or health.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn heard(
        &self,
        store: u16,
        gateway: &str,
        said: Said<'_>,
        now: WallTime,
    ) -> Result<(), FleetError> {
        let (status, health) = match said {
            Said::Status(text) => (Some(text), None),
            Said::Health(text) => (None, Some(text)),
        };
        let written = self.db.execute(
            "INSERT INTO gateways (store, name, seen_at, status, health) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (store, name) DO UPDATE SET seen_at = ?3,
                 status = coalesce(?4, status), health = coalesce(?5, health)",
            params![store, gateway, now.unix_millis(), status, health],
        );
        self.done(written.map(drop))
    }

    /// Whether a gateway ever reported its status.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn has_status(&self, store: u16, gateway: &str) -> Result<bool, FleetError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM gateways
                   WHERE store = ?1 AND name = ?2 AND status IS NOT NULL)";
        self.done(self.db.query_row(sql, params![store, gateway], |row| row.get(0)))
    }

    /// Gateways that do not know all of their store's list, and up to where they do.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn behind(&self) -> Result<Vec<Acknowledged>, FleetError> {
        let sql = "SELECT g.store, g.name, g.serial FROM gateways g
                   JOIN (SELECT store, max(serial) AS last FROM withdrawals GROUP BY store) w
                     ON w.store = g.store WHERE g.serial < w.last ORDER BY g.store, g.name";
        self.acknowledgements(sql, params![])
    }

    /// How far the gateways of a store know its list, as far as they reported it.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn of_store(&self, store: u16) -> Result<Vec<Acknowledged>, FleetError> {
        let sql = "SELECT store, name, serial FROM gateways WHERE store = ?1 ORDER BY name";
        self.acknowledgements(sql, params![store])
    }

    fn acknowledgements(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
    ) -> Result<Vec<Acknowledged>, FleetError> {
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Acknowledged { store: row.get(0)?, gateway: row.get(1)?, serial: unsigned(row, 2)? })
        };
        let all = self
            .db
            .prepare_cached(sql)
            .and_then(|mut query| query.query_map(params, row)?.collect());
        self.done(all)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn connection(&mut self) -> &mut Connection {
        &mut self.db
    }

    pub(super) fn done<T>(&self, result: Result<T>) -> Result<T, FleetError> {
        result.map_err(|source| FleetError::Sqlite { path: self.path.clone(), source })
    }
}

fn prepare(db: &Connection) -> Result<()> {
    db.busy_timeout(BUSY)?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "FULL")
}

fn migrate(db: &mut Connection, steps: &[&str]) -> Result<()> {
    if steps.is_empty() {
        return Ok(());
    }
    let migration = db.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    // Another process may have done it meanwhile.
    let found: u32 = migration.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        migration.execute_batch(step)?;
    }
    migration.pragma_update(
        None,
        "user_version",
        u32::try_from(STEPS.len()).unwrap_or(u32::MAX),
    )?;
    migration.commit()
}

/// The name of this file's list: made with the file, and random.
fn list(db: &mut Connection) -> Result<String> {
    let find = |db: &Connection| {
        db.query_row("SELECT id FROM list", [], |row| row.get::<_, String>(0)).optional()
    };
    if let Some(list) = find(db)? {
        return Ok(list);
    }
    db.execute("INSERT OR IGNORE INTO list VALUES (1, lower(hex(randomblob(8))))", [])?;
    Ok(find(db)?.unwrap_or_default())
}

fn withdrawal(row: &rusqlite::Row<'_>) -> Result<Withdrawal> {
    Ok(Withdrawal { serial: unsigned(row, 0)?, client: row.get(1)?, at: row.get(2)? })
}

pub(super) fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_unix_secs(1_767_603_600);

    fn store() -> (tempfile::TempDir, FleetStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = FleetStore::open(&folder.path().join("fleet.db")).unwrap();
        (folder, store)
    }

    #[test]
    fn each_store_counts_its_withdrawals_without_gaps_and_each_once() {
        let (folder, mut store) = store();
        let mut numbers = Vec::new();
        for (shop, client) in [(42, "c-1"), (42, "c-2"), (43, "c-1"), (42, "c-1"), (42, "c-3")] {
            numbers.push(store.withdraw(shop, client, "2026-01-05T09:00:00Z").unwrap().serial);
        }
        assert_eq!(numbers, [1, 2, 1, 1, 3]);
        let again = FleetStore::open(&folder.path().join("fleet.db")).unwrap();
        assert_eq!(again.list(), store.list());
        let after = again.withdrawals(42, 1, 10).unwrap();
        assert_eq!(after.iter().map(|one| &*one.client).collect::<Vec<_>>(), ["c-2", "c-3"]);
    }

    #[test]
    fn a_gateway_is_behind_until_it_knows_the_whole_list() {
        let (_folder, mut store) = store();
        store.withdraw(42, "c-1", "2026-01-05T09:00:00Z").unwrap();
        store.withdraw(42, "c-2", "2026-01-05T09:00:00Z").unwrap();
        let list = store.list().to_owned();
        let say = |list: &str, serial| {
            store.acknowledged(42, "door", Some(list), serial, NOW).unwrap();
            store.behind().unwrap().first().map(|behind| behind.serial)
        };
        assert_eq!(say(&list, 1), Some(1));
        assert_eq!(say("another", 2), Some(0), "the numbers of another list say nothing");
        assert_eq!(say(&list, 2), None);
    }

    #[test]
    fn a_file_that_is_no_database_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.db");
        std::fs::write(&path, "no database at all, but long enough for a header of one").unwrap();
        assert!(FleetStore::open(&path).unwrap_err().to_string().contains("fleet.db"));
    }
}
