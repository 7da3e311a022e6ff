//! How far documents have come: the shadow, a ring, all stores.

use std::collections::BTreeMap;

use super::super::database::FleetError;
use super::super::documents::Document;
use super::super::overview::GatewayOverview;
use super::super::shadow::ShadowResult;
use super::super::store::FleetStore;
use crate::config::pushed::{self, Header};
use crate::payload::DocumentState;

/// The latest documents; a proposal of earlier ones is of the past.
const MOST_DOCUMENTS: u32 = 200;

/// Gateways by what a document is to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gateways {
    pub(super) in_force: usize,
    pub(super) shadow: usize,
    pub(super) waits: usize,
    pub(super) other_stores: usize,
    pub(super) fell_back: usize,
}

impl Gateways {
    pub(super) const fn known(&self) -> usize {
        self.in_force + self.shadow + self.waits + self.other_stores + self.fell_back
    }
}

/// A document, and where it is in force.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) document: Document,
    pub(super) shadow: bool,
    /// The share of stores, in per cent; `None` for all.
    pub(super) ring: Option<f64>,
    /// Its settings.
    settings: toml::Table,
    pub(super) gateways: Gateways,
    /// The limit that the first gateway reported that took it back.
    pub(super) why: Option<String>,
    /// What it would have changed, in the shadow.
    pub(super) result: Option<ShadowResult>,
}

#[derive(Debug)]
pub(super) struct Progress {
    /// The latest first.
    pub(super) steps: Vec<Step>,
}

impl Progress {
    pub(super) fn read(
        store: &mut FleetStore,
        gateways: &[GatewayOverview],
    ) -> Result<Self, FleetError> {
        let (known, why) = count(gateways);
        let results = store.shadow_sums()?;
        let steps = store.latest(MOST_DOCUMENTS)?.into_iter().map(|document| {
            let serial = document.serial;
            // Head office's own: signatures are for the way to the gateways.
            let header = Header::read(&document.text, &document.topic, &[]);
            let (shadow, ring) =
                header.map_or((false, None), |header| (header.shadow, header.ring));
            Step {
                settings: settings(&document.text),
                shadow,
                ring: ring.filter(|ring| *ring < 100.0),
                gateways: known.get(&serial).copied().unwrap_or_default(),
                why: why.get(&serial).cloned(),
                result: results.iter().find(|one| one.serial == serial).cloned(),
                document,
            }
        });
        Ok(Self { steps: steps.collect() })
    }

    /// What was pushed of a proposal, the latest first.
    pub(super) fn of<'a>(&'a self, proposal: &str) -> impl Iterator<Item = &'a Step> {
        let wanted = settings(proposal);
        self.steps.iter().filter(move |step| !wanted.is_empty() && step.settings == wanted)
    }
}

/// A document's settings; none where it cannot be read.
fn settings(text: &str) -> toml::Table {
    pushed::settings(text).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Where each document is what, and why the first gateway took it back.
fn count(gateways: &[GatewayOverview]) -> (BTreeMap<u64, Gateways>, BTreeMap<u64, String>) {
    let (mut known, mut why) = (BTreeMap::<u64, Gateways>::new(), BTreeMap::new());
    for status in gateways.iter().flat_map(|one| &one.documents) {
        let Some(serial) = status.serial else { continue };
        let counts = known.entry(serial).or_default();
        *match status.state {
            DocumentState::InForce => &mut counts.in_force,
            DocumentState::Shadow => &mut counts.shadow,
            DocumentState::Waits => &mut counts.waits,
            DocumentState::OtherStores => &mut counts.other_stores,
            DocumentState::FellBack => &mut counts.fell_back,
        } += 1;
        if let Some(reason) = &status.why {
            why.entry(serial).or_insert_with(|| reason.clone());
        }
    }
    (known, why)
}
