//! Tests which of the needed abilities the connected broker has.
//!
//! The gateway publishes its own retained status and expects to receive it with its subscription to
//! `gateways/+/status`; otherwise it subscribes to the exact topic. Its own `consent` message,
//! which expires, shows whether the broker passes on the rest of a message's lifetime.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::Client;
use crate::mqtt::connection_state::{Abilities, Ability, ConnectionState};
use crate::mqtt::topics::Filter;

/// A broker answers within milliseconds; a machine under load within seconds.
const PROBE_WITHIN: Duration = Duration::from_secs(10);

/// What is being tried.
#[derive(Debug)]
pub(super) struct Probe {
    what: Tried,
    until: Pin<Box<Sleep>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    Wildcard,
    ReadBack,
}

impl Probe {
    fn of(what: Tried) -> Self {
        Self { what, until: Box::pin(sleep(PROBE_WITHIN)) }
    }
}

impl Client {
    /// A connection stands: the probe begins.
    pub(super) fn begin_probe(&mut self) {
        let Some(link) = &self.link else { return };
        let session = if link.keeps_session() { Ability::Works } else { Ability::Fails };
        let retains = link.retains();
        self.found(|abilities| *abilities = Abilities { session, ..Abilities::default() });
        self.probe = Some(Probe::of(Tried::Wildcard));
        if !retains {
            self.probe = None;
            self.wildcard_fails();
            self.read_back_fails();
        }
    }

    /// The broker has this gateway's status: it is asked for it, as one of many.
    pub(super) fn probe_after(&self, topic: &str) {
        let own_status = topic == self.peer.here.status();
        if let (true, Some(_), Some(link)) = (own_status, &self.probe, &self.link) {
            link.subscribe([self.peer.here.every_status()]);
        }
    }

    /// This gateway's own retained status came.
    pub(super) fn probe_succeeded(&mut self) {
        match self.probe.take().map(|probe| probe.what) {
            Some(Tried::Wildcard) => {
                self.found(|abilities| {
                    abilities.retain = Ability::Works;
                    abilities.wildcard = Ability::Works;
                    abilities.read_back = Ability::Works;
                });
                self.withdrawals_are_retained();
            }
            Some(Tried::ReadBack) => self.found(|abilities| {
                abilities.retain = Ability::Works;
                abilities.read_back = Ability::Works;
            }),
            None => {}
        }
    }

    pub(super) fn on_probe_timeout(&mut self) {
        match self.probe.take().map(|probe| probe.what) {
            Some(Tried::Wildcard) => {
                self.wildcard_fails();
                if let Some(link) = &self.link {
                    link.subscribe([Filter::new(self.peer.here.status())]);
                    self.probe = Some(Probe::of(Tried::ReadBack));
                }
            }
            Some(Tried::ReadBack) => self.read_back_fails(),
            None => {}
        }
    }

    /// This gateway's own message, which expires, came back.
    pub(super) fn probe_expiry(&mut self, left: Option<Duration>) {
        let expiry = if left.is_some() { Ability::Works } else { Ability::Fails };
        self.found(|abilities| abilities.expiry = expiry);
    }

    fn wildcard_fails(&mut self) {
        let broker = self.broker();
        tracing::error!(
            broker,
            "the broker does not deliver retained messages to wildcard subscriptions: after each \
             connection this gateway asks head office and the store's other gateways for \
             withdrawals of consent, and announces no one until it is answered"
        );
        self.found(|abilities| abilities.wildcard = Ability::Fails);
    }

    fn read_back_fails(&self) {
        self.found(|abilities| {
            abilities.retain = Ability::Fails;
            abilities.read_back = Ability::Fails;
        });
    }

    fn found(&self, change: impl FnOnce(&mut Abilities)) {
        self.channels.connection.send_if_modified(|state| match state {
            ConnectionState::Connected { abilities, .. } => {
                let before = *abilities;
                change(abilities);
                *abilities != before
            }
            _ => false,
        });
    }
}

/// Waits for the probe's end; for ever where none runs.
pub(super) async fn due(probe: &mut Option<Probe>) {
    match probe {
        Some(probe) => probe.until.as_mut().await,
        None => std::future::pending().await,
    }
}
