//! `grelot customers list` and `show`: who is in a registry or in the customer list, without keys.

use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Value, json};

use super::super::{Exit, Global, print};
use super::customer_list::{self, Object};
use crate::config;

/// Arguments of `grelot customers list`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot customers list
  grelot customers list book.jsonl --json | jq -r .client")]
pub struct ListArgs {
    /// A registry, a bundle or the customer list; the configuration's registry, if not given
    file: Option<PathBuf>,
}

/// Arguments of `grelot customers show`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot customers show c-7f3a
  grelot customers show c-7f3a --file book.jsonl")]
pub struct ShowArgs {
    /// The customer's handle
    client: String,
    /// A registry, a bundle or the customer list; the configuration's registry, if not given
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Runs `list`.
///
/// # Errors
/// Where the file cannot be read.
pub fn list(global: &Global, args: &ListArgs) -> anyhow::Result<Exit> {
    let path = path(global, args.file.as_ref())?;
    if !global.json {
        print(&format!(
            "{:<24}{:<12}{:<8}{:<22}{}",
            "client", "tier", "scheme", "consent until", "quiet"
        ))?;
    }
    customer_list::read(&path, |_, object| {
        let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or("-");
        let expires =
            object.get("consent").and_then(|c| c.get("expires_at")).and_then(Value::as_str);
        if global.json {
            let line = json!({
                "client": object.get("client"), "tier": object.get("tier"),
                "scheme": object.get("scheme"), "consent_expires_at": expires,
                "quiet": object.get("quiet"),
            });
            return print(&line.to_string());
        }
        let expires = expires.unwrap_or("none");
        print(&format!(
            "{:<24}{:<12}{:<8}{expires:<22}{}",
            text("client"),
            text("tier"),
            text("scheme"),
            text("quiet")
        ))
    })?;
    Ok(Exit::Done)
}

/// Runs `show`.
///
/// # Errors
/// Where the file cannot be read or the customer is not in it.
pub fn show(global: &Global, args: &ShowArgs) -> anyhow::Result<Exit> {
    let path = path(global, args.file.as_ref())?;
    let mut found = Exit::Failed;
    customer_list::read(&path, |_, object| {
        if object.get("client").and_then(Value::as_str) != Some(args.client.as_str()) {
            return Ok(());
        }
        found = Exit::Done;
        let shown = Value::Object(without_keys(object));
        print(&if global.json { shown.to_string() } else { serde_json::to_string_pretty(&shown)? })
    })?;
    if found == Exit::Failed {
        super::super::complain(&format!("grelot: {} is not in {}", args.client, path.display()));
    }
    Ok(found)
}

fn path(global: &Global, given: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.clone());
    }
    config::load(&global.config)?
        .registry
        .with_context(|| format!("{} names no registry", global.config.display()))
}

/// Lists what there are keys for, without the keys.
fn without_keys(mut object: Object) -> Object {
    for (name, value) in &mut object {
        match (name.as_str(), &value) {
            ("ck" | "ik" | "irk", _) => *value = json!("(a key)"),
            ("days" | "tks", Value::Object(keys)) => {
                *value = keys.keys().map(|number| Value::from(number.as_str())).collect();
            }
            _ => {}
        }
    }
    object
}
