//! What survives a restart: open visits, caps, the outbox, withdrawals, labels, and how loud
//! customers' phones are. One `SQLite` file.
//!
//! Invariant: what one input changed is on the disk together or not at all, before anybody hears
//! of it.

pub mod audit;
mod change;
pub mod keeper;
mod labels;
mod phones;
mod published;
mod rows;
mod schema;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

pub use change::{Change, Row, alive, changes};
pub use labels::Label;
pub use published::{Kind, Published};

use crate::pipeline::Settings;
use crate::pipeline::event::Restored;
use crate::pipeline::units::WallTime;

/// The file, in the state directory.
const FILE: &str = "grelot.db";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The state directory cannot be created, entered or written.
    #[error("state directory {}: {source}", path.display())]
    Directory {
        /// Which directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("{}: another grelot is using it", .0.display())]
    InUse(PathBuf),
    /// Written by a later grelot.
    #[error("{}: schema version {found} is newer than this grelot knows ({known})", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The file's version.
        found: u32,
        /// The newest version this program reads.
        known: u32,
    },
    /// No room, no permission, broken medium: it may pass.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// What `SQLite` says.
        source: rusqlite::Error,
    },
}

/// The store: one connection, owned by one thread.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// Of the open file: another one at the path, or none, means that the folder was removed.
    inode: u64,
    /// The folder was removed while grelot ran.
    removed: bool,
    db: Connection,
    audit: Option<audit::Audit>,
}

impl Store {
    /// Opens the store in the state directory `dir`, and creates both where they are missing.
    ///
    /// A file that is not readable as a database is moved aside to `grelot.db.corrupt`, and an
    /// empty store takes its place: visits and caps are lost, but the shop's bell works, and the
    /// broker still holds every withdrawal.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        create_directory(dir)
            .map_err(|source| StoreError::Directory { path: dir.to_owned(), source })?;
        let path = dir.join(FILE);
        match Self::open_file(&path) {
            Err(StoreError::Sqlite { source, .. }) if is_corrupt(&source) => {
                let aside = path.with_extension("db.corrupt");
                tracing::error!(
                    path = %path.display(), aside = %aside.display(), %source,
                    "the store cannot be read; it is moved aside and an empty one begun"
                );
                move_aside(&path, &aside)
                    .map_err(|source| StoreError::Directory { path: dir.to_owned(), source })?;
                Self::open_file(&path)
            }
            opened => opened,
        }
    }

    /// Whether there is one in the state directory `dir`.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    fn open_file(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| explain(path, source);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        touch_private(path).map_err(|source| StoreError::Directory {
            path: path.parent().unwrap_or(path).to_owned(),
            source,
        })?;
        let mut db = Connection::open_with_flags(path, flags).map_err(failed)?;
        schema::prepare(&db).map_err(failed)?;
        let found = schema::version(&db).map_err(failed)?;
        if found > schema::NEWEST {
            let path = path.to_owned();
            return Err(StoreError::Newer { path, found, known: schema::NEWEST });
        }
        schema::migrate(&mut db, found).map_err(failed)?;
        schema::check(&db).map_err(failed)?;
        Ok(Self { path: path.to_owned(), inode: inode(path), removed: false, db, audit: None })
    }

    /// Keeps for so long who was recognised when; what was kept for longer goes.
    pub fn keep_audit(&mut self, keep: Duration) {
        self.audit = audit::Audit::open(self.path.parent().unwrap_or(&self.path), keep);
    }

    /// What the pipeline begins with. Visits that closed longer than `presence.rejoin` before
    /// `now` are left out.
    pub fn restored(&self, settings: &Settings, now: WallTime) -> Result<Restored, StoreError> {
        rows::restored(&self.db, settings, now).map_err(|source| self.failed(source))
    }

    /// When the store was last told that grelot was alive.
    pub fn last_alive(&self) -> Result<Option<WallTime>, StoreError> {
        rows::last_alive(&self.db).map_err(|source| self.failed(source))
    }

    /// The outbox, oldest first.
    pub fn queued(&self) -> Result<Vec<Row>, StoreError> {
        rows::queued(&self.db).map_err(|source| self.failed(source))
    }

    /// What the broker keeps of this gateway, as far as earlier lives of it published it.
    pub fn published(&self) -> Result<Vec<Published>, StoreError> {
        published::all(&self.db).map_err(|source| self.failed(source))
    }

    /// What staff said of visits, oldest visit first.
    pub fn labels(&self) -> Result<Vec<Label>, StoreError> {
        labels::all(&self.db).map_err(|source| self.failed(source))
    }

    /// Makes all of `changes` durable, or none.
    pub fn commit<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change> + Clone,
    ) -> Result<(), StoreError> {
        self.put_back()?;
        let failed = |source| explain(&self.path, source);
        rows::commit(&mut self.db, changes.clone()).map_err(failed)?;
        if let Some(audit) = &mut self.audit {
            audit.follow(changes);
        }
        Ok(())
    }

    /// What is wrong although changes are durable, for people.
    pub fn note(&self) -> Option<String> {
        let dir = self.path.parent().unwrap_or(&self.path).display();
        self.removed.then(|| {
            format!("{dir} was removed while grelot ran and is written again: restart grelot")
        })
    }

    /// Writes the store again where its folder was removed: the open file still holds everything.
    fn put_back(&mut self) -> Result<(), StoreError> {
        if self.inode == inode(&self.path) {
            return Ok(());
        }
        let dir = self.path.parent().unwrap_or(&self.path).to_owned();
        create_directory(&dir).map_err(|source| StoreError::Directory { path: dir, source })?;
        touch_private(&self.path)
            .map_err(|source| StoreError::Directory { path: self.path.clone(), source })?;
        let target = self.path.to_string_lossy().into_owned();
        self.db.execute("VACUUM INTO ?1", [target]).map_err(|source| self.failed(source))?;
        let Self { db, inode, .. } = Self::open_file(&self.path)?;
        (self.db, self.inode) = (db, inode);
        self.removed = true;
        tracing::error!(path = %self.path.display(), "the store was removed; it is written again");
        Ok(())
    }

    fn failed(&self, source: rusqlite::Error) -> StoreError {
        explain(&self.path, source)
    }
}

fn explain(path: &Path, source: rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse(path),
        _ => StoreError::Sqlite { path, source },
    }
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn inode(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map_or(0, |file| file.ino())
}

fn create_directory(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// `SQLite` gives its journal the file's own mode, so that the file is made first, and private.
fn touch_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

/// The journal belongs to the file: beside another one it would be taken for that one's.
fn move_aside(path: &Path, aside: &Path) -> io::Result<()> {
    fs::rename(path, aside)?;
    match fs::remove_file(path.with_extension("db-wal")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
