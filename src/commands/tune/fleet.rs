//! What `grelot tune --fleet` searches on: traces of contacts in head office's database, by layout or by
//! store. A day of a store takes the place of a recording.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::corpus::Recording;
use super::counts::counted;
use super::state::Key;
use super::traces::{Judged, Stay};
use crate::clock::Clocks;
use crate::commands::complain;
use crate::commands::fleet::Target;
use crate::config::Config;
use crate::config::detection::Detection;
use crate::config::layers::{Layers, Reach};
use crate::config::pushed::Rules;
use crate::daemon::trace_playback;
use crate::fleet::{FleetStore, Location, StoredTrace, layout};
use crate::payload::Trace;
use crate::pipeline::Place;
use crate::pipeline::units::WallTime;

/// Stores for which commands are printed; the others' are the same.
const MOST_NAMED: usize = 3;

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// Stores that are searched together.
pub struct Group {
    /// For people.
    pub name: String,
    /// In a file's name.
    slug: String,
    pub stores: Vec<u16>,
    /// Head office's.
    pub database: Location,
    /// Whether head office knows no other store.
    is_all: bool,
    /// Of the first of the stores.
    pub config: Config,
    /// The detection settings that the search begins with.
    pub in_force: Detection,
    /// The number of the document that a push would replace.
    replaces: Option<u64>,
    /// Gateways that received a customer, with their places.
    pub receivers: Vec<(String, Option<Place>)>,
    pub recordings: Vec<Recording>,
    /// Everything that is in them.
    content: String,
    unjudged: usize,
    passed: usize,
}

/// The groups in head office's file: one store, each store, or each layout.
///
/// # Errors
/// The database cannot be read, a pushed document is wrong, or staff judged no trace.
pub fn read(
    database: &Location,
    config: &Config,
    store: Option<u16>,
    each_store: bool,
) -> anyhow::Result<Vec<Group>> {
    if let Location::File(file) = database {
        ensure!(file.exists(), "{database}: there is no such file");
    }
    let mut fleet = FleetStore::open(database.clone())?;
    let stores = match store {
        Some(store) => vec![store],
        None => fleet.traced_stores()?,
    };
    let by_layout = store.is_none() && !each_store;
    let mut groups: BTreeMap<(String, u16), Vec<StoredTrace>> = BTreeMap::new();
    for store in stores {
        for trace in fleet.traces(store)? {
            let key = if by_layout { (layout(&trace.trace), 0) } else { (String::new(), store) };
            groups.entry(key).or_default().push(trace);
        }
    }
    let mut found = Vec::new();
    for (nth, ((layout, store), traces)) in (1..).zip(groups) {
        let (name, slug) = match store {
            0 => (format!("stores with {layout}"), format!("layout-{nth}")),
            store => (format!("store {store}"), store.to_string()),
        };
        if traces.iter().any(|one| matches!(Stay::of(one), Some(Stay::Here(_) | Stay::NotHere))) {
            found.push(Group::of((&mut fleet, database), config, (name, slug), traces)?);
        } else {
            complain(&format!("{name}: left out, staff judged no visit that there is a trace of"));
        }
    }
    ensure!(
        !found.is_empty(),
        "{database}: no trace of contacts that staff judged\n  hint: gateways report traces with \
         `head_office.traces = true`, and staff say on the tablets whether the customer was here"
    );
    Ok(found)
}

impl Group {
    fn of(
        (fleet, database): (&mut FleetStore, &Location),
        config: &Config,
        (name, slug): (String, String),
        traces: Vec<StoredTrace>,
    ) -> anyhow::Result<Self> {
        let now = Clocks::machine().now().clock.reading();
        let stores: BTreeSet<u16> = traces.iter().map(|one| one.store).collect();
        let known: BTreeSet<u16> = fleet.overview(now)?.iter().map(|one| one.store).collect();
        let first = traces.last().context("no trace")?;
        let mut config = of_store(config, first);
        let overview = fleet.gateways_of(first.store, now)?;
        config.store.group = overview.into_iter().find_map(|one| one.group);
        let reaches = match stores.len() {
            1 => &[Reach::Fleet, Reach::Group, Reach::Store][..],
            _ => &[Reach::Fleet],
        };
        let mut group = Self {
            name,
            slug,
            database: database.clone(),
            is_all: known.is_subset(&stores),
            stores: stores.into_iter().collect(),
            in_force: pushed(fleet, &config, reaches, now)?,
            replaces: None,
            receivers: receivers(&traces),
            config,
            recordings: Vec::new(),
            content: String::new(),
            unjudged: 0,
            passed: 0,
        };
        let reach = match &group.stores[..] {
            _ if group.is_whole_fleet() => Some(Reach::Fleet),
            [_] => Some(Reach::Store),
            _ => None,
        };
        if let Some(topic) = reach.and_then(|reach| reach.topic(&group.config)) {
            group.replaces = fleet.newest(&topic)?.map(|document| document.serial);
        }
        group.record(traces)?;
        Ok(group)
    }

    /// Makes a recording of each day of each store.
    fn record(&mut self, traces: Vec<StoredTrace>) -> anyhow::Result<()> {
        let registry = trace_playback::registry()?;
        let mut days: BTreeMap<(u16, i64), Vec<(Trace, Stay)>> = BTreeMap::new();
        for stored in traces {
            let Some(stay) = Stay::of(&stored) else {
                self.unjudged += 1;
                continue;
            };
            self.passed += usize::from(stay == Stay::Passed);
            self.content += &format!("{stay:?} {}\n", serde_json::to_string(&stored.trace)?);
            days.entry((stored.store, stored.day)).or_default().push((stored.trace, stay));
        }
        for ((store, day), traces) in days {
            let name = format!("store {store}, {}", date(day));
            let judged = Judged::new(traces, registry.without_credentials());
            self.recordings.push(Recording::of_traces(name, store, judged));
        }
        Ok(())
    }

    /// A hash of all that can change a result, but the arguments.
    ///
    /// # Errors
    /// This program cannot be read.
    pub fn key(&self) -> anyhow::Result<Key> {
        let mut key = Key::default();
        key.text(env!("CARGO_PKG_VERSION"));
        key.file(&std::env::current_exe().context("cannot find this program")?)?;
        key.text(&format!("{:?}", self.in_force));
        key.text(&self.content);
        Ok(key)
    }

    /// `tuned.toml` gives `tuned-42.toml`.
    pub fn beside(&self, out: &Path) -> PathBuf {
        let stem = out.file_stem().unwrap_or_default().to_string_lossy();
        let end = out.extension().map(|end| format!(".{}", end.to_string_lossy()));
        out.with_file_name(format!("{stem}-{}{}", self.slug, end.unwrap_or_default()))
    }

    /// What to know of the traces.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = vec![
            "a recording is a day of a store, as traces of contacts; staff say who was here, and \
             cannot say who was missed"
                .to_owned(),
        ];
        if self.passed > 0 {
            remarks.push(format!(
                "{} did not ring and count as not here",
                counted(self.passed, "stay")
            ));
        }
        if self.unjudged > 0 {
            remarks.push(format!(
                "{} left out: staff said nothing, or the trace ends before",
                counted(self.unjudged, "stay")
            ));
        }
        remarks
    }

    /// The commands that follow, with the configuration at `config`: what the document replaces, the
    /// shadow, then a ring.
    pub fn next(&self, out: &Path, config: &Path) -> Vec<(&'static str, String)> {
        let (out, config, state) = (out.display(), config.display(), &self.database);
        let mut next = Vec::new();
        if let Some(serial) = self.replaces {
            next.push(("Replaces", format!("grelot fleet diff {serial} {out} --state {state}")));
        }
        let (push, ring) = if self.is_whole_fleet() { ("Ring", "--ring 5 ") } else { ("Push", "") };
        let targets = if self.is_whole_fleet() {
            vec![String::new()]
        } else {
            let named = self.stores.iter().take(MOST_NAMED);
            named.map(|store| format!("--store {store} ")).collect()
        };
        let office = format!("grelot --config {config} fleet");
        for target in &targets {
            next.push(("Shadow", format!("{office} shadow {out} {target}--state {state}")));
        }
        next.push(("Results", format!("grelot fleet shadow --results --state {state}")));
        let limits = "--roll-back-if alerts=1.5 --roll-back-if not_here=0.3";
        for target in &targets {
            let command = format!("{office} push {out} {target}{ring}--state {state} {limits}");
            next.push((push, command));
        }
        next
    }

    /// For whom a document is that all of these stores are to have.
    pub fn targets(&self) -> Vec<Target> {
        if self.is_whole_fleet() {
            return vec![Target::default()];
        }
        self.stores.iter().map(|store| Target::of_store(*store)).collect()
    }

    /// A push of the document is for the whole fleet, and may begin with a ring.
    fn is_whole_fleet(&self) -> bool {
        self.is_all && self.stores.len() > 1
    }
}

/// The configuration of a trace's store, as far as head office knows it.
fn of_store(config: &Config, stored: &StoredTrace) -> Config {
    let StoredTrace { store, trace, .. } = stored;
    let mut config = config.clone();
    config.store.id = *store;
    let placed =
        trace.gateways.iter().filter_map(|one| Some((one.name.clone(), one.place?.into())));
    config.store.gateways = placed.collect();
    if let Some(first) = trace.gateways.first() {
        config.gateway.clone_from(&first.name);
    }
    config.store.zones = [None; 16];
    for one in &trace.zones {
        if let Some(place) = config.store.zones.get_mut(usize::from(one.zone)) {
            *place = Some(one.place.into());
        }
    }
    config
}

/// The settings that head office has pushed, over those of the configuration.
fn pushed(
    fleet: &mut FleetStore,
    config: &Config,
    reaches: &[Reach],
    now: WallTime,
) -> anyhow::Result<Detection> {
    let mut layers = Layers::default();
    // Head office's own file: signatures are for the way to the gateways.
    let rules = Rules { store: config.store.id, keys: &[], now: Some(now) };
    for reach in reaches {
        let Some(topic) = reach.topic(config) else { continue };
        // A candidate that runs in the shadow leaves in force what came before it.
        for document in fleet.history(Some(&topic))?.iter().rev() {
            layers.set(*reach, &topic, document.text.as_bytes(), &rules)?;
        }
    }
    Ok(layers.detection(config)?)
}

/// The gateways that received a customer.
fn receivers(traces: &[StoredTrace]) -> Vec<(String, Option<Place>)> {
    let mut found = BTreeMap::new();
    for StoredTrace { trace, .. } in traces {
        let heard: BTreeSet<usize> = trace.received.iter().map(|one| one.1.into()).collect();
        let named = heard.into_iter().filter_map(|index| trace.gateways.get(index));
        found.extend(named.map(|one| (one.name.clone(), one.place.map(Place::from))));
    }
    found.into_iter().collect()
}

/// As people write it.
fn date(day: i64) -> String {
    let midnight = WallTime::from_unix_secs(day.saturating_mul(DAY_S)).to_string();
    midnight.split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use crate::payload::trace::TracePlace;
    use TracePlace::{Door, Inside};

    use super::*;
    use crate::fleet::store::Said;
    use crate::payload::trace::{TraceContact, TraceDecision, TraceEvent, TraceGateway};
    use crate::payload::{Report, ReportBatch, ReportKind, VisitLabel};

    const NOW: WallTime = WallTime::from_unix_secs(1_767_603_600);

    fn config() -> Config {
        let text = "[store]\nid = 1\n[gateway]\nname = \"office\"\n[presence]\ndwell_secs = 4\n";
        crate::config::parse(text, "head-office.toml", Path::new(".")).unwrap()
    }

    /// A database in which each of the stores has a judged visit, with gateways at these places.
    fn database(stores: &[(u16, &[TracePlace])]) -> (tempfile::TempDir, Location) {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::from(folder.path().join("fleet.db"));
        let mut fleet = FleetStore::open(location.clone()).unwrap();
        for (store, places) in stores {
            let visit = format!("{store:016x}");
            let gateway = |(nth, place): (u32, &TracePlace)| TraceGateway {
                name: format!("g{nth}"),
                place: Some(*place),
            };
            let arrived = TraceDecision { at_us: 9, what: TraceEvent::Arrived, confidence: None };
            let trace = Trace {
                trace: visit.clone(),
                visit: Some(visit.clone()),
                gateways: (0..).zip(*places).map(gateway).collect(),
                received: vec![TraceContact(0, 0, Some(-60), None)],
                decisions: vec![arrived],
                ended_us: 9,
                ..Trace::default()
            };
            let label = VisitLabel { visit, was_here: true };
            let both = [ReportKind::Trace(Box::new(trace)), ReportKind::Label(label)];
            let reports =
                (1..).zip(both).map(|(n, what)| Report { n, at: NOW.to_string(), what }).collect();
            let batch = ReportBatch { v: 1, queue: "q".to_owned(), dropped: 0, reports };
            assert_eq!(fleet.report(*store, "g0", &batch).unwrap(), 2);
            fleet.heard(*store, "g0", Said::Health("{}"), NOW).unwrap();
        }
        (folder, location)
    }

    fn commands(group: &Group) -> Vec<String> {
        let next = group.next(Path::new("tuned.toml"), Path::new("office.toml"));
        let short = |(_, command): (&str, String)| {
            let end = command.find(" --state").unwrap_or(command.len());
            command.chars().take(end).collect()
        };
        next.into_iter().map(short).collect()
    }

    #[test]
    fn stores_are_searched_by_layout_store_by_store_or_alone() {
        let (_folder, location) =
            database(&[(7, &[Door, Inside]), (8, &[Inside, Door]), (9, &[Door])]);
        let names = |store, each| {
            let groups = read(&location, &config(), store, each).unwrap();
            let name = |group: Group| (group.name.clone(), group.stores, group.slug);
            groups.into_iter().map(name).collect::<Vec<_>>()
        };
        let of = |name: &str, stores: &[u16], slug: &str| {
            (name.to_owned(), stores.to_vec(), slug.to_owned())
        };
        let layouts = [
            of("stores with 1 gateway (door)", &[9], "layout-1"),
            of("stores with 2 gateways (door, inside)", &[7, 8], "layout-2"),
        ];
        assert_eq!(names(None, false), layouts);
        let each = [7, 8, 9].map(|n: u16| of(&format!("store {n}"), &[n], &n.to_string()));
        assert_eq!(names(None, true), each);
        assert_eq!(names(Some(8), false), [of("store 8", &[8], "8")]);
        let groups = read(&location, &config(), None, false).unwrap();
        assert_eq!(groups[1].beside(Path::new("a/tuned.toml")), Path::new("a/tuned-layout-2.toml"));
        assert_eq!(groups[1].recordings.len(), 2, "a day of each store");
        assert_eq!(
            commands(&groups[1]),
            [
                "grelot --config office.toml fleet shadow tuned.toml --store 7",
                "grelot --config office.toml fleet shadow tuned.toml --store 8",
                "grelot fleet shadow --results",
                "grelot --config office.toml fleet push tuned.toml --store 7",
                "grelot --config office.toml fleet push tuned.toml --store 8",
            ]
        );
    }

    #[test]
    fn what_is_pushed_counts_from_the_start_and_is_said_to_be_replaced() {
        let (_folder, location) = database(&[(7, &[Door]), (8, &[Door])]);
        let mut fleet = FleetStore::open(location.clone()).unwrap();
        let mut push = |topic: &str, head: &str, presence: &str| {
            let text =
                |n: u64| Ok(format!("[document]\nserial = {n}\n{head}[presence]\n{presence}\n"));
            fleet.push::<crate::fleet::FleetError>(topic, "", "", text).unwrap();
        };
        push("grelot/v1/config/fleet", "", "dwell_secs = 7\nrejoin_secs = 60");
        push("grelot/v1/config/fleet", "shadow = true\n", "dwell_secs = 30");
        push("grelot/v1/8/config", "", "dwell_secs = 9");
        let all = read(&location, &config(), None, false).unwrap();
        let [all] = &all[..] else { panic!("one layout") };
        let dwell = |group: &Group| group.in_force.presence.dwell.as_secs();
        assert_eq!(dwell(all), 7, "what runs in the shadow is not in force");
        assert_eq!(
            commands(all),
            [
                "grelot fleet diff 2 tuned.toml",
                "grelot --config office.toml fleet shadow tuned.toml",
                "grelot fleet shadow --results",
                "grelot --config office.toml fleet push tuned.toml --ring 5",
            ]
        );
        let each = read(&location, &config(), None, true).unwrap();
        assert_eq!(each.iter().map(dwell).collect::<Vec<_>>(), [7, 9]);
        assert_eq!(each.iter().map(|one| one.replaces).collect::<Vec<_>>(), [None, Some(3)]);
    }

    #[test]
    fn a_database_without_judged_traces_is_refused_with_a_hint() {
        let (folder, location) = database(&[]);
        let refused = |location: &Location| {
            read(location, &config(), None, false).err().map(|error| error.to_string()).unwrap()
        };
        assert!(
            refused(&location).contains("hint: gateways report traces"),
            "{}",
            refused(&location)
        );
        let missing = folder.path().join("flet.db");
        assert!(refused(&Location::from(missing.clone())).contains("there is no such file"));
        assert!(!missing.exists());
    }
}
