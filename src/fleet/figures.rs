//! What reports bring, by store and day.

use rusqlite::{Connection, params};
use serde::Serialize;

use crate::payload::{HourReport, Report, ReportKind};
use crate::pipeline::units::WallTime;

/// Seconds of a day.
pub(super) const DAY_S: i64 = 86_400;

/// What some days brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Seconds that gateways ran.
    pub seconds: u64,
    /// Of those, the ones in which nothing could be received.
    pub blind_s: u64,
    /// Visits that began.
    pub arrivals: u64,
    /// Of those, the ones that staff were alerted about.
    pub alerts: u64,
    /// Visits that ended and had alerted staff.
    pub announced: u64,
    /// Of those, the ones that staff took care of.
    pub claimed: u64,
    /// Seconds until then, in all.
    pub claimed_s: u64,
    /// Visits where staff said that the customer was here.
    pub here: u64,
    /// Visits where staff said that the customer was not.
    pub not_here: u64,
}

/// Adds a report to its day, and an hour's to the hours; false where it is there already.
pub(super) fn count(
    db: &Connection,
    store: u16,
    gateway: &str,
    report: &Report,
) -> rusqlite::Result<bool> {
    let Some(at) = WallTime::parse(&report.at) else { return Ok(false) };
    let figures = match &report.what {
        ReportKind::Hour(hour) => {
            if !insert_hour(db, store, gateway, at, hour)? {
                return Ok(false);
            }
            let HourReport { seconds, blind_s, arrivals, alerts, .. } = *hour;
            Figures { seconds, blind_s, arrivals, alerts, ..Figures::default() }
        }
        ReportKind::Visit(visit) if visit.announced => Figures {
            announced: 1,
            claimed: u64::from(visit.claimed_after_s.is_some()),
            claimed_s: visit.claimed_after_s.unwrap_or_default(),
            ..Figures::default()
        },
        ReportKind::Label(label) => Figures {
            here: u64::from(label.was_here),
            not_here: u64::from(!label.was_here),
            ..Figures::default()
        },
        _ => return Ok(true),
    };
    add(db, day(at), store, &figures)?;
    Ok(true)
}

fn insert_hour(
    db: &Connection,
    store: u16,
    gateway: &str,
    at: WallTime,
    hour: &HourReport,
) -> rusqlite::Result<bool> {
    let sql = "INSERT OR IGNORE INTO hours VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let row = params![
        store,
        gateway,
        at.unix_millis() / 1000,
        integer(hour.seconds),
        integer(hour.blind_s),
        integer(hour.advertisements),
        integer(hour.contacts),
        integer(hour.arrivals),
        integer(hour.alerts),
        integer(hour.departures),
    ];
    Ok(db.prepare_cached(sql)?.execute(row)? == 1)
}

fn add(db: &Connection, day: i64, store: u16, figures: &Figures) -> rusqlite::Result<()> {
    let sql = "INSERT INTO days VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
               ON CONFLICT (day, store) DO UPDATE SET
                   seconds = seconds + ?3, blind_s = blind_s + ?4, arrivals = arrivals + ?5,
                   alerts = alerts + ?6, announced = announced + ?7, claimed = claimed + ?8,
                   claimed_s = claimed_s + ?9, here = here + ?10, not_here = not_here + ?11";
    let Figures {
        seconds,
        blind_s,
        arrivals,
        alerts,
        announced,
        claimed,
        claimed_s,
        here,
        not_here,
    } = *figures;
    let row = params![
        day,
        store,
        integer(seconds),
        integer(blind_s),
        integer(arrivals),
        integer(alerts),
        integer(announced),
        integer(claimed),
        integer(claimed_s),
        integer(here),
        integer(not_here),
    ];
    db.prepare_cached(sql)?.execute(row).map(drop)
}

/// The day of a time, since the Unix epoch.
pub(super) fn day(at: WallTime) -> i64 {
    (at.unix_millis() / 1000).div_euclid(DAY_S)
}

/// `SQLite` has signed integers.
fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
