//! The measured traces: ten receivers around a real door, and walks past twelve.

use std::path::Path;

use anyhow::Context;
use grelot::commands::score::Score;
use grelot::config::registry::Reading;
use grelot::config::{self, Config};
use grelot::daemon::playback;
use grelot::pipeline::Settings;
use grelot::pipeline::identity::Registry;
use grelot::pipeline::units::Clock;
use grelot::sources::{self, Record, ReplayError, ReplaySource};

use super::belief;
use super::tape::Tape;
use crate::traces::{door, walks};

/// One set of receivers and its recordings.
pub struct Measured {
    /// Its name in the tables.
    pub name: &'static str,
    /// The shop's configuration; the levels come from the calibration recordings.
    pub settings: Settings,
    /// The recordings that rules may be tuned on.
    pub calibrating: Vec<Tape>,
    /// The recordings that rules are evaluated on.
    pub judging: Vec<Tape>,
    /// The pipeline's score on the latter.
    pub score: Score,
}

/// Reads the four sets in `data`.
pub fn read(data: &Path) -> anyhow::Result<Vec<Measured>> {
    let out = tempfile::tempdir()?;
    let door = door::import(&data.join("rssi_door_SAL"), out.path()).context("the door data")?;
    let names = ["door, ten receivers", "door, the two at it"];
    let walks_out = tempfile::tempdir()?;
    let walks = walks::import(&data.join("rssi_walk_position_danis"), walks_out.path());
    let walks = walks.context("the walks")?;
    let names = names.into_iter().chain(["walks, twelve receivers", "walks, one receiver"]);
    let sets = names.zip(door.iter().chain(&walks));
    sets.map(|(name, set)| measured(name, &set.config, &set.folder)).collect()
}

fn measured(name: &'static str, config: &Path, judging: &Path) -> anyhow::Result<Measured> {
    let config = config::load_for_replay(config)?;
    let (_, calibrating) = play(&config, &judging.with_file_name("calibrating"))?;
    let (score, judging) = play(&config, judging)?;
    Ok(Measured { name, settings: config.settings(), calibrating, judging, score })
}

fn play(config: &Config, folder: &Path) -> anyhow::Result<(Score, Vec<Tape>)> {
    let (mut score, mut tapes) = (Score::default(), Vec::new());
    let mut paths: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    paths.sort_by_key(std::fs::DirEntry::path);
    for path in paths {
        let replay = Opened(sources::open(&path.path())?);
        let settings = playback::with_gateways(config.settings(), replay.gateways());
        let registries = (registry(config, &replay)?, registry(config, &replay)?);
        let (of_one, tape) = belief::play(replay, registries, &settings)?;
        score.absorb(of_one);
        tapes.push(tape);
    }
    Ok((score, tapes))
}

fn registry(config: &Config, replay: &impl ReplaySource) -> anyhow::Result<Registry> {
    let path = config.registry.as_deref().context("no registry")?;
    let reading = Reading::new(config.store.id, Clock::Set(replay.started_at()));
    Ok(reading.keeping_every_day().load(path)?.0)
}

/// A replay source that was opened by its file's name.
struct Opened(Box<dyn ReplaySource>);

impl Iterator for Opened {
    type Item = Result<Record, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl ReplaySource for Opened {
    fn started_at(&self) -> grelot::pipeline::units::WallTime {
        self.0.started_at()
    }

    fn store(&self) -> Option<u16> {
        self.0.store()
    }

    fn gateways(&self) -> &[std::sync::Arc<str>] {
        self.0.gateways()
    }
}
