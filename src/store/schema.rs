//! The tables, and the migration of an older file.

use std::time::Duration;

use rusqlite::{Connection, Error, Result, ffi};

/// The migrations from an empty file to the newest schema; step `n` leads to version `n + 1`.
const STEPS: [&str; 12] = [
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
    include_str!("schema_8.sql"),
    include_str!("schema_9.sql"),
    include_str!("schema_10.sql"),
    include_str!("schema_11.sql"),
    include_str!("schema_12.sql"),
];

const TABLES: [&str; 10] = [
    "visits",
    "caps",
    "outbox",
    "labels",
    "phones",
    "withdrawals",
    "published",
    "alive",
    "webhooks",
    "survey",
];

/// The version this program writes.
#[expect(clippy::cast_possible_truncation, reason = "there are few steps")]
pub(super) const NEWEST: u32 = STEPS.len() as u32;

/// How long to wait for an earlier process to release the file.
const BUSY: Duration = Duration::from_secs(1);

/// Settings that a connection needs before it reads anything.
///
/// Exclusive: one process owns the store, and there is no shared-memory file. Full: a commit is on
/// the medium when it returns. Secure delete: deleted data is overwritten.
pub(super) fn prepare(db: &Connection) -> Result<()> {
    db.busy_timeout(BUSY)?;
    db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    db.pragma_update(None, "secure_delete", true)?;
    db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "cache_size", -256)?;
    db.pragma_update(None, "temp_store", "MEMORY")
}

pub(super) fn version(db: &Connection) -> Result<u32> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Migrates a file of version `found` to [`NEWEST`], in one transaction.
pub(super) fn migrate(db: &mut Connection, found: u32) -> Result<()> {
    if found == NEWEST {
        // Takes the lock that a migration would have taken.
        return db.execute_batch("BEGIN EXCLUSIVE; COMMIT;");
    }
    let steps = STEPS.get(usize::try_from(found).unwrap_or(usize::MAX)..).unwrap_or_default();
    let migration = db.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive)?;
    for step in steps {
        migration.execute_batch(step)?;
    }
    migration.pragma_update(None, "user_version", NEWEST)?;
    migration.commit()?;
    // The version is read from the file itself where no SQLite is at hand: packaging/debian/preinst.
    db.pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()))
}

/// Reads every page, so that damage is found at the start.
pub(super) fn check(db: &Connection) -> Result<()> {
    for table in TABLES {
        // A damaged schema lacks some of them.
        if let Err(error) = db.prepare(&format!("SELECT * FROM {table}")) {
            let missing = Some(format!("{table}: {error}"));
            return Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), missing));
        }
    }
    let verdict: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(verdict)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_former_version_of_the_store_is_kept_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grelot.db");
        let older = Connection::open(&path).unwrap();
        STEPS[..6].iter().for_each(|step| older.execute_batch(step).unwrap());
        older.pragma_update(None, "user_version", 6).unwrap();
        drop(older);

        let newer = crate::store::Store::open(dir.path()).unwrap();

        let former = Connection::open(dir.path().join("grelot.db.former")).unwrap();
        assert_eq!(version(&former).unwrap(), 6);
        // An older package reads the number from the file, while the daemon runs.
        let header = std::fs::read(&path).unwrap();
        assert_eq!(header[60..64], NEWEST.to_be_bytes());
        drop(newer);
    }

    #[test]
    fn what_an_older_outbox_holds_keeps_its_kind() {
        let mut db = Connection::open_in_memory().unwrap();
        for step in &STEPS[..6] {
            db.execute_batch(step).unwrap();
        }
        for (id, below) in (0_i64..).zip(["arrivals", "departures", "visits/6d0b"]) {
            let topic = format!("grelot/v1/42/{below}");
            let sql = "INSERT INTO outbox VALUES (?1, ?2, X'7b7d', 0, 0, 1000, '6d0b', 'c-1')";
            db.execute(sql, (id, topic)).unwrap();
        }

        migrate(&mut db, 6).unwrap();

        let mut query = db.prepare("SELECT kind FROM outbox ORDER BY id").unwrap();
        let kinds: Result<Vec<String>> = query.query_map([], |row| row.get(0)).unwrap().collect();
        assert_eq!(kinds.unwrap(), ["arrival", "departure", "visit_state"]);
        assert_eq!(version(&db).unwrap(), NEWEST);
    }
}
