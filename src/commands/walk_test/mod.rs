//! `grelot walk-test`: this gateway's levels, from standing outside, at the door and inside.

mod beacons;
mod document;
mod guide;
mod levels;
mod receiver;
mod recorded;
mod report;
mod walk;
mod whom;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::{Exit, Global, print};
use crate::config::{self, Config};
use crate::pipeline::Place;
use document::Levels;
use guide::{Keyboard, Pace};
use recorded::Span;
use walk::{Stand, Step};
use whom::Whom;

/// Arguments of `grelot walk-test`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sudo grelot walk-test
  sudo grelot walk-test --client c-7f3a --pause 10
  grelot --config shop.toml walk-test --from walk.jsonl --dry-run
  grelot --config shop.toml walk-test --from walk.jsonl --outside 0-20 --door 25-45 --inside 50-70

Take your own phone (with the shop's app, or anything else that advertises) or a beacon, and follow
the guide: three places, 20 s each. A recording of a walk has lines such as {\"t\":12,\"walk\":\"door\"},
or --outside, --door and --inside give the times.")]
pub struct Args {
    /// Follows this customer's phone or card
    #[arg(long, value_name = "CLIENT", group = "whom")]
    client: Option<String>,
    /// Follows this beacon: UUID/major/minor, namespace/instance or an `AltBeacon`'s 40 digits
    #[arg(long, value_name = "IDENTITY", group = "whom", value_parser = whom::beacon_named)]
    beacon: Option<String>,
    /// Follows this device; without any of the three, the device that fits the walk best
    #[arg(long, value_name = "ADDRESS", group = "whom", value_parser = whom::address)]
    address: Option<[u8; 6]>,
    /// How long to stand at each place
    #[arg(long, value_name = "SECONDS", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(5..=600))]
    secs: u64,
    /// Begins at each place by itself, this long after the last: to walk alone
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=600))]
    pause: Option<u64>,
    /// A recorded walk, instead of the radio
    #[arg(long, value_name = "RECORDING")]
    from: Option<PathBuf>,
    /// When you stood outside, in seconds of the recording
    #[arg(long, value_name = "FROM-UNTIL", value_parser = recorded::seconds,
          requires_all = ["from", "inside"])]
    outside: Option<(f64, f64)>,
    /// When you stood at the door
    #[arg(long, value_name = "FROM-UNTIL", value_parser = recorded::seconds, requires = "outside")]
    door: Option<(f64, f64)>,
    /// When you stood inside
    #[arg(long, value_name = "FROM-UNTIL", value_parser = recorded::seconds, requires = "outside")]
    inside: Option<(f64, f64)>,
    /// Gateway of the recording [default: this one]
    #[arg(long, value_name = "NAME", requires = "from")]
    gateway: Option<String>,
    /// Writes the levels without asking
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Proposes the levels, and writes nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
///
/// # Errors
/// The configuration is wrong, the walk cannot be recorded or read, nothing of it is received, or the
/// levels cannot be written.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let config = config::load_for_replay(&global.config)?;
    let mut keyboard = Keyboard::default();
    let (gateway, steps) = walk(args, &config, &mut keyboard)?;
    let chosen = whom::choose(&whom(args), &steps)?;
    let offset_db = config.gateway_offset_db.get(&gateway).copied().map_or(0.0, f64::from);
    let places = &config.store.gateways;
    let hangs = |place: Place| places.values().any(|one| *one == place);
    let shop = report::Shop {
        zones: &config.store.zones,
        lacks_door: hangs(Place::Outside) && hangs(Place::Inside) && !hangs(Place::Door),
    };
    let hangs_outside = places.get(&gateway) == Some(&Place::Outside);
    let proposal = levels::propose(&chosen.loudness, offset_db, hangs_outside)
        .with_context(|| format!("{} at gateway {gateway}", chosen.name))?;
    let (inside_dbm, outside_dbm) = (proposal.inside_dbm, proposal.outside_dbm);
    let levels = Levels { gateway: &gateway, inside_dbm, outside_dbm };
    if !global.json {
        print(&report::text(&chosen, &proposal, &levels, shop))?;
    }
    let written = may_write(global, args, &mut keyboard)?;
    if written {
        document::write(&global.config, &levels).with_context(|| {
            let lines = levels.lines();
            let path = global.config.display();
            format!("cannot write {path}; these are the lines to add:\n{lines}")
        })?;
    }
    if global.json {
        print(&report::json(&chosen, &proposal, &levels, shop, offset_db, written).to_string())?;
    } else if written {
        print(&format!(
            "Written to {}. A running daemon takes them up when it is restarted.",
            global.config.display()
        ))?;
    } else {
        print("Nothing was written.")?;
    }
    Ok(Exit::Done)
}

fn whom(args: &Args) -> Whom {
    match (&args.client, &args.beacon, args.address) {
        (Some(client), ..) => Whom::Client(client.clone()),
        (_, Some(beacon), _) => Whom::Beacon(beacon.clone()),
        (.., Some(address)) => Whom::Address(address),
        _ => Whom::Follower,
    }
}

/// The gateway whose levels are measured, and what it received.
fn walk(
    args: &Args,
    config: &Config,
    keyboard: &mut Keyboard,
) -> anyhow::Result<(String, Vec<Step>)> {
    let Some(recording) = &args.from else {
        let pace = Pace {
            stand: Duration::from_secs(args.secs),
            pause: args.pause.map(Duration::from_secs),
        };
        return Ok((config.gateway.clone(), guide::walk(config, pace, keyboard)?));
    };
    let named =
        [(Stand::Outside, args.outside), (Stand::Door, args.door), (Stand::Inside, args.inside)];
    let span = |(stand, span): (Stand, Option<(f64, f64)>)| {
        span.map(|(from, until)| Span { stand, from, until })
    };
    let mut spans: Vec<Span> = named.into_iter().filter_map(span).collect();
    if spans.is_empty() {
        spans = recorded::marks(recording)?;
    }
    let read = recorded::read(recording, &spans, config, args.gateway.as_deref())?;
    if spans.is_empty() {
        bail!(
            "{} does not say where one stood\n  hint: --outside 0-20 --door 25-45 --inside 50-70, \
             or lines such as {{\"t\":25,\"walk\":\"door\"}}",
            recording.display()
        );
    }
    Ok(read)
}

/// Asks, where somebody can answer; a program says `--yes`.
fn may_write(global: &Global, args: &Args, keyboard: &mut Keyboard) -> anyhow::Result<bool> {
    use std::io::IsTerminal as _;
    let somebody = std::io::stdin().is_terminal() && !global.json;
    let question = format!("Write them to {}?", global.config.display());
    if args.yes || args.dry_run || !somebody {
        return Ok(args.yes);
    }
    keyboard.agrees(&question)
}
