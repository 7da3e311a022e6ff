//! `grelot run`: the daemon.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Exit, Global};
use crate::config;
use crate::daemon::event_loop::Ended;
use crate::daemon::start::Daemon;
use crate::telemetry::logs;

/// Arguments of `grelot run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    grelot run\n  \
    grelot --config shop.toml run\n  \
    GRELOT_LOG=debug grelot run\n\n\
    Runs until SIGTERM or SIGINT: then it delivers what it can, publishes that the gateway is\n\
    offline, and exits with 0.")]
pub struct Args {}

/// Runs the command.
///
/// # Errors
/// The configuration is wrong, or a source, the store, the broker or the page cannot be started.
pub fn run(global: &Global, _args: &Args) -> anyhow::Result<Exit> {
    logs::start(tracing::Level::INFO);
    let config = config::load(&global.config)?;
    let file = global.config.display().to_string();
    runtime()?.block_on(async {
        let stop = CancellationToken::new();
        let daemon = Box::pin(Daemon::start(config, file, stop.clone())).await?;
        Box::pin(until_stopped(daemon, stop)).await
    })
}

/// Runs `daemon` until SIGTERM or SIGINT, then stops it.
///
/// # Errors
/// If signals cannot be received.
pub async fn until_stopped(daemon: Daemon, stop: CancellationToken) -> anyhow::Result<Exit> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut running = std::pin::pin!(daemon.run());
    let ended = tokio::select! {
        ended = &mut running => ended,
        _ = terminate.recv() => { stop.cancel(); running.await }
        _ = interrupt.recv() => { stop.cancel(); running.await }
    };
    Ok(match ended {
        Ended::Stopped => Exit::Done,
        Ended::GaveUp => Exit::Failed,
    })
}

/// One thread for everything but disk and name look-ups.
///
/// # Errors
/// If the system has no resources for it.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .context("cannot start the runtime")
}
