//! `grelot labels`: what staff said of visits, for tuning.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::{Exit, Global, complain};
use crate::config;
use crate::daemon::labels;
use crate::store::Store;

/// Arguments of `grelot labels`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo -u grelot grelot labels > labels.jsonl
  grelot --config shop.toml tune monday.jsonl.zst --labels labels.jsonl --out tuned.toml

Each time staff say on a tablet that a customer was, or was not, here, this gateway keeps a label
of its visit for 90 days: one JSON line each. Withdrawal of consent deletes the customer's.")]
pub struct Args {}

/// The daemon itself gives up sooner.
const PATIENCE: Duration = Duration::from_secs(15);

/// Far more than is kept.
const LONGEST: u64 = 64 * 1024 * 1024;

/// Runs the command.
pub fn run(global: &Global, _args: &Args) -> anyhow::Result<Exit> {
    let config = config::load_for_replay(&global.config)?;
    let text = match ask(&labels::socket(&config.state)) {
        Ok(text) => text,
        Err(error) if is_absent(&error) => stored(&config.state)?,
        Err(error) => {
            let path = labels::socket(&config.state);
            let hint = "run as the user of the service: sudo -u grelot grelot labels";
            return Err(error).with_context(|| format!("asking at {} ({hint})", path.display()));
        }
    };
    if text.is_empty() {
        complain("staff have not said anything of a visit yet");
    }
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

/// Asks the daemon, which has the store for itself.
fn ask(socket: &Path) -> io::Result<String> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Where no daemon runs, the store can be read by whoever may.
fn stored(state: &Path) -> anyhow::Result<String> {
    anyhow::ensure!(
        Store::is_in(state),
        "no daemon runs with this configuration, and {} has no store\n  \
         hint: name the gateway's own configuration with --config",
        state.display()
    );
    Ok(labels::lines(&Store::open(state)?.labels()?))
}
