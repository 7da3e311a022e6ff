//! Notifications to systemd: ready, alive, stopping. Without systemd they do nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// Feeds systemd's watchdog from the event loop: a loop that hangs is restarted.
#[derive(Debug)]
pub struct Watchdog {
    every: Option<Duration>,
}

impl Watchdog {
    /// As systemd asked for in the environment; half of its patience.
    pub fn from_environment() -> Self {
        Self { every: sd_notify::watchdog_enabled().map(|patience| patience / 2) }
    }

    /// How often to [`Watchdog::feed`].
    pub const fn every(&self) -> Option<Duration> {
        self.every
    }

    /// The event loop turns.
    pub fn feed(&self) {
        if self.every.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// The daemon does its job; `status` is shown by `systemctl status`.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// What `systemctl status` shows.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The daemon is about to end.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not notified");
    }
}
