//! Checked values to the site's settings, and checks that need several values.

mod beacons;
mod broker;
mod head_office;
mod registry;
mod sources;
mod store;
mod tablets;
mod webhooks;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::{Document, Found};
use super::form::Value;
use super::problem::{Problem, Problems};
use super::{Tls, WebUrl, keys, web_url};

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

    fn flag(&self, path: &str) -> Option<bool> {
        match self.value(path)? {
            Value::Flag(flag) => Some(flag),
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

    /// A number of seconds, or of what the key's unit is; zero where there is none.
    fn secs(&self, path: &str) -> Duration {
        Duration::from_secs(self.integer(path).and_then(|secs| secs.try_into().ok()).unwrap_or(0))
    }

    /// Between two runs of the canary.
    pub(in crate::config) fn canary_every(&self) -> Option<Duration> {
        Some(self.secs("metrics.canary_secs")).filter(|every| !every.is_zero())
    }

    /// The collector of traces.
    pub(in crate::config) fn traces(&self) -> Option<WebUrl> {
        web_url::parse(&self.text("metrics.traces")?).ok()
    }

    pub(in crate::config) fn address(&self, path: &str) -> Option<SocketAddr> {
        self.text(path)?.parse().ok()
    }

    /// Whether nothing is written at `path`; `false` if the document is not valid TOML.
    fn is_missing(&self, path: &str) -> bool {
        !self.document.torn && self.found(path).is_none() && !self.document.misread.contains(path)
    }

    /// The places of a table whose names the user chose.
    pub(super) fn tls(&mut self) -> Tls {
        let tls = Tls {
            ca: self.file("tls.ca"),
            certificate: self.file("tls.certificate"),
            key: self.file("tls.key"),
        };
        let hint = "a certificate is of no use without its private key, nor the key without it";
        match (&tls.certificate, &tls.key) {
            (Some(_), None) => {
                self.problem("tls.certificate", "needs tls.key").suggest(hint);
            }
            (None, Some(_)) => {
                self.problem("tls.key", "needs tls.certificate").suggest(hint);
            }
            _ => {}
        }
        tls
    }
}

/// `source[2].kind` is written `source.kind`.
fn without_index(path: &str) -> String {
    match (path.split_once('['), path.split_once(']')) {
        (Some((before, _)), Some((_, after))) => format!("{before}{after}"),
        _ => path.to_owned(),
    }
}
