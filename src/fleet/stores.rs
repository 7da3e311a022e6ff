//! The stores: the condition of each, and figures of the last days.

use std::collections::BTreeMap;

use rusqlite::params;
use serde::Serialize;

use super::figures::{DAY_S, Figures, day};
use super::overview::{Condition, GatewayOverview};
use super::statistics::{Share, float};
use super::store::{FleetError, FleetStore, unsigned};
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
    /// Where the file cannot be read.
    pub fn stores(&mut self, now: WallTime) -> Result<Vec<StoreOverview>, FleetError> {
        let gateways = self.overview(now)?;
        self.stores_of(&gateways, now)
    }

    /// The stores of these gateways, which are in the order of their stores.
    ///
    /// # Errors
    /// Where the file cannot be read.
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
    /// Where the file cannot be read.
    pub fn latest_reports(&mut self, store: u16, most: usize) -> Result<Vec<Report>, FleetError> {
        let sql = "SELECT report FROM reports WHERE store = ?1 ORDER BY at DESC LIMIT ?2";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let texts = self.connection().prepare_cached(sql).and_then(|mut query| {
            query.query_map(params![store, most], |row| row.get(0))?.collect()
        });
        let texts: Vec<String> = self.done(texts)?;
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }

    fn figures(&mut self, now: WallTime) -> Result<BTreeMap<u16, Figures>, FleetError> {
        let since = day(now) - DAYS;
        let sql = "SELECT store, sum(seconds), sum(blind_s), sum(arrivals), sum(alerts),
                       sum(announced), sum(claimed), sum(claimed_s), sum(here), sum(not_here)
                   FROM days WHERE day > ?1 GROUP BY store";
        let row = |row: &rusqlite::Row<'_>| {
            let figures = Figures {
                seconds: unsigned(row, 1)?,
                blind_s: unsigned(row, 2)?,
                arrivals: unsigned(row, 3)?,
                alerts: unsigned(row, 4)?,
                announced: unsigned(row, 5)?,
                claimed: unsigned(row, 6)?,
                claimed_s: unsigned(row, 7)?,
                here: unsigned(row, 8)?,
                not_here: unsigned(row, 9)?,
            };
            Ok((row.get(0)?, figures))
        };
        let all = self
            .connection()
            .prepare_cached(sql)
            .and_then(|mut query| query.query_map(params![since], row)?.collect());
        self.done(all)
    }

    /// The hours of a store since the hour `since`, in order.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn hours(&mut self, store: u16, since: i64) -> Result<Vec<Hour>, FleetError> {
        // An hour that is reported at its end belongs to the time before.
        let sql =
            "SELECT (at - 1) / 3600 AS hour, sum(arrivals), sum(alerts), sum(seconds), sum(blind_s)
                   FROM hours WHERE store = ?1 AND at > ?2 * 3600 GROUP BY hour ORDER BY hour";
        let row = |row: &rusqlite::Row<'_>| {
            Ok(Hour {
                hour: row.get(0)?,
                arrivals: unsigned(row, 1)?,
                alerts: unsigned(row, 2)?,
                seconds: unsigned(row, 3)?,
                blind_s: unsigned(row, 4)?,
            })
        };
        let all = self
            .connection()
            .prepare_cached(sql)
            .and_then(|mut query| query.query_map(params![store, since], row)?.collect());
        self.done(all)
    }

    /// Deletes what is older than `days` days. Returns how many reports and hours those were.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn age(&mut self, now: WallTime, days: u32) -> Result<usize, FleetError> {
        let oldest = now.unix_millis() / 1000 - i64::from(days) * DAY_S;
        let before = WallTime::from_unix_millis(oldest * 1000).to_string();
        let db = self.connection();
        let deleted = (|| {
            let reports = db.execute("DELETE FROM reports WHERE at < ?1", params![before])?;
            let hours = db.execute("DELETE FROM hours WHERE at < ?1", params![oldest])?;
            db.execute("DELETE FROM days WHERE day < ?1", params![oldest.div_euclid(DAY_S)])?;
            Ok(reports + hours)
        })();
        self.done(deleted)
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
