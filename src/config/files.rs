//! The files that a configuration names: whether they can be read, and who else can.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Secret;
use super::site::Site;
use crate::files;

/// Octets of a password file that are read.
const LONGEST_PASSWORD: u64 = 4096;

impl Site<'_> {
    /// Checks every file; returns the password of `broker.password_file`.
    pub(super) fn files(&mut self, configuration: &Path) -> Option<Secret> {
        if self.found("broker.password").is_some() {
            self.private("broker.password", configuration);
        }
        self.unchangeable("store.id", configuration);
        for path in ["tls.ca", "tls.certificate", "head_office.ca", "head_office.certificate"] {
            if self.readable(path)
                && let Some(file) = self.file(path)
            {
                self.unchangeable(path, &file);
            }
        }
        for path in ["tls.key", "head_office.key", "registry.path"] {
            if !self.may_come_later(path) && self.readable(path) {
                self.private_at(path);
            }
        }
        for index in 0.. {
            let table = format!("source[{index}]");
            if self.found(&format!("{table}.kind")).is_none() {
                break;
            }
            self.source_readable(&table);
        }
        self.state_folder();
        self.password("broker.password_file")
    }

    /// What exists in the place of the state folder must be a folder.
    fn state_folder(&mut self) {
        let folder = self.file("state.path");
        if folder.and_then(|folder| fs::metadata(folder).ok()).is_some_and(|found| !found.is_dir())
        {
            self.problem("state.path", "is not a folder").suggest("name another one");
        }
    }

    /// Whether the file at `path` is named and can be read.
    pub(super) fn readable(&mut self, path: &str) -> bool {
        let Some(file) = self.file(path) else { return false };
        let Err(error) = files::open_regular(&file) else { return true };
        let problem = unreadable(&file, &error);
        let hint = format!("paths are relative to the configuration's folder: {}", file.display());
        self.problem(path, problem).suggest(hint);
        false
    }

    /// As [`Self::readable`]; HCI packets may come from a pipe or a device, too. Opening a pipe
    /// would wait for its other end.
    fn source_readable(&mut self, table: &str) {
        let path = format!("{table}.path");
        let h4 = self.text(&format!("{table}.kind")).is_some_and(|kind| kind == "h4");
        let found = self.file(&path).and_then(|file| fs::metadata(file).ok());
        if !(h4 && found.is_some_and(|found| !found.is_file() && !found.is_dir())) {
            self.readable(&path);
        }
    }

    /// A signed bundle may be removed once it is accepted, and the first may still be on its way: a
    /// missing one is only a warning.
    fn may_come_later(&mut self, path: &str) -> bool {
        let signed = path == "registry.path" && self.found("registry.public_keys").is_some();
        if !signed || self.file(path).is_none_or(|file| file.exists()) {
            return false;
        }
        let problem = self.problem(path, "there is no bundle at the moment");
        problem.suggest("the last one that was accepted stays in force; put the next one there");
        problem.severity = super::Severity::Warning;
        true
    }

    pub(super) fn private_at(&mut self, path: &str) {
        if let Some(file) = self.file(path) {
            self.private(path, &file);
        }
    }

    /// Warns if everybody can read the secret of the key at `path`.
    fn private(&mut self, path: &str, file: &Path) {
        if world_readable(file) {
            let problem = self.problem(path, "can be read by everybody on this machine");
            problem.suggest(format!("chmod o-rwx {}", file.display()));
            problem.severity = super::Severity::Warning;
        }
        self.unchangeable(path, file);
    }

    /// Warns if everybody can change the file of the key at `path`.
    fn unchangeable(&mut self, path: &str, file: &Path) {
        if has_mode(file, 0o002) {
            let problem = self.problem(path, "can be changed by everybody on this machine");
            problem.suggest(format!("chmod o-w {}", file.display()));
            problem.severity = super::Severity::Warning;
        }
    }

    /// The password in the file that the key at `path` names.
    pub(super) fn password(&mut self, path: &str) -> Option<Secret> {
        if !self.readable(path) {
            return None;
        }
        self.private_at(path);
        let mut text = String::new();
        let read = files::open_regular(&self.file(path)?)
            .and_then(|file| file.take(LONGEST_PASSWORD).read_to_string(&mut text));
        match (read, text.lines().next()) {
            (Ok(_), Some(password)) if !password.is_empty() => Some(Secret(password.to_owned())),
            (Ok(_), _) => {
                self.problem(path, "has no password on its first line");
                None
            }
            (Err(error), _) => {
                self.problem(path, format!("cannot be read: {error}"));
                None
            }
        }
    }
}

fn unreadable(file: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        io::ErrorKind::InvalidInput => error.to_string(),
        _ => format!("cannot be read: {error} ({})", file.display()),
    }
}

/// Whether others than owner and group can read `file`.
pub fn world_readable(file: &Path) -> bool {
    has_mode(file, 0o004)
}

fn has_mode(file: &Path, bits: u32) -> bool {
    fs::metadata(file).is_ok_and(|found| found.permissions().mode() & bits != 0)
}
