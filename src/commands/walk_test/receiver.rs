//! The receiver of a live walk: the configured radio, or a recording in its place.

use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::clock::Clocks;
use crate::commands::live::{Live, RadioArgs, trouble};
use crate::config::{Config, Source};
use crate::daemon::replay_sources::ReplaySources;
use crate::pipeline::units::Tick;
use crate::sources::live::SourceEvent;
use crate::sources::{self, Advertisement};

/// Interval at which a recording is read.
const LOOK: Duration = Duration::from_millis(50);

/// Where advertisements come from.
pub enum Receiver {
    Radio(Live),
    ReplaySource(ReplaySources),
}

impl Receiver {
    /// The first source of `config`, and the clocks it goes by.
    ///
    /// # Errors
    /// The configuration has no source that can be opened.
    pub fn open(config: &Config) -> anyhow::Result<(Self, Clocks)> {
        match config.sources.first() {
            None | Some(Source::Live(_)) => {
                let clocks = Clocks::machine();
                let live = Live::start(&RadioArgs::default(), Some(config), &clocks);
                Ok((Self::Radio(live), clocks))
            }
            Some(Source::Recording { path, speed }) => {
                let replay = sources::open(path)
                    .with_context(|| format!("cannot play {}", path.display()))?;
                let clocks = Clocks::paced(replay.started_at(), *speed);
                let mut replays = ReplaySources::default();
                replays.add(0, replay);
                Ok((Self::ReplaySource(replays), clocks))
            }
            _ => bail!(
                "a walk is received by a radio (kind = \"bluez\", \"btleplug\", \"h4\") or a recording\n  \
                 hint: the configuration's first source is neither; --from RECORDING needs none"
            ),
        }
    }

    /// The next advertisements; sometimes none.
    ///
    /// # Errors
    /// The source has ended.
    pub async fn hear(&mut self, clocks: &Clocks) -> anyhow::Result<Vec<Advertisement>> {
        match self {
            Self::Radio(live) => match live.events.recv().await {
                Some(SourceEvent::Received(batch)) => Ok(batch),
                Some(SourceEvent::GiveUp) | None => {
                    bail!("the radio cannot be started\n  hint: grelot doctor")
                }
                // The status has the state of the source.
                Some(_) => Ok(Vec::new()),
            },
            Self::ReplaySource(replays) => {
                tokio::time::sleep(LOOK).await;
                let due = clocks.now().tick.since(Tick::ZERO);
                let next = || replays.pop_due(due).map(|(_, _, heard)| heard);
                Ok(std::iter::from_fn(next).collect())
            }
        }
    }

    /// Why nothing is received, if nothing is.
    pub fn trouble(&self) -> Option<String> {
        let Self::Radio(live) = self else { return None };
        trouble(&live.status.borrow())
    }

    pub async fn end(self) {
        if let Self::Radio(live) = self {
            live.end().await;
        }
    }
}
