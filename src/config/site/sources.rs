//! `[[source]]`: where advertisements come from.

use std::path::PathBuf;
use std::time::Duration;

use super::super::Source;
use super::Site;

/// For how long asking a phone may keep the only adapter from listening.
const DEAF: Duration = Duration::from_millis(100);

impl Site<'_> {
    pub(in crate::config) fn sources(&mut self) -> Vec<Source> {
        let tables = (0..).map(|index| format!("source[{index}]"));
        let given = |table: &String| self.document.sections.contains_key(table);
        let tables: Vec<String> = tables.take_while(given).collect();
        if tables.is_empty() {
            return vec![Source::Bluez { adapter: None, ask: Some(DEAF) }];
        }
        let mut sources = Vec::new();
        for table in tables {
            let Some(source) = self.source(&table) else { continue };
            if sources.iter().any(|other| hears_the_same(other, &source)) {
                self.problem(&format!("{table}.kind"), "hears the same as another [[source]]")
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
        let speed = self.number(&at("speed")).unwrap_or(1.0);
        match kind.as_str() {
            "bluez" => Some(Source::Bluez {
                adapter: self.bluez_adapter(table),
                ask: self.flag(&at("ask")).unwrap_or(true).then(|| {
                    let deaf = self.integer(&at("ask_deaf_ms")).map(i64::unsigned_abs);
                    deaf.map_or(DEAF, Duration::from_millis)
                }),
            }),
            "btleplug" => Some(Source::Btleplug { adapter: self.text(&at("adapter")) }),
            "recording" => Some(Source::Recording { path: self.source_path(table)?, speed }),
            "simulated" => {
                let number = self.integer(&at("seed")).unwrap_or(1);
                Some(Source::Simulated { seed: number.unsigned_abs(), speed })
            }
            "h4" => Some(Source::H4 { path: self.source_path(table)? }),
            _ => Some(Source::Mqtt),
        }
    }

    /// A kernel's name or an adapter's address; anything else would be an adapter never found.
    fn bluez_adapter(&mut self, table: &str) -> Option<String> {
        let path = format!("{table}.adapter");
        let adapter = self.text(&path)?;
        if !names_an_adapter(&adapter) {
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
            "bluez" => &["adapter", "ask", "ask_deaf_ms"],
            "btleplug" => &["adapter"],
            "recording" => &["path", "speed"],
            "simulated" => &["seed", "speed"],
            "h4" => &["path"],
            _ => &[],
        };
        for key in ["adapter", "ask", "ask_deaf_ms", "path", "speed", "seed"] {
            let path = format!("{table}.{key}");
            if !of_use.contains(&key) && self.found(&path).is_some() {
                self.problem(&path, format!("means nothing for kind = \"{kind}\""));
            }
        }
    }
}

/// The kernel's name or the adapter's address.
fn names_an_adapter(text: &str) -> bool {
    let number = |digits: &str| digits.parse::<u16>().is_ok();
    let octet = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    text.strip_prefix("hci").is_some_and(number)
        || (text.split(':').count() == 6 && text.split(':').all(octet))
}

fn hears_the_same(a: &Source, b: &Source) -> bool {
    match (a, b) {
        (
            Source::Bluez { adapter: a, .. } | Source::Btleplug { adapter: a },
            Source::Bluez { adapter: b, .. } | Source::Btleplug { adapter: b },
        ) => a == b || a.is_none() || b.is_none(),
        (Source::Recording { path: a, .. }, Source::Recording { path: b, .. })
        | (Source::H4 { path: a }, Source::H4 { path: b }) => a == b,
        (Source::Simulated { seed: a, .. }, Source::Simulated { seed: b, .. }) => a == b,
        (Source::Mqtt, Source::Mqtt) => true,
        _ => false,
    }
}
