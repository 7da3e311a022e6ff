//! Small JSON files in the state folder: written whole or not at all, readable by the service
//! alone, and moved aside when they are damaged.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads `path`; `None` where it does not exist, or was damaged and is moved aside.
///
/// `lost` tells people the consequence of a damaged file, for example "tablets need new logins".
///
/// # Errors
/// The file cannot be read or moved; the error names it.
pub fn read<T: DeserializeOwned>(path: &Path, lost: &str) -> io::Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(named(path, &error)),
    };
    match serde_json::from_slice(&text) {
        Ok(value) => Ok(Some(value)),
        Err(error) => move_aside(path, &error, lost).map(|()| None),
    }
}

/// Renames a damaged file or folder to `<name>.damaged`, and logs it.
///
/// # Errors
/// It cannot be renamed; the error names it.
pub fn move_aside(path: &Path, why: &dyn std::fmt::Display, lost: &str) -> io::Result<()> {
    let aside = beside(path, "damaged");
    if aside.is_dir() {
        fs::remove_dir_all(&aside).map_err(|error| named(&aside, &error))?;
    }
    fs::rename(path, &aside).map_err(|error| named(path, &error))?;
    let (file, aside) = (path.display(), aside.display());
    tracing::error!(%file, %why, moved_to = %aside, "a state file is damaged: {lost}");
    Ok(())
}

/// Replaces `path` by `value`. Mode 0600; a file that root writes gets the folder's owner, so that
/// the service can read it.
///
/// # Errors
/// The disk does not take it. The error names the file, which is unchanged.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let new = beside(path, "new");
    write_through(path, &new, value).map_err(|error| {
        let _ = fs::remove_file(&new);
        named(path, &error)
    })
}

fn write_through(path: &Path, new: &Path, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec(value)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(new)?;
    let folder = path.parent().unwrap_or(path);
    let owner = fs::metadata(folder)?;
    if file.metadata()?.uid() != owner.uid() {
        std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    fs::File::open(folder)?.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Whether the disk takes nothing, which may pass: it is full, read-only, or not permitted.
pub const fn is_unwritable(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_damaged_or_empty_state_file_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("answers.json");
        assert_eq!(read::<u8>(&path, "").unwrap(), None);
        for damaged in ["", "{\"v\":", "\u{0}\u{0}\u{0}"] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(read::<u8>(&path, "").unwrap(), None, "{damaged:?}");
            let aside = dir.path().join("answers.json.damaged");
            assert_eq!(fs::read_to_string(aside).unwrap(), damaged);
        }
        write(&path, &42_u8).unwrap();
        assert_eq!(read(&path, "").unwrap(), Some(42_u8));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_state_file_that_cannot_be_used_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let error = read::<u8>(&folder, "").unwrap_err().to_string();
        assert!(error.contains(folder.to_str().unwrap()), "{error}");
        let missing = dir.path().join("missing").join("file");
        let error = write(&missing, &1_u8).unwrap_err().to_string();
        assert!(error.contains(missing.to_str().unwrap()), "{error}");
    }
}
