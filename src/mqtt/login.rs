//! Who may speak to the embedded broker: one login, made at the first start and kept in the
//! state directory for IT to read, or the one in the configuration.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::Secret;

/// Beside the store.
pub const FILE: &str = "broker-login.json";

/// The username of a login made here.
const USERNAME: &str = "grelot";

/// Username and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// In clear.
    pub username: String,
    /// In clear; never shown.
    pub password: Secret,
}

#[derive(Serialize, Deserialize)]
struct LoginFile {
    v: u8,
    username: String,
    password: String,
}

impl Login {
    /// The login in the state directory; made where there is none.
    pub fn kept_in(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        match fs::read(&path) {
            Ok(text) => {
                let LoginFile { username, password, .. } = serde_json::from_slice(&text)?;
                Ok(Self { username, password: Secret(password) })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let login = Self::random()?;
                login.keep(&path)?;
                Ok(login)
            }
            Err(error) => Err(error),
        }
    }

    /// A password of 128 random bits needs no slow hash: there is nothing to guess.
    fn random() -> io::Result<Self> {
        let mut token = [0; 16];
        getrandom::fill(&mut token).map_err(io::Error::other)?;
        let mut password = String::new();
        for byte in token {
            let _ = write!(password, "{byte:02x}");
        }
        Ok(Self { username: USERNAME.to_owned(), password: Secret(password) })
    }

    /// Whole or not at all: a start that dies half-way must not leave half a login.
    fn keep(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        let (username, password) = (self.username.clone(), self.password.0.clone());
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(&LoginFile { v: 1, username, password })?)?;
        file.sync_all()?;
        fs::rename(&new, path)
    }

    /// What the broker compares with: it needs no password in clear.
    pub(super) fn digest(&self) -> LoginDigest {
        LoginDigest(digest(&self.username, self.password.0.as_bytes()))
    }
}

/// A login as the broker knows it.
#[derive(Clone)]
pub(super) struct LoginDigest([u8; 32]);

impl LoginDigest {
    /// Whether it is this one; takes the same time for every wrong one.
    pub(super) fn admits(&self, username: &str, password: &[u8]) -> bool {
        self.0.ct_eq(&digest(username, password)).into()
    }
}

fn digest(username: &str, password: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(u64::try_from(username.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(username);
    hash.update(password);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_login_is_made_once_and_for_the_service_only() {
        let dir = tempfile::tempdir().unwrap();
        let first = Login::kept_in(dir.path()).unwrap();
        assert_eq!(Login::kept_in(dir.path()).unwrap(), first);
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Login::kept_in(other.path()).unwrap(), first);
    }

    #[test]
    fn only_the_whole_login_is_admitted() {
        let login =
            Login { username: "it".to_owned(), password: Secret("correct horse".to_owned()) };
        let digest = login.digest();
        assert!(digest.admits("it", b"correct horse"));
        assert!(!digest.admits("it", b"correct hors"));
        assert!(!digest.admits("itc", b"orrect horse"));
        assert!(!digest.admits("", b""));
    }
}
