//! `grelot token`: what a customer's phone should advertise, in each carrier.

mod spoken;

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use super::{Exit, Global, print};
use crate::clock::Clocks;
use crate::config::{self, registry};
use crate::pipeline::advert::Echo;
use crate::pipeline::identity::key::ClientKey;
use crate::pipeline::identity::window::{day_of, window_at};
use crate::pipeline::identity::{Credential, Enrolment};
use crate::pipeline::units::{Dbm, WallTime};
use spoken::Spoken;

/// Arguments of `grelot token`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot token c-7f3a
  grelot token c-7f3a --registry customers.jsonl --at 2026-01-05T09:00:00Z --echo 1:10
  grelot token --key-file ck.hex --store 42 --at 1767225600 --json
  grelot token c-7f3a | sed -n 's/^service data *//p' | grelot decode

A key is 64 hexadecimal digits, or 32 octets, in a file or on standard input (--key-file -),
never an argument: those show in the list of processes.")]
pub struct Args {
    /// The customer's handle in the registry
    #[arg(value_name = "CLIENT", conflicts_with = "key_file")]
    client: Option<String>,
    /// The customer's handle, as an option
    #[arg(long = "client", value_name = "CLIENT", conflicts_with_all = ["client", "key_file"])]
    named: Option<String>,
    /// The registry, instead of the configuration's
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    registry: Option<PathBuf>,
    /// The installation's long-term key (CK), instead of a registry; `-` is standard input
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Store whose beacon the phone receives, instead of the configuration's
    #[arg(long, requires = "key_file", value_parser = clap::value_parser!(u16).range(1..))]
    store: Option<u16>,
    /// The epoch of the store's beacons
    #[arg(long, requires = "key_file", default_value_t = 0,
          value_parser = clap::value_parser!(u16).range(..4096))]
    epoch: u16,
    /// Time, as RFC 3339 or Unix seconds [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<WallTime>,
    /// Strongest of the shop's beacons at the phone: zone (0 to 15) and level
    /// (0 to 15)
    #[arg(long, value_name = "ZONE:LEVEL", value_parser = echo)]
    echo: Option<Echo>,
    /// The same, with the level of this RSSI in dBm
    #[arg(long, value_name = "ZONE:DBM", value_parser = heard, conflicts_with = "echo")]
    hears: Option<Echo>,
    /// A gateway's challenge over GATT, 32 hexadecimal digits: prints the answer
    #[arg(long, value_name = "HEX", value_parser = nonce)]
    nonce: Option<[u8; 16]>,
}

/// Runs the command.
///
/// # Errors
/// Where the customer is not in the registry or has no key for that time.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let at = args.at.unwrap_or_else(|| Clocks::machine().now().clock.reading());
    let client = args.client.as_ref().or(args.named.as_ref());
    let echo = args.echo.or(args.hears).unwrap_or(Echo { zone: 0, level: 0 });
    let spoken = match (client, &args.key_file) {
        (Some(client), None) => {
            let enrolment = enrolment(global, args, client)?;
            of_enrolment(&enrolment, at, echo, args.nonce.as_ref())?
        }
        (None, Some(file)) => {
            let store = match args.store {
                Some(store) => store,
                None => config::load(&global.config)?.store.id,
            };
            let key = client_key(file)?.store_day_key(day_of(window_at(at)), store, args.epoch);
            Spoken::token(&key, at, echo, args.nonce.as_ref())
        }
        _ => {
            super::complain("grelot: a CLIENT of the registry or --key-file is needed");
            return Ok(Exit::Usage);
        }
    };
    if global.json {
        print(&serde_json::to_string(&spoken.json(client.map(String::as_str)))?)?;
    } else {
        io::stdout().lock().write_all(spoken.text().as_bytes())?;
    }
    Ok(Exit::Done)
}

fn enrolment(global: &Global, args: &Args, client: &str) -> anyhow::Result<Enrolment> {
    let path = match &args.registry {
        Some(path) => path.clone(),
        None => config::load(&global.config)?
            .registry
            .with_context(|| format!("{} names no registry", global.config.display()))?,
    };
    registry::find(&path, client)?
        .with_context(|| format!("registry {} has no readable line of {client}", path.display()))
}

fn of_enrolment(
    enrolment: &Enrolment,
    at: WallTime,
    echo: Echo,
    nonce: Option<&[u8; 16]>,
) -> anyhow::Result<Spoken> {
    match &enrolment.credential {
        Credential::Token(days) => {
            let day = day_of(window_at(at));
            let key = days.iter().find(|(of, _)| *of == day).map(|(_, key)| key);
            let key = key.with_context(|| {
                let known: Vec<_> = days.iter().map(|(day, _)| day.to_string()).collect();
                format!("no key for {at} (day {day}); the registry has days {}", known.join(", "))
            })?;
            Ok(Spoken::token(key, at, echo, nonce))
        }
        Credential::Eid(card) => Spoken::eid(card, at)
            .with_context(|| format!("no temporary key for what the card's clock shows at {at}")),
        Credential::Beacon(identity) => Ok(Spoken::beacon(identity)),
        Credential::Irk(key) => Ok(Spoken::irk(key, at)),
    }
}

/// Reads a key; errors repeat nothing of it.
fn client_key(file: &Path) -> anyhow::Result<ClientKey> {
    let mut octets = Zeroizing::new(Vec::new());
    if file == Path::new("-") {
        let mut input = io::stdin().lock();
        if input.is_terminal() {
            super::complain("grelot: reading the key as 64 hexadecimal digits from the terminal");
            input.read_until(b'\n', &mut octets)?;
        } else {
            input.take(1024).read_to_end(&mut octets).context("reading the key")?;
        }
    } else {
        let opened = std::fs::File::open(file);
        opened
            .and_then(|file| file.take(1024).read_to_end(&mut octets))
            .with_context(|| format!("reading {}", file.display()))?;
    }
    let mut key = Zeroizing::new([0; 32]);
    if let Ok(raw) = <&[u8; 32]>::try_from(octets.as_slice()) {
        *key = *raw;
    } else if hex::decode_to_slice(octets.trim_ascii(), key.as_mut()).is_err() {
        bail!("{} holds neither 64 hexadecimal digits nor 32 octets", file.display());
    }
    Ok(ClientKey(*key))
}

fn time(text: &str) -> Result<WallTime, String> {
    let unix = text.parse().ok().filter(|secs: &i64| *secs >= 0).map(WallTime::from_unix_secs);
    unix.or_else(|| WallTime::parse(text)).ok_or_else(|| "neither RFC 3339 nor Unix seconds".into())
}

fn echo(text: &str) -> Result<Echo, String> {
    let half = |part: &str| part.parse().ok().filter(|value: &u8| *value <= 15);
    let parts = text.split_once(':').and_then(|(zone, level)| Some((half(zone)?, half(level)?)));
    let (zone, level) = parts.ok_or("zone and level, 0 to 15 each, as in 1:10, are needed")?;
    Ok(Echo { zone, level })
}

fn heard(text: &str) -> Result<Echo, String> {
    let read = |(zone, rssi): (&str, &str)| {
        let zone = zone.parse().ok().filter(|zone: &u8| *zone <= 15)?;
        Some(Echo::hearing(zone, Dbm::measured(rssi.parse().ok()?)?))
    };
    let parts = text.split_once(':').and_then(read);
    parts.ok_or_else(|| "zone (0 to 15) and RSSI in dBm, as in 1:-60, are needed".into())
}

fn nonce(text: &str) -> Result<[u8; 16], String> {
    let mut nonce = [0; 16];
    hex::decode_to_slice(text, &mut nonce).map_err(|_| "32 hexadecimal digits are needed")?;
    Ok(nonce)
}
