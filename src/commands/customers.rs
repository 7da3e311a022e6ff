//! `grelot customers`: head office's registry tool.

mod audit;
mod bundle;
mod csv;
mod customer_list;
mod forget;
mod import;
mod keygen;
mod list;
pub(super) mod secret;
mod withdraw;

use super::{Exit, Global};

/// Arguments of `grelot customers`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A year of head office:
  grelot customers keygen --out keys              once; gateways pin keys/grelot.pub
  grelot customers import crm.csv --into book.jsonl --map client=id,name=full_name
  grelot customers bundle --from book.jsonl --store 42 --store 43 --key keys/grelot.key --out www
  grelot customers list book.jsonl
  grelot customers withdraw c-7f3a --book book.jsonl --store 42 --store 43

The customer list is one JSON object a line, like a registry, with the customers' long-term keys (`ck` for
scheme token, `ik` for scheme eid). It never leaves head office: gateways get bundles.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Makes the key pair that bundles are signed with
    Keygen(keygen::Args),
    /// Turns customers with their long-term keys into signed registries for stores
    Bundle(bundle::Args),
    /// Takes customers from a CSV file into the customer list
    Import(import::Args),
    /// Lists the customers of a registry or of the customer list
    List(list::ListArgs),
    /// Shows one customer, without keys
    Show(list::ShowArgs),
    /// Prints when this gateway recognised a customer
    Audit(audit::Args),
    /// Forgets this gateway's bundle, which keeps older ones out: for one dated in the future
    ForgetBundle(forget::Args),
    /// Takes back a customer's consent: gateways act on it within seconds
    Withdraw(withdraw::Args),
}

/// Runs the command.
///
/// # Errors
/// Where a subcommand fails.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Keygen(args) => keygen::run(args),
        Command::Bundle(args) => bundle::run(global, args),
        Command::Import(args) => import::run(global, args),
        Command::List(args) => list::list(global, args),
        Command::Show(args) => list::show(global, args),
        Command::Audit(args) => audit::run(global, args),
        Command::ForgetBundle(args) => forget::run(global, args),
        Command::Withdraw(args) => withdraw::run(global, args),
    }
}
