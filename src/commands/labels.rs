//! `grelot labels`: staff's feedback on visits, for tuning.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::{Exit, Global, complain};
use crate::config;
use crate::daemon::labels;
use crate::store::{Store, StoreError};

/// Arguments of `grelot labels`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo -u grelot grelot labels > labels.jsonl
  grelot --config shop.toml tune monday.jsonl.zst --labels labels.jsonl --out tuned.toml

When staff report on a tablet that a customer was, or was not, here, this gateway keeps a label of
its visit for 90 days: one JSON line each. Withdrawal of consent deletes the customer's.")]
pub struct Args {}

/// Longer than the daemon's own time-out.
const PATIENCE: Duration = Duration::from_secs(15);

/// A daemon that starts answers within this, even on a slow card.
const STARTING: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Far more than is kept.
const LONGEST: u64 = 64 * 1024 * 1024;

/// Runs the command.
///
/// # Errors
/// The configuration is wrong, or neither the daemon nor the store's file gives the labels.
pub fn run(global: &Global, _args: &Args) -> anyhow::Result<Exit> {
    let config = config::load_for_replay(&global.config)?;
    let text = read(&config.state)?;
    if text.is_empty() {
        complain("there is no feedback of staff yet");
    }
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

/// From the daemon, or from the disk where none runs. A daemon that is starting has opened the
/// store and does not answer yet.
fn read(state: &Path) -> anyhow::Result<String> {
    let mut tries = STARTING.into_iter();
    loop {
        let path = labels::socket(state);
        match ask(&path) {
            Ok(text) => return Ok(text),
            Err(error) if is_absent(&error) => {}
            Err(error) => {
                let hint = "run as the user of the service: sudo -u grelot grelot labels";
                return Err(error)
                    .with_context(|| format!("asking at {} ({hint})", path.display()));
            }
        }
        match (stored(state), tries.next()) {
            (Err(error), Some(wait)) if is_in_use(&error) => std::thread::sleep(wait),
            (read, _) => return read,
        }
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::InUse(_)))
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

/// Where no daemon runs, any user with the permission can read the store.
fn stored(state: &Path) -> anyhow::Result<String> {
    anyhow::ensure!(
        Store::is_in(state),
        "no daemon runs with this configuration, and {} has no store\n  \
         hint: name the gateway's own configuration with --config",
        state.display()
    );
    Ok(labels::lines(&Store::open(state)?.labels()?))
}
