//! `grelot demo`: the whole system on one machine with nothing installed.

use std::fs::DirBuilder;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use super::run::{runtime, until_stopped};
use super::{Exit, Global, print};
use crate::config::{self, BrokerLocation, Config, Source, Tablets};
use crate::daemon::start::Daemon;
use crate::telemetry::logs;

/// The shop that the demo shows: ships with the program.
const CONFIG: &str = include_str!("../../config/demo.toml");
/// Tried first, so that a reloaded tab finds the next demo.
const USUAL_PAGE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7373);
/// Any free port.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Arguments of `grelot demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    grelot demo\n  \
    grelot demo --seed 7 --speed 4\n  \
    grelot demo --json --for 60\n\n\
    Open the printed address in a browser; a premium customer walks in within half a minute.\n\
    Everything is simulated but the program: its radio model, its customers, its shop.")]
pub struct Args {
    /// Another seed is another day in the shop
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds of the shop's life for one of yours
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Ends by itself
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Where the page is served [default: 127.0.0.1:7373, or any free port]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if (0.1..=1000.0).contains(&speed) => Ok(speed),
        _ => Err("must be a number from 0.1 to 1000".to_owned()),
    }
}

/// Runs the command.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    logs::start(if global.json { tracing::Level::WARN } else { tracing::Level::INFO });
    let state = State::new()?;
    let config = configure(args, &state.0)?;
    runtime()?.block_on(async {
        let stop = CancellationToken::new();
        let daemon = Daemon::start(config, "demo".to_owned(), stop.clone()).await?;
        introduce(global, &daemon)?;
        let running = until_stopped(daemon, stop.clone());
        let Some(seconds) = args.seconds else { return running.await };
        let mut running = std::pin::pin!(running);
        tokio::select! {
            ended = &mut running => ended,
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {
                stop.cancel();
                running.await
            }
        }
    })
}

fn configure(args: &Args, state: &Path) -> anyhow::Result<Config> {
    let mut config = config::parse(CONFIG, "demo.toml", state)?;
    state.clone_into(&mut config.state);
    config.sources = vec![Source::Simulated { seed: args.seed, speed: args.speed }];
    config.broker.location = BrokerLocation::Embedded(ANY);
    let usual = || if TcpListener::bind(USUAL_PAGE).is_ok() { USUAL_PAGE } else { ANY };
    config.tablets = Some(Tablets { listen: args.listen.unwrap_or_else(usual) });
    Ok(config)
}

fn introduce(global: &Global, daemon: &Daemon) -> anyhow::Result<()> {
    let page = daemon.page().unwrap_or_default();
    let (address, login) = daemon.embedded_broker().context("the demo has no broker")?;
    let (username, password) = (&login.username, &login.password.0);
    if global.json {
        let store = daemon.store();
        return print(
            &serde_json::json!({
                "page": page,
                "broker": format!("mqtt://{address}"),
                "username": username,
                "password": password,
                "store": store,
            })
            .to_string(),
        );
    }
    print(&format!(
        "\n  Grelot is ringing for a simulated shop.\n\n  \
        Tablet page   {page}\n  \
        Broker        mqtt://{address}  (user {username}, password {password})\n\n  \
        Listen in     mosquitto_sub -V 5 -h {host} -p {port} -u {username} -P {password} -t 'grelot/v1/#' -v\n\n  \
        Ctrl-C ends it.\n",
        host = address.ip(),
        port = address.port(),
    ))
}

/// A private folder that goes with the demo.
struct State(PathBuf);

impl State {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("grelot-demo-{}", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the demo's folder stays behind");
        }
    }
}
