//! The one place that defines every key: form, unit, default and a sentence of explanation.
//! Reading, error messages, the reference (`docs/configuration.md`) and the sample
//! (`config/grelot.toml`) all come from these tables.

mod detection;
mod radio;
mod site;

pub use detection::{POLICY, PRESENCE};

use super::detection::{Access, Detection};
use super::form::{Form, Value};
use radio::{BEACON, WAKE_UP};
use site::{BROKER, GATEWAY, REGISTRY, SOURCE, STATE, STORE, TABLETS, TLS};

/// A `[section]`.
#[derive(Debug)]
pub struct Section {
    /// Such as `presence`.
    pub name: &'static str,
    /// `[[section]]`: may be given several times.
    pub repeats: bool,
    /// What it is about.
    pub says: &'static str,
    /// In the order of the reference.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Within its section; `gateways.*` is a table whose names the user chooses.
    pub name: &'static str,
    /// Type and range.
    pub form: Form,
    /// Of a number; empty where it has none.
    pub unit: &'static str,
    /// What holds where it is absent.
    pub absent: Absent,
    /// As TOML, for the sample.
    pub example: &'static str,
    /// One sentence, without a full stop.
    pub says: &'static str,
    /// How to mend a bad value, where the sentence does not tell.
    pub hint: Option<&'static str>,
}

/// What holds where a key is absent.
#[derive(Debug, Clone, Copy)]
pub enum Absent {
    /// It must be there.
    Required,
    /// This value, as TOML.
    Is(&'static str),
    /// What the pipeline's own default says.
    Domain(Access),
    /// Something that is no value, in words.
    Means(&'static str),
}

impl Key {
    const fn new(name: &'static str, form: Form, absent: Absent, says: &'static str) -> Self {
        Self { name, form, unit: "", absent, example: "", says, hint: None }
    }

    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    const fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// The default as a value, where it is one.
    pub fn default(&self) -> Option<Value> {
        match self.absent {
            Absent::Is(text) => {
                let value = toml::de::DeValue::parse(text).ok()?;
                self.form.read(value.get_ref(), self.unit).ok()
            }
            Absent::Domain(access) => Some((access.get)(&Detection::default())),
            Absent::Required | Absent::Means(_) => None,
        }
    }

    /// How the detection settings hold it, where they do.
    pub fn detection(&self) -> Option<Access> {
        match self.absent {
            Absent::Domain(access) => Some(access),
            _ => None,
        }
    }
}

/// Finds a key by its full path, such as `store.gateways.door` or `source.kind`.
pub fn find(path: &str) -> Option<&'static Key> {
    let (section, name) = path.split_once('.')?;
    let section = section_named(section)?;
    section.keys.iter().find(|key| key.name == name).or_else(|| {
        let (table, _) = name.split_once('.')?;
        section.keys.iter().find(|key| key.name.strip_suffix(".*") == Some(table))
    })
}

/// Finds a section.
pub fn section_named(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().copied().find(|section| section.name == name)
}

/// Whether `path` (`store.gateways`) is a table whose names the user chooses.
pub fn is_named_table(path: &str) -> bool {
    path.split_once('.').is_some_and(|(section, name)| {
        section_named(section).is_some_and(|section| {
            section.keys.iter().any(|key| key.name.strip_suffix(".*") == Some(name))
        })
    })
}

/// Every section in the order of the reference.
pub const SECTIONS: &[&Section] = &[
    &STORE, &GATEWAY, &BROKER, &TLS, &SOURCE, &WAKE_UP, &BEACON, &REGISTRY, &TABLETS, &STATE,
    &PRESENCE, &POLICY,
];
