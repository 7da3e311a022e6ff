//! The radio: adapters that are switched on, `BlueZ` and its permissions, and what is received.

#[cfg(target_os = "linux")]
mod adapters;
#[cfg(target_os = "linux")]
mod bluez;
mod reception;

#[cfg(target_os = "linux")]
use std::path::Path;
use std::time::Duration;

use super::Finding;
use crate::commands::run::runtime;
use crate::config::{Config, Source};
use crate::sources::kinds;
use crate::sources::live::{self, Kind};

/// Longer than a healthy bus takes, and short enough to wait for.
#[cfg(target_os = "linux")]
const PATIENCE: Duration = Duration::from_secs(3);

/// Findings about the radio; none where the configuration has no live source. With `listen`, also
/// about what is received within that time.
pub(super) fn findings(
    config: Option<&Config>,
    listen: Option<Duration>,
) -> anyhow::Result<Vec<Finding>> {
    let mut kinds: Vec<&Kind> = live(config).map(|settings| settings.kind).collect();
    if config.is_none() {
        kinds.push(kinds::DEFAULT);
    }
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let mut findings = Vec::new();
    #[cfg(target_os = "linux")]
    if kinds.contains(&&crate::sources::bluez::KIND) {
        findings.extend(adapters::findings(Path::new(adapters::ADAPTERS), config));
        findings.extend(bluez::findings(config));
        findings.push(runtime()?.block_on(reception::monitor()));
    }
    for kind in kinds {
        let remedy = "in a shop, on Linux: kind = \"bluez\"";
        findings.extend(kind.limits.map(|limits| Finding::warn(kind.word, limits, remedy)));
    }
    if let Some(length) = listen {
        findings.extend(runtime()?.block_on(reception::sample(config, length)));
    }
    Ok(findings)
}

/// The live sources of a configuration.
pub(super) fn live(config: Option<&Config>) -> impl Iterator<Item = &live::Settings> {
    config.into_iter().flat_map(|config| &config.sources).filter_map(|source| match source {
        Source::Live(settings) => Some(settings),
        _ => None,
    })
}
