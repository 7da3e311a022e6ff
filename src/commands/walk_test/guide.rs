//! The guide: where to stand, when to begin, and what is received meanwhile.

use std::collections::BTreeSet;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;

use super::receiver::Receiver;
use super::recorded;
use super::walk::{Stand, Step};
use crate::clock::Clocks;
use crate::commands::progress_bar::progress_bar;
use crate::commands::run::runtime;
use crate::config::Config;
use crate::pipeline::event::{GatewayIndex, Sighting};
use crate::pipeline::identity::Identity;
use crate::pipeline::units::Tick;
use crate::sources::Advertisement;
use crate::tasks;

/// Interval at which the terminal is read.
const REFRESH: Duration = Duration::from_millis(200);
const WIDTH: usize = 24;

/// Lines typed by the person who walks. Standard input is not read until one is needed: it may be
/// a script's.
#[derive(Debug, Default)]
pub struct Keyboard(Option<mpsc::Receiver<String>>);

impl Keyboard {
    /// From now on listens to standard input, on a thread that ends with the process.
    fn listen(&mut self) -> anyhow::Result<&mut mpsc::Receiver<String>> {
        if let Some(ref mut lines) = self.0 {
            return Ok(lines);
        }
        let (typed, lines) = mpsc::channel(1);
        tasks::thread("keyboard", move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if typed.blocking_send(line).is_err() {
                    break;
                }
            }
        })?;
        Ok(self.0.insert(lines))
    }

    /// Whether the answer to `question` is yes.
    ///
    /// # Errors
    /// The keyboard cannot be read.
    pub fn agrees(&mut self, question: &str) -> anyhow::Result<bool> {
        say(&format!("{question} [y/N] "));
        let answer = self.listen()?.blocking_recv().unwrap_or_default();
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    async fn enter(&mut self) -> anyhow::Result<()> {
        self.listen()?
            .recv()
            .await
            .map(drop)
            .context("no terminal to press Enter at\n  hint: --pause SECONDS begins by itself")
    }
}

/// Settings of the walk.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time at each stand.
    pub stand: Duration,
    /// After this each stand begins by itself; without, on Enter.
    pub pause: Option<Duration>,
}

/// Guides a walk, and returns what was received.
///
/// # Errors
/// The source cannot be opened, or the keyboard cannot be read.
pub fn walk(config: &Config, pace: Pace, keyboard: &mut Keyboard) -> anyhow::Result<Vec<Step>> {
    runtime()?.block_on(async {
        let (mut receiver, clocks) = Receiver::open(config)?;
        let now = clocks.now();
        let registry = recorded::customers(config, now.clock)?;
        let identity = Identity::new(config.store.id, registry, now);
        let gateway = config.gateway.clone();
        let mut guide = Guide { pace, clocks, gateway, identity, steps: Vec::new() };
        let walked = guide.walk(&mut receiver, keyboard).await;
        receiver.end().await;
        walked.map(|()| guide.steps)
    })
}

struct Guide {
    pace: Pace,
    clocks: Clocks,
    /// The one that is tested.
    gateway: String,
    identity: Identity,
    steps: Vec<Step>,
}

impl Guide {
    async fn walk(
        &mut self,
        receiver: &mut Receiver,
        keyboard: &mut Keyboard,
    ) -> anyhow::Result<()> {
        for (number, stand) in (1..).zip(Stand::ALL) {
            let [first, second] = advice(stand);
            say(&format!("\n  {number} of 3  {first}\n          {second}\n"));
            self.ready(receiver, keyboard).await?;
            self.stand(stand, receiver).await?;
        }
        say("\n");
        Ok(())
    }

    /// Waits until the person is in place; what is received meanwhile does not count.
    async fn ready(&self, receiver: &mut Receiver, keyboard: &mut Keyboard) -> anyhow::Result<()> {
        let began = self.clocks.now().tick;
        if self.pace.pause.is_none() {
            say("          Enter begins. ");
        }
        loop {
            let waited = self.clocks.now().tick.since(began);
            if let Some(pause) = self.pace.pause {
                if waited >= pause {
                    return Ok(());
                }
                let left = pause.saturating_sub(waited).as_secs() + 1;
                draw(&format!("          begins in {left} s"));
            }
            tokio::select! {
                entered = keyboard.enter(), if self.pace.pause.is_none() => return entered,
                heard = receiver.hear(&self.clocks) => { heard?; }
                () = tokio::time::sleep(REFRESH) => {}
            }
        }
    }

    async fn stand(&mut self, stand: Stand, receiver: &mut Receiver) -> anyhow::Result<()> {
        let began = self.clocks.now().tick;
        let (mut heard, mut devices) = (0_usize, BTreeSet::new());
        loop {
            let stood = self.clocks.now().tick.since(began);
            let line = line(
                stand,
                stood,
                self.pace.stand,
                heard,
                devices.len(),
                receiver.trouble().as_deref(),
            );
            if stood >= self.pace.stand {
                draw(&line);
                say("\n");
                if let (0, Some(trouble)) = (heard, receiver.trouble()) {
                    bail!("nothing is received: {trouble}\n  hint: grelot doctor");
                }
                return Ok(());
            }
            draw(&line);
            tokio::select! {
                batch = receiver.hear(&self.clocks) => {
                    for one in batch? {
                        if self.is_here(&one) {
                            heard += 1;
                            devices.insert(one.address);
                            self.note(stand, began, one);
                        }
                    }
                }
                () = tokio::time::sleep(REFRESH) => {}
            }
        }
    }

    /// A recording may hold what other gateways received.
    fn is_here(&self, heard: &Advertisement) -> bool {
        heard.gateway.as_deref().is_none_or(|gateway| gateway == self.gateway)
    }

    fn note(&mut self, stand: Stand, began: Tick, heard: Advertisement) {
        let now = self.clocks.now();
        while self.identity.next_deadline().is_some_and(|due| due <= now.tick) {
            self.identity.advance(now);
        }
        let sighting = Sighting {
            gateway: GatewayIndex(0),
            address: heard.address,
            rssi: heard.rssi,
            payload: &heard.payload,
        };
        let who = self.identity.identify(now, &sighting);
        let customer = who.and_then(|who| self.identity.customer(who.customer));
        let client = customer.map(|customer| customer.client.to_string());
        let echo = who.and_then(|who| who.echo);
        let at = now.tick.since(began);
        self.steps.push(Step { at, stand, heard, client, echo });
    }
}

const fn advice(stand: Stand) -> [&'static str; 2] {
    match stand {
        Stand::Outside => [
            "Outside: where passers-by walk, two or three metres before the door.",
            "The phone where customers carry it; turn round slowly, take a few steps.",
        ],
        Stand::Door => ["At the door: in the doorway.", "Turn round slowly."],
        Stand::Inside => [
            "Inside: where a customer is after a few steps into the shop.",
            "Turn round slowly, take a few steps.",
        ],
    }
}

fn line(
    stand: Stand,
    stood: Duration,
    of: Duration,
    heard: usize,
    devices: usize,
    trouble: Option<&str>,
) -> String {
    let millis = |span: Duration| usize::try_from(span.as_millis()).unwrap_or(usize::MAX);
    let bar = progress_bar(millis(stood), millis(of), WIDTH);
    let remark = match trouble {
        Some(trouble) => trouble.to_owned(),
        None => format!("{heard} advertisements of {devices} devices"),
    };
    let (stood, of) = (stood.min(of).as_secs(), of.as_secs());
    format!("  {:<8}{bar} {stood:>2} of {of} s  {remark}", stand.word())
}

/// Draws over the present line, on a terminal.
fn draw(line: &str) {
    if std::io::stderr().is_terminal() {
        say(&format!("\r{line}\x1b[K"));
    }
}

/// A terminal that is gone needs no guide.
fn say(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
