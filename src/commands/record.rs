//! `grelot record`: writes a recording.

mod mask;
mod replayed;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use super::live::{Live, RadioArgs, trouble};
use super::run::runtime;
use super::scan::Who;
use super::{Exit, Global, complain};
use crate::clock::Clocks;
use crate::config::{self, Config};
use crate::pipeline::Now;
use crate::sources::live::SourceEvent;
use crate::sources::recording::{Header, Output, Writer};
use crate::sources::status::Status;
use crate::sources::{Record, RecordKind};
use mask::Mask;

/// Arguments of `grelot record`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot record monday.jsonl.zst --for 3600
  grelot record --raw bench.jsonl --adapter hci1
  grelot --config capture.toml record tuesday.jsonl.zst

Records what the configuration's sources receive; without one, or with --adapter or --capture-path, what
the radio does. Where all sources are recordings, captures or a simulated shop, they are recorded in
their own time, as fast as they can be read: so a capture becomes a recording.

Customers of the configured registry are recorded as they are received. Addresses and payloads of
all others are replaced by hashes whose key is discarded at the end: lengths, structure and which
device is which stay, so that detection replays the same. --raw keeps strangers' data.")]
pub struct Args {
    /// The recording; compressed if its name ends in .zst
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    radio: RadioArgs,
    /// Keeps strangers' addresses and payloads, which are personal data
    #[arg(long)]
    raw: bool,
    /// Replaces an existing file
    #[arg(long)]
    force: bool,
}

/// Runs the command.
///
/// # Errors
/// The recording cannot be written, or what is to be recorded cannot be read.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let config = config::load(&global.config).ok();
    match config.as_ref().filter(|_| !args.radio.names_a_radio()) {
        Some(config) if replayed::is_meant(config) => replayed::record(config, args),
        _ => runtime()?.block_on(record(config.as_ref(), args)),
    }
}

async fn record(config: Option<&Config>, args: &Args) -> anyhow::Result<Exit> {
    let clocks = Clocks::machine();
    let began = clocks.now();
    let started = Started { began, who: Who::of(config, began), gateways: Vec::new() };
    let mut recorder = Recorder::create(config, args, started)?;
    let mut live = Live::start(&args.radio, config, &clocks);
    let mut problem = None;
    let over = args.radio.over();
    tokio::pin!(over);
    loop {
        tokio::select! {
            event = live.events.recv() => match event {
                Some(SourceEvent::Received(batch)) => {
                    let now = clocks.now();
                    for heard in batch {
                        recorder.write(now, RecordKind::Received(heard))?;
                    }
                    recorder.writer.flush()?;
                }
                Some(_) => {
                    let now = interruption(&live.status.borrow());
                    if now != problem {
                        if let Some(interruption) = &now {
                            complain(interruption);
                        }
                        problem = now;
                    }
                }
                None => break,
            },
            () = &mut over => break,
        }
    }
    live.end().await;
    recorder.finish(args)
}

/// Why nothing is recorded at the moment, and what to do about it.
fn interruption(status: &Status) -> Option<String> {
    let trouble = trouble(status).filter(|_| status.reason != Status::starting().reason)?;
    Some(format!("grelot: nothing is recorded at the moment: {trouble}"))
}

/// What a recording begins with.
struct Started {
    began: Now,
    who: Who,
    /// The gateways of what is replayed; none for what this gateway receives itself.
    gateways: Vec<Arc<str>>,
}

/// Writes what is received.
struct Recorder {
    writer: Writer<Output>,
    began: Now,
    gateway: Option<Arc<str>>,
    who: Who,
    /// `None` where everything is kept.
    mask: Option<Mask>,
    written: u64,
}

impl Recorder {
    fn create(config: Option<&Config>, args: &Args, started: Started) -> anyhow::Result<Self> {
        let Started { began, who, mut gateways } = started;
        let gateway: Option<Arc<str>> = config.map(|config| Arc::from(config.gateway.as_str()));
        if gateways.is_empty() {
            gateways.extend(gateway.iter().cloned());
        }
        let header = Header {
            started_at: began.clock.reading(),
            store: config.map(|config| config.store.id),
            gateways,
        };
        keep_from_others(&args.file, args.force)
            .with_context(|| format!("cannot write {}", args.file.display()))?;
        let writer = Writer::create(&args.file, &header)
            .with_context(|| format!("cannot write {}", args.file.display()))?;
        let mask = if args.raw { None } else { Some(Mask::new().context("no random key")?) };
        if mask.is_some() && !who.has_registry() {
            complain("grelot: no registry: all devices are recorded as strangers'");
        }
        Ok(Self { writer, began, gateway, who, mask, written: 0 })
    }

    fn write(&mut self, now: Now, mut what: RecordKind) -> anyhow::Result<()> {
        if let RecordKind::Received(heard) = &mut what {
            if let Some(mask) = &self.mask
                && self.who.is(now, heard).is_none()
            {
                mask.apply(heard);
            }
            if heard.gateway.is_none() {
                heard.gateway.clone_from(&self.gateway);
            }
            self.written += 1;
        }
        let record = Record { at: now.tick.since(self.began.tick), what };
        self.writer.write(&record).context("cannot write the recording")
    }

    fn finish(self, args: &Args) -> anyhow::Result<Exit> {
        let written = self.written;
        self.writer.finish().context("cannot complete the recording")?;
        complain(&format!("grelot: {written} advertisements in {}", args.file.display()));
        Ok(if written > 0 { Exit::Done } else { Exit::Failed })
    }
}

/// Creates the file so that only its owner can read it.
fn keep_from_others(file: &Path, replace: bool) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).create_new(!replace).mode(0o600).open(file).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_without_bluetooth_names_the_remedy() {
        let mut status = Status::starting();
        assert_eq!(interruption(&status), None, "it has not begun yet");
        status.reason = Some("bluetoothd is not running".to_owned());
        let says = interruption(&status).unwrap();
        assert!(
            says.starts_with("grelot: nothing is recorded at the moment: bluetoothd"),
            "{says}"
        );
        assert!(says.contains("hint: sudo apt install bluez"), "{says}");
    }
}
