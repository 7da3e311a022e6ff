//! Why head office's database cannot be used.

use std::path::PathBuf;

/// Why head office's database cannot be used. It names no password.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// No space, no permission, a failing medium, or no database at all.
    #[error("{}: {source}", path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
    /// The file cannot be created.
    #[error("{}: {source}", path.display())]
    File {
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Written by a later grelot.
    #[error("{database}: a later grelot has written it (schema {found})")]
    Newer {
        database: String,
        /// The schema version of the database.
        found: i64,
    },
    /// The URL, a file that it names, or the database as it is cannot be used.
    #[error("{database}: {problem}")]
    Unusable { database: String, problem: String },
    /// The server is away, or takes nothing now: it may later.
    #[error("{database}: {why}")]
    Away { database: String, why: String },
    /// The server refuses a statement.
    #[error("{database}: {why}")]
    Refused { database: String, why: String },
}

impl FleetError {
    /// Whether the same may work later without a change here.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Away { .. })
    }
}
