//! `grelot status --retire NAME`: clears at the broker what a machine that is gone left there.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use crate::commands::run::runtime;
use crate::config::{BrokerUrl, Config};
use crate::mqtt::client::Peer;
use crate::mqtt::link::{ConnectOptions, ConnectionEvent, Link, Message, PublishOutcome};
use crate::mqtt::topics::{Filter, Topics, is_level};
use crate::payload::GatewayState;

/// For all of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// After SUBACK, until the broker has sent what it retains.
const REPLAY: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct State {
    state: GatewayState,
}

/// Clears the retained state of the gateway or beacon `name`, and returns the cleared topics.
///
/// # Errors
///
/// The gateway is this one or not offline, the broker retains nothing of it, cannot be reached or
/// refuses.
pub(super) fn retire(config: &Config, name: &str) -> anyhow::Result<Vec<String>> {
    ensure!(is_level(name), "`{name}` cannot be the name of a gateway or beacon");
    ensure!(name != config.gateway, "{name} is this gateway itself (gateway.name)");
    let peer = Peer::of_tool(config, "retire")?;
    let topics = Topics::of(config.store.id);
    let topics = [topics.status(name), topics.beacon(name)];
    runtime()?.block_on(async {
        let mut last = None;
        for broker in &peer.brokers {
            let retired = tokio::time::timeout(PATIENCE, at(broker, &peer, name, &topics)).await;
            match retired.context("the broker does not answer").flatten() {
                Ok(cleared) => return Ok(cleared),
                Err(error) => last = Some(error.context(format!("broker {broker}"))),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no broker is configured")))
    })
}

async fn at(
    broker: &BrokerUrl,
    peer: &Peer,
    name: &str,
    topics: &[String; 2],
) -> anyhow::Result<Vec<String>> {
    let mut link = Link::<()>::connect(broker, &peer.identity, ConnectOptions::default());
    let retained = retained(&mut link, topics).await?;
    ensure!(!retained.is_empty(), "the broker retains no state of a gateway or beacon `{name}`");
    for (topic, payload) in &retained {
        let online = |state: &State| *topic == topics[0] && state.state != GatewayState::Offline;
        if serde_json::from_slice(payload).is_ok_and(|state| online(&state)) {
            bail!("gateway {name} is not offline\n  hint: stop it first, or rename it");
        }
        let message = Message { topic, payload: &[], retain: true, expiry: None };
        ensure!(link.publish((), &message), "the connection accepts no message");
    }
    let mut acknowledged = 0;
    while acknowledged < retained.len() {
        match link.next_event().await {
            ConnectionEvent::Acknowledged((), PublishOutcome::Refused(why)) => {
                bail!("it is refused: {why}")
            }
            ConnectionEvent::Acknowledged(..) => acknowledged += 1,
            ConnectionEvent::Disconnected(down) => bail!("{}", down.reason()),
            _ => {}
        }
    }
    link.disconnect();
    while !matches!(link.next_event().await, ConnectionEvent::Disconnected(_)) {}
    Ok(retained.into_iter().map(|(topic, _)| topic).collect())
}

/// What the broker retains of `topics`.
async fn retained(
    link: &mut Link<()>,
    topics: &[String; 2],
) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut retained = Vec::new();
    let mut replay = std::pin::pin!(tokio::time::sleep(PATIENCE));
    loop {
        tokio::select! {
            () = &mut replay => return Ok(retained),
            news = link.next_event() => match news {
                ConnectionEvent::Connected => drop(link.subscribe(topics.iter().cloned().map(Filter::new))),
                ConnectionEvent::Subscribed { refused: 0 } => {
                    replay.as_mut().reset(tokio::time::Instant::now() + REPLAY);
                }
                ConnectionEvent::Subscribed { .. } => bail!("it does not let this login read {}", topics[0]),
                ConnectionEvent::Received { topic, payload, retained: true, .. } if !payload.is_empty() => {
                    retained.push((String::from_utf8(topic)?, payload));
                }
                ConnectionEvent::Disconnected(down) => bail!("{}", down.reason()),
                ConnectionEvent::Received { .. } | ConnectionEvent::Acknowledged(..) => {}
            }
        }
    }
}
