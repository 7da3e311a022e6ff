//! Files that hold secrets, and files that replace others whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use minisign::{SecretKey, SecretKeyBox};
use zeroize::Zeroizing;

/// The first line of a password file.
///
/// # Errors
/// Where the file cannot be read.
pub fn password(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let text = Zeroizing::new(text);
    let line = text.lines().next().filter(|line| !line.is_empty());
    let line =
        line.with_context(|| format!("{} has no password on its first line", file.display()))?;
    Ok(Zeroizing::new(line.to_owned()))
}

/// The secret key in a file of minisign. A locked one is unlocked with the first line of
/// `password_file`, else with what a person types.
///
/// # Errors
/// Where it cannot be read or unlocked.
pub fn signing_key(path: &Path, password_file: Option<&Path>) -> anyhow::Result<SecretKey> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let text = Zeroizing::new(text);
    let no_key = |_| anyhow!("{} is no secret key of minisign", path.display());
    let read = || SecretKeyBox::from_string(&text).map_err(no_key);
    if let Ok(open) = read()?.into_unencrypted_secret_key() {
        return Ok(open);
    }
    let password = password_file.map(password).transpose()?;
    read()?
        .into_secret_key(password.map(|password| password.to_string()))
        .map_err(|error| anyhow!("unlocking {}: {error}", path.display()))
}

/// A new file for the owner's eyes only; never over an old one.
///
/// # Errors
/// Where the file exists or cannot be written.
pub fn create_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A file that takes its place whole, or not at all.
pub struct Replacement {
    file: File,
    new: PathBuf,
    path: PathBuf,
}

impl Replacement {
    /// Begins to write what will be `path`, for the owner's eyes only.
    ///
    /// # Errors
    /// Where no file can be made beside `path`.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        Ok(Self { file: options.open(&new)?, new, path: path.to_owned() })
    }

    /// Where to write, and to read again.
    pub const fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts it in its place, with the owner and the rights of what it replaces.
    ///
    /// # Errors
    /// Where the file cannot be written or renamed.
    pub fn done(self) -> io::Result<()> {
        if let (Ok(old), Ok(new)) = (fs::metadata(&self.path), self.file.metadata()) {
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                fchown(&self.file, Some(old.uid()), Some(old.gid()))?;
            }
            self.file.set_permissions(old.permissions())?;
        }
        self.file.sync_all()?;
        fs::rename(&self.new, &self.path)?;
        // The new name is on the medium, too.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Puts it in its place, for everybody to read.
    ///
    /// # Errors
    /// Where the file cannot be written or renamed.
    pub fn done_in_public(self) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        self.file.set_permissions(fs::Permissions::from_mode(0o644))?;
        self.file.sync_all()?;
        fs::rename(&self.new, &self.path)
    }
}
