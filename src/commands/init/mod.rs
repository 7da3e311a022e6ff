//! `grelot init`: from a fresh installation to a running gateway.
//!
//! The configuration is what is there already, or the file given, changed by flags and answers. It is
//! checked before it takes its place, and a second run with the same answers changes nothing.

mod boot;
mod document;
mod folder;
mod questions;
mod service;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::{Exit, Global, print};
use crate::config;
use document::Document;
use folder::Folder;

/// Arguments of `grelot init`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sudo grelot init                                   # asks\n  \
    sudo grelot init --store 42 --gateway door --place door --trial --yes\n  \
    sudo grelot init --from rivoli.toml --yes\n\n\
    Repeat it to change an answer: what is not named stays as it is.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Args {
    /// Begins with this configuration instead of the one in place; files it names are taken along
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Takes grelot.toml, and the folder grelot with its files, from the boot partition, and removes
    /// them there; for the first boot
    #[arg(long, conflicts_with = "from")]
    from_boot: bool,
    #[command(flatten)]
    answers: Answers,
    /// A customer to try with, if there is no registry: an Eddystone-UID beacon
    #[arg(long)]
    trial: bool,
    /// Asks nothing
    #[arg(long, short)]
    yes: bool,
    /// Prints the configuration, and writes nothing
    #[arg(long)]
    dry_run: bool,
    /// Writes the configuration, and starts nothing
    #[arg(long)]
    no_start: bool,
}

/// What a gateway needs to know; each is a key of the configuration.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Answers {
    /// The store's number, 1 to 65535
    #[arg(long, value_name = "NUMBER")]
    store: Option<u16>,
    /// The store as staff call it
    #[arg(long, value_name = "NAME")]
    store_name: Option<String>,
    /// The store's local time, such as Europe/Paris
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// This gateway's name, unique in the store
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
    /// Where it stands: door, inside or outside
    #[arg(long, value_name = "PLACE")]
    place: Option<String>,
    /// The only adapter to use, by name or address [default: all]
    #[arg(long, value_name = "ADAPTER")]
    adapter: Option<String>,
    /// The broker: `embedded`, or mqtts://host:8883; repeat it for several
    #[arg(long, value_name = "URL")]
    broker: Vec<String>,
    /// Who this gateway is to the broker
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// A file whose first line is the broker's password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Authorities that the broker's and head office's certificates are from, PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// This gateway's certificate, PEM
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The certificate's key, PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Where the tablets' page is served, such as 0.0.0.0:8443
    #[arg(long, value_name = "ADDRESS:PORT")]
    tablets: Option<String>,
    /// Where head office's bundle for this store is
    #[arg(long, value_name = "URL")]
    registry_url: Option<String>,
    /// Head office's key, which signs bundles; repeat it for several
    #[arg(long, value_name = "KEY")]
    public_key: Vec<String>,
}

/// Runs the command.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    if args.from_boot {
        return boot::run(global, args);
    }
    let document = match &args.from {
        Some(from) => Document::read(from).with_context(|| from.display().to_string())?,
        None => Document::read_or_new(&global.config)?,
    };
    let files = args.from.as_deref().and_then(Path::parent);
    let changed = set_up(global, args, document, files)?;
    if args.dry_run {
        return Ok(Exit::Done);
    }
    if args.no_start || !service::has_systemd() {
        print("Start it with: sudo systemctl enable --now grelot")?;
        return Ok(Exit::Done);
    }
    service::start(changed)?;
    service::invite_a_tablet(global)?;
    service::examine(global)?;
    Ok(Exit::Done)
}

/// Completes the configuration, checks it, and puts it in its place; whether it changed.
///
/// # Errors
/// The configuration has errors: then nothing was written.
fn set_up(
    global: &Global,
    args: &Args,
    mut document: Document,
    files: Option<&Path>,
) -> anyhow::Result<bool> {
    let mut answers = args.answers.clone();
    if !args.yes && !args.from_boot && std::io::stdin().is_terminal() {
        questions::ask(&mut answers, &document)?;
    }
    let mut folder = Folder::of(&global.config)?;
    document.answer(&answers, &mut folder)?;
    if let Some(files) = files {
        document.take_files(files, &mut folder)?;
    }
    if args.trial && !document.has_registry() {
        document.use_trial_customers(&mut folder)?;
    }
    if !document.has_store() {
        bail!("which store is this? Name its number: --store 42");
    }
    let text = document.text();
    if args.dry_run {
        print(text.trim_end())?;
        return Ok(false);
    }
    let changed = folder.put(&text)?;
    let examined = config::examine(&global.config);
    if examined.config().is_none() {
        return Err(examined.problems.into());
    }
    if !examined.problems.is_empty() {
        print(&examined.problems.to_string())?;
    }
    let name = global.config.display();
    print(&match changed {
        true => format!("{name}: written"),
        false => format!("{name}: unchanged"),
    })?;
    Ok(changed)
}
