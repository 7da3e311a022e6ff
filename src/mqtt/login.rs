//! This gateway's own login at the embedded broker: made at the first start and kept in the state
//! folder for IT to read, or the one in the configuration.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::config::Secret;
use crate::state_file;

/// In the state folder, beside the store.
pub const FILE: &str = "broker-login.json";

/// The username of a login made here.
const USERNAME: &str = "grelot";

/// Username and password of the embedded broker.
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
    /// The login in the state folder. Where there is none, or a damaged one, a new one is made;
    /// where the disk does not take it, it holds until the next start.
    ///
    /// # Errors
    /// The file exists and cannot be read, or the system has no randomness.
    pub fn kept_in(dir: &Path) -> io::Result<Self> {
        let path = dir.join(FILE);
        let lost =
            "a new login of the embedded broker is made: clients that use the old one need it";
        if let Some(LoginFile { username, password, .. }) = state_file::read(&path, lost)? {
            return Ok(Self { username, password: Secret(password) });
        }
        let login = Self::random(USERNAME)?;
        let (username, password) = (login.username.clone(), login.password.0.clone());
        if let Err(error) = state_file::write(&path, &LoginFile { v: 1, username, password }) {
            tracing::error!(%error, "the embedded broker's login holds until the next start only");
        }
        Ok(login)
    }

    /// A password of 128 random bits: it cannot be guessed.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn random(username: &str) -> io::Result<Self> {
        Ok(Self { username: username.to_owned(), password: Secret(random_token()?) })
    }

    /// Whether it is this one, in the same time for every wrong password of one length.
    pub fn admits(&self, username: &str, password: &[u8]) -> bool {
        self.username == username && self.password.0.as_bytes().ct_eq(password).into()
    }
}

/// 128 random bits, in hex.
pub(crate) fn random_token() -> io::Result<String> {
    let mut token = [0; 16];
    getrandom::fill(&mut token).map_err(io::Error::other)?;
    Ok(hex::encode(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
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
        assert!(login.admits("it", b"correct horse"));
        assert!(!login.admits("it", b"correct hors"));
        assert!(!login.admits("itc", b"orrect horse"));
        assert!(!login.admits("", b""));
    }

    #[test]
    fn an_empty_login_file_does_not_stop_the_gateway() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "").unwrap();
        let login = Login::kept_in(dir.path()).unwrap();
        assert_eq!(Login::kept_in(dir.path()).unwrap(), login);
        assert!(dir.path().join("broker-login.json.damaged").exists());
    }
}
