//! `grelot fleet serve`: head office's standing connection to its broker.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::super::run::runtime;
use super::super::{Exit, Global};
use super::Common;
use crate::clock::Clocks;
use crate::config;
use crate::fleet::{FleetStore, Keeper};
use crate::mqtt::client::Peer;
use crate::telemetry::logs;

/// Arguments of `grelot fleet serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  grelot --config head-office.toml fleet serve --state fleet.db

The configuration names the broker and the login. Withdrawals come into the file with
`grelot customers withdraw --fleet fleet.db`. Runs until SIGTERM or SIGINT.")]
pub struct Args {
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
///
/// # Errors
/// Where the configuration or the file cannot be used.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    logs::start(tracing::Level::INFO);
    let config = config::load(&global.config)?;
    let peer = Peer::of_tool(&config, "fleet")?;
    let store = FleetStore::open(&args.common.state)?;
    let keeper = Keeper::new(store, peer.brokers, peer.identity, Clocks::machine());
    runtime()?.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let stop = CancellationToken::new();
        let mut running = std::pin::pin!(keeper.run(stop.clone()));
        tokio::select! {
            ended = &mut running => return ended.map(|()| Exit::Done).map_err(Into::into),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
        running.await?;
        Ok(Exit::Done)
    })
}
