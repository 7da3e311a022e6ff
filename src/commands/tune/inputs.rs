//! What a search begins with: files, customers, what is known of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::corpus::{Known, Recording};
use super::progress::Progress;
use super::state::Key;
use super::{Args, labels};
use crate::commands::complain;
use crate::config::Config;
use crate::config::detection::Detection;

/// The registry of the recordings' customers.
///
/// # Errors
/// Neither the arguments nor the configuration name a registry.
pub fn customers(args: &Args, config: &Config) -> anyhow::Result<PathBuf> {
    let path = args.registry.as_ref().or(config.registry.as_ref());
    path.cloned().context(
        "no registry: no customer can be recognised\n  \
         hint: name the recordings' customers with --registry FILE",
    )
}

/// All files, each once, and the hash of all that can change a result.
///
/// # Errors
/// A recording, label file or registry cannot be read, or they do not belong together.
pub fn read(
    args: &Args,
    config: &Config,
    customers: &Path,
    progress: &mut Progress,
) -> anyhow::Result<(Key, Vec<Recording>)> {
    let mut key = Key::default();
    key.text(env!("CARGO_PKG_VERSION"));
    key.file(&std::env::current_exe().context("cannot find this program")?)?;
    let settings = config.settings();
    key.text(&format!("{:?} {:?} {:?}", settings.store, settings.gateways, settings.zones));
    key.text(&format!("{:?}", settings.policy.time_zone.iana_name()));
    key.text(&Detection::from(config).in_force());
    key.text(&format!("{} {} {}", args.seed, args.levels, args.rejoin));
    key.file(customers)?;
    let mut said = Vec::new();
    for path in &args.labels {
        key.file(path)?;
        said.extend(labels::read(path)?);
    }
    progress.stage("reading", args.files.len());
    let (mut recordings, mut seen) = (Vec::new(), BTreeSet::new());
    for path in &args.files {
        if seen.insert(key.file(path)?) {
            recordings.push(Recording::read(path, config, customers, &said)?);
        } else {
            complain(&format!("{}: the same as another file, left out", path.display()));
        }
        progress.step();
    }
    Ok((key, recordings))
}

/// Refuses recordings without ground truth or labels, and those without a customer.
///
/// # Errors
/// No recording has ground truth or labels.
pub fn known(recordings: &[Recording]) -> anyhow::Result<()> {
    let unknown: Vec<_> = recordings.iter().filter(|r| matches!(r.known, Known::Nothing)).collect();
    if !unknown.is_empty() {
        let names = unknown.iter().map(|r| format!("\n  {}", r.path.display()));
        bail!(
            "who came is not known:{}\n  hint: add lines such as \
             {{\"t\":12.3,\"truth\":\"enter\",\"client\":\"c-7f3a\"}}, or name what staff said \
             with --labels FILE (see `grelot labels`)",
            names.collect::<String>()
        );
    }
    ensure!(
        recordings.iter().any(|recording| !recording.is_silent()),
        "no customer of the registry is received in any recording\n  \
         hint: are store and registry those the recordings were made with?"
    );
    for recording in recordings.iter().filter(|recording| recording.is_silent()) {
        complain(&format!("{}: no customer of the registry is received", recording.path.display()));
    }
    Ok(())
}
