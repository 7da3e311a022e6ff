//! `grelot labels`: staff's feedback on visits, for tuning.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::daemon_or_store::{self, PATIENCE};
use super::{Exit, Global, complain};
use crate::config;
use crate::daemon::labels;

/// Arguments of `grelot labels`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo -u grelot grelot labels > labels.jsonl
  grelot --config shop.toml tune monday.jsonl.zst --labels labels.jsonl --out tuned.toml

When staff report on a tablet that a customer was, or was not, here, this gateway keeps a label of
its visit for 90 days: one JSON line each. Withdrawal of consent deletes the customer's.")]
pub struct Args {}

/// Far more than is kept.
const LONGEST: u64 = 64 * 1024 * 1024;

/// Runs the command.
///
/// # Errors
/// The configuration is wrong, or neither the daemon nor the store's file gives the labels.
pub fn run(global: &Global, _args: &Args) -> anyhow::Result<Exit> {
    let state = config::load_for_replay(&global.config)?.state;
    let stored = |store: crate::store::Store| Ok(labels::lines(&store.labels()?));
    let text = daemon_or_store::ask(&state, &labels::socket(&state), "grelot labels", ask, stored)?;
    if text.is_empty() {
        complain("there is no feedback of staff yet");
    }
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

fn ask(socket: &Path) -> io::Result<String> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}
