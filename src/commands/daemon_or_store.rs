//! What the daemon answers while it runs, and its store otherwise.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::store::{Store, StoreError};

/// Longer than the daemon's own time-outs.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// A daemon that starts answers within this, even on a slow card.
const STARTING: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// Asks the daemon at `socket`, which has the store for itself; or, where none runs, opens the store
/// in `state`. A daemon that is starting has opened the store and does not answer yet. `command` is
/// what the user typed.
///
/// # Errors
/// Neither answers.
pub fn ask<T>(
    state: &Path,
    socket: &Path,
    command: &str,
    of_daemon: impl Fn(&Path) -> io::Result<T>,
    of_store: impl Fn(Store) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut tries = STARTING.into_iter();
    loop {
        match of_daemon(socket) {
            Ok(answer) => return Ok(answer),
            Err(error) if is_absent(&error) => {}
            Err(error) => {
                let hint = format!("run as the user of the service: sudo -u grelot {command}");
                return Err(error)
                    .with_context(|| format!("asking at {} ({hint})", socket.display()));
            }
        }
        match (open(state).and_then(&of_store), tries.next()) {
            (Err(error), Some(wait)) if is_in_use(&error) => std::thread::sleep(wait),
            (answer, _) => return answer,
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::InUse(_)))
}

fn open(state: &Path) -> anyhow::Result<Store> {
    anyhow::ensure!(
        Store::is_in(state),
        "no daemon runs with this configuration, and {} has no store\n  \
         hint: name the gateway's own configuration with --config",
        state.display()
    );
    Ok(Store::open(state)?)
}
