//! `grelot customers withdraw`: consent taken back, at head office and in the stores.

use std::ffi::{OsStr, OsString};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::super::{Exit, Global, complain, print};
use super::customer_list;
use super::secret::Replacement;
use crate::clock::Clocks;
use crate::commands::publish::{Needs, Retained, publish};
use crate::commands::run::runtime;
use crate::config::{self, BrokerUrl};
#[cfg(feature = "head-office")]
use crate::fleet::FleetStore;
use crate::mqtt::client::Peer;
use crate::mqtt::link::{ConnectOptions, ConnectionEvent, Link};
use crate::mqtt::topics::{Filter, Topics, is_level};

/// For a retained message to arrive at another client.
const DELIVERED_WITHIN: Duration = Duration::from_secs(2);

/// Arguments of `grelot customers withdraw`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot customers withdraw c-7f3a
  grelot customers withdraw c-7f3a --store 42 --store 43 --book book.jsonl
  grelot customers withdraw c-7f3a --store 42 --book book.jsonl --fleet fleet.db
  grelot customers withdraw c-7f3a --book book.jsonl --no-broker

The configuration names the broker, and the store where no --store does. The message is retained:
gateways that are away act on it as soon as they are back, and it holds against older registries.
Not every broker delivers retained messages to gateways that were away. With --fleet the withdrawal
gets a number in head office's database, and `grelot fleet serve` repeats it until each gateway has
acknowledged it.")]
pub struct Args {
    /// The customer's handle
    client: String,
    /// A store the customer is enrolled in; may be repeated
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    store: Vec<u16>,
    /// Marks the customer in the customer list as well, so that no further bundle has them
    #[arg(long, value_name = "FILE")]
    book: Option<PathBuf>,
    /// Enters the withdrawal in head office's database, the --state of `grelot fleet`, from which it is
    /// repeated until acknowledged
    #[arg(long, value_name = "FILE|URL")]
    fleet: Option<OsString>,
    /// Marks the customer list only: publishes nothing to the gateways
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

/// Publishes the withdrawal to every store, and waits until the broker has it.
fn tell(global: &Global, args: &Args, at: &str) -> anyhow::Result<Vec<u16>> {
    let config = config::load(&global.config)?;
    let peer = Peer::of_tool(&config, "withdraw")?;
    let stores = if args.store.is_empty() { vec![config.store.id] } else { args.store.clone() };
    let needs = if args.fleet.is_some() { Needs::Nothing } else { Needs::Retain };
    let broker = publish(&peer, &messages(args, &stores, at)?, needs)?;
    if let (Needs::Retain, Some(store)) = (needs, stores.first())
        && !runtime()?.block_on(is_delivered_later(broker, &peer, *store, &args.client))
    {
        complain(
            "grelot: this broker does not deliver a withdrawal to gateways that are away now\n  \
             hint: --fleet FILE, and `grelot fleet serve`, which repeats it until each gateway \
             has acknowledged it",
        );
    }
    Ok(stores)
}

/// Each store's message; numbered where head office has a database.
fn messages(args: &Args, stores: &[u16], at: &str) -> anyhow::Result<Vec<Retained>> {
    if let Some(fleet) = &args.fleet {
        return numbered(fleet, &args.client, stores, at);
    }
    let payload = json!({"v": 1, "withdrawn_at": at}).to_string().into_bytes();
    let topic = |store: &u16| Topics::of(*store).withdrawn(&args.client);
    let message = |store| Retained { topic: topic(store), payload: payload.clone() };
    Ok(stores.iter().map(message).collect())
}

#[cfg(feature = "head-office")]
fn numbered(
    fleet: &OsStr,
    client: &str,
    stores: &[u16],
    at: &str,
) -> anyhow::Result<Vec<Retained>> {
    let mut fleet = FleetStore::open(fleet)?;
    let message = |store: &u16| {
        let entered = fleet.withdraw(*store, client, at)?;
        let (topic, payload) = entered.message(*store, fleet.list());
        Ok(Retained { topic, payload })
    };
    stores.iter().map(message).collect()
}

#[cfg(not(feature = "head-office"))]
fn numbered(_: &OsStr, _: &str, _: &[u16], _: &str) -> anyhow::Result<Vec<Retained>> {
    bail!("--fleet: this grelot is built without the feature head-office")
}

/// Whether the broker delivers a withdrawal to a gateway that subscribes later.
async fn is_delivered_later(broker: &BrokerUrl, peer: &Peer, store: u16, client: &str) -> bool {
    let mut identity = peer.identity.clone();
    identity.client_id.push_str("-later");
    let mut link = Link::<()>::connect(broker, &identity, ConnectOptions::default());
    let withdrawn = Topics::of(store).withdrawn(client);
    let received = async {
        loop {
            match link.next_event().await {
                ConnectionEvent::Connected => {
                    link.subscribe([Filter::new(Topics::of(store).withdrawn("+"))]);
                }
                ConnectionEvent::Received { topic, retained: true, .. }
                    if topic == withdrawn.as_bytes() =>
                {
                    return true;
                }
                ConnectionEvent::Subscribed { refused: 1.. } | ConnectionEvent::Disconnected(_) => {
                    return false;
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(DELIVERED_WITHIN, received).await.unwrap_or(false)
}
