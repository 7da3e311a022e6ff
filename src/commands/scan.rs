//! `grelot scan`: live table of what is on the air.

mod table;
mod who;

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::live::{Live, RadioArgs, seconds, trouble};
use super::run::runtime;
use super::{Exit, Global, complain, print};
use crate::clock::Clocks;
use crate::config;
use crate::pipeline::event::Hearing;
use crate::sources::live::SourceEvent;
use crate::sources::status::Status;
use table::{Order, Table};
pub use who::Who;

/// Arguments of `grelot scan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot scan
  grelot scan --sort seen --top 20
  grelot scan --adapter hci1 --for 30
  grelot scan --json --interval 5

Shows what the running daemon receives, or scans itself where none runs (or with --adapter or
--ear). Ends with 1 where nothing could be received. Customers of the configured registry are
marked. Addresses are shortened: those of strangers are
personal data, and so is a screenshot of them.")]
pub struct Args {
    #[command(flatten)]
    radio: RadioArgs,
    /// Refreshes the table, or prints a JSON line, at this interval
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "1")]
    interval: Duration,
    /// Shows this many devices at most
    #[arg(long, value_name = "DEVICES", default_value_t = 40)]
    top: usize,
    /// Order of the devices
    #[arg(long, value_enum, default_value_t = Order::Rssi)]
    sort: Order,
    /// Shows addresses in full
    #[arg(long)]
    full: bool,
}

/// Runs the command.
///
/// # Errors
/// The runtime cannot be started, or standard output cannot be written.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    runtime()?.block_on(scan(global, args))
}

async fn scan(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let clocks = Clocks::machine();
    let config = config::load(&global.config).ok();
    let mut who = Who::of(config.as_ref(), clocks.now());
    let mut live = Live::start(&args.radio, config.as_ref(), &clocks);
    let status = live.status.clone();
    let mut screen = Screen { global, args, status: status.clone(), table: Table::new(), heard: 0 };
    let mut refresh = tokio::time::interval(args.interval);
    let began = clocks.now().tick;
    let over = args.radio.over();
    tokio::pin!(over);
    loop {
        tokio::select! {
            event = live.events.recv() => match event {
                Some(SourceEvent::Received(batch)) => {
                    let now = clocks.now();
                    screen.heard += batch.len();
                    for heard in &batch {
                        screen.table.add(now.tick, heard, || who.says(now, heard));
                    }
                }
                // A change of the state gets a line of its own.
                Some(_) => refresh.reset_immediately(),
                None => break,
            },
            _ = refresh.tick() => screen.draw(clocks.now().tick.since(began))?,
            () = &mut over => break,
        }
    }
    screen.last_words(clocks.now().tick.since(began))?;
    live.end().await;
    let nothing = screen.heard == 0;
    Ok(match trouble(&status.borrow()) {
        Some(trouble) if nothing => {
            complain(&format!("grelot: {trouble}"));
            Exit::Failed
        }
        _ => Exit::Done,
    })
}

/// The table and its surroundings, on a terminal or as JSON.
struct Screen<'a> {
    global: &'a Global,
    args: &'a Args,
    status: watch::Receiver<Status>,
    table: Table,
    heard: usize,
}

impl Screen<'_> {
    /// One refresh: a JSON line, or the table in place of the last one. Without a terminal the
    /// table at the end is enough.
    fn draw(&self, past: Duration) -> anyhow::Result<()> {
        if self.global.json {
            return print(&self.json(past).to_string());
        }
        if std::io::stdout().is_terminal() {
            // Home; after the text, clear to the end: no flicker.
            let mut out = std::io::stdout().lock();
            write!(out, "\x1b[H{}\x1b[J", self.text(past).replace('\n', "\x1b[K\n"))?;
            out.flush()?;
        }
        Ok(())
    }

    fn last_words(&self, past: Duration) -> anyhow::Result<()> {
        if self.global.json {
            print(&self.json(past).to_string())
        } else if std::io::stdout().is_terminal() {
            Ok(())
        } else {
            print(self.text(past).trim_end())
        }
    }

    fn json(&self, past: Duration) -> serde_json::Value {
        let status = self.status.borrow();
        json!({
            "t": past.as_secs_f64(),
            "hearing": word(status.hearing),
            "reason": status.reason,
            "heard": self.heard,
            "shed": status.shed,
            "devices": self.table.rows(self.args.sort, self.args.top)
                .map(|row| row.json(self.args.full)).collect::<Vec<_>>(),
        })
    }

    fn text(&self, past: Duration) -> String {
        let status = self.status.borrow();
        let mut text = format!(
            "{} s, {} advertisements, {} devices, {}{}\n",
            past.as_secs(),
            self.heard,
            self.table.len(),
            word(status.hearing),
            status.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default(),
        );
        for (hci, adapter) in &status.adapters {
            let path = adapter.path.word();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{hci}: {} by {path}", word(adapter.hearing));
        }
        text.push('\n');
        text.push_str(&self.table.text(self.args.sort, self.args.top, self.args.full));
        text
    }
}

const fn word(hearing: Hearing) -> &'static str {
    match hearing {
        Hearing::Listening => "listening",
        Hearing::Blind => "blind",
    }
}
