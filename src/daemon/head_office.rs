//! Settings of head office: which documents are in force, kept over a restart, and why one is not.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::config::layers::{InForce, Layers, Reach};
use crate::config::pushed::{FellBack, Guard, Header, Layer, Pushed, Rules};
use crate::payload::{DocumentState, DocumentStatus};
use crate::pipeline::Settings;
use crate::pipeline::units::WallTime;
use crate::telemetry::brief;
use crate::{state_file, tasks};

/// In the state folder.
const FILE: &str = "settings.json";

/// What a damaged file means.
const LOST: &str = "the settings of the configuration file count until head office pushes again";

/// The documents of head office, and why the last one was refused.
#[derive(Debug, Default)]
pub struct HeadOffice {
    layers: Layers,
    /// Equal where the settings are.
    hash: String,
    /// Why the last document was refused, one line a problem.
    refused: Vec<String>,
    /// Where they are kept.
    path: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    v: u8,
    layers: Vec<KeptLayer>,
}

#[derive(Serialize, Deserialize)]
struct KeptLayer {
    reach: String,
    /// Another group's or store's settings are not this one's.
    topic: String,
    serial: Option<u64>,
    out_of_ring: bool,
    current: Option<String>,
    next: Option<String>,
    #[serde(default)]
    former: Option<String>,
    #[serde(default)]
    fell_back: Option<KeptFellBack>,
    #[serde(default)]
    shadow: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct KeptFellBack {
    text: String,
    why: String,
}

/// A document in force that may be taken back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guarded {
    pub reach: Reach,
    pub serial: u64,
    /// When it is taken back.
    pub limits: Guard,
}

impl HeadOffice {
    /// With the documents that were in force before, kept in the state folder; where they are not
    /// sound with the configuration as it is now, the file alone is in force.
    pub fn new(config: &Config) -> Self {
        let path = config.state.join(FILE);
        let mut this = Self { path: Some(path.clone()), ..Self::default() };
        let kept = state_file::read(&path, LOST).unwrap_or_else(|error| {
            tracing::error!(%error, "head office's settings are not known");
            None
        });
        let layers = kept.map(|kept| restored(config, kept)).unwrap_or_default();
        match layers.in_force(config) {
            Ok(in_force) => (this.layers, this.hash) = (layers, in_force.hash),
            Err(problems) => {
                this.refused = brief::lines(&problems);
                let problems = this.refused.join("\n");
                tracing::error!(problems, "kept settings of head office are no longer valid");
                if let Ok(in_force) = this.layers.in_force(config) {
                    this.hash = in_force.hash;
                }
            }
        }
        this
    }

    /// The settings that are in force.
    pub fn settings(&self, config: &Config) -> Settings {
        self.layers.in_force(config).map_or_else(|_| config.settings(), |found| found.settings)
    }

    /// Takes a document, and returns the settings that are in force from now on. A document with an
    /// error changes nothing; [`HeadOffice::refused`] says why.
    pub fn push(
        &mut self,
        config: &Config,
        reach: Reach,
        document: &[u8],
        now: Option<WallTime>,
    ) -> Option<Box<Settings>> {
        let topic = reach.topic(config)?;
        let rules = Rules { store: config.store.id, keys: &config.settings_keys, now };
        let mut layers = self.layers.clone();
        let checked = layers.set(reach, &topic, document, &rules).and_then(|()| {
            // Settings that wait are checked now: no one watches when they take effect.
            layers.at_last().in_force(config)?;
            if let Some((_, candidate)) = layers.shadow(config) {
                candidate?;
            }
            layers.in_force(config)
        });
        match checked {
            Ok(in_force) => {
                let is_new = layers != self.layers;
                self.layers = layers;
                self.refused.clear();
                if is_new {
                    self.keep(config);
                }
                Some(self.takes_effect(in_force))
            }
            Err(problems) => {
                self.refused = brief::lines(&problems);
                let problems = self.refused.join("\n");
                tracing::error!(problems, "settings of head office are refused");
                None
            }
        }
    }

    /// Whether settings wait whose time has come.
    pub fn is_due(&self, now: Option<WallTime>) -> bool {
        let due = |(_, layer): (Reach, &Layer)| {
            layer.next.as_ref().is_some_and(|next| next.header.is_due(now))
        };
        self.layers.each().any(due)
    }

    /// The last document in force that may be taken back.
    pub fn guarded(&self) -> Option<Guarded> {
        let guarded = |(reach, layer): (Reach, &Layer)| {
            let header = &layer.current.as_ref()?.header;
            Some(Guarded { reach, serial: header.serial?, limits: header.roll_back_if? })
        };
        self.layers.each().filter_map(guarded).max_by_key(|guarded| guarded.serial)
    }

    /// The candidate that runs beside what is in force: its number and its settings.
    pub fn shadow(&self, config: &Config) -> Option<(u64, Settings)> {
        let (serial, in_force) = self.layers.shadow(config)?;
        Some((serial, in_force.ok()?.settings))
    }

    /// Takes a document back: what was before it counts again, from now on.
    pub fn fall_back(&mut self, config: &Config, reach: Reach, why: &str) -> Option<Box<Settings>> {
        let mut layers = self.layers.clone();
        if !layers.fall_back(reach, why.to_owned()) {
            return None;
        }
        // The former documents were in force together.
        let in_force = layers.in_force(config).ok()?;
        tracing::error!(reach = reach.word(), why, "settings of head office are taken back");
        self.layers = layers;
        self.keep(config);
        Some(self.takes_effect(in_force))
    }

    /// Puts settings in force whose time has come.
    pub fn pass_time(&mut self, config: &Config, now: Option<WallTime>) -> Option<Box<Settings>> {
        let mut layers = self.layers.clone();
        if !layers.pass_time(now) {
            return None;
        }
        let in_force = layers.in_force(config).ok()?;
        self.layers = layers;
        self.keep(config);
        Some(self.takes_effect(in_force))
    }

    fn takes_effect(&mut self, InForce { settings, hash }: InForce) -> Box<Settings> {
        if hash != self.hash {
            tracing::info!(config = hash, "settings of head office are in force");
        }
        self.hash = hash;
        Box::new(settings)
    }

    /// A hash of the settings in force.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Why the last document was refused: the first problems, and how many more there are.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }

    /// What became of each document.
    pub fn documents(&self) -> Vec<DocumentStatus> {
        let status = |(reach, layer): (Reach, &Layer)| DocumentStatus {
            reach: reach.word().to_owned(),
            serial: layer.serial,
            state: match layer {
                Layer { fell_back: Some(_), .. } => DocumentState::FellBack,
                Layer { shadow: Some(_), .. } => DocumentState::Shadow,
                Layer { out_of_ring: true, .. } => DocumentState::OtherStores,
                Layer { next: Some(_), .. } => DocumentState::Waits,
                _ => DocumentState::InForce,
            },
            from: layer.next.as_ref().and_then(|next| next.header.from).map(|at| at.to_string()),
            why: layer.fell_back.as_ref().map(|fell_back| fell_back.why.clone()),
        };
        self.layers.each().map(status).collect()
    }

    /// Writes them to the disk, on a thread of its own: the disk may be slow.
    fn keep(&self, config: &Config) {
        let Some(path) = self.path.clone() else { return };
        let text = |pushed: &Option<Pushed>| pushed.as_ref().map(|pushed| pushed.text.clone());
        let layer = |(reach, layer): (Reach, &Layer)| {
            Some(KeptLayer {
                reach: reach.word().to_owned(),
                topic: reach.topic(config)?,
                serial: layer.serial,
                out_of_ring: layer.out_of_ring,
                current: text(&layer.current),
                next: text(&layer.next),
                former: text(&layer.former),
                shadow: text(&layer.shadow),
                fell_back: layer.fell_back.as_ref().map(|fell_back| KeptFellBack {
                    text: fell_back.text.clone(),
                    why: fell_back.why.clone(),
                }),
            })
        };
        let kept = Kept { v: 1, layers: self.layers.each().filter_map(layer).collect() };
        let written = tasks::thread("settings", move || write(&path, &kept));
        if let Err(error) = written {
            tracing::error!(%error, "no thread to keep head office's settings");
        }
    }
}

fn write(path: &Path, kept: &Kept) {
    if let Err(error) = state_file::write(path, kept) {
        tracing::error!(%error, "head office's settings hold until the next start only");
    }
}

/// The layers that are still this gateway's; signatures were verified when they came.
fn restored(config: &Config, kept: Kept) -> Layers {
    let mut layers = Layers::default();
    for kept in kept.layers {
        let reach = Reach::ALL.into_iter().find(|reach| reach.word() == kept.reach);
        let Some(reach) = reach else { continue };
        let Some(topic) = reach.topic(config).filter(|topic| *topic == kept.topic) else {
            continue;
        };
        let pushed = |text: Option<String>| {
            let text = text?;
            let header = Header::read(&text, &topic, &config.settings_keys).ok()?;
            Some(Pushed { text, header })
        };
        let layer = Layer {
            current: pushed(kept.current),
            next: pushed(kept.next),
            serial: kept.serial,
            out_of_ring: kept.out_of_ring,
            former: pushed(kept.former),
            shadow: pushed(kept.shadow),
            fell_back: kept.fell_back.map(|KeptFellBack { text, why }| FellBack { text, why }),
        };
        layers.restore(reach, layer);
    }
    layers
}
