//! One key, and one section of keys.

use crate::config::detection::{Access, Detection};
use crate::config::form::{Form, Value};

/// A `[section]` of the configuration.
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

#[derive(Debug)]
pub struct Key {
    /// Within its section; `gateways.*` is a table whose names the user chooses.
    pub name: &'static str,
    pub form: Form,
    /// Of a number; empty where it has none.
    pub unit: &'static str,
    /// What holds where it is absent.
    pub absent: Absent,
    /// As TOML, for the sample.
    pub example: &'static str,
    /// One sentence, without a full stop.
    pub says: &'static str,
    /// What to do about a bad value, if the explanation does not say it.
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
    pub(super) const fn new(
        name: &'static str,
        form: Form,
        absent: Absent,
        says: &'static str,
    ) -> Self {
        Self { name, form, unit: "", absent, example: "", says, hint: None }
    }

    pub(super) const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    pub(super) const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    pub(super) const fn hint(mut self, hint: &'static str) -> Self {
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
