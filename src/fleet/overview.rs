//! Every gateway at a glance: its condition, its troubles, and whether a person knows of them.

use std::fmt;

use serde::Serialize;

use super::database::{FleetError, Row, values};
use super::store::FleetStore;
use crate::payload::{DocumentStatus, GatewayState, Health, Status};
use crate::pipeline::units::WallTime;

/// A gateway reports its counts every minute: after three missed reports it is silent.
const SILENT_AFTER_MS: i64 = 3 * 60 * 1000;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GatewayOverview {
    pub store: u16,
    pub gateway: String,
    /// The group of stores whose settings it follows.
    pub group: Option<String>,
    pub condition: Condition,
    /// grelot's version; `None` before its status came.
    pub version: Option<String>,
    /// A hash of the settings in force.
    pub config: Option<String>,
    /// What became of head office's settings.
    pub documents: Vec<DocumentStatus>,
    /// RFC 3339, UTC: when it last reported.
    pub seen_at: String,
    /// Since when it is in this condition.
    pub since: Option<String>,
    /// Withdrawals of its store that it has not acknowledged.
    pub withdrawals_behind: u64,
    /// Alerts since its start.
    pub alerts: Option<u64>,
    /// Customers who can be recognised.
    pub customers: Option<u64>,
    /// What is wrong, one line each.
    pub troubles: Vec<String>,
    /// The note of a person who knows of exactly these troubles.
    pub acknowledged: Option<String>,
}

/// The conditions of a gateway, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Its status or its last will reports it.
    Offline,
    /// It has stopped reporting.
    Silent,
    /// It runs and receives nothing.
    Blind,
    /// It works, and something is wrong.
    Warns,
    /// Nothing is wrong.
    Well,
}

impl Condition {
    /// All of them, as the command line lists them.
    pub const ALL: [Self; 5] = [Self::Offline, Self::Silent, Self::Blind, Self::Warns, Self::Well];

    /// On the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Silent => "silent",
            Self::Blind => "blind",
            Self::Warns => "warns",
            Self::Well => "well",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl std::str::FromStr for Condition {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|condition| condition.word() == word);
        found.ok_or_else(|| format!("the conditions are {}", Self::ALL.map(Self::word).join(", ")))
    }
}

impl GatewayOverview {
    /// Whether it needs attention.
    pub fn needs_attention(&self) -> bool {
        self.condition != Condition::Well && self.acknowledged.is_none()
    }

    fn trouble(&self) -> String {
        // The duration of silence is left out: it does not make another trouble.
        format!("{}: {}", self.condition, self.troubles.join("; "))
    }
}

/// As it lies in the database.
struct GatewayRow {
    store: u16,
    name: String,
    seen_at: i64,
    status: Option<String>,
    health: Option<String>,
    behind: u64,
    acknowledged: Option<(String, String)>,
}

impl FleetStore {
    /// Every gateway that ever reported, by store and name.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn overview(&mut self, now: WallTime) -> Result<Vec<GatewayOverview>, FleetError> {
        self.of(None, now)
    }

    /// Those of one store.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn gateways_of(
        &mut self,
        store: u16,
        now: WallTime,
    ) -> Result<Vec<GatewayOverview>, FleetError> {
        self.of(Some(store), now)
    }

    fn of(
        &mut self,
        store: Option<u16>,
        now: WallTime,
    ) -> Result<Vec<GatewayOverview>, FleetError> {
        let sql = "SELECT g.store, g.name, g.seen_at, g.status, g.health,
                       coalesce(w.last, 0) - g.serial, a.trouble, a.note
                   FROM gateways g
                   LEFT JOIN (SELECT store, max(serial) AS last FROM withdrawals GROUP BY store) w
                       ON w.store = g.store
                   LEFT JOIN acknowledged a ON a.store = g.store AND a.name = g.name
                   WHERE g.store = ?1 OR ?1 IS NULL
                   ORDER BY g.store, g.name";
        let row = |row: &Row| GatewayRow {
            store: row.number(0),
            name: row.text(1),
            seen_at: row.integer(2),
            status: row.optional(3),
            health: row.optional(4),
            behind: row.number(5),
            acknowledged: row.optional(6).zip(row.optional(7)),
        };
        self.db().query(sql, values![store], |found| overview(row(found), now))
    }

    /// Records that a person knows of a gateway's present troubles; false where it has none.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn acknowledge(
        &mut self,
        store: u16,
        gateway: &str,
        note: &str,
        now: WallTime,
    ) -> Result<bool, FleetError> {
        let all = self.overview(now)?;
        let found = all.iter().find(|one| one.store == store && one.gateway == gateway);
        let Some(found) = found.filter(|one| one.condition != Condition::Well) else {
            return Ok(false);
        };
        let (trouble, at) = (found.trouble(), now.to_string());
        let sql = "INSERT INTO acknowledged (store, name, trouble, at, note)
                   VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (store, name) DO UPDATE SET
                       trouble = excluded.trouble, at = excluded.at, note = excluded.note";
        self.db().execute(sql, values![store, gateway, &trouble, &at, note]).map(|_| true)
    }
}

fn overview(row: GatewayRow, now: WallTime) -> GatewayOverview {
    let status: Option<Status> = row.status.and_then(|text| serde_json::from_str(&text).ok());
    let health: Option<Health> = row.health.and_then(|text| serde_json::from_str(&text).ok());
    let mut troubles = Vec::new();
    if let Some(status) = &status {
        troubles.extend(status.refused.iter().map(|line| format!("refused: {line}")));
        troubles.extend(status.warnings.clone());
    }
    if let Some(trouble) = health.as_ref().and_then(|health| health.registry.trouble.clone())
        && !troubles.iter().any(|known| known.ends_with(&trouble))
    {
        troubles.push(trouble);
    }
    if row.behind > 0 {
        troubles.push(format!("{} withdrawals of consent are not acknowledged", row.behind));
    }
    let silent = now.unix_millis().saturating_sub(row.seen_at) > SILENT_AFTER_MS;
    let condition = match status.as_ref().map(|status| status.state) {
        Some(GatewayState::Offline) => Condition::Offline,
        _ if silent => Condition::Silent,
        Some(GatewayState::Blind) => Condition::Blind,
        _ if !troubles.is_empty() => Condition::Warns,
        _ => Condition::Well,
    };
    let mut overview = GatewayOverview {
        store: row.store,
        gateway: row.name,
        group: status.as_ref().and_then(|status| status.group.clone()),
        condition,
        version: status.as_ref().map(|status| status.version.clone()),
        config: status.as_ref().map(|status| status.config.clone()),
        since: status.as_ref().and_then(|status| status.since.clone()),
        documents: status.map(|status| status.documents).unwrap_or_default(),
        seen_at: WallTime::from_unix_millis(row.seen_at).to_string(),
        withdrawals_behind: row.behind,
        alerts: health.as_ref().map(|health| health.alerts),
        customers: health.as_ref().map(|health| health.registry.customers),
        troubles,
        acknowledged: None,
    };
    let trouble = overview.trouble();
    overview.acknowledged =
        row.acknowledged.filter(|(known, _)| *known == trouble).map(|(_, note)| note);
    overview
}
