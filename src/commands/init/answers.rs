//! The answers of the command line.

use std::path::PathBuf;

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
    pub(super) from: Option<PathBuf>,
    /// Takes grelot.toml, and the folder grelot with its files, from the boot partition, and removes
    /// them there; for the first boot
    #[arg(long, conflicts_with = "from")]
    pub(super) from_boot: bool,
    #[command(flatten)]
    pub(super) answers: Answers,
    /// A customer to try with, if there is no registry: an Eddystone-UID beacon
    #[arg(long)]
    pub(super) trial: bool,
    /// Asks nothing
    #[arg(long, short)]
    pub(super) yes: bool,
    /// Prints the configuration, and writes nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Writes the configuration, and starts nothing
    #[arg(long)]
    pub(super) no_start: bool,
}

/// What a gateway needs to know; each is a key of the configuration.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Answers {
    /// The store's number, 1 to 65535
    #[arg(long, value_name = "NUMBER")]
    pub(super) store: Option<u16>,
    /// The store as staff call it
    #[arg(long, value_name = "NAME")]
    pub(super) store_name: Option<String>,
    /// The store's local time, such as Europe/Paris
    #[arg(long, value_name = "ZONE")]
    pub(super) time_zone: Option<String>,
    /// This gateway's name, unique in the store
    #[arg(long, value_name = "NAME")]
    pub(super) gateway: Option<String>,
    /// Where it stands: door, inside or outside
    #[arg(long, value_name = "PLACE")]
    pub(super) place: Option<String>,
    /// The only adapter to use, by name or address [default: all]
    #[arg(long, value_name = "ADAPTER")]
    pub(super) adapter: Option<String>,
    /// The broker: `embedded`, or `mqtts://host:8883`; repeat it for several
    #[arg(long, value_name = "URL")]
    pub(super) broker: Vec<String>,
    /// This gateway's username at the broker
    #[arg(long, value_name = "NAME")]
    pub(super) username: Option<String>,
    /// A file whose first line is the broker's password
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// Authorities that the broker's and head office's certificates are from, PEM
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// This gateway's certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub(super) certificate: Option<PathBuf>,
    /// The certificate's key, PEM
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// Where the tablets' page is served, such as 0.0.0.0:8443
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) tablets: Option<String>,
    /// Where head office's bundle for this store is
    #[arg(long, value_name = "URL")]
    pub(super) registry_url: Option<String>,
    /// Head office's key, which signs bundles; repeat it for several
    #[arg(long, value_name = "KEY")]
    pub(super) public_key: Vec<String>,
}
