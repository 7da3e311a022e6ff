//! Head office's database: withdrawals with their numbers, and what gateways reported.

use super::database::{Database, FleetError, Location, Row, transaction, values};
use super::{figures, shadow_sums, trace_rows};
use crate::mqtt::topics::Topics;
use crate::payload::{self, Report, ReportBatch, ReportKind};
use crate::pipeline::units::WallTime;

/// Head office's database.
#[derive(Debug)]
pub struct FleetStore {
    db: Database,
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

impl Withdrawal {
    /// Topic and payload for its store, with the number in that list.
    pub fn message(&self, store: u16, list: &str) -> (String, Vec<u8>) {
        let payload = payload::Withdrawal {
            v: payload::VERSION,
            withdrawn_at: Some(self.at.clone()),
            list: Some(list.to_owned()),
            serial: Some(self.serial),
        };
        (Topics::of(store).withdrawn(&self.client), payload::encode(&payload))
    }
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
    /// Opens the database; a file is created where it is missing.
    ///
    /// # Errors
    /// Where it cannot be read or written, or a later grelot has written it.
    pub fn open(location: impl Into<Location>) -> Result<Self, FleetError> {
        let location = location.into();
        let mut db = Database::open(&location)?;
        let list = list(&mut db, &location)?;
        Ok(Self { db, list })
    }

    /// Which list the numbers of this database count in.
    pub fn list(&self) -> &str {
        &self.list
    }

    /// Enters a withdrawal in a store's list; a customer who is there already keeps their place.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn withdraw(
        &mut self,
        store: u16,
        client: &str,
        at: &str,
    ) -> Result<Withdrawal, FleetError> {
        transaction(self, |this| {
            let sql = "SELECT serial, client, at FROM withdrawals WHERE store = ?1 AND client = ?2";
            if let Some(known) = this.db.first(sql, values![store, client], withdrawal)? {
                return Ok(known);
            }
            let serial = this.last_serial(store)? + 1;
            let sql = "INSERT INTO withdrawals (store, serial, client, at) VALUES (?1, ?2, ?3, ?4)";
            this.db.execute(sql, values![store, serial, client, at])?;
            Ok(Withdrawal { serial, client: client.to_owned(), at: at.to_owned() })
        })
    }

    /// The withdrawals of a store after number `after`, in order, at most `most`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn withdrawals(
        &mut self,
        store: u16,
        after: u64,
        most: u32,
    ) -> Result<Vec<Withdrawal>, FleetError> {
        let sql = "SELECT serial, client, at FROM withdrawals WHERE store = ?1 AND serial > ?2
                   ORDER BY serial LIMIT ?3";
        self.db.query(sql, values![store, after, most], withdrawal)
    }

    /// The last number of a store's list; 0 for an empty one.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn last_serial(&mut self, store: u16) -> Result<u64, FleetError> {
        let sql = "SELECT coalesce(max(serial), 0) FROM withdrawals WHERE store = ?1";
        Ok(self.db.first(sql, values![store], |row| row.number(0))?.unwrap_or(0))
    }

    /// Records which withdrawals of this list a gateway knows; of another list it knows none.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn acknowledged(
        &mut self,
        store: u16,
        gateway: &str,
        list: Option<&str>,
        serial: u64,
        now: WallTime,
    ) -> Result<(), FleetError> {
        let serial = if list == Some(&*self.list) { serial } else { 0 };
        let sql = "INSERT INTO gateways (store, name, seen_at, list, serial)
                   VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (store, name) DO UPDATE SET
                       seen_at = excluded.seen_at, list = excluded.list, serial = excluded.serial";
        let row = values![store, gateway, now.unix_millis(), list, serial];
        self.db.execute(sql, row).map(drop)
    }

    /// Takes a gateway's reports; what is there already is not taken again. Returns how many are new.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn report(
        &mut self,
        store: u16,
        gateway: &str,
        batch: &ReportBatch,
    ) -> Result<usize, FleetError> {
        transaction(self, |this| {
            let mut new = 0;
            for report in &batch.reports {
                new += usize::from(this.take(store, gateway, &batch.queue, report)?);
            }
            Ok(new)
        })
    }

    /// Whether the report is new.
    fn take(
        &mut self,
        store: u16,
        gateway: &str,
        queue: &str,
        report: &Report,
    ) -> Result<bool, FleetError> {
        let Some(at) = WallTime::parse(&report.at) else {
            tracing::warn!(store, gateway, "a report without a valid time is refused");
            return Ok(false);
        };
        match &report.what {
            ReportKind::Hour(_) => {
                return figures::count(&mut self.db, store, gateway, at, &report.what);
            }
            ReportKind::Trace(trace) => {
                return trace_rows::put(&mut self.db, store, gateway, at, report, trace);
            }
            ReportKind::WithdrawnTraces(withdrawn) => {
                // The report itself is not kept: it would say which traces were of one customer.
                trace_rows::withdraw(&mut self.db, store, gateway, at, withdrawn)?;
                return Ok(false);
            }
            ReportKind::Visit(_) | ReportKind::Label(_) | ReportKind::Shadow(_) => {}
        }
        let text = serde_json::to_string(report).unwrap_or_default();
        let sql = "INSERT INTO reports (store, gateway, queue, n, at, kind, report)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
        let kind = report.what.word();
        let row = values![store, gateway, queue, report.n, &report.at, kind, &text];
        let new = self.db.execute(sql, row)? == 1;
        if new {
            figures::count(&mut self.db, store, gateway, at, &report.what)?;
            if let ReportKind::Shadow(shadow) = &report.what {
                shadow_sums::add(&mut self.db, store, shadow)?;
            }
        }
        Ok(new)
    }

    /// What a store's gateways report of visits, in the order of their numbers.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn reports(&mut self, store: u16) -> Result<Vec<Report>, FleetError> {
        let sql = "SELECT report FROM reports WHERE store = ?1 ORDER BY gateway, queue, n";
        let reports = self.db.query(sql, values![store], |row| report(&row.text(0)))?;
        Ok(reports.into_iter().flatten().collect())
    }

    /// Records a gateway's status or health. Returns whether its status is known.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn heard(
        &mut self,
        store: u16,
        gateway: &str,
        said: Said<'_>,
        now: WallTime,
    ) -> Result<bool, FleetError> {
        let (status, health) = match said {
            Said::Status(text) => (Some(text), None),
            Said::Health(text) => (None, Some(text)),
        };
        let sql = "INSERT INTO gateways (store, name, seen_at, status, health)
                   VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (store, name) DO UPDATE SET
                       seen_at = excluded.seen_at,
                       status = coalesce(excluded.status, gateways.status),
                       health = coalesce(excluded.health, gateways.health)
                   RETURNING CAST(CASE WHEN status IS NULL THEN 0 ELSE 1 END AS BIGINT)";
        let row = values![store, gateway, now.unix_millis(), status, health];
        Ok(self.db.first(sql, row, |row| row.integer(0) == 1)?.unwrap_or(false))
    }

    /// Gateways that do not know all of their store's list, and up to where they do.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn behind(&mut self) -> Result<Vec<Acknowledged>, FleetError> {
        let sql = "SELECT g.store, g.name, g.serial FROM gateways g
                   JOIN (SELECT store, max(serial) AS last FROM withdrawals GROUP BY store) w
                     ON w.store = g.store WHERE g.serial < w.last ORDER BY g.store, g.name";
        self.db.query(sql, values![], acknowledged)
    }

    /// How far the gateways of a store know its list, as far as they reported it.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn of_store(&mut self, store: u16) -> Result<Vec<Acknowledged>, FleetError> {
        let sql = "SELECT store, name, serial FROM gateways WHERE store = ?1 ORDER BY name";
        self.db.query(sql, values![store], acknowledged)
    }
}

impl FleetStore {
    pub(super) const fn db(&mut self) -> &mut Database {
        &mut self.db
    }
}

impl AsMut<Database> for FleetStore {
    fn as_mut(&mut self) -> &mut Database {
        &mut self.db
    }
}

/// The name of this database's list: made with the database, and random.
fn list(db: &mut Database, location: &Location) -> Result<String, FleetError> {
    let find = |db: &mut Database| db.first("SELECT id FROM list", values![], |row| row.text(0));
    if let Some(list) = find(db)? {
        return Ok(list);
    }
    let id = getrandom::u64().map_err(|error| FleetError::Unusable {
        database: location.to_string(),
        problem: format!("no random number: {error}"),
    })?;
    let id = format!("{id:016x}");
    let sql = "INSERT INTO list (one, id) VALUES (1, ?1) ON CONFLICT DO NOTHING";
    db.execute(sql, values![&id])?;
    Ok(find(db)?.unwrap_or_default())
}

fn withdrawal(row: &Row) -> Withdrawal {
    Withdrawal { serial: row.number(0), client: row.text(1), at: row.text(2) }
}

fn acknowledged(row: &Row) -> Acknowledged {
    Acknowledged { store: row.number(0), gateway: row.text(1), serial: row.number(2) }
}

pub(super) fn report(text: &str) -> Option<Report> {
    serde_json::from_str(text).ok()
}
