//! Checked values to the site's settings, and what only several values together can tell.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::document::{Document, Found};
use super::form::Value;
use super::problem::{Problem, Problems};
use super::{
    Broker, BrokerLocation, Secret, Severity, Source, Store, Tablets, Tls, broker_url, keys,
};
use crate::pipeline::{Place, policy};
use jiff::tz::TimeZone;

/// Values with the places they came from, and what is wrong with them together.
pub(super) struct Site<'a> {
    document: &'a Document,
    file: &'a str,
    /// Where relative paths begin.
    folder: &'a Path,
    problems: &'a mut Problems,
}

impl<'a> Site<'a> {
    pub(super) fn new(
        document: &'a Document,
        problems: &'a mut Problems,
        file: &'a str,
        folder: &'a Path,
    ) -> Self {
        Self { document, file, folder, problems }
    }

    pub(super) fn found(&self, path: &str) -> Option<&'a Found> {
        self.document.values.get(path)
    }

    /// A problem with what is written at `path`, or with its absence.
    pub(super) fn problem(&mut self, path: &str, what: impl Into<String>) -> &mut Problem {
        let mut problem = Problem::of_file(self.file, what).about(without_index(path));
        if let Some(found) = self.found(path) {
            problem.line = Some(found.line);
            problem.value.clone_from(&found.written);
        } else {
            let section = path.split('.').next().unwrap_or(path);
            problem.line = self.document.sections.get(section).copied();
        }
        self.problems.add(problem)
    }

    /// The value at `path`, else its default.
    fn value(&self, path: &str) -> Option<Value> {
        match self.found(path) {
            Some(found) => Some(found.value.clone()),
            None => keys::find(&without_index(path)).and_then(keys::Key::default),
        }
    }

    pub(super) fn text(&self, path: &str) -> Option<String> {
        match self.value(path)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn number(&self, path: &str) -> Option<f64> {
        match self.value(path)? {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    fn integer(&self, path: &str) -> Option<i64> {
        match self.value(path)? {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn file(&self, path: &str) -> Option<PathBuf> {
        self.text(path).map(|file| self.folder.join(file))
    }

    fn address(&self, path: &str) -> Option<SocketAddr> {
        self.text(path)?.parse().ok()
    }

    pub(super) fn store(&mut self) -> Option<Store> {
        let id = self.integer("store.id").and_then(|id| u16::try_from(id).ok());
        if id.is_none() && !self.document.torn && !self.already_wrong("store.id") {
            self.problem("store.id", "is missing").hint =
                Some("the store's number, 1 to 65535: [store] id = 42".to_owned());
        }
        let id = id?;
        Some(Store {
            id,
            name: self.text("store.name").unwrap_or_else(|| format!("Store {id}")),
            group: self.text("store.group"),
            gateways: self
                .named("store.gateways")
                .map(|(name, place)| (name.to_owned(), place))
                .collect(),
            zones: self.zones(),
        })
    }

    fn already_wrong(&self, key: &str) -> bool {
        self.problems.iter().any(|problem| problem.key.as_deref() == Some(key))
    }

    /// The places of a table whose names the user chose.
    fn named(&self, table: &str) -> impl Iterator<Item = (&'a str, Place)> + use<'a> {
        let prefix = format!("{table}.");
        self.document.values.iter().filter_map(move |(path, found)| {
            let name = path.strip_prefix(&prefix)?;
            let Value::Text(word) = &found.value else { return None };
            Some((name, place(word)?))
        })
    }

    fn zones(&mut self) -> [Option<Place>; 16] {
        let mut zones = [None; 16];
        let named: Vec<_> = self.named("store.zones").collect();
        for (zone, place) in named {
            let slot = zone.parse().ok().filter(|zone: &usize| *zone > 0);
            match slot.and_then(|zone| zones.get_mut(zone)) {
                Some(slot) => *slot = Some(place),
                None => {
                    self.problem(&format!("store.zones.{zone}"), "zones are 1 to 15").hint =
                        Some("the zone is the low 4 bits of the beacon's minor".to_owned());
                }
            }
        }
        zones
    }

    /// The name of this gateway, and that it is one of the store's.
    pub(super) fn gateway(&mut self, store: Option<&Store>) -> String {
        let name = self.text("gateway.name").unwrap_or_default();
        for gateway in store.map(|store| &store.gateways).into_iter().flat_map(BTreeMap::keys) {
            if let Err(misfit) = super::form::name(gateway) {
                let path = format!("store.gateways.{gateway}");
                self.problem(&path, misfit.what).hint = misfit.hint;
            }
        }
        if let Some(store) = store
            && !store.gateways.is_empty()
            && !store.gateways.contains_key(&name)
        {
            let all = store.gateways.keys().map(String::as_str);
            let hint = match super::nearest::of(&name, all.clone()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("known there: {}", all.collect::<Vec<_>>().join(", ")),
            };
            self.problem("gateway.name", "is not one of store.gateways").hint = Some(hint);
        }
        name
    }

    /// An offset for a gateway that is not there is a typing error.
    pub(super) fn offsets_are_of_gateways(&mut self, store: Option<&Store>, this: &str) {
        let Some(store) = store.filter(|store| !store.gateways.is_empty()) else { return };
        for path in self.document.values.keys() {
            let Some(rest) = path.strip_prefix("presence.gateway_") else { continue };
            let Some((_, gateway)) = rest.split_once('.') else { continue };
            if gateway != this && !store.gateways.contains_key(gateway) {
                let near = super::nearest::of(gateway, store.gateways.keys().map(String::as_str));
                self.problem(path, "is not one of store.gateways").hint =
                    near.map(|near| format!("did you mean \"{near}\"?"));
            }
        }
    }

    /// The store's own, which quiet hours are in.
    pub(super) fn time_zone(&mut self, policy: &policy::Settings) -> TimeZone {
        if policy.quiet_hours.is_some() && self.found("store.time_zone").is_none() {
            let problem = self.problem("policy.quiet_hours", "are taken in UTC");
            problem.severity = Severity::Warning;
            problem.hint =
                Some("say where the store is: store.time_zone = \"Europe/Paris\"".to_owned());
        }
        let name = self.text("store.time_zone");
        name.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC)
    }

    pub(super) fn broker(&mut self) -> Broker {
        let urls = self.urls();
        let embedded = match self.found("broker.embedded").map(|found| &found.value) {
            Some(Value::Flag(flag)) => Some(*flag),
            _ => None,
        };
        let location = match (embedded, urls) {
            (Some(true), Some(_)) => {
                self.problem("broker.urls", "excludes broker.embedded = true").hint =
                    Some("one store has one broker: keep one of the two".to_owned());
                BrokerLocation::Embedded(self.broker_listens())
            }
            (_, Some(urls)) => self.external(urls),
            (Some(false), None) => {
                self.problem("broker.embedded", "leaves no broker at all").hint =
                    Some("name one: urls = [\"mqtts://broker:8883\"]".to_owned());
                BrokerLocation::External(Vec::new())
            }
            (_, None) => BrokerLocation::Embedded(self.broker_listens()),
        };
        let (username, password) = self.credentials();
        if let BrokerLocation::Embedded(listen) = &location
            && !listen.ip().is_loopback()
            && password.is_none()
        {
            self.problem("broker.listen", "is open to the network without a password").hint =
                Some("set broker.username and broker.password_file".to_owned());
        }
        Broker { location, username, password }
    }

    fn broker_listens(&self) -> SocketAddr {
        let usual = SocketAddr::from(([127, 0, 0, 1], 1883));
        self.address("broker.listen").unwrap_or(usual)
    }

    fn urls(&mut self) -> Option<Vec<super::BrokerUrl>> {
        let Value::Texts(urls) = self.value("broker.urls")? else { return None };
        if urls.is_empty() {
            self.problem("broker.urls", "is empty").hint =
                Some("name a broker, or take broker.embedded = true".to_owned());
        }
        Some(urls.iter().filter_map(|url| broker_url::parse(url).ok()).collect())
    }

    fn external(&mut self, urls: Vec<super::BrokerUrl>) -> BrokerLocation {
        if self.found("broker.listen").is_some() {
            self.problem("broker.listen", "is for the embedded broker only").hint =
                Some("broker.urls says where the broker is".to_owned());
        }
        BrokerLocation::External(urls)
    }

    fn credentials(&mut self) -> (Option<String>, Option<Secret>) {
        let username = self.text("broker.username");
        let written = self.text("broker.password").map(Secret);
        let file = self.found("broker.password_file").is_some();
        if written.is_some() && file {
            self.problem("broker.password", "excludes broker.password_file").hint =
                Some("keep the file: a configuration gets copied".to_owned());
        }
        if username.is_none() && (written.is_some() || file) {
            let path = if file { "broker.password_file" } else { "broker.password" };
            self.problem(path, "needs broker.username").hint = None;
        }
        (username, written)
    }

    pub(super) fn tls(&mut self) -> Tls {
        let tls = Tls {
            ca: self.file("tls.ca"),
            certificate: self.file("tls.certificate"),
            key: self.file("tls.key"),
        };
        let hint = "a certificate is of no use without its private key, nor the key without it";
        match (&tls.certificate, &tls.key) {
            (Some(_), None) => {
                self.problem("tls.certificate", "needs tls.key").hint = Some(hint.to_owned());
            }
            (None, Some(_)) => {
                self.problem("tls.key", "needs tls.certificate").hint = Some(hint.to_owned());
            }
            _ => {}
        }
        tls
    }

    pub(super) fn tablets(&self) -> Option<Tablets> {
        self.address("tablets.listen").map(|listen| Tablets { listen })
    }

    pub(super) fn sources(&mut self) -> Vec<Source> {
        let tables = (0..).map(|index| format!("source[{index}]"));
        let given = |table: &String| self.document.sections.contains_key(table);
        let tables: Vec<String> = tables.take_while(given).collect();
        if tables.is_empty() {
            return vec![Source::Bluez { adapter: None }];
        }
        let mut sources = Vec::new();
        for table in tables {
            let Some(source) = self.source(&table) else { continue };
            if sources.iter().any(|other| hears_the_same(other, &source)) {
                self.problem(&format!("{table}.kind"), "hears the same as another [[source]]")
                    .hint = Some("every advertisement would count twice".to_owned());
            }
            sources.push(source);
        }
        sources
    }

    fn source(&mut self, table: &str) -> Option<Source> {
        let at = |key: &str| format!("{table}.{key}");
        let Some(kind) = self.text(&at("kind")) else {
            if !self.document.torn && !self.already_wrong("source.kind") {
                self.problem(&at("kind"), "is missing").hint =
                    Some("such as kind = \"bluez\"".to_owned());
            }
            return None;
        };
        self.foreign_keys(table, &kind);
        let speed = self.number(&at("speed")).unwrap_or(1.0);
        match kind.as_str() {
            "bluez" => Some(Source::Bluez { adapter: self.text(&at("adapter")) }),
            "recording" => Some(Source::Recording { path: self.source_path(table)?, speed }),
            "simulated" => {
                let number = self.integer(&at("seed")).unwrap_or(1);
                Some(Source::Simulated { seed: number.unsigned_abs(), speed })
            }
            "h4" => Some(Source::H4 { path: self.source_path(table)? }),
            _ => Some(Source::Mqtt),
        }
    }

    fn source_path(&mut self, table: &str) -> Option<PathBuf> {
        let path = format!("{table}.path");
        let file = self.file(&path);
        if file.is_none() && !self.document.torn && !self.already_wrong("source.path") {
            self.problem(&path, "is missing").hint =
                Some("the file or pipe that this kind of source reads".to_owned());
        }
        file
    }

    /// A key that this kind of source has no use for was meant for something.
    fn foreign_keys(&mut self, table: &str, kind: &str) {
        let of_use: &[&str] = match kind {
            "bluez" => &["adapter"],
            "recording" => &["path", "speed"],
            "simulated" => &["seed", "speed"],
            "h4" => &["path"],
            _ => &[],
        };
        for key in ["adapter", "path", "speed", "seed"] {
            let path = format!("{table}.{key}");
            if !of_use.contains(&key) && self.found(&path).is_some() {
                self.problem(&path, format!("means nothing for kind = \"{kind}\"")).hint = None;
            }
        }
    }
}

fn place(word: &str) -> Option<Place> {
    match word {
        "door" => Some(Place::Door),
        "outside" => Some(Place::Outside),
        "inside" => Some(Place::Inside),
        _ => None,
    }
}

fn hears_the_same(a: &Source, b: &Source) -> bool {
    match (a, b) {
        (Source::Bluez { adapter: a }, Source::Bluez { adapter: b }) => {
            a == b || a.is_none() || b.is_none()
        }
        (Source::Recording { path: a, .. }, Source::Recording { path: b, .. })
        | (Source::H4 { path: a }, Source::H4 { path: b }) => a == b,
        (Source::Simulated { seed: a, .. }, Source::Simulated { seed: b, .. }) => a == b,
        (Source::Mqtt, Source::Mqtt) => true,
        _ => false,
    }
}

/// `source[2].kind` is written `source.kind`.
fn without_index(path: &str) -> String {
    match (path.split_once('['), path.split_once(']')) {
        (Some((before, _)), Some((_, after))) => format!("{before}{after}"),
        _ => path.to_owned(),
    }
}
