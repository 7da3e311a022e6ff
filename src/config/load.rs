//! A configuration file, read and checked.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::detection::Detection;
use super::document::{self, Document, Scope};
use super::problem::{Problem, Problems};
use super::site::Site;
use super::{Config, nearest};
use crate::files;

/// A configuration that was read, with its problems.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// What could be read; valid only if no problem is an error.
    readable: Option<Config>,
    pub problems: Problems,
}

impl Examined {
    fn new(config: Option<Config>, mut problems: Problems) -> Self {
        problems.sort();
        Self { readable: config, problems }
    }

    /// The configuration, if it has no errors.
    pub fn config(&self) -> Option<&Config> {
        self.readable.as_ref().filter(|_| self.problems.errors() == 0)
    }

    /// What could be read of it, to find more problems.
    pub fn readable(&self) -> Option<&Config> {
        self.readable.as_ref()
    }

    fn of(problem: Problem) -> Self {
        let mut problems = Problems::default();
        problems.push(problem);
        Self::new(None, problems)
    }

    fn into_result(self) -> Result<Config, Problems> {
        match self.readable {
            Some(config) if self.problems.errors() == 0 => Ok(config),
            _ => Err(self.problems),
        }
    }
}

/// Whether to check the files that a configuration names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Files<'a> {
    /// Yes; this is the path of the configuration.
    Checked(&'a Path),
    /// They are on another machine.
    Elsewhere,
}

/// Reads the configuration at `path` and checks the files that it names.
///
/// # Errors
/// If it has an error; the problems include the warnings.
pub fn load(path: &Path) -> Result<Config, Problems> {
    examine(path).into_result()
}

/// Reads a configuration without its files, which may be on another machine.
///
/// # Errors
/// If it has an error.
pub fn load_for_replay(path: &Path) -> Result<Config, Problems> {
    examine_with(path, Files::Elsewhere).into_result()
}

/// Like [`load`], and keeps the warnings.
pub fn examine(path: &Path) -> Examined {
    examine_with(path, Files::Checked(path))
}

/// Checks `text`, which messages call `name`; its paths are relative to `folder`. Reads no file.
///
/// # Errors
/// If it has an error.
pub fn parse(text: &str, name: &str, folder: &Path) -> Result<Config, Problems> {
    check(text, name, folder, Files::Elsewhere).into_result()
}

fn examine_with(path: &Path, files: Files<'_>) -> Examined {
    let name = path.display().to_string();
    let octets = match read(path) {
        Ok(octets) => octets,
        Err(error) => return Examined::of(unreadable(path, &name, &error)),
    };
    let text = match std::str::from_utf8(&octets) {
        Ok(text) => text,
        Err(error) => return Examined::of(not_utf8(&octets, &name, error.valid_up_to())),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    check(text, &name, folder.unwrap_or(Path::new(".")), files)
}

/// Reads more octets than are allowed, to detect a longer file.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    files::open_regular(path)?.take(document::LONGEST as u64 + 4).read_to_end(&mut octets)?;
    Ok(octets)
}

fn unreadable(path: &Path, name: &str, error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::NotFound => {
            let hint = match similar_file(path) {
                Some(other) => format!("did you mean {}?", other.display()),
                None => "name another with --config FILE; `grelot demo` needs none".to_owned(),
            };
            Problem::of_file(name, "does not exist").hint(hint)
        }
        io::ErrorKind::PermissionDenied => Problem::of_file(name, "may not be read by this user")
            .hint("run as the user of the service: sudo -u grelot grelot …"),
        io::ErrorKind::InvalidInput => Problem::of_file(name, error.to_string()),
        _ => Problem::of_file(name, format!("cannot be read: {error}")),
    }
}

/// A file beside it with a similar name.
fn similar_file(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let wanted = path.file_name()?.to_str()?;
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "toml"))
        .collect();
    names.sort();
    let near = nearest::of(wanted, names.iter().map(String::as_str))?;
    Some(path.with_file_name(near))
}

fn not_utf8(octets: &[u8], name: &str, offset: usize) -> Problem {
    let readable = octets.get(..offset).unwrap_or_default();
    let line = readable.split(|octet| *octet == b'\n').count();
    Problem::of_file(name, "is not UTF-8").at_line(line).hint("save the file as UTF-8")
}

fn check(text: &str, name: &str, folder: &Path, files: Files<'_>) -> Examined {
    let mut document = document::read(text, name, Scope::Site);
    let mut problems = std::mem::take(&mut document.problems);
    let config = settle(&document, &mut problems, name, folder, files);
    Examined::new(config, problems)
}

fn settle(
    document: &Document,
    problems: &mut Problems,
    name: &str,
    folder: &Path,
    files: Files<'_>,
) -> Option<Config> {
    let detection = Detection::default().with(&document.values, problems);
    let mut site = Site::new(document, problems, name, folder);
    let store = site.store();
    let gateway = site.gateway(store.as_ref());
    site.offsets_are_of_gateways(store.as_ref(), &gateway);
    let mut broker = site.broker();
    let tls = site.tls();
    let mut head_office = site.head_office(&tls);
    if let Files::Checked(configuration) = files {
        let from_file = site.files(configuration);
        broker.password = broker.password.or(from_file);
        let password = site.password("head_office.password_file");
        if let Some(head_office) = &mut head_office {
            head_office.password = password;
        }
    }
    let sources = site.sources();
    let wake_up = store.as_ref().and_then(|store| site.wake_up(store.id));
    let beacons = site.beacons();
    let time_zone = site.time_zone(&detection.policy);
    let state = site.file("state.path");
    let config = Config {
        gateway,
        label: site.text("gateway.label"),
        wall_clock: site.wall_clock(),
        gateway_offset_db: detection.gateway_offset_db,
        gateway_inside_dbm: detection.gateway_inside_dbm,
        gateway_outside_dbm: detection.gateway_outside_dbm,
        broker,
        tls,
        sources,
        wake_up,
        beacons,
        registry: site.file("registry.path"),
        bundles: site.bundles(),
        head_office,
        settings_keys: site.settings_keys(),
        tablets: site.tablets(files != Files::Elsewhere),
        webhooks: site.webhooks(files != Files::Elsewhere),
        metrics: site.address("metrics.listen"),
        traces: site.traces(),
        canary_every: site.canary_every(),
        state: state.unwrap_or_else(|| default_state(folder)),
        presence: detection.presence,
        policy: crate::pipeline::policy::Settings {
            time_zone,
            escalate_after: site.escalate_after(),
            ..detection.policy
        },
        store: store?,
    };
    if files != Files::Elsewhere {
        site.exposure(&config);
        if problems.errors() == 0 {
            Site::new(document, problems, name, folder).registry_is_missing(&config);
        }
    }
    Some(config)
}

/// systemd's folder; `/var/lib/grelot` for a configuration under `/etc`; else beside it.
fn default_state(folder: &Path) -> PathBuf {
    let given = std::env::var_os("STATE_DIRECTORY").filter(|given| !given.is_empty());
    match given {
        Some(given) => PathBuf::from(given),
        None if folder.starts_with("/etc") => PathBuf::from("/var/lib/grelot"),
        None => folder.join("state"),
    }
}
