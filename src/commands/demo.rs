//! `grelot demo`: the whole system on one machine with nothing installed.

mod console;

use std::fs::DirBuilder;
use std::io::IsTerminal as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use console::Console;

use super::invitation::invitation;
use super::run::{runtime, until_stopped};
use super::{Exit, Global, print};
use crate::clock::Clocks;
use crate::config::{self, BrokerLocation, BrokerUrl, Config, Source};
use crate::daemon::start::Daemon;
use crate::mqtt::Identity;
use crate::mqtt::topics::Topics;
use crate::tablets::Pairing;
use crate::tablets::pairing::Pairings;
use crate::telemetry::logs;

const CONFIG: &str = include_str!("../../config/demo.toml");
/// Tried first, so that a reloaded tab finds the next run.
const USUAL_PAGE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7373);
/// The port is the system's choice.
const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Arguments of `grelot demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    grelot demo\n  \
    grelot demo --seed 7 --speed 4\n  \
    grelot demo --json --for 60\n\n\
    The page opens in a browser where there is one; a premium customer walks in within half a\n\
    minute, and each arrival is printed. Only the radio waves and the customers are simulated.")]
pub struct Args {
    /// Seed of the simulation; the same seed gives the same day
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Simulated seconds per second
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Ends after this time
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Does not open the page in a browser
    #[arg(long)]
    no_open: bool,
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
///
/// # Errors
/// The system has no folder, port or thread for it.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    logs::start(tracing::Level::WARN);
    let state = State::new()?;
    let config = configure(args, &state.0)?;
    runtime()?.block_on(async {
        let stop = CancellationToken::new();
        let daemon = Box::pin(Daemon::start(config, "demo".to_owned(), stop.clone())).await?;
        introduce(global, args, &daemon, &state.0)?;
        let console = (!global.json).then(|| console(&daemon)).transpose()?;
        let running = Box::pin(until_stopped(daemon, stop.clone()));
        let narrated = async {
            match console {
                Some(console) => console.run().await,
                None => std::future::pending().await,
            }
        };
        let running = async {
            tokio::select! {
                ended = running => ended,
                () = narrated => std::future::pending().await,
            }
        };
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
    let page = config.tablets.as_mut().context("the demo's configuration has no page")?;
    page.listen = args.listen.unwrap_or_else(usual);
    page.entrance = true;
    Ok(config)
}

/// What prints the arrivals: one more client of the broker inside.
fn console(daemon: &Daemon) -> anyhow::Result<Console> {
    let (address, login) = daemon.embedded_broker().context("the demo has no broker")?;
    let broker = BrokerUrl { tls: false, host: address.ip().to_string(), port: address.port() };
    let login = Some((login.username.clone(), login.password.clone()));
    let identity = Identity { client_id: "grelot-demo-console".to_owned(), login, tls: None };
    Ok(Console { broker, identity, topics: Topics::of(daemon.store()) })
}

fn introduce(global: &Global, args: &Args, daemon: &Daemon, state: &Path) -> anyhow::Result<()> {
    let pages = daemon.pages();
    let page = pages.first().map_or("", String::as_str);
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
        "\n  A simulated shop has opened. People pass by; a premium customer walks in within half a\n  \
        minute. Each arrival is printed here, and rings on the page.\n\n  \
        Tablet page   {page}\n  \
        Broker        mqtt://{address}  (user {username}, password {password})\n\n  \
        Listen in     mosquitto_sub -V 5 -h {host} -p {port} -u {username} -P {password} -t 'grelot/v1/#' -v\n\n  \
        Ctrl-C ends it.\n",
        host = address.ip(),
        port = address.port(),
    ))?;
    if daemon.pairing() == Pairing::Required {
        let code = Pairings::new(state).issue(Clocks::machine().now().clock.reading())?;
        print(&invitation(pages, &code))?;
        print(&format!("A code for the next tablet:  {} tablets pair --demo\n", program()))?;
    } else {
        print(&format!("  For other tablets:  {} demo --listen 0.0.0.0:7373\n", program()))?;
        if !args.no_open {
            open(page)?;
        }
    }
    Ok(())
}

/// How this program was called, such as `target/release/grelot`.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "grelot".to_owned())
}

/// Opens the page in a browser if this is a graphical session.
fn open(page: &str) -> anyhow::Result<()> {
    let has = |variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty());
    let graphical = cfg!(target_os = "macos") || has("DISPLAY") || has("WAYLAND_DISPLAY");
    if !graphical || !std::io::stdout().is_terminal() {
        return Ok(());
    }
    match open::that_detached(page) {
        Ok(()) => print("  The page opens in your browser (--no-open leaves it alone).\n"),
        Err(error) => print(&format!("  No browser opened ({error}): open the address above.\n")),
    }
}

/// How the folder of a demo's state begins; its process id follows.
const FOLDER: &str = "grelot-demo-";

/// The folders of the demos that run, or that were killed.
pub fn folders() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    let is_demo = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(FOLDER);
    entries.filter(|entry| is_demo(&entry.file_name())).map(|entry| entry.path()).collect()
}

/// A private folder; removed at the end.
struct State(PathBuf);

impl State {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("{FOLDER}{}", std::process::id()));
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
            tracing::warn!(path = %self.0.display(), %error, "cannot remove the demo's folder");
        }
    }
}
