//! What `grelot tune --fleet` proposes, for the page that explains it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::database::{FleetError, values};
use super::store::FleetStore;

/// Settings that a search found for some stores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Which stores, for people.
    pub name: String,
    /// RFC 3339, UTC: when they were found.
    pub at: String,
    /// What `grelot tune --json` prints under `tune`.
    pub report: String,
    /// The document that would be pushed, as TOML.
    pub document: String,
}

/// What a report says, as far as the page shows it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Found {
    pub stores: Vec<u16>,
    /// Days of a store.
    pub recordings: u64,
    pub notes: Vec<String>,
    /// The settings in force.
    pub now: Offer,
    pub chosen: Offer,
    /// The best of all that was tried: none is better in every respect.
    pub front: Vec<Offer>,
    /// The choice on days that it was not made on.
    pub unseen: Option<Unseen>,
}

/// What some settings would have done.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Offer {
    /// Customers who were there.
    pub visits: u64,
    /// Of those, the ones that were announced.
    pub found: u64,
    /// Announced without a customer.
    #[serde(rename = "false")]
    pub falsely: u64,
    pub arrival_delay_s: Delay,
    pub settings: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Delay {
    /// The median.
    pub p50: Option<f64>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Unseen {
    pub visits: u64,
    pub found: u64,
    #[serde(rename = "false")]
    pub falsely: u64,
    /// The true share of visits found.
    pub found_share_wilson95: Option<[f64; 2]>,
    /// The true number of false arrivals.
    pub false_garwood95: Option<[f64; 2]>,
    /// The share of redrawn sets of days on which the choice is better than the settings in force.
    pub better_than_now: f64,
}

impl Proposal {
    /// `None` where a later grelot wrote another kind of report.
    pub fn found(&self) -> Option<Found> {
        serde_json::from_str(&self.report).ok()
    }
}

impl FleetStore {
    /// Keeps a proposal, in place of the last one for the same stores.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn propose(&mut self, proposal: &Proposal) -> Result<(), FleetError> {
        let Proposal { name, at, report, document } = proposal;
        let sql = "INSERT INTO proposals (name, at, report, document) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (name) DO UPDATE SET
                       at = excluded.at, report = excluded.report, document = excluded.document";
        self.db().execute(sql, values![name, at, report, document]).map(drop)
    }

    /// The latest proposals, at most `most`.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn proposals(&mut self, most: u32) -> Result<Vec<Proposal>, FleetError> {
        let sql =
            "SELECT name, at, report, document FROM proposals ORDER BY at DESC, name LIMIT ?1";
        self.db().query(sql, values![most], |row| Proposal {
            name: row.text(0),
            at: row.text(1),
            report: row.text(2),
            document: row.text(3),
        })
    }
}
