//! Rows of traces of contacts, as gateways' reports bring and delete them.

use super::database::{Database, FleetError, values};
use super::figures::day;
use crate::payload::trace::{MOST_WITHDRAWN, is_reference};
use crate::payload::{Report, Trace, WithdrawnTraces};
use crate::pipeline::units::WallTime;

/// Traces of one store: a month of a busy one. Further ones are refused until these are too old.
const MOST_OF_A_STORE: u32 = 10_000;

/// Takes a trace; false where it is there already, or was withdrawn.
pub(super) fn put(
    db: &mut Database,
    store: u16,
    gateway: &str,
    at: WallTime,
    report: &Report,
    trace: &Trace,
) -> Result<bool, FleetError> {
    if let Err(why) = trace.check() {
        tracing::warn!(store, gateway, why, "a trace of contacts is refused");
        return Ok(false);
    }
    let sql = "SELECT count(*) FROM traces WHERE store = ?1 AND report <> ''";
    let known: u32 = db.first(sql, values![store], |row| row.number(0))?.unwrap_or(0);
    if known >= MOST_OF_A_STORE {
        tracing::warn!(store, gateway, known, "too many traces of contacts: one is refused");
        return Ok(false);
    }
    // Its number would say between which other reports it was made.
    let text = serde_json::to_string(&Report { n: 0, ..report.clone() }).unwrap_or_default();
    let sql = "INSERT INTO traces (store, trace, gateway, day, report) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (store, trace) DO NOTHING";
    Ok(db.execute(sql, values![store, &trace.trace, gateway, day(at), &text])? == 1)
}

/// Deletes the traces of a customer who withdrew consent.
pub(super) fn withdraw(
    db: &mut Database,
    store: u16,
    gateway: &str,
    at: WallTime,
    withdrawn: &WithdrawnTraces,
) -> Result<(), FleetError> {
    let ids = || withdrawn.traces.iter().filter(|trace| is_reference(trace)).take(MOST_WITHDRAWN);
    let sql = "UPDATE traces SET report = '' WHERE store = ?1 AND trace = ?2 AND gateway = ?3";
    for trace in ids() {
        db.execute(sql, values![store, trace, gateway])?;
    }
    // Those that are still to come are refused by an empty row.
    let sql = "SELECT count(*) FROM traces WHERE store = ?1 AND gateway = ?2 AND report = ''";
    let empty: u32 = db.first(sql, values![store, gateway], |row| row.number(0))?.unwrap_or(0);
    if empty >= MOST_OF_A_STORE {
        tracing::warn!(store, gateway, empty, "too many withdrawn traces that are not known here");
        return Ok(());
    }
    let sql = "INSERT INTO traces (store, trace, gateway, day, report) VALUES (?1, ?2, ?3, ?4, '')
               ON CONFLICT (store, trace) DO NOTHING";
    for trace in ids() {
        db.execute(sql, values![store, trace, gateway, day(at)])?;
    }
    Ok(())
}
