//! The live radio, for commands: `scan`, `record`, `walk-test`, `doctor`.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clocks;
use crate::sources::bluez::{Ear, Hci, Radio, RadioEvent, Settings, Status};
use crate::tasks::{self, Task};

/// Batches that wait for a command that is busy with its terminal or its disk.
const BATCHES: usize = 16;

/// What `scan` and `record` understand of the radio.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RadioArgs {
    /// Listens through this adapter alone
    #[arg(long, value_name = "HCI", value_parser = hci)]
    adapter: Option<Hci>,
    /// Listens by this ear alone: dbus or monitor
    #[arg(long, value_parser = ear)]
    ear: Option<Ear>,
    /// Ends after so many seconds
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
    length: Option<Duration>,
}

fn hci(text: &str) -> Result<Hci, String> {
    Hci::named(text).ok_or_else(|| "an adapter is called hci0, hci1, …".to_owned())
}

fn ear(text: &str) -> Result<Ear, String> {
    let ears = [Ear::Dbus, Ear::Monitor];
    ears.into_iter().find(|ear| ear.word() == text).ok_or_else(|| "dbus or monitor".to_owned())
}

/// A length of time on the command line.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "seconds, such as 0.5 or 30".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("a number of seconds above 0".to_owned()),
    }
}

impl RadioArgs {
    /// As a configuration names the adapter.
    pub fn through(adapter: Option<&str>) -> Self {
        Self { adapter: adapter.and_then(Hci::named), ..Self::default() }
    }

    /// Ends when it is time to, or when Ctrl-C or a signal says so.
    pub async fn over(&self) {
        let length = async {
            match self.length {
                Some(length) => tokio::time::sleep(length).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = length => {}
            () = stopped() => {}
        }
    }
}

/// Ctrl-C, or what `kill` and systemd send. Never where signals cannot be had.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupted), Ok(mut terminated)) => {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

/// A radio that listens.
pub struct Live {
    /// What it hears and tells.
    pub events: mpsc::Receiver<RadioEvent>,
    /// How it fares.
    pub status: watch::Receiver<Status>,
    stop: CancellationToken,
    task: Task<()>,
}

impl Live {
    /// Begins to listen.
    pub fn start(args: &RadioArgs, clocks: &Clocks) -> Self {
        let settings = Settings { adapter: args.adapter, ear: args.ear, ..Settings::default() };
        let radio = Radio::new(settings, clocks.clone());
        let status = radio.status();
        let (heard, events) = mpsc::channel(BATCHES);
        let stop = CancellationToken::new();
        let task = tasks::spawn("radio", radio.run(heard, stop.clone()));
        Self { events, status, stop, task }
    }

    /// Ends it.
    pub async fn end(self) {
        self.stop.cancel();
        self.task.ended(Duration::from_secs(2)).await;
    }
}
