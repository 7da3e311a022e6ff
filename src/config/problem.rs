//! Problems of a configuration: where, which key, what is wrong, what to do.

use std::fmt;

use crate::text;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration is not valid.
    Error,
    /// The configuration is valid, but somebody should look.
    Warning,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the configuration is valid despite it.
    pub severity: Severity,
    /// The file as the user named it, or the topic it came from.
    pub file: String,
    /// From 1; absent where the whole file is meant.
    pub line: Option<usize>,
    /// Such as `presence.leave_rssi_dbm`.
    pub key: Option<String>,
    /// As it was written; absent for secrets.
    pub value: Option<String>,
    /// What is wrong, lower case, no full stop.
    pub what: String,
    /// What to do, lower case, no full stop.
    pub hint: Option<String>,
}

impl Problem {
    /// An error about a file as a whole.
    pub fn of_file(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: file.into(),
            line: None,
            key: None,
            value: None,
            what: what.into(),
            hint: None,
        }
    }

    /// At `line` (from 1).
    #[must_use]
    pub fn at_line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    #[must_use]
    pub fn about(mut self, key: impl AsRef<str>) -> Self {
        self.key = Some(shown(key.as_ref()));
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a hint to a problem that is already recorded.
    pub(super) fn suggest(&mut self, hint: impl Into<String>) {
        self.hint = Some(hint.into());
    }

    /// Makes the problem a warning.
    #[must_use]
    pub fn as_warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    fn order(&self) -> (&str, usize, Option<&str>, &str) {
        (&self.file, self.line.unwrap_or(0), self.key.as_deref(), &self.what)
    }
}

/// ```text
/// grelot.toml:14: presence.leave_rssi_dbm = -60
///   must be at least 3 dB below presence.arrive_rssi_dbm (-70)
///   hint: 6 to 10 dB between them keep presence from flapping
/// ```
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(":")?;
        if self.severity == Severity::Warning {
            f.write_str(" warning:")?;
        }
        match (&self.key, &self.value) {
            (Some(key), Some(value)) => write!(f, " {key} = {value}\n  ")?,
            (Some(key), None) => write!(f, " {key}\n  ")?,
            (None, _) => f.write_str(" ")?,
        }
        f.write_str(&self.what)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// Text from a file, shortened and escaped for a terminal.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 80;
    let mut lines = text.lines();
    let line = without_passwords(lines.next().unwrap_or_default());
    let mut shown: String = line.chars().take(MOST).flat_map(harmless).collect();
    if line.chars().count() > MOST || lines.next().is_some() {
        shown.push('…');
    }
    shown
}

/// `line` without the user, password and query of the addresses in it.
fn without_passwords(line: &str) -> String {
    let ends_word = |c: char| matches!(c, '"' | '\'' | ',' | ' ' | '[' | ']');
    line.split_inclusive(ends_word).map(without_password).collect()
}

fn without_password(word: &str) -> String {
    let (scheme, rest) = match word.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), word),
    };
    let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, place)| ("…@", place));
    match rest.split_once('?').filter(|_| !scheme.is_empty()) {
        Some((place, query)) => {
            let end = query.chars().next_back().filter(|c| !c.is_alphanumeric());
            format!("{scheme}{user}{place}?…{}", end.map_or(String::new(), String::from))
        }
        None => format!("{scheme}{user}{rest}"),
    }
}

fn harmless(c: char) -> impl Iterator<Item = char> {
    let escaped = (!text::is_displayable_char(c)).then(|| c.escape_default());
    let shown = escaped.is_none().then_some(c);
    escaped.into_iter().flatten().chain(shown)
}

/// All problems of a configuration, in the order of its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// A hostile file cannot fill the terminal or the journal.
    const MOST_SHOWN: usize = 100;

    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds one, which may still be completed.
    pub(super) fn add(&mut self, problem: Problem) -> &mut Problem {
        self.0.push_mut(problem)
    }

    /// Adds all of `others`.
    pub fn extend(&mut self, others: impl IntoIterator<Item = Problem>) {
        self.0.extend(others);
    }

    /// Puts them into the order of files and lines, without repetitions.
    pub fn sort(&mut self) {
        self.0.sort_by(|a, b| a.order().cmp(&b.order()));
        self.0.dedup();
    }

    /// In the order of files and lines.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// Whether there are no problems.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn errors(&self) -> usize {
        self.0.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    pub fn warnings(&self) -> usize {
        self.0.len() - self.errors()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(Self::MOST_SHOWN).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        let more = self.0.len().saturating_sub(Self::MOST_SHOWN);
        if more > 0 {
            write!(f, "\n… and {more} more")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_file_line_key_value_what_and_hint() {
        let mut problem = Problem::of_file(
            "grelot.toml",
            "must be at least 3 dB below presence.arrive_rssi_dbm (-70)",
        )
        .at_line(14)
        .about("presence.leave_rssi_dbm")
        .hint("6 to 10 dB between them keep presence from flapping");
        problem.value = Some("-60".to_owned());
        assert_eq!(
            problem.to_string(),
            "grelot.toml:14: presence.leave_rssi_dbm = -60\n  \
             must be at least 3 dB below presence.arrive_rssi_dbm (-70)\n  \
             hint: 6 to 10 dB between them keep presence from flapping"
        );
    }

    #[test]
    fn a_hostile_file_does_not_fill_the_journal() {
        let mut problems = Problems::default();
        problems.extend((1..=5000).map(|line| Problem::of_file("f", "wrong").at_line(line)));
        assert_eq!(problems.to_string().lines().count(), 101);
        assert!(problems.to_string().ends_with("… and 4900 more"));
    }
}
