//! The stores: the condition of each, and figures of the last days.

use std::collections::BTreeMap;

use serde::Serialize;

use super::database::{FleetError, Row, values};
use super::figures::{DAY_S, Figures, day};
use super::overview::{Condition, GatewayOverview};
use super::statistics::{Share, float};
use super::store::{FleetStore, report};
use crate::payload::{DocumentStatus, Report};
use crate::pipeline::units::WallTime;

/// Days that a store's figures cover.
pub const DAYS: i64 = 7;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StoreOverview {
    pub store: u16,
    /// The worst of its gateways'.
    pub condition: Condition,
    /// Whether it needs attention.
    pub attention: bool,
    pub gateways: usize,
    /// When the gateway that is silent longest last reported: RFC 3339, UTC.
    pub seen_at: String,
    /// What is wrong, by gateway.
    pub troubles: Vec<String>,
    /// The last documents of its first gateway.
    pub documents: Vec<DocumentStatus>,
    /// The last [`DAYS`] days.
    pub figures: Figures,
    /// Alerts where staff said that the customer was not here, among all that they judged.
    pub false_alerts: Share,
    /// The share of the time in which gateways could receive; `None` before the first hour.
    pub heard: Option<f64>,
    /// Mean time from an alert until staff took care, in seconds.
    pub claimed_after_s: Option<f64>,
}

/// An hour of a store: of all its gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Hour {
    /// Its number since the Unix epoch.
    pub hour: i64,
    /// Visits that began.
    pub arrivals: u64,
    /// Of those, the ones that staff were alerted about.
    pub alerts: u64,
    /// Seconds that gateways ran.
    pub seconds: u64,
    /// Of those, the ones in which nothing could be received.
    pub blind_s: u64,
}

impl FleetStore {
    /// Every store, by number.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn stores(&mut self, now: WallTime) -> Result<Vec<StoreOverview>, FleetError> {
        let gateways = self.overview(now)?;
        self.stores_of(&gateways, now)
    }

    /// The stores of these gateways, which are in the order of their stores.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn stores_of(
        &mut self,
        gateways: &[GatewayOverview],
        now: WallTime,
    ) -> Result<Vec<StoreOverview>, FleetError> {
        let figures = self.figures(now)?;
        let mut stores: Vec<StoreOverview> = Vec::new();
        for gateways in gateways.chunk_by(|one, next| one.store == next.store) {
            stores.extend(store(gateways, &figures));
        }
        Ok(stores)
    }

    /// What the gateways of a store reported of visits last, the latest first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn latest_reports(&mut self, store: u16, most: u32) -> Result<Vec<Report>, FleetError> {
        let sql = "SELECT report FROM reports WHERE store = ?1 ORDER BY at DESC LIMIT ?2";
        let reports = self.db().query(sql, values![store, most], |row| report(&row.text(0)))?;
        Ok(reports.into_iter().flatten().collect())
    }

    fn figures(&mut self, now: WallTime) -> Result<BTreeMap<u16, Figures>, FleetError> {
        let since = day(now) - DAYS;
        let sums = Figures::COLUMNS.map(|column| format!("CAST(sum({column}) AS BIGINT)"));
        let sql =
            format!("SELECT store, {} FROM days WHERE day > ?1 GROUP BY store", sums.join(", "));
        let row = |row: &Row| {
            let figures = Figures {
                seconds: row.number(1),
                blind_s: row.number(2),
                arrivals: row.number(3),
                alerts: row.number(4),
                announced: row.number(5),
                claimed: row.number(6),
                claimed_s: row.number(7),
                here: row.number(8),
                not_here: row.number(9),
            };
            (row.number(0), figures)
        };
        Ok(self.db().query(&sql, values![since], row)?.into_iter().collect())
    }

    /// The hours of a store since the hour `since`, in order.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn hours(&mut self, store: u16, since: i64) -> Result<Vec<Hour>, FleetError> {
        // An hour that is reported at its end belongs to the time before.
        let sql = "SELECT (at - 1) / 3600 AS hour,
                       CAST(sum(arrivals) AS BIGINT), CAST(sum(alerts) AS BIGINT),
                       CAST(sum(seconds) AS BIGINT), CAST(sum(blind_s) AS BIGINT)
                   FROM hours WHERE store = ?1 AND at > ?2 GROUP BY hour ORDER BY hour";
        self.db().query(sql, values![store, since * 3600], |row| Hour {
            hour: row.integer(0),
            arrivals: row.number(1),
            alerts: row.number(2),
            seconds: row.number(3),
            blind_s: row.number(4),
        })
    }

    /// Deletes what is older than `days` days. Returns how many reports and hours those were.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn age(&mut self, now: WallTime, days: u32) -> Result<usize, FleetError> {
        let oldest = now.unix_millis() / 1000 - i64::from(days) * DAY_S;
        let before = WallTime::from_unix_millis(oldest * 1000).to_string();
        let db = self.db();
        // A gateway whose clock is ahead, or a forger: they would be the latest for ever.
        let ahead = WallTime::from_unix_millis(now.unix_millis() + DAY_S * 1000).to_string();
        let sql = "DELETE FROM reports WHERE at < ?1 OR at > ?2";
        let reports = db.execute(sql, values![&before, &ahead])?;
        let hours = db.execute("DELETE FROM hours WHERE at < ?1", values![oldest])?;
        db.execute("DELETE FROM days WHERE day < ?1", values![oldest.div_euclid(DAY_S)])?;
        Ok(reports + hours)
    }
}

fn store(gateways: &[GatewayOverview], figures: &BTreeMap<u16, Figures>) -> Option<StoreOverview> {
    let first = gateways.first()?;
    let figures = figures.get(&first.store).copied().unwrap_or_default();
    let troubles = gateways
        .iter()
        .flat_map(|one| one.troubles.iter().map(|trouble| format!("{}: {trouble}", one.gateway)));
    let per = |part: u64, of: u64| (of > 0).then(|| float(part) / float(of));
    Some(StoreOverview {
        store: first.store,
        condition: gateways.iter().map(|one| one.condition).min()?,
        attention: gateways.iter().any(GatewayOverview::needs_attention),
        gateways: gateways.len(),
        seen_at: gateways.iter().map(|one| one.seen_at.clone()).min()?,
        troubles: troubles.collect(),
        documents: first.documents.clone(),
        figures,
        false_alerts: Share::new(figures.not_here, figures.here + figures.not_here),
        heard: per(figures.seconds.saturating_sub(figures.blind_s), figures.seconds),
        claimed_after_s: per(figures.claimed_s, figures.claimed),
    })
}
