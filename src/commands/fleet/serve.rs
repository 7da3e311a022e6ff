//! `grelot fleet serve`: head office's standing connection to its broker, and its page.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::super::run::runtime;
use super::super::{Exit, Global};
use super::Common;
use crate::clock::Clocks;
use crate::config;
use crate::fleet::{FleetStore, KeepDays, Keeper, page};
use crate::http_server;
use crate::mqtt::client::Peer;
use crate::tasks;
use crate::telemetry::logs;

/// For requests that are answered when the program stops.
const PAGE_ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Arguments of `grelot fleet serve`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot --config head-office.toml fleet serve --state fleet.db
  grelot --config head-office.toml fleet serve --state postgres://fleet@db.example/grelot
  grelot --config head-office.toml fleet serve --listen 127.0.0.1:8480

The configuration names the broker and the login. Withdrawals come into the database with
`grelot customers withdraw --fleet fleet.db`. With --listen there is a page of all stores, and `/metrics`
for Prometheus; it has no log-in of its own: put it behind a reverse proxy that has one. Runs until
SIGTERM or SIGINT.")]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Serves a page of all stores, and measures at /metrics, there
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Reports that are older are deleted
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    keep_days: u32,
    /// Traces of contacts that are older are deleted
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    keep_traces_days: u32,
}

/// Runs the command.
///
/// # Errors
/// Where the configuration or the database cannot be used.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    logs::start(tracing::Level::INFO);
    let config = config::load(&global.config)?;
    let peer = Peer::of_tool(&config, "fleet")?;
    let store = FleetStore::open(args.common.state.clone())?;
    let clocks = Clocks::machine();
    let keep = KeepDays { reports: args.keep_days, traces: args.keep_traces_days };
    let keeper = Keeper::new(store, peer.brokers, peer.identity, clocks.clone(), keep);
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let stop = CancellationToken::new();
        let page = match args.listen {
            Some(address) => {
                let listener = http_server::bind(address).await?;
                let routes = page::routes(args.common.state.clone(), clocks);
                let served = http_server::serve(listener, routes, stop.clone());
                tracing::info!(%address, "all stores are on a page");
                Some(tasks::spawn("fleet-page", served))
            }
            None => None,
        };
        let mut running = std::pin::pin!(keeper.run(stop.clone()));
        tokio::select! {
            ended = &mut running => return ended.map(|()| Exit::Done).map_err(Into::into),
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
        running.await?;
        if let Some(page) = page {
            page.ended(PAGE_ENDS_WITHIN).await;
        }
        Ok(Exit::Done)
    });
    // A database that hangs does not keep the program from its end.
    runtime.shutdown_background();
    ended
}
