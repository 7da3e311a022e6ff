//! `grelot customers withdraw`: consent taken back, at head office and in the stores.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::super::{Exit, Global, complain, print};
use super::customer_list;
use super::secret::Replacement;
use crate::clock::Clocks;
use crate::commands::run::runtime;
use crate::config;
use crate::mqtt::client::Peer;
use crate::mqtt::link::{ConnectOptions, ConnectionEvent, Link, Message, PublishOutcome};
use crate::mqtt::topics::{Topics, is_level};

/// A broker that has not answered by then is out of reach.
const PATIENCE: Duration = Duration::from_secs(10);

/// Arguments of `grelot customers withdraw`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot customers withdraw c-7f3a
  grelot customers withdraw c-7f3a --store 42 --store 43 --book book.jsonl
  grelot customers withdraw c-7f3a --book book.jsonl --no-broker

The configuration names the broker, and the store where no --store does. The message is retained:
gateways that are away act on it as soon as they are back, and it holds against older registries.")]
pub struct Args {
    /// The customer's handle
    client: String,
    /// A store the customer is enrolled in; may be repeated
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    store: Vec<u16>,
    /// Marks the customer in the customer list as well, so that no further bundle has them
    #[arg(long, value_name = "FILE")]
    book: Option<PathBuf>,
    /// Tells no gateway
    #[arg(long, requires = "book")]
    no_broker: bool,
}

/// Runs the command.
///
/// # Errors
/// Where the customer list cannot be written or no broker takes the withdrawal.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    if !is_level(&args.client) {
        bail!("{:?} cannot be a customer's handle", args.client);
    }
    let at = Clocks::machine().now().clock.reading().to_string();
    let mut marked = 0;
    if let Some(book) = &args.book {
        marked = mark(book, &args.client, &at)?;
        if marked == 0 {
            complain(&format!("grelot: {} is not in {}", args.client, book.display()));
        }
    }
    let reports = if args.no_broker { Vec::new() } else { tell(global, args, &at)? };
    if global.json {
        let client = &args.client;
        print(&json!({"client": client, "book_lines": marked, "stores": reports}).to_string())?;
    } else {
        for store in &reports {
            print(&format!("store {store}: its broker has the withdrawal of {}", args.client))?;
        }
        if marked > 0 {
            print(&format!("{marked} lines of the customer list are marked"))?;
        }
    }
    Ok(if reports.is_empty() && marked == 0 { Exit::Failed } else { Exit::Done })
}

/// Writes `withdrawn_at` into the consent of all of the customer's lines.
fn mark(path: &Path, client: &str, at: &str) -> anyhow::Result<usize> {
    let mut marked = 0;
    let mut book = Replacement::of(path).with_context(|| format!("writing {}", path.display()))?;
    let mut out = BufWriter::new(book.file().try_clone()?);
    customer_list::read(path, |_, mut object| {
        if object.get("client").and_then(Value::as_str) == Some(client) {
            marked += 1;
            object.insert("consent".to_owned(), withdrawn(object.get("consent"), at));
        }
        let line = zeroize::Zeroizing::new(serde_json::to_vec(&Value::Object(object))?);
        out.write_all(&line)?;
        Ok(out.write_all(b"\n")?)
    })?;
    out.flush()?;
    drop(out);
    book.done().with_context(|| format!("writing {}", path.display()))?;
    Ok(marked)
}

fn withdrawn(consent: Option<&Value>, at: &str) -> Value {
    match consent {
        Some(Value::Object(consent)) => {
            let mut consent = consent.clone();
            consent.insert("withdrawn_at".to_owned(), json!(at));
            Value::Object(consent)
        }
        _ => Value::Null,
    }
}

/// Tells the gateways of every store, and waits until the broker has it.
fn tell(global: &Global, args: &Args, at: &str) -> anyhow::Result<Vec<u16>> {
    let config = config::load(&global.config)?;
    let peer = Peer::of_tool(&config, "withdraw")?;
    let stores = if args.store.is_empty() { vec![config.store.id] } else { args.store.clone() };
    runtime()?.block_on(async {
        let said = say(&peer, &args.client, &stores, at);
        tokio::time::timeout(PATIENCE, said).await.context("the broker does not answer")?
    })?;
    Ok(stores)
}

async fn say(peer: &Peer, client: &str, stores: &[u16], at: &str) -> anyhow::Result<()> {
    let mut last = None;
    for broker in &peer.brokers {
        match say_to(
            &mut Link::connect(broker, &peer.identity, ConnectOptions::default()),
            client,
            stores,
            at,
        )
        .await
        {
            Ok(()) => return Ok(()),
            Err(error) => {
                last = Some(error.context(format!("broker {}:{}", broker.host, broker.port)));
            }
        }
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("no broker is configured")))
}

async fn say_to(
    link: &mut Link<u16>,
    client: &str,
    stores: &[u16],
    at: &str,
) -> anyhow::Result<()> {
    let payload = json!({"v": 1, "withdrawn_at": at}).to_string();
    let mut left = stores.iter().copied().peekable();
    loop {
        while link.can_publish()
            && let Some(store) = left.next()
        {
            if !link.retains() {
                bail!(
                    "it keeps no messages for gateways that are away\n  \
                     hint: give the broker retained messages (mosquitto: retain_available true), \
                     or take the customer out of the registry"
                );
            }
            let topic = Topics::of(store).withdrawn(client);
            let payload = payload.as_bytes();
            let message = Message { topic: &topic, payload, retain: true, expiry: None };
            if !link.publish(store, &message) {
                bail!("the connection takes nothing");
            }
        }
        if link.is_connected() && link.in_flight() == 0 && left.peek().is_none() {
            link.disconnect();
            // Everything is acknowledged; DISCONNECT may fail.
            while !matches!(link.next_event().await, ConnectionEvent::Disconnected(_)) {}
            return Ok(());
        }
        match link.next_event().await {
            ConnectionEvent::Acknowledged(store, PublishOutcome::Refused(why)) => {
                bail!("store {store}: refused: {why}")
            }
            ConnectionEvent::Disconnected(down) => bail!("{}", down.reason()),
            _ => {}
        }
    }
}
