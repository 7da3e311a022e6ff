//! `grelot fleet push`: settings for the fleet, a group, a store or a gateway.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use minisign::SecretKey;
use serde_json::json;

use super::super::customers::secret::signing_key;
use super::super::publish::{Needs, Retained, publish};
use super::super::{Exit, Global, print};
use super::Common;
use crate::clock::Clocks;
use crate::config;
use crate::config::layers::{Layers, Reach};
use crate::config::pushed::{self, Guard, Header, Rules};
use crate::fleet::{Document, FleetStore, GatewayOverview};
use crate::mqtt::client::Peer;
use crate::payload::DocumentState;
use crate::pipeline::units::WallTime;

/// Interval at which the reports of gateways are read.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A refusal may be of the document before: it counts once nothing has changed for this long.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

/// Arguments of `grelot fleet push`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grelot --config head-office.toml fleet push tuned.toml --key grelot.key --note 'new levels'
  grelot --config head-office.toml fleet push tuned.toml --ring 10 --from 2026-02-01T04:00:00Z
  grelot --config head-office.toml fleet push door.toml --store 42 --gateway door --wait 60
  grelot --config head-office.toml fleet push tuned.toml --ring 5 \\
      --roll-back-if alerts=1.5 --roll-back-if not_here=0.3 --roll-back-if gateways=0.1

The file has [presence] and [policy] alone. It is checked, numbered, signed with --key, kept in head
office's database and published; `grelot fleet serve` repeats it to gateways that were away. With --wait
the exit code is 1 while a gateway refuses it or has not answered.")]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// A TOML file with the tables presence and policy
    file: PathBuf,
    #[command(flatten)]
    target: Target,
    /// The share of stores, in per cent; a larger ring has every store of a smaller one
    #[arg(long, value_name = "PERCENT", value_parser = share, conflicts_with_all = ["store", "gateway"])]
    ring: Option<f64>,
    /// Not in force before (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<WallTime>,
    #[command(flatten)]
    pub(super) signing: Signing,
    /// A gateway takes the settings back once it is sure that this limit is exceeded: alerts=1.5
    /// (times more, or fewer, than in other weeks), not_here=0.3, unclaimed=0.8, blind=0.1 (shares); all do
    /// once a share of them has, gateways=0.1; may be repeated
    #[allow(clippy::doc_markdown, reason = "the help text shows what to type")]
    #[arg(long, value_name = "LIMIT=NUMBER", value_parser = limit)]
    roll_back_if: Vec<(String, f64)>,
    /// A note for `fleet history`
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    /// Waits this long until every gateway that it is for has it or refuses it
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    wait: u64,
}

/// The gateways a document is for; the whole fleet, if none is named.
#[derive(Debug, Default, clap::Args)]
pub(in crate::commands) struct Target {
    /// The stores of this group
    #[arg(long, conflicts_with_all = ["store", "gateway"])]
    group: Option<String>,
    /// This store
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    store: Option<u16>,
    /// This gateway of the store
    #[arg(long, value_name = "NAME", requires = "store")]
    gateway: Option<String>,
}

/// How a document is signed.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Signing {
    /// The secret key of `grelot customers keygen`; gateways pin its public key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The first line of this file unlocks the key
    #[arg(long, value_name = "FILE", requires = "key")]
    password_file: Option<PathBuf>,
}

impl Signing {
    /// Whether documents are signed.
    pub(in crate::commands) const fn is_wanted(&self) -> bool {
        self.key.is_some()
    }

    pub(super) fn key(&self) -> anyhow::Result<Option<SecretKey>> {
        let key = |path: &PathBuf| signing_key(path, self.password_file.as_deref());
        self.key.as_ref().map(key).transpose()
    }
}

fn limit(text: &str) -> Result<(String, f64), String> {
    let (key, value) =
        text.split_once('=').ok_or("a limit and its number are needed: alerts=1.5")?;
    let value = value.parse().map_err(|_| format!("{value} is no number"))?;
    Guard::default().set(key, value).map_err(|what| format!("{key} {what}"))?;
    Ok((key.to_owned(), value))
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=100.0).contains(share));
    share.ok_or_else(|| "a share is from 0 to 100 per cent".to_owned())
}

fn time(text: &str) -> Result<WallTime, String> {
    WallTime::parse(text).ok_or_else(|| "an RFC 3339 time is needed".to_owned())
}

/// Runs the command.
///
/// # Errors
/// Where the settings are wrong, or no broker takes them.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let text = std::fs::read_to_string(&args.file)
        .with_context(|| format!("reading {}", args.file.display()))?;
    let topic = args.target.checked(&text)?;
    let mut guard = Guard::default();
    for (key, value) in &args.roll_back_if {
        // The argument was checked when it was read.
        let _ = guard.set(key, *value);
    }
    let roll_back_if = (!args.roll_back_if.is_empty()).then_some(guard);
    let head = Head { ring: args.ring, from: args.from, roll_back_if, shadow: false };
    let body = pushed::signable(&text);
    let mut store = FleetStore::open(args.common.state.clone())?;
    let before = store.newest(&topic)?;
    let document = enter(&mut store, &topic, &args.note, &head, &body, &args.signing)?;
    if roll_back_if.is_some() {
        // What the topic says without it, signed now: `fleet serve` has no key.
        let (head, body) = match &before {
            Some(before) => {
                let Header { ring, .. } = Header::read(&before.text, &topic, &[])?;
                (Head { ring, ..Head::default() }, pushed::settings(&before.text)?)
            }
            None => (Head::default(), String::new()),
        };
        let key = args.signing.key()?;
        let back = |serial| written(serial, &topic, &head, &body, key.as_ref());
        store.guard(document.serial, back)?;
    }
    out(global, &document)?;
    tell(global, std::slice::from_ref(&document))?;
    if args.wait == 0 {
        return Ok(Exit::Done);
    }
    let all = args.target.await_all(&mut store, &document, Duration::from_secs(args.wait))?;
    report(global, &all)
}

/// A document's header, except its number.
#[derive(Default)]
pub(super) struct Head {
    pub(super) ring: Option<f64>,
    pub(super) from: Option<WallTime>,
    pub(super) roll_back_if: Option<Guard>,
    pub(super) shadow: bool,
}

/// Numbers, signs and keeps a document.
pub(super) fn enter(
    store: &mut FleetStore,
    topic: &str,
    note: &str,
    head: &Head,
    body: &str,
    signing: &Signing,
) -> anyhow::Result<Document> {
    let key = signing.key()?;
    let now = Clocks::machine().now().clock.reading().to_string();
    store.push(topic, &now, note, |serial| written(serial, topic, head, body, key.as_ref()))
}

/// A document as it is published.
fn written(
    serial: u64,
    topic: &str,
    head: &Head,
    body: &str,
    key: Option<&SecretKey>,
) -> anyhow::Result<String> {
    let ring = head.ring.map(|ring| format!("ring = {ring}\n")).unwrap_or_default();
    let from = head.from.map(|from| format!("from = \"{from}\"\n")).unwrap_or_default();
    let limits = head.roll_back_if.iter().flat_map(Guard::limits);
    let limits: Vec<String> = limits.map(|(key, value)| format!("{key} = {value}")).collect();
    let guard = match head.roll_back_if {
        Some(_) => format!("roll_back_if = {{ {} }}\n", limits.join(", ")),
        None => String::new(),
    };
    let shadow = if head.shadow { "shadow = true\n" } else { "" };
    let text = format!("[document]\nserial = {serial}\n{ring}{from}{guard}{shadow}\n{body}");
    let Some(key) = key else { return Ok(text) };
    let comment = pushed::comment(topic);
    let signature = minisign::sign(None, key, text.as_bytes(), Some(&comment), None)?;
    Ok(pushed::signed(&text, &signature.into_string()))
}

/// Publishes documents that are in the database.
pub(super) fn tell(global: &Global, documents: &[Document]) -> anyhow::Result<()> {
    let peer = Peer::of_tool(&config::load(&global.config)?, "push")?;
    let message = |document: &Document| Retained {
        topic: document.topic.clone(),
        payload: document.text.clone().into_bytes(),
    };
    let messages: Vec<Retained> = documents.iter().map(message).collect();
    publish(&peer, &messages, Needs::Nothing).map(drop).with_context(|| {
        let numbers: Vec<String> = documents.iter().map(|one| one.serial.to_string()).collect();
        format!("document {} is in head office's database and not published", numbers.join(", "))
    })
}

/// Prints which document it has become.
pub(super) fn out(global: &Global, document: &Document) -> anyhow::Result<()> {
    let Document { serial, topic, .. } = document;
    print(&if global.json {
        json!({"serial": serial, "topic": topic}).to_string()
    } else {
        format!("document {serial} for {topic}")
    })
}

impl Target {
    /// The gateways of one store.
    pub(in crate::commands) fn of_store(store: u16) -> Self {
        Self { store: Some(store), ..Self::default() }
    }

    /// The topic of a document whose settings are sound.
    pub(super) fn checked(&self, text: &str) -> anyhow::Result<String> {
        let table: toml::Table = text.parse().unwrap_or_default();
        if table.contains_key("document") {
            bail!(
                "the file has [document], which is made here\n  hint: leave it out; --ring and \
                 --from say the rest"
            );
        }
        let store = self.store.unwrap_or(1);
        let group = self.group.as_deref().unwrap_or("group");
        let gateway = self.gateway.as_deref().unwrap_or("gateway");
        let site =
            format!("[store]\nid = {store}\ngroup = {group:?}\n[gateway]\nname = {gateway:?}\n");
        let site = config::parse(&site, "the command line", Path::new("."))?;
        let reach = match (&self.group, self.store, &self.gateway) {
            (Some(_), ..) => Reach::Group,
            (_, Some(_), Some(_)) => Reach::Gateway,
            (_, Some(_), None) => Reach::Store,
            _ => Reach::Fleet,
        };
        let topic = reach.topic(&site).context("no topic")?;
        let mut layers = Layers::default();
        let rules = Rules { store, keys: &[], now: None };
        layers.set(reach, &topic, text.as_bytes(), &rules)?;
        layers.in_force(&site)?;
        Ok(topic)
    }

    /// Whether a document is for this gateway, as far as it said where it belongs.
    fn has(&self, gateway: &GatewayOverview) -> bool {
        let group = self.group.as_ref().is_none_or(|group| gateway.group.as_ref() == Some(group));
        let store = self.store.is_none_or(|store| gateway.store == store);
        group && store && self.gateway.as_ref().is_none_or(|name| *name == gateway.gateway)
    }

    fn await_all(
        &self,
        store: &mut FleetStore,
        document: &Document,
        within: Duration,
    ) -> anyhow::Result<Answers> {
        let clocks = Clocks::machine();
        let mut changed = clocks.now().tick;
        let end = changed.plus(within);
        let mut last = Answers::default();
        loop {
            let now = clocks.now();
            let mut all = store.overview(now.clock.reading())?;
            all.retain(|gateway| self.has(gateway));
            let answers = Answers::of(&all, document);
            if answers != last {
                changed = now.tick;
            }
            let settled = answers.refused.is_empty() || now.tick.since(changed) >= SETTLED_AFTER;
            if answers.waiting.is_empty() && settled || now.tick >= end {
                return Ok(answers);
            }
            last = answers;
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// What gateways report of a document.
#[derive(Debug, Default, PartialEq)]
struct Answers {
    in_force: usize,
    waits: usize,
    other_stores: usize,
    refused: Vec<String>,
    waiting: Vec<String>,
}

impl Answers {
    fn of(all: &[GatewayOverview], document: &Document) -> Self {
        let mut answers = Self::default();
        for gateway in all {
            let name = format!("{}/{}", gateway.store, gateway.gateway);
            let known =
                gateway.documents.iter().find(|known| known.serial == Some(document.serial));
            let refused = gateway.troubles.iter().find(|line| {
                line.strip_prefix("refused: ").is_some_and(|line| line.starts_with(&document.topic))
            });
            match (known.map(|known| known.state), refused) {
                (Some(DocumentState::InForce | DocumentState::Shadow), _) => {
                    answers.in_force += 1;
                }
                (Some(DocumentState::Waits), _) => answers.waits += 1,
                (Some(DocumentState::OtherStores), _) => answers.other_stores += 1,
                (Some(DocumentState::FellBack), _) => {
                    let why = known.and_then(|known| known.why.as_deref()).unwrap_or_default();
                    answers.refused.push(format!("{name}: taken back: {why}"));
                }
                (None, Some(why)) => answers.refused.push(format!("{name}: {why}")),
                (None, None) => answers.waiting.push(name),
            }
        }
        answers
    }
}

/// More are counted, not named.
const MOST_NAMED: usize = 20;

fn report(global: &Global, answers: &Answers) -> anyhow::Result<Exit> {
    let Answers { in_force, waits, other_stores, refused, waiting } = answers;
    if global.json {
        print(
            &json!({
                "in_force": in_force, "waits": waits, "other_stores": other_stores,
                "refused": refused, "no_answer": waiting,
            })
            .to_string(),
        )?;
    } else {
        print(&format!(
            "in force at {in_force} gateways, waits at {waits}, for other stores at {other_stores}, \
             refused at {}, no answer from {}",
            refused.len(),
            waiting.len()
        ))?;
        for line in refused.iter().take(MOST_NAMED) {
            print(&format!("  {line}"))?;
        }
        for name in waiting.iter().take(MOST_NAMED) {
            print(&format!("  {name}: no answer"))?;
        }
    }
    Ok(if refused.is_empty() && waiting.is_empty() { Exit::Done } else { Exit::Failed })
}
