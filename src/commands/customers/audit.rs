//! `grelot customers audit`: when this gateway recognised a customer, for customers who ask.

use anyhow::Context;
use serde_json::json;

use super::super::{Exit, Global, print};
use crate::config;
use crate::store::audit;

/// Arguments of `grelot customers audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot customers audit c-7f3a
  grelot customers audit c-7f3a --json

A gateway keeps this for registry.audit_hours, and forgets it when the customer withdraws.")]
pub struct Args {
    /// The customer's handle
    client: String,
}

/// Runs the command.
///
/// # Errors
/// Where the configuration does not count or the audit cannot be read.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let config = config::load(&global.config)?;
    let entries = audit::of(&config.state, &args.client)
        .with_context(|| format!("reading the audit in {}", config.state.display()))?;
    for entry in &entries {
        let (at, what, gateway) = (entry.at.to_string(), &entry.what, &entry.gateway);
        print(&if global.json {
            json!({"at": at, "what": what, "gateway": gateway}).to_string()
        } else {
            format!("{at}  {what:<9} {gateway}")
        })?;
    }
    if entries.is_empty() && !global.json {
        let hours = config.bundles.audit.as_secs() / 3600;
        print(&format!("{} was not recognised here in the last {hours} hours", args.client))?;
    }
    Ok(Exit::Done)
}
