//! Head office's database: an SQLite file, or a schema of a PostgreSQL server.
//!
//! The statements above it are the same for both: integers and text alone, placeholders `?1`, `?2`, …,
//! `ON CONFLICT` for what may be there. Only how a database is opened, migrated and reached again
//! differs. Invariants: one transaction writes at a time; what runs outside of one may run twice, as
//! the connection may break before its answer.

mod error;
mod location;
mod passfile;
mod row;
mod server;
mod sqlite;
mod url;

use std::fmt;

pub use error::FleetError;
pub use location::Location;
pub(super) use row::{Row, Value, values};

/// A database that is open.
pub(super) trait Engine: fmt::Debug + Send {
    /// Runs a statement; returns how many rows it has changed.
    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<usize, FleetError>;

    fn query(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, FleetError>;

    /// Begins a transaction, and waits until no other one writes.
    fn begin(&mut self) -> Result<(), FleetError>;

    fn commit(&mut self) -> Result<(), FleetError>;

    fn roll_back(&mut self);
}

/// The open database, and whether a transaction is open in it.
#[derive(Debug)]
pub(super) struct Database {
    engine: Box<dyn Engine>,
    in_transaction: bool,
}

impl Database {
    /// Opens the database, and brings its schema up to date; a file is created where it is missing.
    pub(super) fn open(location: &Location) -> Result<Self, FleetError> {
        let engine: Box<dyn Engine> = match location {
            Location::File(path) => Box::new(sqlite::Sqlite::open(path)?),
            Location::Server(url) => Box::new(server::Postgres::open(url)?),
        };
        Ok(Self { engine, in_transaction: false })
    }

    pub(super) fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<usize, FleetError> {
        self.engine.execute(sql, values)
    }

    pub(super) fn query<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnMut(&Row) -> T,
    ) -> Result<Vec<T>, FleetError> {
        Ok(self.engine.query(sql, values)?.iter().map(read).collect())
    }

    /// The first row, if there is one.
    pub(super) fn first<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        read: impl FnOnce(&Row) -> T,
    ) -> Result<Option<T>, FleetError> {
        Ok(self.engine.query(sql, values)?.first().map(read))
    }
}

/// All of `work` on the owner's database, or nothing of it. Within another transaction it is a part of
/// that one.
pub(super) fn transaction<O: AsMut<Database>, T, E: From<FleetError>>(
    owner: &mut O,
    work: impl FnOnce(&mut O) -> Result<T, E>,
) -> Result<T, E> {
    let database = owner.as_mut();
    if database.in_transaction {
        return work(owner);
    }
    database.engine.begin()?;
    database.in_transaction = true;
    let worked = work(owner);
    let database = owner.as_mut();
    database.in_transaction = false;
    match worked {
        Ok(result) => {
            database.engine.commit()?;
            Ok(result)
        }
        Err(error) => {
            database.engine.roll_back();
            Err(error)
        }
    }
}
