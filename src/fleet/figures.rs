//! What reports bring, by store and day.

use serde::Serialize;

use super::database::{Database, FleetError, values};
use crate::payload::{HourReport, ReportKind};
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

impl Figures {
    /// Their columns, in order.
    pub(super) const COLUMNS: [&str; 9] = [
        "seconds",
        "blind_s",
        "arrivals",
        "alerts",
        "announced",
        "claimed",
        "claimed_s",
        "here",
        "not_here",
    ];
}

/// Adds a report to its day, and an hour's to the hours; false where it is there already.
pub(super) fn count(
    db: &mut Database,
    store: u16,
    gateway: &str,
    at: WallTime,
    what: &ReportKind,
) -> Result<bool, FleetError> {
    let figures = match what {
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
    db: &mut Database,
    store: u16,
    gateway: &str,
    at: WallTime,
    hour: &HourReport,
) -> Result<bool, FleetError> {
    let sql = "INSERT INTO hours (store, gateway, at, seconds, blind_s, advertisements, contacts,
                   arrivals, alerts, departures)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING";
    let row = values![
        store,
        gateway,
        at.unix_millis() / 1000,
        credible(hour.seconds),
        credible(hour.blind_s),
        credible(hour.advertisements),
        credible(hour.contacts),
        credible(hour.arrivals),
        credible(hour.alerts),
        credible(hour.departures),
    ];
    Ok(db.execute(sql, row)? == 1)
}

fn add(db: &mut Database, day: i64, store: u16, figures: &Figures) -> Result<(), FleetError> {
    let sums =
        Figures::COLUMNS.map(|column| format!("{column} = days.{column} + excluded.{column}"));
    let sql = format!(
        "INSERT INTO days (day, store, {})
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (day, store) DO UPDATE SET {}",
        Figures::COLUMNS.join(", "),
        sums.join(", "),
    );
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
    let row = values![
        day,
        store,
        credible(seconds),
        credible(blind_s),
        credible(arrivals),
        credible(alerts),
        credible(announced),
        credible(claimed),
        credible(claimed_s),
        credible(here),
        credible(not_here),
    ];
    db.execute(&sql, row).map(drop)
}

/// The day of a time, since the Unix epoch.
pub(super) fn day(at: WallTime) -> i64 {
    (at.unix_millis() / 1000).div_euclid(DAY_S)
}

/// No gateway counts more in an hour; sums of what is credible fit into a column.
const MOST_IN_AN_HOUR: u64 = 1 << 40;

pub(super) fn credible(count: u64) -> u64 {
    count.min(MOST_IN_AN_HOUR)
}
