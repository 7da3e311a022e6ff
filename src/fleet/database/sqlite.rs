//! The database as an SQLite file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Result, ToSql, TransactionBehavior, params_from_iter};

use super::Engine;
use super::error::FleetError;
use super::row::{Cell, Row, Value};
use crate::private;

/// A command and `fleet serve` use the file at the same time.
const BUSY: Duration = Duration::from_secs(5);

/// The steps from nothing to the newest schema.
const STEPS: [&str; 7] = [
    include_str!("sqlite_1.sql"),
    include_str!("sqlite_2.sql"),
    include_str!("sqlite_3.sql"),
    include_str!("sqlite_4.sql"),
    include_str!("sqlite_5.sql"),
    include_str!("sqlite_6.sql"),
    include_str!("sqlite_7.sql"),
];

/// An open file.
#[derive(Debug)]
pub(super) struct Sqlite {
    path: PathBuf,
    file: Connection,
}

impl Sqlite {
    pub(super) fn open(path: &Path) -> Result<Self, FleetError> {
        let file = |source| FleetError::File { path: path.to_owned(), source };
        private::touch(path).map_err(file)?;
        let failed = |source| FleetError::Sqlite { path: path.to_owned(), source };
        let mut file = Connection::open(path).map_err(failed)?;
        prepare(&file).map_err(failed)?;
        let found = version(&file).map_err(failed)?;
        let Some(steps) = STEPS.get(usize::try_from(found).unwrap_or(usize::MAX)..) else {
            return Err(FleetError::Newer { database: path.display().to_string(), found });
        };
        if !steps.is_empty() {
            migrate(&mut file).map_err(failed)?;
        }
        Ok(Self { path: path.to_owned(), file })
    }

    fn done<T>(&self, result: Result<T>) -> Result<T, FleetError> {
        result.map_err(|source| FleetError::Sqlite { path: self.path.clone(), source })
    }
}

impl Engine for Sqlite {
    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<usize, FleetError> {
        let statement = self.file.prepare_cached(sql);
        self.done(statement.and_then(|mut one| one.execute(params_from_iter(values))))
    }

    fn query(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, FleetError> {
        let rows = self.file.prepare_cached(sql).and_then(|mut statement| {
            let columns = statement.column_count();
            let row = |row: &rusqlite::Row<'_>| {
                let cells = (0..columns).map(|column| Ok(cell(row.get_ref(column)?)));
                Ok(Row(cells.collect::<Result<_>>()?))
            };
            statement.query_map(params_from_iter(values), row)?.collect()
        });
        self.done(rows)
    }

    fn begin(&mut self) -> Result<(), FleetError> {
        self.done(self.file.execute_batch("BEGIN IMMEDIATE"))
    }

    fn commit(&mut self) -> Result<(), FleetError> {
        let committed = self.file.execute_batch("COMMIT");
        if committed.is_err() {
            self.roll_back();
        }
        self.done(committed)
    }

    fn roll_back(&mut self) {
        // A transaction that an error has ended is rolled back already.
        let _ = self.file.execute_batch("ROLLBACK");
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Cell::Null,
    }
}

fn prepare(file: &Connection) -> Result<()> {
    file.busy_timeout(BUSY)?;
    file.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // What a customer withdrew is overwritten.
    file.pragma_update(None, "secure_delete", true)?;
    file.pragma_update(None, "synchronous", "FULL")
}

fn version(file: &Connection) -> Result<i64> {
    file.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn migrate(file: &mut Connection) -> Result<()> {
    let migration = file.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    // Another process may have done it meanwhile.
    let found = version(&migration)?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
        migration.execute_batch(step)?;
    }
    let newest = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    migration.pragma_update(None, "user_version", newest)?;
    migration.commit()
}
