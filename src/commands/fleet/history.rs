//! `grelot fleet history`: what was pushed.

use serde_json::json;

use super::super::{Exit, Global, print};
use super::Common;
use crate::config::pushed::Header;
use crate::fleet::{Document, FleetStore};

/// Arguments of `grelot fleet history`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot fleet history
  grelot fleet history --topic grelot/v1/config/fleet
  grelot fleet history --show 17")]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Of this topic alone
    #[arg(long)]
    topic: Option<String>,
    /// Prints this document as it was published
    #[arg(long, value_name = "SERIAL")]
    show: Option<u64>,
}

/// Runs the command.
///
/// # Errors
/// Where the database cannot be read.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let mut store = FleetStore::open(args.common.state.clone())?;
    if let Some(serial) = args.show {
        let Some(document) = store.document(serial)? else {
            anyhow::bail!("there is no document {serial}");
        };
        print(document.text.trim_end())?;
        return Ok(Exit::Done);
    }
    for document in store.history(args.topic.as_deref())? {
        print(&if global.json { json(&document) } else { line(&document) })?;
    }
    Ok(Exit::Done)
}

fn header(document: &Document) -> Header {
    Header::read(&document.text, &document.topic, &[]).unwrap_or_default()
}

fn json(document: &Document) -> String {
    let Header { ring, from, .. } = header(document);
    let Document { serial, topic, pushed_at, note, .. } = document;
    json!({
        "serial": serial, "pushed_at": pushed_at, "topic": topic, "ring": ring,
        "from": from.map(|from| from.to_string()), "note": note,
    })
    .to_string()
}

fn line(document: &Document) -> String {
    let Header { ring, from, .. } = header(document);
    let ring = ring.map(|ring| format!(", {ring} % of stores")).unwrap_or_default();
    let from = from.map(|from| format!(", from {from}")).unwrap_or_default();
    let Document { serial, topic, pushed_at, note, .. } = document;
    let note = if note.is_empty() { String::new() } else { format!("  {note}") };
    format!("{serial:>6}  {pushed_at}  {topic}{ring}{from}{note}")
}
