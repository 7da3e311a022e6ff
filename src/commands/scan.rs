//! `grelot scan`: live table of what is on the air.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Exit, Global};
use crate::daemon::clock::Clocks;
use crate::daemon::tasks;
use crate::sources::bluez::{Hci, Radio, RadioEvent};

/// Arguments of `grelot scan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Listens through this adapter alone, such as hci0
    #[arg(long, value_name = "HCI")]
    adapter: Option<String>,
    /// Ends after so many seconds
    #[arg(long = "for", value_name = "SECONDS", default_value_t = 10)]
    seconds: u64,
}

/// Runs the command.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub fn run(_global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let adapter = args.adapter.as_deref().and_then(Hci::named);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let radio = Radio::new(adapter, Clocks::machine());
        let status = radio.status();
        let (events, mut incoming) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let task = tasks::spawn("radio", radio.run(events, stop.clone()));
        let mut heard = 0usize;
        let listen = async {
            while let Some(event) = incoming.recv().await {
                match event {
                    RadioEvent::Heard(batch) => heard += batch.len(),
                    other => println!("{other:?}"),
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(args.seconds), listen).await;
        println!("heard {heard} {:?}", status.borrow());
        stop.cancel();
        task.ended(Duration::from_secs(2)).await;
        Ok(Exit::Done)
    })
}
