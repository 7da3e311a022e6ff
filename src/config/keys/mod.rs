//! The one place that defines every key: form, unit, default and a sentence of explanation.
//! Reading, error messages, the reference (`docs/configuration.md`) and the sample
//! (`config/grelot.toml`) all come from these tables.

mod detection;
mod key;
mod radio;
mod site;
mod tablets;
mod webhooks;

pub use detection::{POLICY, PRESENCE};
pub use key::{Absent, Key, Section};

use radio::{BEACON, WAKE_UP};
use site::{BROKER, GATEWAY, HEAD_OFFICE, METRICS, REGISTRY, SOURCE, STATE, STORE, TLS};
use tablets::TABLETS;
use webhooks::WEBHOOK;

/// Finds a key by its full path, such as `store.gateways.door` or `source.kind`.
pub fn find(path: &str) -> Option<&'static Key> {
    let (section, name) = path.split_once('.')?;
    let section = section_named(section)?;
    section.keys.iter().find(|key| key.name == name).or_else(|| {
        let (table, _) = name.split_once('.')?;
        section.keys.iter().find(|key| key.name.strip_suffix(".*") == Some(table))
    })
}

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
    &STORE,
    &GATEWAY,
    &BROKER,
    &TLS,
    &SOURCE,
    &WAKE_UP,
    &BEACON,
    &REGISTRY,
    &TABLETS,
    &WEBHOOK,
    &HEAD_OFFICE,
    &METRICS,
    &STATE,
    &PRESENCE,
    &POLICY,
];
