//! The chosen settings as a document: for the configuration file, or to be pushed over MQTT.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};

use super::counts::counted;
use super::{Outcome, report};
use crate::commands::customers::secret::Replacement;
use crate::config::Config;
use crate::config::layers::{Layers, Reach};
use crate::config::pushed::Rules;

/// The first line of what `tune` writes, by which it knows its own.
const MARK: &str = "# Detection settings found by `grelot tune`";

/// The document, checked as a gateway would check it.
///
/// # Errors
/// The configuration's file cannot be read.
pub fn write(outcome: &Outcome<'_>, config: &Config) -> anyhow::Result<String> {
    let chosen = &outcome.verdict.chosen;
    let mut text = format!("{MARK} on {}", counted(outcome.recordings.len(), "recording"));
    let _ = writeln!(text, " with {}.", counted(chosen.counts.visits as usize, "visit"));
    if let Some(unseen) = &outcome.verdict.unseen {
        let counts = &unseen.counts;
        let _ = writeln!(
            text,
            "# On recordings they were not chosen on: {} of {} visits found, {} false arrivals.",
            counts.found, counts.visits, counts.falsely
        );
    }
    if let Some(doubt) = report::doubt(outcome.verdict.unseen.as_ref()) {
        let _ = writeln!(text, "# {doubt}");
    }
    text += "[presence]\n";
    for (key, value) in outcome.space.written(&chosen.point) {
        let _ = writeln!(text, "{key} = {value}");
    }
    let mut layers = Layers::default();
    let rules = Rules { store: config.store.id, keys: &[], now: None };
    let set = layers.set(Reach::Gateway, "the settings found", text.as_bytes(), &rules);
    if let Err(problems) = set.and_then(|()| layers.in_force(config)) {
        bail!("the settings found are refused by the configuration:\n{problems}");
    }
    Ok(text)
}

/// Refuses a path where something is that `tune` did not write.
///
/// # Errors
/// The file exists and was not written by `grelot tune`.
pub fn may_replace(path: &Path) -> anyhow::Result<()> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(text) if text.starts_with(MARK) => Ok(()),
        Ok(_) => bail!(
            "{} was not written by grelot tune\n  hint: name a new file with --out",
            path.display()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", path.display())),
    }
}

/// Puts `text` at `path`, whole or not at all.
///
/// # Errors
/// The file cannot be written.
pub fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    let put = || -> std::io::Result<()> {
        let mut file = Replacement::of(path)?;
        file.file().write_all(text.as_bytes())?;
        file.done_in_public()
    };
    put().with_context(|| format!("writing {}", path.display()))
}
