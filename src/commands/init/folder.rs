//! The configuration's folder: everything to be written there is checked before any of it takes its
//! place. It belongs to root, and the service alone can read it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::service::GROUP;
use crate::commands::customers::secret::Replacement;
use crate::{config, files};

/// Octets: certificates, passwords and a trial's customers are far smaller.
const LONGEST_FILE: u64 = 64 << 20;
const FILE_MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;

/// The folder, and what it is about to hold beside the configuration.
pub struct Folder {
    configuration: PathBuf,
    path: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
}

impl Folder {
    /// The folder of the configuration `path`.
    ///
    /// # Errors
    /// The path names no file.
    pub fn of(path: &Path) -> anyhow::Result<Self> {
        let configuration = std::path::absolute(path)?;
        let folder = configuration.parent().context("the configuration is no file")?.to_owned();
        Ok(Self { configuration, path: folder, files: BTreeMap::new() })
    }

    /// Takes a copy of `file`; its name in the folder. A file that is in the folder stays there.
    ///
    /// # Errors
    /// It cannot be read, or is too long.
    pub fn take(&mut self, file: &Path) -> anyhow::Result<String> {
        let shown = file.display();
        let name = file.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{shown} names no file"))?.to_owned();
        let opened = files::open_regular(file).with_context(|| shown.to_string())?;
        let mut octets = Vec::new();
        let read = opened.take(LONGEST_FILE + 1).read_to_end(&mut octets);
        if read.with_context(|| shown.to_string())? as u64 > LONGEST_FILE {
            bail!("{shown} is too long");
        }
        self.add(&name, octets);
        Ok(name)
    }

    /// Whether it holds a file of this name already.
    pub fn holds(&self, name: &str) -> bool {
        self.path.join(name).is_file()
    }

    /// Adds a file of this content.
    pub fn add(&mut self, name: &str, octets: Vec<u8>) {
        self.files.insert(name.to_owned(), octets);
    }

    /// Writes the configuration and its files, if the configuration counts; whether anything changed.
    ///
    /// # Errors
    /// The configuration has errors (`Problems`), or a file cannot be written.
    pub fn put(&self, text: &str) -> anyhow::Result<bool> {
        config::parse(text, &self.configuration.display().to_string(), &self.path)?;
        if !self.path.exists() {
            DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&self.path)?;
            give(&self.path)?;
        }
        let mut changed = false;
        for (name, octets) in &self.files {
            changed |= write(&self.path.join(name), octets)?;
        }
        // The last: it names the others.
        changed |= write(&self.configuration, text.as_bytes())?;
        Ok(changed)
    }
}

/// Writes a file, whole or not at all, unless it is there already; whether it was not.
fn write(path: &Path, octets: &[u8]) -> anyhow::Result<bool> {
    let shown = || path.display().to_string();
    if fs::read(path).is_ok_and(|old| old == octets) {
        return Ok(false);
    }
    let hint = || format!("{}: is this root? sudo grelot init", shown());
    let mut new = Replacement::of(path).with_context(hint)?;
    new.file().write_all(octets).with_context(shown)?;
    let is_new = !path.exists();
    new.done().with_context(shown)?;
    if is_new {
        fs::set_permissions(path, fs::Permissions::from_mode(FILE_MODE))?;
        give(path)?;
    }
    Ok(true)
}

/// To the service's group; where there is none, as on a developer's machine, it stays this user's.
fn give(path: &Path) -> io::Result<()> {
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let number = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (name == GROUP).then(|| fields.nth(1)?.parse().ok()).flatten()
    });
    match number {
        Some(group) => match chown(path, None, Some(group)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            done => done,
        },
        None => Ok(()),
    }
}
