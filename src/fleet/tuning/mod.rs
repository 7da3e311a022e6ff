//! The page on tuning, for people at head office who never saw a terminal: what staff say of alerts, what
//! is proposed, and how far it has come. It has no script; the pictures are the server's.

mod html;
mod picture;
mod progress;
mod view;

use std::collections::BTreeMap;

use super::database::{FleetError, Row, values};
use super::figures::day;
use super::overview::GatewayOverview;
use super::proposals::Proposal;
use super::statistics::Share;
use super::store::FleetStore;
use crate::pipeline::units::WallTime;
use progress::Progress;

/// Days of judgements.
const DAYS: i64 = 30;

/// Stores that are listed: the ones that are surely worst.
const MOST_STORES: usize = 15;

/// Layouts that are listed.
const MOST_LAYOUTS: usize = 20;

/// Proposals that are shown.
const MOST_PROPOSALS: u32 = 12;

/// How often staff said that the customer was here, and that they were not.
type Labels = (u64, u64);

/// What staff said of the alerts of some stores.
#[derive(Debug, Clone, PartialEq)]
struct Judged {
    /// For people.
    name: String,
    stores: usize,
    /// Alerts without a customer, among all that were judged.
    false_alerts: Share,
}

/// Everything that the page shows.
#[derive(Debug)]
struct Tuning {
    at: WallTime,
    all: Judged,
    layouts: Vec<Judged>,
    /// The worst.
    stores: Vec<Judged>,
    proposals: Vec<Proposal>,
    progress: Progress,
}

/// The page as HTML.
///
/// # Errors
/// Where the database cannot be read.
pub(super) fn page(store: &mut FleetStore, now: WallTime) -> Result<String, FleetError> {
    let gateways = store.overview(now)?;
    Ok(view::page(&Tuning::read(store, &gateways, now)?))
}

impl Tuning {
    fn read(
        store: &mut FleetStore,
        gateways: &[GatewayOverview],
        now: WallTime,
    ) -> Result<Self, FleetError> {
        let labels = store.labels(now)?;
        let layouts = store.layouts()?;
        let all = sum("all stores".to_owned(), labels.iter().map(|(_, counts)| *counts));
        let mut stores: Vec<Judged> =
            labels.iter().map(|(store, counts)| sum(format!("store {store}"), [*counts])).collect();
        let mut groups: BTreeMap<&str, Vec<Labels>> = BTreeMap::new();
        for (store, counts) in &labels {
            let layout = layouts.get(store).map_or("layout not known", |layout| layout);
            groups.entry(layout).or_default().push(*counts);
        }
        let mut layouts: Vec<Judged> =
            groups.into_iter().map(|(name, counts)| sum(name.to_owned(), counts)).collect();
        worst_first(&mut stores, MOST_STORES);
        worst_first(&mut layouts, MOST_LAYOUTS);
        Ok(Self {
            at: now,
            all,
            layouts,
            stores,
            proposals: store.proposals(MOST_PROPOSALS)?,
            progress: Progress::read(store, gateways)?,
        })
    }
}

/// By what is certainly bad, not by what was judged once.
fn worst_first(judged: &mut Vec<Judged>, most: usize) {
    judged.sort_by(|one, other| other.false_alerts.low.total_cmp(&one.false_alerts.low));
    judged.truncate(most);
}

fn sum(name: String, counts: impl IntoIterator<Item = Labels>) -> Judged {
    let (mut stores, mut here, mut not_here) = (0, 0, 0);
    for (was_here, was_not) in counts {
        (stores, here, not_here) = (stores + 1, here + was_here, not_here + was_not);
    }
    Judged { name, stores, false_alerts: Share::new(not_here, here + not_here) }
}

impl FleetStore {
    /// How often staff said that a customer was here, and was not, of each store where they did.
    fn labels(&mut self, now: WallTime) -> Result<Vec<(u16, Labels)>, FleetError> {
        let sql = "SELECT store, CAST(sum(here) AS BIGINT), CAST(sum(not_here) AS BIGINT)
                   FROM days WHERE day > ?1 AND here + not_here > 0
                   GROUP BY store ORDER BY store";
        let row = |row: &Row| (row.number(0), (row.number(1), row.number(2)));
        self.db().query(sql, values![day(now) - DAYS], row)
    }
}
