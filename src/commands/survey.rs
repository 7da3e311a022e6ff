//! `grelot survey`: what the gateway has learned of its shop's radio.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::bail;

use super::daemon_or_store::{self, PATIENCE};
use super::{Exit, Global, print};
use crate::config;
use crate::daemon::survey::{Answer, Reset, socket};
use crate::store::{Change, Store};

/// Arguments of `grelot survey`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo -u grelot grelot survey reset --gateway till
  sudo -u grelot grelot survey reset

`grelot status` shows what was learned. Begin again after a gateway was moved, so that what it
learned at its former place does not count: it is found out by itself, but only after some 15
customers. Each gateway of a store learns by itself what all of them receive: run it on each.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Forgets what was learned of one gateway, or of all gateways and beacons
    Reset {
        /// The gateway that was moved [default: all gateways and beacons]
        #[arg(long, value_name = "NAME")]
        gateway: Option<String>,
    },
}

/// An answer names gateways only.
const LONGEST: u64 = 1024 * 1024;

/// Runs the command.
///
/// # Errors
/// The configuration is wrong, neither the daemon nor the store answers, or nothing was learned of
/// that gateway.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let Action::Reset { gateway } = &args.action;
    let state = config::load_for_replay(&global.config)?.state;
    let reset = Reset { gateway: gateway.clone() };
    let answer = daemon_or_store::ask(
        &state,
        &socket(&state),
        "grelot survey",
        |socket| of_daemon(socket, &reset),
        |store| of_store(store, &reset),
    )?;
    match answer {
        Answer::Unknown { known } if known.is_empty() => bail!("nothing was learned yet"),
        Answer::Unknown { known } => bail!(
            "nothing was learned of gateway {}\n  hint: something was learned of {}",
            gateway.as_deref().unwrap_or_default(),
            known.join(", ")
        ),
        Answer::Forgotten { gateways, beacons } if global.json => {
            let forgotten = serde_json::json!({ "gateways": gateways, "beacons": beacons });
            print(&serde_json::json!({ "forgotten": forgotten }).to_string())?;
        }
        Answer::Forgotten { gateways, beacons } => {
            let beacons = beacons.then(|| "the beacons".to_owned());
            let all: Vec<_> = gateways.into_iter().chain(beacons).collect();
            print(&format!("forgotten: {}", all.join(", ")))?;
        }
    }
    Ok(Exit::Done)
}

fn of_daemon(socket: &Path, reset: &Reset) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(reset)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut text = String::new();
    stream.take(LONGEST).read_to_string(&mut text)?;
    if text.is_empty() {
        return Err(io::Error::other("the daemon runs but does not answer: it may be overloaded"));
    }
    Ok(serde_json::from_str(&text)?)
}

fn of_store(mut store: Store, reset: &Reset) -> anyhow::Result<Answer> {
    let mut survey = store.survey()?;
    let answer = Answer::to(reset, &survey);
    if let Answer::Forgotten { .. } = answer {
        survey.forget(reset.gateway.as_deref());
        store.commit(&[Change::Surveyed(survey)])?;
    }
    Ok(answer)
}
