//! `grelot fleet`: all gateways, over head office's broker.

mod acknowledge;
mod diff;
mod history;
mod push;
mod roll_back;
mod serve;
mod shadow;
mod status;

use super::{Exit, Global};
use crate::fleet::Location;
pub(super) use push::{Signing, Target};
pub(super) use shadow::open as open_shadow;

/// Arguments of `grelot fleet`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What every command of the fleet needs.
#[derive(Debug, clap::Args)]
struct Common {
    /// Head office's database: an SQLite file, or postgres://USER@HOST/DATABASE
    #[allow(clippy::doc_markdown, reason = "the help text shows what to type")]
    #[arg(long, value_name = "FILE|URL", default_value = "fleet.db")]
    state: Location,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows every gateway, the ones that need attention first
    Status(status::Args),
    /// Pushes settings to the fleet, a group, a store or a gateway
    Push(push::Args),
    /// Lets settings run beside those in force, and shows what they would change
    Shadow(shadow::Args),
    /// Shows what two pushed documents, or files, set differently
    Diff(diff::Args),
    /// Lists what was pushed
    History(history::Args),
    /// Pushes an earlier document's settings again
    RollBack(roll_back::Args),
    /// Notes that a person knows of a gateway's troubles
    Acknowledge(acknowledge::Args),
    /// Stands in for head office: answers gateways, and repeats what they have not acknowledged
    Serve(serve::Args),
}

/// Runs the command.
///
/// # Errors
/// Where the database or the broker cannot be used.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Status(args) => status::run(global, args),
        Command::Push(args) => push::run(global, args),
        Command::Shadow(args) => shadow::run(global, args),
        Command::Diff(args) => diff::run(global, args),
        Command::History(args) => history::run(global, args),
        Command::RollBack(args) => roll_back::run(global, args),
        Command::Acknowledge(args) => acknowledge::run(global, args),
        Command::Serve(args) => serve::run(global, args),
    }
}
