//! `grelot tablets`: pairs, lists and revokes tablets.

use std::io;
use std::path::Path;

use serde_json::json;

use super::{Exit, Global, print};
use crate::clock::Clocks;
use crate::config;
use crate::tablets::pairing::{CODE_LIVES, Pairings};

/// Arguments of `grelot tablets`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sudo -u grelot grelot tablets pair\n  \
    sudo -u grelot grelot tablets list\n  \
    sudo -u grelot grelot tablets revoke 3f9a12cc\n\n\
    A page on a loopback address, such as the demo's, needs no pairing.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Makes a pairing code: type it into one tablet within ten minutes
    Pair,
    /// Lists the paired tablets, the oldest first
    List,
    /// Revokes a tablet's access, within seconds
    Revoke {
        /// The id that `list` shows
        id: String,
    },
}

/// Runs the command.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let state = config::load_for_replay(&global.config)?.state;
    let pairings = Pairings::new(&state);
    match &args.action {
        Action::Pair => pair(global, &pairings).map_err(|error| explained(&error, &state)),
        Action::List => list(global, &pairings).map_err(|error| explained(&error, &state)),
        Action::Revoke { id } => match revoke(&pairings, id) {
            Ok(0) => anyhow::bail!("no paired tablet's id begins with {id:?}"),
            Ok(_) => Ok(Exit::Done),
            Err(error) => Err(explained(&error.into(), &state)),
        },
    }
}

fn pair(global: &Global, pairings: &Pairings) -> anyhow::Result<Exit> {
    let code = pairings.issue(Clocks::machine().now().clock.reading())?;
    if global.json {
        print(&json!({ "code": code.digits, "valid_s": CODE_LIVES.as_secs() }).to_string())?;
    } else {
        print(&in_groups_of_three(&code.digits))?;
        print("Type it into one tablet within ten minutes.")?;
    }
    Ok(Exit::Done)
}

fn in_groups_of_three(digits: &str) -> String {
    let spaced = digits.chars().enumerate().flat_map(|(index, digit)| {
        (index > 0 && index % 3 == 0).then_some(' ').into_iter().chain([digit])
    });
    spaced.collect()
}

fn list(global: &Global, pairings: &Pairings) -> anyhow::Result<Exit> {
    let tablets = pairings.list()?;
    for tablet in &tablets {
        let paired_at = tablet.paired_at.to_string();
        print(&if global.json {
            json!({ "id": tablet.id, "label": tablet.label, "paired_at": paired_at }).to_string()
        } else {
            format!("{}  {paired_at}  {}", tablet.id, tablet.label)
        })?;
    }
    if tablets.is_empty() && !global.json {
        print("No tablet is paired.")?;
    }
    Ok(Exit::Done)
}

fn revoke(pairings: &Pairings, id: &str) -> io::Result<usize> {
    match pairings.revoke(id) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        revoked => revoked,
    }
}

fn explained(error: &anyhow::Error, state: &Path) -> anyhow::Error {
    let hint = match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::NotFound) => "\n  hint: start grelot once, it makes the folder",
        Some(io::ErrorKind::PermissionDenied) => "\n  hint: sudo -u grelot grelot tablets …",
        _ => "",
    };
    anyhow::anyhow!("cannot use the state folder {}: {error:#}{hint}", state.display())
}
