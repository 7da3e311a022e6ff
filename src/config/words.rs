//! The staff page's words: a table for each language, French and English inside the program, another
//! one from a file (`tablets.words`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::nearest;
use crate::text;

const ENGLISH: &str = include_str!("../../config/words/en.toml");
const FRENCH: &str = include_str!("../../config/words/fr.toml");

/// Characters of one text.
const LONGEST: usize = 400;

/// Octets of a file: several times the longest language.
pub(super) const LONGEST_FILE: u64 = 128 * 1024;

/// Tables in the order in which the page offers them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<(String, Language)>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Language {
    name: String,
    words: BTreeMap<String, Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// The language's BCP 47 tag.
    language: String,
    /// What it calls itself.
    name: String,
    words: BTreeMap<String, Text>,
}

/// A text, or one for each plural form of a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    One(String),
    Plural(BTreeMap<String, String>),
}

/// What is wrong with a file of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    pub line: Option<usize>,
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Default for Words {
    /// English and French, the languages that are built in.
    fn default() -> Self {
        let tables = [ENGLISH, FRENCH].into_iter().filter_map(|text| parse(text).ok());
        Self(tables.map(|(file, _)| language(file)).collect())
    }
}

impl Words {
    /// These languages and the one of `file`, which takes the place of one with its tag.
    ///
    /// # Errors
    /// If the file cannot be parsed, or a text is not one of the page's.
    pub fn with(mut self, text: &str) -> Result<Self, Misfit> {
        let (mut file, lines) = parse(text)?;
        let Some((_, english)) = self.0.first() else { return Ok(self) };
        for (key, text) in &file.words {
            let at = |what: String| Misfit {
                line: lines.get(key).copied(),
                what: format!("`{key}` {what}"),
                hint: None,
            };
            let Some(model) = english.words.get(key) else {
                let near = nearest::of(key, english.words.keys().map(String::as_str));
                let hint = near.map(|near| format!("did you mean `{near}`?"));
                // Names of tiers are the shop's own.
                if key.starts_with("tier_") {
                    continue;
                }
                return Err(Misfit { hint, ..at("is no text of the page".to_owned()) });
            };
            text.check(model).map_err(at)?;
        }
        for (key, text) in &english.words {
            file.words.entry(key.clone()).or_insert_with(|| text.clone());
        }
        let (tag, language) = language(file);
        match self.0.iter_mut().find(|(known, _)| *known == tag) {
            Some((_, known)) => *known = language,
            None => self.0.push((tag, language)),
        }
        Ok(self)
    }

    /// As the page reads them: an object of languages, by tag.
    pub fn json(&self) -> String {
        let tables = self.0.iter().map(|(tag, language)| {
            (tag.clone(), serde_json::to_value(language).unwrap_or_default())
        });
        serde_json::Value::Object(tables.collect()).to_string()
    }
}

impl Text {
    fn texts(&self) -> Vec<&str> {
        match self {
            Self::One(text) => vec![text],
            Self::Plural(forms) => forms.values().map(String::as_str).collect(),
        }
    }

    /// Whether it can stand where `model` stands.
    fn check(&self, model: &Self) -> Result<(), String> {
        let allowed: BTreeSet<&str> = model.texts().into_iter().flat_map(placeholders).collect();
        match (self, model) {
            (Self::Plural(_), Self::One(_)) => return Err("does not depend on a number".to_owned()),
            (Self::Plural(forms), _) if !forms.contains_key("other") => {
                return Err("needs the form `other`".to_owned());
            }
            _ => {}
        }
        for text in self.texts() {
            let length = text.chars().count();
            if length == 0 || length > LONGEST || !text::is_displayable(text) {
                return Err(format!("must be one line of 1 to {LONGEST} characters"));
            }
            if let Some(unknown) = placeholders(text).find(|name| !allowed.contains(name)) {
                return Err(format!("has {{{unknown}}}, which the page does not fill in"));
            }
        }
        Ok(())
    }
}

/// The names in braces.
fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0))
}

fn language(file: File) -> (String, Language) {
    (file.language, Language { name: file.name, words: file.words })
}

/// Reads a file, and on which line each text is.
fn parse(text: &str) -> Result<(File, BTreeMap<String, usize>), Misfit> {
    let file: File = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map(|before| before.split('\n').count());
        Misfit { line, what: error.message().to_owned(), hint: None }
    })?;
    let tag = &file.language;
    let is_tag = (2..=35).contains(&tag.len())
        && tag.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    if !is_tag || !text::is_displayable(&file.name) || file.name.is_empty() {
        let what = "`language` must be a language's tag, `name` what it calls itself".to_owned();
        let hint = Some("such as language = \"de\" and name = \"Deutsch\"".to_owned());
        return Err(Misfit { line: None, what, hint });
    }
    let keys = text.lines().enumerate().filter_map(|(index, line)| {
        let (key, _) = line.split_once('=')?;
        Some((key.trim().to_owned(), index + 1))
    });
    Ok((file, keys.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Words, Misfit> {
        let text = format!("language = \"de\"\nname = \"Deutsch\"\n[words]\n{text}");
        Words::default().with(&text)
    }

    #[test]
    fn every_language_that_is_delivered_has_every_text() {
        let english = &Words::default().0[0].1;
        for text in [
            FRENCH,
            include_str!("../../config/words/de.toml"),
            include_str!("../../config/words/es.toml"),
        ] {
            let (file, _) = parse(text).unwrap();
            assert!(file.words.keys().eq(english.words.keys()), "{}", file.name);
            Words::default().with(text).unwrap();
        }
    }

    #[test]
    fn what_a_language_leaves_out_is_english() {
        let json = words("live = \"Verbunden\"").unwrap().json();
        let tables: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(tables["de"]["words"]["live"], "Verbunden");
        assert_eq!(tables["de"]["words"]["calm"], "All is calm");
        let tags: Vec<_> = tables.as_object().unwrap().keys().collect();
        assert_eq!(tags, ["en", "fr", "de"]);
    }

    #[test]
    fn a_text_that_the_page_does_not_know_is_refused_with_its_line() {
        let wrong = words("live = \"x\"\nlive_of = \"y\"").unwrap_err();
        assert_eq!(
            (wrong.line, wrong.hint.as_deref()),
            (Some(5), Some("did you mean `live_off`?"))
        );
        for text in [
            "live = \"\"",
            "live = \"a\u{202e}b\"",
            "lost = \"since {tyme}\"",
            "live = { other = \"x\" }",
            "minutes = { one = \"x\" }",
            "live = 1",
            "live = ",
        ] {
            assert!(words(text).is_err(), "{text}");
        }
        assert!(words("minutes = \"{n} Min.\"\ntier_club = \"Club\"").is_ok());
    }
}
