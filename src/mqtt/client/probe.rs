//! Whether the broker delivers retained messages to wildcard subscriptions.
//!
//! A withdrawal of consent is a retained message of `withdrawn/+`: a gateway that was away learns
//! of it when it subscribes. Some brokers do not deliver it (a `RabbitMQ` cluster, a broker that
//! offers no retained messages). So the gateway publishes its own retained status, subscribes to
//! `gateways/+/status`, and expects to receive it.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::Client;
use crate::mqtt::connection_state::{ConnectionState, RetainedDelivery};

/// A broker answers within milliseconds; a machine under load within seconds.
const PROBE_WITHIN: Duration = Duration::from_secs(10);

impl Client {
    /// A connection stands: the probe begins.
    pub(super) fn begin_probe(&mut self) {
        self.probe = Some(Box::pin(sleep(PROBE_WITHIN)));
        if self.link.as_ref().is_some_and(|link| !link.retains()) {
            self.on_probe_timeout();
        }
    }

    /// The broker has this gateway's status: it is asked for it, as one of many.
    pub(super) fn probe_after(&self, topic: &str) {
        let own_status = topic == self.peer.here.status();
        if let (true, Some(_), Some(link)) = (own_status, &self.probe, &self.link) {
            link.subscribe([self.peer.here.every_status()]);
        }
    }

    /// This gateway's own status came with a wildcard subscription.
    pub(super) fn probe_succeeded(&mut self) {
        self.probe = None;
        self.set_retained_delivery(RetainedDelivery::Works);
    }

    pub(super) fn on_probe_timeout(&mut self) {
        self.probe = None;
        let broker = self.broker();
        tracing::error!(
            broker,
            "the broker does not deliver retained messages to wildcard subscriptions: withdrawals \
             of consent that are published while this gateway is away do not reach it over MQTT; \
             only a new registry takes these customers out"
        );
        self.set_retained_delivery(RetainedDelivery::Fails);
    }

    fn set_retained_delivery(&self, found: RetainedDelivery) {
        self.channels.connection.send_if_modified(|state| match state {
            ConnectionState::Connected { retained, .. } if *retained != found => {
                *retained = found;
                true
            }
            _ => false,
        });
    }
}

/// Waits for the probe's end; for ever where none runs.
pub(super) async fn due(probe: &mut Option<Pin<Box<Sleep>>>) {
    match probe {
        Some(sleep) => sleep.await,
        None => std::future::pending().await,
    }
}
