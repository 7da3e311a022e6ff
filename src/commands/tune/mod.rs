//! `grelot tune`: searches the detection settings on recordings with ground truth or labels.
//!
//! ```text
//! recordings ─► corpus ─► trial ─► board ─► search ─► verdict ─► report, picture, document
//! (truth or     (what     (the     (what    (one for all,
//!  labels)       matters)  pipeline) each did) one a fold)
//! ```
//!
//! Invariant: the same files, configuration, seed and program give the same result to the byte,
//! however often the run was killed in between.

mod confidence;
mod corpus;
mod counts;
mod document;
mod fleet;
mod inputs;
mod labels;
mod parameter;
mod pareto;
mod picture;
mod progress;
mod report;
mod search;
mod space;
mod state;
mod traces;
mod trial;
mod verdict;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::fleet::{Signing, open_shadow};
use super::{Exit, Global, print};
use crate::clock::Clocks;
use crate::config::detection::Detection;
use crate::config::registry::Reading;
use crate::config::{self, Config};
use crate::fleet::{Document, FleetStore, Location, Proposal};
use crate::pipeline::units::Clock;
use crate::sources;
use corpus::{Known, Recording};
use counts::{Weights, Wish};
use fleet::Group;
use pareto::Offer;
use progress::Progress;
use search::Search;
use space::{Point, SearchOptions, Space};
use state::{Key, State};
use trial::{Bench, Board};
use verdict::Verdict;

/// More folds give hardly more information, and cost a search each.
const MOST_FOLDS: usize = 10;

/// Arguments of `grelot tune`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[command(after_help = "\
Examples:
  grelot --config shop.toml tune monday.jsonl.zst tuesday.jsonl.zst --out tuned.toml
  grelot --config shop.toml tune *.jsonl.zst --out tuned.toml --weight false=3
  grelot --config shop.toml tune *.jsonl.zst --labels labels.jsonl --out tuned.toml
  grelot --config head-office.toml tune --fleet fleet.db --store 42 --out tuned.toml
  grelot --config head-office.toml tune --fleet fleet.db --all --out tuned.toml
  grelot --config head-office.toml tune --fleet fleet.db --out tuned.toml --shadow --key grelot.key

Recordings need the truth ({\"t\":12.3,\"truth\":\"enter\",\"client\":\"c-7f3a\"}), or labels as
`grelot labels` prints them. --out also draws the trade-off (tuned.svg) and keeps what was tried
(tuned.toml.state): a run that was killed goes on there, and other weights need no new trials.
With --fleet the search begins with the configuration's [presence] and what head office has pushed; several
searches write tuned-42.toml, or tuned-layout-1.toml; the page of `grelot fleet serve` shows what was found.
The document has [presence] alone, to be put into the configuration or pushed over MQTT.")]
pub struct Args {
    /// Recordings or captures
    #[arg(required_unless_present = "fleet", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Head office's database instead of recordings: traces of contacts that gateways reported, and
    /// what staff said of them; one search for each layout of stores
    #[arg(long, value_name = "FILE|URL", conflicts_with_all = ["files", "labels", "registry"])]
    fleet: Option<Location>,
    /// This store's traces alone
    #[arg(long, value_name = "NUMBER", requires = "fleet", value_parser = clap::value_parser!(u16).range(1..))]
    store: Option<u16>,
    /// One search for each store, not for each layout
    #[arg(long, requires = "fleet", conflicts_with = "store")]
    all: bool,
    /// Lets the chosen settings run in the shadow of those in force, at all stores that were searched,
    /// unless those in force are better
    #[arg(long, requires_all = ["fleet", "out"])]
    shadow: bool,
    #[command(flatten)]
    signing: Signing,
    /// Writes the chosen settings here, a picture and the state of the search beside
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Registry, instead of the configuration's
    #[arg(long, value_name = "FILE")]
    registry: Option<PathBuf>,
    /// Labels from staff, for recordings without truth; may be repeated
    #[arg(long, value_name = "FILE")]
    labels: Vec<PathBuf>,
    /// What a mistake costs: missed (1), false (1), late (0.1 for 10 s), dropped (0.5), lingering
    /// (0.02 for a minute); may be repeated
    #[arg(long, value_name = "MISTAKE=COST")]
    weight: Vec<Wish>,
    /// Searches every gateway's own levels, too
    #[arg(long)]
    levels: bool,
    /// Searches `presence.rejoin_secs`, too
    #[arg(long)]
    rejoin: bool,
    /// Settings tried across the whole space before the search narrows
    #[arg(long, value_name = "COUNT", default_value_t = 200,
          value_parser = clap::value_parser!(u16).range(1..))]
    points: u16,
    /// Folds of the cross-validation; by default one for each recording, up to 10
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(2..))]
    folds: Option<u16>,
    /// Seed of the random search: the same seed gives the same result
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

/// Everything that a report contains.
struct Outcome<'a> {
    space: &'a Space,
    recordings: &'a [Recording],
    verdict: Verdict,
    /// Recordings with staff's labels.
    labelled: usize,
    /// Lines and frames that could not be read.
    unreadable: usize,
    /// Points that an earlier run had tried.
    known_before: usize,
    took: Duration,
    /// Where the recordings are from, if they are traces of head office's file.
    group: Option<&'a Group>,
}

/// Runs the command.
///
/// # Errors
/// The configuration is wrong, recordings cannot be read or show no visit, or a result cannot be
/// written.
pub fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    ensure!(
        args.shadow || !args.signing.is_wanted(),
        "--key signs the document of a shadow\n  hint: add --shadow, or give the key to `grelot fleet push`"
    );
    let config = config::load_for_replay(&global.config)?;
    if let Some(database) = &args.fleet {
        return from_fleet(global, args, database, &config);
    }
    let customers = inputs::customers(args, &config)?;
    if let Some(out) = &args.out {
        document::may_replace(out)?;
    }
    let mut progress = Progress::new();
    let (key, recordings) = inputs::read(args, &config, &customers, &mut progress)?;
    inputs::known(&recordings)?;
    let receivers = corpus::receivers(&recordings, &config);
    let options = SearchOptions { levels: args.levels, rejoin: args.rejoin };
    let space = Space::new(Detection::from(&config), &receivers, options);
    let bench = Bench { config: &config, space: &space, recordings: &recordings };
    let weights = Weights::default().with(&args.weight);
    let out = args.out.as_deref();
    let (verdict, known_before) = search(args, out, &bench, &weights, key, &mut progress)?;
    check(&bench, &customers, [&verdict.now, &verdict.chosen])?;
    let outcome = Outcome {
        space: &space,
        recordings: &recordings,
        labelled: recordings.iter().filter(|r| matches!(r.known, Known::Labels(_))).count(),
        unreadable: recordings.iter().map(|r| usize::try_from(r.unreadable).unwrap_or(0)).sum(),
        known_before,
        verdict,
        took: progress.end(),
        group: None,
    };
    tell(global, args, out, &config, &outcome)?;
    Ok(Exit::Done)
}

/// One search for each group of stores.
fn from_fleet(
    global: &Global,
    args: &Args,
    database: &Location,
    config: &Config,
) -> anyhow::Result<Exit> {
    let groups = fleet::read(database, config, args.store, args.all)?;
    let out = |group: &Group| {
        let out = args.out.as_ref()?;
        let several = groups.len() > 1 || args.all;
        Some(if several { group.beside(out) } else { out.clone() })
    };
    for out in groups.iter().filter_map(out) {
        document::may_replace(&out)?;
    }
    for (nth, group) in groups.iter().enumerate() {
        if nth > 0 && !global.json {
            print("")?;
        }
        let mut progress = Progress::new();
        let options = SearchOptions { levels: args.levels, rejoin: args.rejoin };
        let space = Space::new(group.in_force.clone(), &group.receivers, options);
        let bench = Bench { config: &group.config, space: &space, recordings: &group.recordings };
        let weights = Weights::default().with(&args.weight);
        let mut key = group.key()?;
        key.text(&format!("{} {} {}", args.seed, args.levels, args.rejoin));
        let out = out(group);
        let out = out.as_deref();
        let (verdict, known_before) = search(args, out, &bench, &weights, key, &mut progress)?;
        let outcome = Outcome {
            space: &space,
            recordings: &group.recordings,
            labelled: group.recordings.len(),
            unreadable: 0,
            known_before,
            verdict,
            took: progress.end(),
            group: Some(group),
        };
        tell(global, args, out, &group.config, &outcome)?;
    }
    Ok(Exit::Done)
}

/// The search, and how many points an earlier run had tried.
fn search(
    args: &Args,
    out: Option<&Path>,
    bench: &Bench<'_>,
    weights: &Weights,
    key: Key,
    progress: &mut Progress,
) -> anyhow::Result<(Verdict, usize)> {
    let files = bench.recordings.len();
    let (mut state, mut board) = match out {
        Some(out) => {
            let (state, board) = State::open(&beside(out, "state"), &key.done(), files)?;
            (Some(state), board)
        }
        None => (None, Board::new()),
    };
    let known_before = board.len();
    let start = bench.space.start();
    let mut spread = bench.space.halton_points(usize::from(args.points), args.seed);
    spread.insert(start.clone());
    // Points of other weights or another spread must not be chosen from: the result would depend
    // on what was tried before.
    let mut used = Board::new();
    let mut attempt = |stage: String, points: &BTreeSet<Point>, used: &mut Board| {
        progress.stage(stage, points.iter().filter(|point| !board.contains_key(point)).count());
        bench.try_all(points, &mut board, |point, tallies| {
            progress.step();
            state.as_mut().map_or(Ok(()), |state| state.add(point, tallies))
        })?;
        used.extend(points.iter().filter_map(|p| Some((p.clone(), board.get(p)?.clone()))));
        anyhow::Ok(())
    };
    attempt("looking everywhere".to_owned(), &spread, &mut used)?;
    let folds = args.folds.map_or(MOST_FOLDS, usize::from).min(files);
    let fold = search::deal(files, folds, args.seed);
    let all = (0..files).collect();
    let without = |one: usize| (0..files).filter(|at| fold.get(*at) != Some(&one)).collect();
    let sees = std::iter::once(all).chain((0..folds).filter(|_| folds > 1).map(without));
    let mut searches: Vec<Search> =
        sees.map(|sees| Search::new(sees, &spread, *weights, start.clone())).collect();
    search::climb(bench.space, &mut searches, &mut used, |round, points, used| {
        attempt(format!("closing in, round {round}"), points, used)
    })?;
    let verdict = verdict::reach(bench.space, &searches, &fold, &used, weights, args.seed);
    Ok((verdict.context("nothing could be tried")?, known_before))
}

/// What was tried on parts of the recordings must hold on the whole of them, as `replay` plays
/// them.
fn check(bench: &Bench<'_>, customers: &Path, offers: [&Offer; 2]) -> anyhow::Result<()> {
    for offer in offers {
        let mut tallies = Vec::new();
        for recording in bench.recordings {
            let replay = sources::open(&recording.path)?;
            let clock = Clock::Set(replay.started_at());
            let reading = Reading::new(bench.config.store.id, clock).keeping_every_day();
            let (registry, _) = reading.load(customers)?;
            let settings = bench.space.settings(&offer.point);
            tallies.push(trial::play(bench.config, settings, recording, replay, registry)?);
        }
        ensure!(
            counts::Counts::sum(&tallies) == offer.counts,
            "a replay of the whole recordings gives another result: did a file change meanwhile?"
        );
    }
    Ok(())
}

fn tell(
    global: &Global,
    args: &Args,
    out: Option<&Path>,
    config: &Config,
    outcome: &Outcome<'_>,
) -> anyhow::Result<()> {
    let text = document::write(outcome, config)?;
    if !global.json {
        print(report::text(outcome).trim_end())?;
    }
    let mut opened = Vec::new();
    if let Some(out) = out {
        document::put(out, &text)?;
        document::put(&out.with_extension("svg"), &picture::draw(outcome))?;
        if let Some(group) = outcome.group {
            opened = hand_over(global, args, group, &text, outcome)?;
        }
    }
    let next = out.map(|out| {
        let next = outcome.group.map(|group| group.next(out, &global.config)).unwrap_or_default();
        // What is opened is not to be opened again.
        let next = next.into_iter().filter(|(what, _)| opened.is_empty() || *what != "Shadow");
        next.collect::<Vec<_>>()
    });
    if global.json {
        return print(&report::json(outcome, next.as_deref(), &opened).to_string());
    }
    let Some(out) = out else { return Ok(()) };
    lead_on(out, config.store.id, next.unwrap_or_default(), &opened, args.shadow)
}

/// Head office's database gets what was found, for the page, and the shadow is opened where it is wanted.
fn hand_over(
    global: &Global,
    args: &Args,
    group: &Group,
    text: &str,
    outcome: &Outcome<'_>,
) -> anyhow::Result<Vec<Document>> {
    let mut store = FleetStore::open(group.database.clone())?;
    let report = report::json(outcome, None, &[]);
    store.propose(&Proposal {
        name: group.name.clone(),
        at: Clocks::machine().now().clock.reading().to_string(),
        report: report.get("tune").map(ToString::to_string).unwrap_or_default(),
        document: text.to_owned(),
    })?;
    if !args.shadow || !report::is_worth_a_shadow(outcome) {
        return Ok(Vec::new());
    }
    open_shadow(global, &mut store, text, &group.targets(), &args.signing)
}

/// Where the result is, and what follows.
fn lead_on(
    out: &Path,
    store: u16,
    next: Vec<(&'static str, String)>,
    opened: &[Document],
    wanted: bool,
) -> anyhow::Result<()> {
    let (picture, out) = (out.with_extension("svg"), out.display());
    print(&format!("\nWritten  {out}, {}", picture.display()))?;
    for Document { serial, topic, .. } in opened {
        print(&format!("Opened   document {serial} for {topic}, in the shadow"))?;
    }
    if wanted && opened.is_empty() {
        print("Shadow   not opened: nothing that was tried is better on days it was not found on")?;
    }
    if next.is_empty() {
        print(&format!(
            "Try it   grelot --config CONFIG replay --diff OTHER FILE…\n\
             Push it  mosquitto_pub -r -q 1 -t grelot/v1/{store}/config -f {out}"
        ))?;
    }
    for (what, command) in next {
        print(&format!("{what:<8} {command}"))?;
    }
    Ok(())
}

/// `tuned.toml` and `state` give `tuned.toml.state`.
fn beside(out: &Path, what: &str) -> PathBuf {
    let mut path = out.as_os_str().to_owned();
    path.push(".");
    path.push(what);
    PathBuf::from(path)
}
