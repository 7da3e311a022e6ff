//! Reads TOML into checked values, each with its line. Hostile text causes a message, never a panic.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::form::{Misfit, Value};
use super::keys::{self, Key, Section};
use super::nearest;
use super::problem::{Problem, Problems, shown};

/// Octets. Larger than any real configuration.
pub const LONGEST: usize = 256 * 1024;

/// More than anyone corrects at once; a hostile file has more.
const MOST_SYNTAX_PROBLEMS: usize = 50;

/// Which sections a document can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The configuration file: all.
    Site,
    /// What head office pushes: `[presence]` and `[policy]`; `super::pushed` reads `[document]`.
    Detection,
}

impl Scope {
    fn allows(self, section: &str) -> bool {
        self == Self::Site || matches!(section, "presence" | "policy")
    }
}

/// One value of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Of the right form.
    pub value: Value,
    /// The document's name in messages.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// The value's text; absent for secrets.
    pub written: Option<String>,
}

/// Values by their full path; the n-th `[[source]]`'s keys are `source[n].kind` and so on.
pub type Values = BTreeMap<String, Found>;

/// A document that was read.
#[derive(Debug, Default)]
pub struct Document {
    /// What could be read.
    pub values: Values,
    /// The line each section, and each of several, begins at: `source[0]`.
    pub sections: BTreeMap<String, usize>,
    /// What could not be read.
    pub problems: Problems,
    /// Paths of values that are present and of the wrong form.
    pub misread: BTreeSet<String>,
    /// The text is not valid TOML: a missing key may be in the unreadable part.
    pub torn: bool,
}

/// Reads `text`; messages call it `file`.
pub fn read(text: &str, file: &str, scope: Scope) -> Document {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::new(text, file, scope);
    if text.len() > LONGEST {
        let what = format!("is larger than {} KiB", LONGEST / 1024);
        reader.document.problems.push(Problem::of_file(file, what));
        reader.document.torn = true;
        return reader.document;
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(MOST_SYNTAX_PROBLEMS) {
        reader.syntax(error);
    }
    reader.root(root.get_ref());
    reader.document.problems.sort();
    reader.document
}

struct Reader<'a> {
    text: &'a str,
    file: &'a str,
    scope: Scope,
    /// Offsets of the lines' first octets.
    lines: Vec<usize>,
    /// Lines with a syntax error; the parser's recovery from it is not the user's mistake.
    torn_lines: Vec<usize>,
    document: Document,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, file: &'a str, scope: Scope) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n');
        let lines = std::iter::once(0).chain(ends.map(|(index, _)| index + 1)).collect();
        Self { text, file, scope, lines, torn_lines: Vec::new(), document: Document::default() }
    }

    fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    fn syntax(&mut self, error: &toml::de::Error) {
        let line = self.line(error.span().map_or(0, |span| span.start));
        self.document.torn = true;
        self.torn_lines.push(line);
        let problem = Problem::of_file(self.file, format!("is not TOML: {}", error.message()));
        self.document.problems.push(problem.at_line(line));
    }

    /// A problem at `span`, unless the line could not be read in the first place.
    fn problem(
        &mut self,
        span: &Range<usize>,
        key: &str,
        what: impl Into<String>,
    ) -> Option<&mut Problem> {
        let line = self.line(span.start);
        if self.torn_lines.contains(&line) {
            return None;
        }
        let problem = Problem::of_file(self.file, what).at_line(line).about(key);
        Some(self.document.problems.add(problem))
    }

    fn root(&mut self, root: &DeTable<'_>) {
        for (name, value) in root {
            let span = name.span();
            if self.scope == Scope::Detection && name.get_ref() == "document" {
                continue;
            }
            match keys::section_named(name.get_ref()) {
                Some(section) if self.scope.allows(section.name) => {
                    self.section(section, &span, value);
                }
                Some(section) => {
                    let known = "only [presence] and [policy] can be pushed";
                    if let Some(problem) = self.problem(&span, section.name, known) {
                        problem.suggest("the rest is the site's own business");
                    }
                }
                None => self.unknown(&span, "", name.get_ref()),
            }
        }
    }

    fn section(
        &mut self,
        section: &'static Section,
        span: &Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) {
        match (value.get_ref(), section.repeats) {
            (DeValue::Table(table), false) => {
                self.document.sections.insert(section.name.to_owned(), self.line(span.start));
                self.keys(section.name, section.name, table);
            }
            (DeValue::Array(tables), true) => {
                for (index, entry) in tables.iter().enumerate() {
                    let path = format!("{}[{index}]", section.name);
                    match entry.get_ref() {
                        DeValue::Table(table) => {
                            let line = self.line(entry.span().start);
                            self.document.sections.insert(path.clone(), line);
                            self.keys(section.name, &path, table);
                        }
                        _ => self.not_a_section(section, &entry.span()),
                    }
                }
            }
            _ => self.not_a_section(section, span),
        }
    }

    fn not_a_section(&mut self, section: &Section, span: &Range<usize>) {
        let name = section.name;
        let written = if section.repeats { format!("[[{name}]]") } else { format!("[{name}]") };
        self.problem(span, name, format!("must be a table, written {written}"));
    }

    /// The keys of a table: `path` is where it is, `pattern` how the tables of keys call that.
    fn keys(&mut self, pattern: &str, path: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let (span, name) = (name.span(), name.get_ref());
            let pattern = format!("{pattern}.{name}");
            let path = format!("{path}.{name}");
            if keys::is_named_table(&pattern) {
                match value.get_ref() {
                    DeValue::Table(named) => self.keys(&pattern, &path, named),
                    _ => {
                        self.problem(&span, &pattern, "must be a table: { name = … }");
                    }
                }
            } else if let Some(key) = keys::find(&pattern) {
                self.value(key, &pattern, path, value);
            } else {
                self.unknown(&span, pattern.strip_suffix(&format!(".{name}")).unwrap_or(""), name);
            }
        }
    }

    fn value(
        &mut self,
        key: &'static Key,
        pattern: &str,
        path: String,
        value: &Spanned<DeValue<'_>>,
    ) {
        let span = value.span();
        let secret = key.form == super::form::Form::Secret;
        let written = (!secret).then(|| self.written(&span));
        match key.form.read(value.get_ref(), key.unit) {
            Ok(value) => {
                let found = Found {
                    value,
                    file: self.file.to_owned(),
                    line: self.line(span.start),
                    written,
                };
                self.document.values.insert(path, found);
            }
            Err(Misfit { what, hint }) => {
                self.document.misread.insert(path);
                if let Some(problem) = self.problem(&span, pattern, what) {
                    problem.value = written;
                    problem.hint = hint.or_else(|| Some(key.hint.unwrap_or(key.says).to_owned()));
                }
            }
        }
    }

    fn unknown(&mut self, span: &Range<usize>, table: &str, name: &str) {
        let shown = shown(name);
        let key = if table.is_empty() { shown } else { format!("{table}.{shown}") };
        let hint = suggestion(self.scope, table, name);
        if let Some(problem) = self.problem(span, &key, "is not a known key") {
            problem.suggest(hint);
        }
    }

    fn written(&self, span: &Range<usize>) -> String {
        shown(self.text.get(span.clone()).unwrap_or_default())
    }
}

/// The probable intention: a key of the same table, else a similar table or key.
fn suggestion(scope: Scope, table: &str, name: &str) -> String {
    let sections = || keys::SECTIONS.iter().filter(|section| scope.allows(section.name));
    let names = |section: &'static Section| {
        section.keys.iter().map(|key| key.name.strip_suffix(".*").unwrap_or(key.name))
    };
    if let Some(section) = keys::section_named(table) {
        if let Some(near) = nearest::of(name, names(section)) {
            return format!("did you mean `{table}.{near}`?");
        }
    } else if table.is_empty()
        && let Some(near) = nearest::of(name, sections().map(|section| section.name))
    {
        return format!("did you mean `[{near}]`?");
    }
    let elsewhere = sections().find(|section| names(section).any(|known| known == name));
    match elsewhere {
        Some(section) => format!("it belongs into `[{}]`", section.name),
        None => format!("known here: {}", known_in(scope, table).join(", ")),
    }
}

fn known_in(scope: Scope, table: &str) -> Vec<&'static str> {
    match keys::section_named(table) {
        Some(section) => section.keys.iter().map(|key| key.name.trim_end_matches(".*")).collect(),
        None => keys::SECTIONS
            .iter()
            .map(|section| section.name)
            .filter(|section| scope.allows(section))
            .collect(),
    }
}
