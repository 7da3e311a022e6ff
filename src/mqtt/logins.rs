//! Logins of the embedded broker besides the gateway's own: one for each tablet, other gateway
//! and tool, made by `grelot broker add`.
//!
//! The file holds salted SHA-256 of passwords of 128 random bits, which need no slow hash: they
//! cannot be guessed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::role::Role;
use super::topics;
use crate::config::Secret;
use crate::state_file;

/// In the state folder.
pub const FILE: &str = "broker-logins.json";

/// What a damaged file means.
const LOST: &str = "clients of the embedded broker need new logins (grelot broker add)";

/// More logins than a store has devices; the file is read whole.
const MAX_LOGINS: usize = 1_000;

/// Longest name, in octets.
const MAX_NAME: usize = 64;

/// One login, without its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleLogin {
    /// The username; a gateway's is the gateway's name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    salt: String,
    hash: String,
}

impl RoleLogin {
    fn admits(&self, password: &[u8]) -> bool {
        hash(&self.salt, password).as_bytes().ct_eq(self.hash.as_bytes()).into()
    }
}

#[derive(Default, Serialize, Deserialize)]
struct LoginsFile {
    v: u8,
    logins: Vec<RoleLogin>,
}

/// Why a login was not made.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// It is not a topic level, or too long.
    #[error("{0:?} cannot be a name: 1 to 64 octets, no `/`, `+`, `#` or control character")]
    Name(String),
    /// A login of this name exists.
    #[error("a login of the name {0:?} exists; hint: grelot broker remove {0}")]
    Exists(String),
    /// The file is full.
    #[error("{MAX_LOGINS} logins exist already; hint: grelot broker list")]
    TooMany,
    /// The state folder does not take it.
    #[error(transparent)]
    Storage(#[from] io::Error),
}

/// The logins of a state folder.
#[derive(Debug)]
pub struct Logins {
    path: PathBuf,
    seen: Mutex<Seen>,
}

/// What was last read, and when and as which inode the file was written.
#[derive(Debug, Default)]
struct Seen {
    stamp: Option<(SystemTime, u64)>,
    logins: Arc<[RoleLogin]>,
}

impl Logins {
    /// Those kept under the state folder `state`.
    pub fn new(state: &Path) -> Self {
        Self { path: state.join(FILE), seen: Mutex::default() }
    }

    /// The logins in force; the file is read again when it has changed.
    ///
    /// # Errors
    /// The file cannot be read; the error names it.
    pub fn list(&self) -> io::Result<Arc<[RoleLogin]>> {
        let stamp = match fs::metadata(&self.path) {
            Ok(found) => Some((found.modified()?, found.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if stamp != seen.stamp {
            seen.logins = self.read()?.logins.into();
            seen.stamp = stamp;
        }
        Ok(Arc::clone(&seen.logins))
    }

    /// The login of that name.
    pub fn find(&self, name: &str) -> Option<RoleLogin> {
        let logins = self.list().unwrap_or_else(|error| {
            tracing::error!(%error, "the embedded broker's logins cannot be read");
            Arc::default()
        });
        logins.iter().find(|login| login.name == name).cloned()
    }

    /// The login of that name and password.
    pub fn admitted(&self, name: &str, password: &[u8]) -> Option<RoleLogin> {
        self.find(name).filter(|login| login.admits(password))
    }

    /// Makes a login and returns its password, which is kept nowhere.
    ///
    /// # Errors
    /// The name is taken or cannot be one, or the state folder does not take it.
    pub fn add(&self, role: Role, name: &str) -> Result<Secret, AddError> {
        if !topics::is_level(name) || name.len() > MAX_NAME || name.starts_with('$') {
            return Err(AddError::Name(name.to_owned()));
        }
        let mut file = self.read()?;
        if file.logins.iter().any(|login| login.name == name) {
            return Err(AddError::Exists(name.to_owned()));
        }
        if file.logins.len() >= MAX_LOGINS {
            return Err(AddError::TooMany);
        }
        let (password, salt) = (super::login::random_token()?, super::login::random_token()?);
        let hash = hash(&salt, password.as_bytes());
        file.v = 1;
        file.logins.push(RoleLogin { name: name.to_owned(), role, salt, hash });
        state_file::write(&self.path, &file)?;
        Ok(Secret(password))
    }

    /// Removes the login of that name; false where there is none. Connections that use it can no
    /// longer publish or subscribe.
    ///
    /// # Errors
    /// The state folder does not take it.
    pub fn remove(&self, name: &str) -> io::Result<bool> {
        let mut file = self.read()?;
        let before = file.logins.len();
        file.logins.retain(|login| login.name != name);
        let removed = file.logins.len() < before;
        if removed {
            state_file::write(&self.path, &file)?;
        }
        Ok(removed)
    }

    fn read(&self) -> io::Result<LoginsFile> {
        Ok(state_file::read(&self.path, LOST)?.unwrap_or_default())
    }
}

fn hash(salt: &str, password: &[u8]) -> String {
    hex::encode(Sha256::new().chain_update(salt).chain_update(password).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_kept_without_its_password_and_gone_when_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (daemon, command) = (Logins::new(dir.path()), Logins::new(dir.path()));
        assert!(daemon.list().unwrap().is_empty());
        let password = command.add(Role::Tablet, "counter").unwrap();
        let kept = fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(!kept.contains(&password.0), "{kept}");
        let login = daemon.admitted("counter", password.0.as_bytes()).unwrap();
        assert_eq!(login.role, Role::Tablet);
        assert!(daemon.admitted("counter", b"guess").is_none());
        assert!(daemon.admitted("till", password.0.as_bytes()).is_none());
        assert!(matches!(command.add(Role::Reader, "counter"), Err(AddError::Exists(_))));
        assert!(command.remove("counter").unwrap());
        assert!(daemon.admitted("counter", password.0.as_bytes()).is_none());
        assert!(!command.remove("counter").unwrap());
    }

    #[test]
    fn a_name_must_be_a_topic_level() {
        let dir = tempfile::tempdir().unwrap();
        let logins = Logins::new(dir.path());
        for bad in ["", "a/b", "+", "#", "$own", "a\nb", &"x".repeat(65)] {
            assert!(matches!(logins.add(Role::Gateway, bad), Err(AddError::Name(_))), "{bad:?}");
        }
    }

    #[test]
    fn damaged_logins_are_moved_aside_and_admit_no_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{\"v\":1,").unwrap();
        let logins = Logins::new(dir.path());
        assert!(logins.list().unwrap().is_empty());
        assert!(dir.path().join("broker-logins.json.damaged").exists());
        logins.add(Role::Reader, "board").unwrap();
    }
}
