//! `[[source]]`: where advertisements come from.

use std::path::PathBuf;
use std::time::Duration;

use super::super::{Source, keys};
use super::Site;
use crate::sources::kinds;
use crate::sources::live::{Kind, Settings};

impl Site<'_> {
    pub(in crate::config) fn sources(&mut self) -> Vec<Source> {
        let tables = (0..).map(|index| format!("source[{index}]"));
        let given = |table: &String| self.document.sections.contains_key(table);
        let tables: Vec<String> = tables.take_while(given).collect();
        if tables.is_empty() {
            return vec![Source::Live(self.live(kinds::DEFAULT, "source"))];
        }
        let mut sources = Vec::new();
        for table in tables {
            let Some(source) = self.source(&table) else { continue };
            if sources.iter().any(|other| hears_the_same(other, &source)) {
                self.problem(&format!("{table}.kind"), "receives the same as another [[source]]")
                    .suggest("every advertisement would count twice");
            }
            sources.push(source);
        }
        sources
    }

    fn source(&mut self, table: &str) -> Option<Source> {
        let at = |key: &str| format!("{table}.{key}");
        let Some(kind) = self.text(&at("kind")) else {
            if self.is_missing(&at("kind")) {
                self.problem(&at("kind"), "is missing").suggest("such as kind = \"bluez\"");
            }
            return None;
        };
        self.foreign_keys(table, &kind);
        if let Some(kind) = kinds::named(&kind) {
            return Some(Source::Live(self.live(kind, table)));
        }
        let speed = self.number(&at("speed")).unwrap_or_default();
        match kind.as_str() {
            "recording" => Some(Source::Recording { path: self.source_path(table)?, speed }),
            "simulated" => {
                let number = self.integer(&at("seed")).unwrap_or_default();
                Some(Source::Simulated { seed: number.unsigned_abs(), speed })
            }
            _ => Some(Source::Mqtt),
        }
    }

    /// The keys that `kind` reads. Defaults are those of the table of keys.
    fn live(&mut self, kind: &'static Kind, table: &str) -> Settings {
        let at = |key: &str| format!("{table}.{key}");
        let reads = |key: &str| kind.keys.contains(&key);
        let mut settings = Settings::of(kind);
        if reads("adapter") {
            settings.adapter = self.adapter(kind, table);
        }
        if reads("path") {
            settings.path = self.source_path(table).unwrap_or_default();
        }
        if reads("ask") && self.flag(&at("ask")) == Some(true) {
            let pause = self.integer(&at("ask_deaf_ms")).map(i64::unsigned_abs);
            settings.challenge_pause = pause.map(Duration::from_millis);
        }
        settings
    }

    /// A kernel's name or an adapter's address; anything else would be an adapter never found.
    fn adapter(&mut self, kind: &Kind, table: &str) -> Option<String> {
        let path = format!("{table}.adapter");
        let adapter = self.text(&path)?;
        if !(kind.names_adapter)(&adapter) {
            self.problem(&path, "names no adapter")
                .suggest("such as \"hci0\", or an address such as \"00:1A:7D:DA:71:13\"");
        }
        Some(adapter)
    }

    fn source_path(&mut self, table: &str) -> Option<PathBuf> {
        let path = format!("{table}.path");
        let file = self.file(&path);
        if self.is_missing(&path) {
            self.problem(&path, "is missing")
                .suggest("the file or pipe that this kind of source reads");
        }
        file
    }

    /// A key that this kind of source has no use for was meant for something.
    fn foreign_keys(&mut self, table: &str, kind: &str) {
        let of_use: &[&str] = match kind {
            "recording" => &["path", "speed"],
            "simulated" => &["seed", "speed"],
            _ => kinds::named(kind).map_or(&[], |kind| kind.keys),
        };
        let keys = keys::section_named("source").map_or(&[][..], |section| section.keys);
        for key in keys.iter().map(|key| key.name).filter(|key| *key != "kind") {
            let path = format!("{table}.{key}");
            if !of_use.contains(&key) && self.found(&path).is_some() {
                self.problem(&path, format!("means nothing for kind = \"{kind}\""));
            }
        }
    }
}

fn hears_the_same(a: &Source, b: &Source) -> bool {
    match (a, b) {
        (Source::Live(a), Source::Live(b)) => a.overlaps(b),
        (Source::Recording { path: a, .. }, Source::Recording { path: b, .. }) => a == b,
        (Source::Simulated { seed: a, .. }, Source::Simulated { seed: b, .. }) => a == b,
        (Source::Mqtt, Source::Mqtt) => true,
        _ => false,
    }
}
