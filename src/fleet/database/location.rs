//! Where head office's database is.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;

use super::url::Url;

/// Where head office's database is: a file, or a server's URL.
#[derive(Debug, Clone)]
pub enum Location {
    /// An SQLite file.
    File(PathBuf),
    /// A PostgreSQL database.
    Server(Url),
}

/// As an argument of the command line: no value is refused here, where a refusal would show it with its
/// password.
impl<T: AsRef<OsStr>> From<T> for Location {
    fn from(argument: T) -> Self {
        let argument = argument.as_ref();
        match Url::of(&argument.to_string_lossy()) {
            Some(url) => Self::Server(url),
            None => Self::File(argument.into()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Server(url) => url.fmt(f),
        }
    }
}
