//! The command line: one file a command.

mod broker;
mod check;
mod customers;
mod daemon_or_store;
mod decode;
mod demo;
mod doctor;
#[cfg(feature = "head-office")]
mod fleet;
mod init;
mod invitation;
mod labels;
mod live;
#[cfg(target_os = "linux")]
mod open_monitor;
mod progress_bar;
mod publish;
mod qr;
mod record;
mod registry;
mod replay;
mod run;
mod scan;
pub mod score;
mod status;
mod survey;
mod tablets;
mod tls;
mod token;
#[cfg(feature = "head-office")]
mod tune;
mod walk_test;

use clap::{CommandFactory as _, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::Problems;

#[derive(Debug, Parser)]
#[command(name = "grelot", version, about, long_about = None, propagate_version = true)]
#[cfg_attr(
    not(feature = "head-office"),
    command(
        after_help = "`grelot fleet` and `grelot tune` are in the package grelot-head-office."
    )
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/grelot/grelot.toml")]
    pub config: PathBuf,
    /// Prints facts as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// All commands, in the order a newcomer meets them.
#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the whole system on one machine: embedded broker, a simulated shop, the tablet page
    Demo(demo::Args),
    /// Runs the daemon
    Run(run::Args),
    /// Sets this gateway up: writes the configuration, starts the service
    Init(init::Args),
    /// Checks configuration and registry: reports every problem at once
    Check(check::Args),
    /// Examines this machine and says what to repair
    Doctor(doctor::Args),
    /// Decodes advertisements
    Decode(decode::Args),
    /// Shows a live table of the advertisements received
    Scan(scan::Args),
    /// Writes a recording
    Record(record::Args),
    /// Measures this gateway's levels: stand outside, at the door, inside
    WalkTest(walk_test::Args),
    /// Runs recordings through the pipeline in virtual time
    Replay(replay::Args),
    /// Searches the detection settings on recordings
    #[cfg(feature = "head-office")]
    Tune(tune::Args),
    /// Prints what staff reported about visits, for tuning
    Labels(labels::Args),
    /// Makes and inspects registries, at head office
    Customers(customers::Args),
    /// Prints what a customer's phone should advertise now
    Token(token::Args),
    /// Shows the state of the running daemon
    Status(status::Args),
    /// Begins to learn the shop's radio again, after a gateway was moved
    Survey(survey::Args),
    /// Pairs, lists and revokes tablets
    Tablets(tablets::Args),
    /// Makes a certificate for the page, and shows tablets how to trust it
    Tls(tls::Args),
    /// Adds, lists and removes logins of the embedded broker
    Broker(broker::Args),
    /// All gateways of all stores, at head office
    #[cfg(feature = "head-office")]
    Fleet(fleet::Args),
    /// Opens the HCI monitor for the daemon; systemd starts it
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    OpenMonitor,
}

/// How a command ended, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Exit code 0.
    Done,
    /// Exit code 1.
    Failed,
    /// Exit code 2.
    Usage,
    /// 78, `EX_CONFIG` of sysexits.h: systemd's unit does not restart on it.
    BadConfiguration,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::Failed => Self::FAILURE,
            Exit::Usage => Self::from(2),
            Exit::BadConfiguration => Self::from(78),
        }
    }
}

/// The command line's description: man pages and shell completions are made from it.
pub fn description() -> clap::Command {
    Cli::command()
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    crate::telemetry::logs::start(match cli.command {
        Command::Run(_) => tracing::Level::INFO,
        #[cfg(feature = "head-office")]
        Command::Fleet(_) => tracing::Level::INFO,
        _ => tracing::Level::WARN,
    });
    let ended = match &cli.command {
        Command::Demo(args) => demo::run(&cli.global, args),
        Command::Run(args) => run::run(&cli.global, args),
        Command::Init(args) => init::run(&cli.global, args),
        Command::Check(args) => check::run(&cli.global, args),
        Command::Doctor(args) => doctor::run(&cli.global, args),
        Command::Decode(args) => decode::run(&cli.global, args),
        Command::Scan(args) => scan::run(&cli.global, args),
        Command::Record(args) => record::run(&cli.global, args),
        Command::Replay(args) => replay::run(&cli.global, args),
        Command::WalkTest(args) => walk_test::run(&cli.global, args),
        #[cfg(feature = "head-office")]
        Command::Tune(args) => tune::run(&cli.global, args),
        Command::Labels(args) => labels::run(&cli.global, args),
        Command::Customers(args) => customers::run(&cli.global, args),
        Command::Token(args) => token::run(&cli.global, args),
        Command::Status(args) => status::run(&cli.global, args),
        Command::Survey(args) => survey::run(&cli.global, args),
        Command::Tablets(args) => tablets::run(&cli.global, args),
        Command::Tls(args) => tls::run(&cli.global, args),
        Command::Broker(args) => broker::run(&cli.global, args),
        #[cfg(feature = "head-office")]
        Command::Fleet(args) => fleet::run(&cli.global, args),
        #[cfg(target_os = "linux")]
        Command::OpenMonitor => open_monitor::run(),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(error) if error.is::<Problems>() => {
            complain(&error.to_string());
            Exit::BadConfiguration.into()
        }
        // The reader of our output has closed it (`grelot replay … | head`).
        Err(error) if is_broken_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            complain(&format!("grelot: {}", with_causes(&error)));
            Exit::Failed.into()
        }
    }
}

/// Prints a line of the command's result.
fn print(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "complaints go to the terminal")]
fn complain(line: &str) {
    eprintln!("{line}");
}

/// An error and its causes, without those that the text before them gives already.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use anyhow::Context as _;

    use super::*;
    use crate::config::registry;

    #[test]
    fn a_cause_is_given_once() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let io = crate::files::open_regular(folder).unwrap_err();
        let error = registry::Error::Read { path: "customers".into(), source: io };
        let error = Err::<(), _>(error).context("cannot start").unwrap_err();
        assert_eq!(
            with_causes(&error),
            "cannot start: cannot read registry customers: is a folder, not a file"
        );
    }
}
