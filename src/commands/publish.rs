//! Retained messages of a command, published and acknowledged.

use std::time::Duration;

use anyhow::{Context as _, bail};

use super::run::runtime;
use crate::config::BrokerUrl;
use crate::mqtt::client::Peer;
use crate::mqtt::link::{ConnectOptions, ConnectionEvent, Link, Message, PublishOutcome};

/// A broker that has not acknowledged everything by then is out of reach. A cluster that has just lost a
/// node elects new leaders of its queues first, which takes more than ten seconds on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A message that the broker is to retain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retained {
    pub topic: String,
    pub payload: Vec<u8>,
}

/// What a broker has to do beside acknowledging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// It retains the messages, since they are sent once.
    Retain,
    /// Nothing: `grelot fleet serve` repeats them.
    Nothing,
}

/// Publishes them at the first of the brokers that takes them all, and returns that one.
///
/// # Errors
/// No broker takes them, or none answers in time.
pub fn publish<'a>(
    peer: &'a Peer,
    messages: &[Retained],
    needs: Needs,
) -> anyhow::Result<&'a BrokerUrl> {
    runtime()?.block_on(async {
        let published = tokio::time::timeout(PATIENCE, at_any(peer, messages, needs)).await;
        published.context("the broker does not answer").flatten()
    })
}

async fn at_any<'a>(
    peer: &'a Peer,
    messages: &[Retained],
    needs: Needs,
) -> anyhow::Result<&'a BrokerUrl> {
    let mut last = None;
    for broker in &peer.brokers {
        let mut link = Link::connect(broker, &peer.identity, ConnectOptions::default());
        match at(&mut link, messages, needs).await {
            Ok(()) => return Ok(broker),
            Err(error) => {
                last = Some(error.context(format!("broker {}:{}", broker.host, broker.port)));
            }
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("no broker is configured")))
}

async fn at(link: &mut Link<String>, messages: &[Retained], needs: Needs) -> anyhow::Result<()> {
    let mut left = messages.iter().peekable();
    loop {
        while link.can_publish()
            && let Some(Retained { topic, payload }) = left.next()
        {
            if needs == Needs::Retain && !link.retains() {
                bail!(
                    "it keeps no messages for gateways that are away\n  \
                     hint: give the broker retained messages (mosquitto: retain_available true), \
                     or let head office repeat them: --fleet FILE and `grelot fleet serve`"
                );
            }
            let message = Message { topic, payload, retain: true, expiry: None };
            if !link.publish(topic.clone(), &message) {
                bail!("the connection takes nothing");
            }
        }
        if link.is_connected() && link.in_flight() == 0 && left.peek().is_none() {
            link.disconnect();
            // Everything is answered; the DISCONNECT is optional.
            while !matches!(link.next_event().await, ConnectionEvent::Disconnected(_)) {}
            return Ok(());
        }
        match link.next_event().await {
            ConnectionEvent::Acknowledged(topic, PublishOutcome::Refused(why)) => {
                bail!("{topic}: refused: {why}")
            }
            ConnectionEvent::Disconnected(down) => bail!("{}", down.reason()),
            _ => {}
        }
    }
}
