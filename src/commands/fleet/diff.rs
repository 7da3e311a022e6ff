//! `grelot fleet diff`: what two documents set differently.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::super::{Exit, Global, print};
use super::Common;
use crate::fleet::FleetStore;

/// Arguments of `grelot fleet diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot fleet diff 16 17
  grelot fleet diff 17 tuned.toml")]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// A document's number, or a file
    before: String,
    /// A document's number, or a file
    after: String,
}

/// Runs the command.
///
/// # Errors
/// Where a document or a file cannot be read.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let mut store = FleetStore::open(args.common.state.clone())?;
    let before = settings(&mut store, &args.before)?;
    let after = settings(&mut store, &args.after)?;
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let (old, new) = (before.get(key), after.get(key));
        if old == new {
            continue;
        }
        if global.json {
            print(&json!({"key": key, "before": old, "after": new}).to_string())?;
            continue;
        }
        for (sign, value) in [("-", old), ("+", new)] {
            if let Some(value) = value {
                print(&format!("{sign} {key} = {value}"))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// Values by their full key, as TOML.
fn settings(store: &mut FleetStore, name: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let text = match name.parse::<u64>() {
        Ok(serial) => match store.document(serial)? {
            Some(document) => document.text,
            None => bail!("there is no document {serial}"),
        },
        Err(_) => std::fs::read_to_string(name).with_context(|| format!("reading {name}"))?,
    };
    let table: toml::Table = text.parse().with_context(|| format!("{name} is not TOML"))?;
    let mut values = BTreeMap::new();
    flatten("", &table, &mut values);
    Ok(values)
}

fn flatten(prefix: &str, table: &toml::Table, values: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(table) => flatten(&key, table, values),
            // Another document number alone is no difference.
            _ if key == "document.serial" => {}
            value => drop(values.insert(key, value.to_string())),
        }
    }
}
