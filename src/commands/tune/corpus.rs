//! The recordings to tune on: what matters of them, held in memory, and what is true of them.
//!
//! Strangers' advertisements change nothing that the pipeline decides, so that only those of
//! enrolled customers are kept, and of the registry only those customers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::labels::{self, Labelled};
use super::traces::Judged;
use crate::commands::complain;
use crate::config::Config;
use crate::config::registry::{self, Reading, line};
use crate::daemon::playback::{self, Gateways};
use crate::lines::Lines;
use crate::pipeline::Now;
use crate::pipeline::identity::{Identity, Registry};
use crate::pipeline::units::{Clock, Tick, WallTime};
use crate::sources::{self, Record, RecordKind, ReplayError, ReplaySource};

/// What one file says that matters.
#[derive(Debug)]
pub struct Recording {
    pub path: PathBuf,
    /// Advertisements of customers, and truth.
    records: Arc<[Record]>,
    started_at: WallTime,
    gateways: Arc<[Arc<str>]>,
    /// When the file ends, which may be after the last of `records`.
    pub ends_at: Duration,
    /// The registry's lines of the customers who were received.
    registry: Vec<u8>,
    store: u16,
    pub known: Known,
    /// Lines and frames that could not be read.
    pub unreadable: u64,
}

/// How it is known who came.
#[derive(Debug)]
pub enum Known {
    /// The recording says it.
    GroundTruth,
    Labels(Vec<Labelled>),
    /// It is traces of contacts, and staff say it of each.
    Traces(Box<Judged>),
    /// Neither the recording nor staff say it.
    Nothing,
}

impl Recording {
    /// Reads `path` for a store as `config` describes it.
    ///
    /// # Errors
    /// The recording or the registry cannot be read, or no customer of it is received.
    pub fn read(
        path: &Path,
        config: &Config,
        customers: &Path,
        said: &[labels::Label],
    ) -> anyhow::Result<Self> {
        let replay =
            sources::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        if let Some(store) = replay.store().filter(|store| *store != config.store.id) {
            let here = config.store.id;
            complain(&format!(
                "{}: recorded in store {store}, tuned as store {here}: its tokens mean nothing here",
                path.display()
            ));
        }
        let (started_at, gateways) = (replay.started_at(), replay.gateways().into());
        let reading = Reading::new(config.store.id, Clock::Set(started_at)).keeping_every_day();
        let (all, _) = reading.load(customers)?;
        let heard = Heard::of(replay, config, all)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let labelled = labels::within(said, started_at, heard.ends_at);
        let known = match (heard.has_truth, labelled.is_empty()) {
            (true, _) => Known::GroundTruth,
            (false, false) => Known::Labels(labelled),
            (false, true) => Known::Nothing,
        };
        Ok(Self {
            path: path.to_owned(),
            records: heard.records.into(),
            started_at,
            gateways,
            ends_at: heard.ends_at,
            registry: lines_of(customers, &heard.clients)?,
            store: config.store.id,
            known,
            unreadable: heard.unreadable,
        })
    }

    /// A day of a store, as traces of contacts.
    pub fn of_traces(name: String, store: u16, judged: Judged) -> Self {
        Self {
            path: name.into(),
            records: Arc::new([]),
            started_at: WallTime::from_unix_secs(0),
            gateways: Arc::new([]),
            ends_at: Duration::ZERO,
            registry: Vec::new(),
            store,
            known: Known::Traces(Box::new(judged)),
            unreadable: 0,
        }
    }

    /// Whether any customer was received.
    pub fn is_silent(&self) -> bool {
        !self.records.iter().any(|record| matches!(record.what, RecordKind::Received(_)))
    }

    /// The recording, from its start.
    pub fn replay(&self) -> Box<dyn ReplaySource> {
        Box::new(Kept {
            records: Arc::clone(&self.records),
            next: 0,
            started_at: self.started_at,
            store: self.store,
            gateways: Arc::clone(&self.gateways),
        })
    }

    /// Its customers.
    ///
    /// # Errors
    /// The registry's lines cannot be loaded.
    pub fn registry(&self) -> anyhow::Result<Registry> {
        let reading = Reading::new(self.store, Clock::Set(self.started_at)).keeping_every_day();
        Ok(reading.load_from(&self.registry[..], &self.path)?.0)
    }

    /// The gateways it names.
    pub fn gateways(&self) -> &[Arc<str>] {
        &self.gateways
    }

    /// The gateways that received a customer; `None` for the one that a recording does not name.
    pub fn receivers(&self) -> BTreeSet<Option<Arc<str>>> {
        let received = |record: &Record| match &record.what {
            RecordKind::Received(heard) => Some(heard.gateway.clone()),
            RecordKind::GroundTruth { .. } => None,
        };
        self.records.iter().filter_map(received).collect()
    }
}

/// What one pass over a file finds.
#[derive(Default)]
struct Heard {
    records: Vec<Record>,
    clients: BTreeSet<Arc<str>>,
    has_truth: bool,
    ends_at: Duration,
    unreadable: u64,
}

impl Heard {
    fn of(
        replay: Box<dyn ReplaySource>,
        config: &Config,
        all: Registry,
    ) -> Result<Self, ReplayError> {
        let started_at = replay.started_at();
        let moment =
            |tick: Tick| Now { tick, clock: Clock::Set(started_at.plus(tick.since(Tick::ZERO))) };
        let settings = playback::with_gateways(config.settings(), replay.gateways());
        let gateways = Gateways::of(&settings);
        let mut identity = Identity::new(config.store.id, all, moment(Tick::ZERO));
        let mut found = Self::default();
        for record in replay {
            let record = match record {
                Ok(record) => record,
                Err(ReplayError::Line { .. }) => {
                    found.unreadable += 1;
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            let tick = Tick::ZERO.plus(record.at);
            found.ends_at = record.at;
            while let Some(due) = identity.next_deadline().filter(|due| *due < tick) {
                identity.advance(moment(due));
            }
            match &record.what {
                RecordKind::GroundTruth { .. } => found.has_truth = true,
                RecordKind::Received(heard) => {
                    let who = identity.identify(moment(tick), &gateways.sighting(heard));
                    let Some(who) = who.and_then(|who| identity.customer(who.customer)) else {
                        continue;
                    };
                    found.clients.insert(who.client);
                }
            }
            found.records.push(record);
        }
        Ok(found)
    }
}

/// A customer's line has a few hundred octets, with an app's keys some thousand.
const LONGEST_LINE: usize = 64 * 1024;

/// The lines of `clients`, and a bundle's header.
fn lines_of(customers: &Path, clients: &BTreeSet<Arc<str>>) -> anyhow::Result<Vec<u8>> {
    let reading = || format!("cannot read {}", customers.display());
    let mut kept = Vec::new();
    let mut lines = Lines::new(registry::open(customers).with_context(reading)?, LONGEST_LINE);
    while let Some(text) = lines.next().with_context(reading)? {
        // The registry's own reader reports it.
        let Ok(text) = text else { continue };
        let wanted = match line::read(text.trim_ascii()) {
            Ok(line::Line::Customer(enrolment)) => clients.contains(&*enrolment.client),
            Ok(line::Line::Header(_)) => kept.is_empty(),
            Err(_) => false,
        };
        if wanted {
            kept.extend_from_slice(text);
            kept.push(b'\n');
        }
    }
    Ok(kept)
}

/// Records in memory as a replay source.
struct Kept {
    records: Arc<[Record]>,
    next: usize,
    started_at: WallTime,
    store: u16,
    gateways: Arc<[Arc<str>]>,
}

impl Iterator for Kept {
    type Item = Result<Record, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.records.get(self.next)?.clone();
        self.next += 1;
        Some(Ok(record))
    }
}

impl ReplaySource for Kept {
    fn started_at(&self) -> WallTime {
        self.started_at
    }

    fn store(&self) -> Option<u16> {
        Some(self.store)
    }

    fn gateways(&self) -> &[Arc<str>] {
        &self.gateways
    }
}

/// The gateways that received a customer in any of `recordings`, with their places.
pub fn receivers(
    recordings: &[Recording],
    config: &Config,
) -> Vec<(String, Option<crate::pipeline::Place>)> {
    let own = || config.gateway.clone();
    let names: BTreeSet<String> = recordings
        .iter()
        .flat_map(Recording::receivers)
        .map(|name| name.map_or_else(own, |name| name.to_string()))
        .collect();
    let placed = |name: String| {
        let place = config.store.gateways.get(&name).copied();
        (name, place)
    };
    names.into_iter().map(placed).collect()
}
