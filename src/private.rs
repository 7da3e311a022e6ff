//! Files and folders that only the service's user can open, with any umask and any earlier mode.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

const FILE: u32 = 0o600;
const FOLDER: u32 = 0o700;
/// Folders within the state folder are nested no deeper than this.
const DEEPEST: usize = 8;

/// Makes a folder and its parents.
///
/// # Errors
/// It cannot be made, or belongs to another user and is open to others.
pub fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER).create(path)?;
    restrict(path, FOLDER)
}

/// Creates a file, or truncates the one that is there.
///
/// # Errors
/// It cannot be written, or belongs to another user and is open to others.
pub fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(FILE).open(path)?;
    restrict(path, FILE)?;
    Ok(file)
}

/// Creates a file where there is none; an existing one keeps its content.
///
/// # Errors
/// It cannot be opened, or belongs to another user and is open to others.
pub fn touch(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(FILE).open(path)?;
    restrict(path, FILE)
}

/// Removes the rights of all other users from a folder and everything in it, and from all files
/// that this process creates from now on.
pub fn enforce(folder: &Path) {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    enforce_within(folder, DEEPEST);
}

fn enforce_within(folder: &Path, depth: usize) {
    if let Err(error) = restrict(folder, FOLDER) {
        tracing::warn!(path = %folder.display(), %error, "others may enter the state folder");
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => enforce_within(&path, depth - 1),
            Ok(kind) if kind.is_file() => {
                if let Err(error) = restrict(&path, FILE) {
                    tracing::warn!(path = %path.display(), %error, "others may read a state file");
                }
            }
            _ => {}
        }
    }
}

fn restrict(path: &Path, allowed: u32) -> io::Result<()> {
    let mode = fs::symlink_metadata(path)?.permissions().mode() & 0o7777;
    if mode & !allowed == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode & allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_state_folder_that_others_could_read_is_closed_with_all_that_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, file) = (folder.path().join("registry"), folder.path().join("registry/keys"));
        fs::create_dir(&inner).unwrap();
        fs::write(&file, "keys").unwrap();
        for (path, open) in [(folder.path(), 0o755), (&inner, 0o777), (&file, 0o644)] {
            fs::set_permissions(path, Permissions::from_mode(open)).unwrap();
        }
        enforce_within(folder.path(), DEEPEST);
        assert_eq!((mode(folder.path()), mode(&inner), mode(&file)), (FOLDER, FOLDER, FILE));
        fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        create(&file).unwrap();
        assert_eq!(mode(&file), FILE, "a file that is begun again");
    }
}
