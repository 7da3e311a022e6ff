//! The database as a schema of a PostgreSQL server, which may restart at any time.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};

use postgres::types::private::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Error, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Engine;
use super::error::FleetError;
use super::passfile;
use super::row::{Cell, Row, Value};
use super::url::{self, Server, Url};
use crate::mqtt::tls::{self, TlsError};
use crate::tasks;

/// The steps from nothing to the newest schema. SQLite's have their own numbers.
const STEPS: [&str; 3] = [
    include_str!("postgres_1.sql"),
    include_str!("postgres_2.sql"),
    include_str!("postgres_3.sql"),
];

/// One transaction of grelot writes at a time, as in a file: the name of its lock is "grelot" in ASCII.
const BEGIN: &str = "BEGIN; SELECT pg_advisory_xact_lock(x'6772656c6f74'::bigint)";

/// What is acknowledged to gateways is on the disk, also where the server's default is off.
const SESSION: &str = "SET search_path TO grelot;
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off'";

type Reason = Box<dyn std::error::Error + Sync + Send>;

/// A server, connected or not.
pub(super) struct Postgres {
    server: Server,
    shown: String,
    session: Option<Session>,
    in_transaction: bool,
}

struct Session {
    client: Client,
    /// By their text.
    statements: HashMap<String, Statement>,
}

impl Postgres {
    pub(super) fn open(url: &Url) -> Result<Self, FleetError> {
        let (server, shown) = (url.server()?, url.to_string());
        let mut postgres = Self { server, shown, session: None, in_transaction: false };
        postgres.session = Some(postgres.connect()?);
        Ok(postgres)
    }

    /// Runs `work` on the connection. One that has broken since it was last used is replaced by
    /// another one, but not within a transaction.
    fn run<T>(&mut self, work: impl Fn(&mut Session) -> Result<T, Error>) -> Result<T, FleetError> {
        let may_be_broken = self.session.is_some() && !self.in_transaction;
        match self.attempt(&work) {
            Err(error) if error.may_pass() && may_be_broken => self.attempt(&work),
            result => result,
        }
    }

    fn attempt<T>(
        &mut self,
        work: &impl Fn(&mut Session) -> Result<T, Error>,
    ) -> Result<T, FleetError> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None if self.in_transaction => return Err(self.away("the connection broke".to_owned())),
            None => self.reconnect()?,
        };
        let worked = work(&mut session);
        match worked {
            Err(error) if session.client.is_closed() || may_pass(&error) => {
                Err(self.away(url::with_causes(&error)))
            }
            worked => {
                self.session = Some(session);
                worked.map_err(|error| self.refused(&error))
            }
        }
    }

    /// A password file or a certificate that cannot be used may be in the midst of a replacement.
    fn reconnect(&self) -> Result<Session, FleetError> {
        self.connect().map_err(|error| match error {
            FleetError::Unusable { problem, .. } => self.away(problem),
            error => error,
        })
    }

    fn connect(&self) -> Result<Session, FleetError> {
        let mut config = self.server.config.clone();
        if config.get_password().is_none()
            && let Some(password) = self.password()?
        {
            config.password(password);
        }
        let connected = match &self.server.tls {
            None => config.connect(NoTls),
            Some(files) => {
                let tls =
                    tls::client(files).map_err(|error| self.unusable(&tls_problem(&error)))?;
                config.connect(MakeRustlsConnect::new((*tls).clone()))
            }
        };
        let mut client = connected.map_err(|error| self.away(url::with_causes(&error)))?;
        self.prepare(&mut client)?;
        Ok(Session { client, statements: HashMap::new() })
    }

    /// Read at each connection: it may have been replaced.
    fn password(&self) -> Result<Option<String>, FleetError> {
        if let Ok(password) = env::var("PGPASSWORD") {
            return Ok(Some(password));
        }
        let named =
            self.server.passfile.clone().or_else(|| Some(env::var_os("PGPASSFILE")?.into()));
        let usual = || Some(Path::new(&env::var_os("HOME")?).join(".pgpass"));
        let path: Option<PathBuf> = named.or_else(|| usual().filter(|path| path.exists()));
        let Some(path) = path else { return Ok(None) };
        passfile::password(&path, &url::login(&self.server.config))
            .map_err(|error| self.unusable(&format!("{}: {error}", path.display())))
    }

    fn prepare(&self, client: &mut Client) -> Result<(), FleetError> {
        let failed = |error: Error| {
            if may_pass(&error) {
                self.away(url::with_causes(&error))
            } else {
                self.refused(&error)
            }
        };
        client.batch_execute(SESSION).map_err(failed)?;
        let row = client.query_one("SHOW server_encoding", &[]).map_err(failed)?;
        if row.try_get::<_, &str>(0).ok() != Some("UTF8") {
            return Err(self.unusable("the encoding of the database is not UTF8"));
        }
        let found = version(client).map_err(failed)?;
        let newest = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
        if found > newest {
            return Err(FleetError::Newer { database: self.shown.clone(), found });
        }
        if found < newest { migrate(client, newest).map_err(failed) } else { Ok(()) }
    }

    fn away(&self, why: String) -> FleetError {
        FleetError::Away { database: self.shown.clone(), why }
    }

    fn refused(&self, error: &Error) -> FleetError {
        FleetError::Refused { database: self.shown.clone(), why: url::with_causes(error) }
    }

    fn unusable(&self, problem: &str) -> FleetError {
        FleetError::Unusable { database: self.shown.clone(), problem: problem.to_owned() }
    }
}

impl Engine for Postgres {
    fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<usize, FleetError> {
        let changed = self.run(|session| {
            let statement = session.statement(sql)?;
            session.client.execute(&statement, &parameters(values))
        });
        changed.map(|rows| usize::try_from(rows).unwrap_or(usize::MAX))
    }

    fn query(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<Row>, FleetError> {
        self.run(|session| {
            let statement = session.statement(sql)?;
            let rows = session.client.query(&statement, &parameters(values))?;
            rows.iter().map(row).collect()
        })
    }

    fn begin(&mut self) -> Result<(), FleetError> {
        self.run(|session| session.client.batch_execute(BEGIN))?;
        self.in_transaction = true;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), FleetError> {
        // Within the transaction: on another connection there is nothing to commit.
        let committed = self.run(|session| session.client.batch_execute("COMMIT"));
        self.in_transaction = false;
        committed
    }

    fn roll_back(&mut self) {
        // A connection that is lost has rolled back.
        let _ = self.run(|session| session.client.batch_execute("ROLLBACK"));
        self.in_transaction = false;
    }
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Postgres").field("server", &self.shown).finish_non_exhaustive()
    }
}

impl Drop for Postgres {
    /// The connection has a runtime of its own, which cannot end inside the runtime of a task.
    fn drop(&mut self) {
        if let Some(session) = self.session.take()
            && let Ok(thread) = tasks::thread("fleet-database", move || drop(session))
        {
            let _ = thread.join();
        }
    }
}

impl Session {
    fn statement(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        // No statement has a question mark in a text.
        let statement = self.client.prepare(&sql.replace('?', "$"))?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// 0 where there is no schema of grelot.
fn version(client: &mut Client) -> Result<i64, Error> {
    let known = client.query_one("SELECT to_regclass('grelot.version') IS NOT NULL", &[])?;
    if !known.try_get(0)? {
        return Ok(0);
    }
    client.query_one("SELECT version FROM grelot.version", &[])?.try_get(0)
}

/// In one transaction; where it fails, its connection is given up.
fn migrate(client: &mut Client, newest: i64) -> Result<(), Error> {
    client.batch_execute(BEGIN)?;
    // Another process may have done it meanwhile.
    let found = version(client)?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or_default()) {
        client.batch_execute(step)?;
    }
    client.execute("UPDATE version SET version = $1", &[&newest])?;
    client.batch_execute("COMMIT")
}

/// Whether the server may take the same later: the connection broke, or the server stops, has no room,
/// was made a copy of another one, or ended a transaction in favour of another one.
fn may_pass(error: &Error) -> bool {
    if let Some(code) = error.code() {
        let class = code.code().get(..2).unwrap_or_default();
        return ["08", "40", "53", "57"].contains(&class) || code.code() == "25006";
    }
    let mut causes = std::iter::successors(std::error::Error::source(error), |one| one.source());
    error.is_closed() || causes.any(<dyn std::error::Error>::is::<std::io::Error>)
}

fn tls_problem(error: &TlsError) -> String {
    match error {
        TlsError::NoAuthority => {
            "this system trusts no certificate authority: name the server's in sslrootcert"
                .to_owned()
        }
        TlsError::Half(_) => "sslcert and sslkey belong together".to_owned(),
        TlsError::File { .. } | TlsError::Rustls(_) => error.to_string(),
    }
}

fn parameters<'a>(values: &'a [Value<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|value| -> &(dyn ToSql + Sync) { value }).collect()
}

fn row(row: &postgres::Row) -> Result<Row, Error> {
    let cell = |column| Ok(row.try_get::<_, Option<Cell>>(column)?.unwrap_or(Cell::Null));
    Ok(Row((0..row.len()).map(cell).collect::<Result<_, Error>>()?))
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Reason> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) if *kind == Type::INT8 => number.to_sql(kind, out),
            // Its text has no NUL; what gateways say may.
            Self::Text(text) if *kind == Type::TEXT => {
                text.replace('\0', "\u{fffd}").to_sql(kind, out)
            }
            Self::Integer(_) | Self::Text(_) => {
                Err(format!("{kind} is no type of these tables").into())
            }
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::TEXT].contains(kind)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Reason> {
        match *kind {
            Type::INT8 => i64::from_sql(kind, raw).map(Self::Integer),
            _ => String::from_sql(kind, raw).map(Self::Text),
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::TEXT].contains(kind)
    }
}
