//! The daemon: whether it runs already, which explains ports and files in use.

use std::io;
use std::os::unix::net::UnixStream;

use super::Finding;
use crate::config::Config;
use crate::daemon::status::{self, GatewayTraffic, Snapshot};

/// Whether the daemon of a configuration runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Daemon {
    Runs,
    DoesNot,
    /// Its socket is not for this user.
    Hidden,
}

pub(super) fn look(config: &Config) -> Daemon {
    match UnixStream::connect(status::socket(&config.state)) {
        Ok(_) => Daemon::Runs,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Daemon::Hidden,
        Err(_) => Daemon::DoesNot,
    }
}

/// Whether the daemon that runs is the program that is installed.
pub(super) fn version(running: &Snapshot) -> Finding {
    let about = "version";
    let (running, installed) = (&running.version, env!("CARGO_PKG_VERSION"));
    if running == installed {
        return Finding::ok(about, installed);
    }
    let says = format!("{running} runs, {installed} is installed");
    Finding::warn(about, says, "sudo systemctl restart grelot")
}

/// Gateways that do not distinguish the street from the shop, judged by their traffic.
pub(super) fn detection(running: &Snapshot) -> impl Iterator<Item = Finding> {
    let troubles = running.traffic.gateways.iter().filter_map(GatewayTraffic::trouble);
    troubles.map(|says| Finding::warn("detection", says, GatewayTraffic::REMEDY))
}

/// Whether the synthetic customer comes through, where one is configured.
pub(super) fn canary(running: &Snapshot) -> Option<Finding> {
    let about = "canary";
    let canary = running.canary.as_ref()?;
    Some(match (&canary.failed, &canary.succeeded_at) {
        (Some(failure), _) => Finding::warn(about, failure.to_string(), failure.remedy()),
        (None, Some(at)) => Finding::ok(about, format!("came through at {at}")),
        (None, None) => Finding::ok(about, "has not run yet"),
    })
}

impl Daemon {
    /// The daemon's snapshot, if it runs and answers.
    pub(super) fn snapshot(self, config: &Config) -> Option<Snapshot> {
        (self == Self::Runs).then(|| crate::commands::status::snapshot(&config.state).ok())?
    }

    pub(super) fn finding(self) -> Finding {
        let about = "daemon";
        match self {
            Self::Runs => Finding::ok(about, "runs"),
            Self::DoesNot => {
                Finding::warn(about, "does not run", "sudo systemctl enable --now grelot")
            }
            Self::Hidden => {
                Finding::warn(about, "cannot be asked by this user", "sudo grelot doctor")
            }
        }
    }
}
