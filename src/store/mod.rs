//! What survives a restart: open visits, caps, the outbox, withdrawals, labels, and the RSSI
//! offsets of customers' phones. One `SQLite` file.
//!
//! Invariant: the changes of one input are committed together, before they are published.

pub mod audit;
mod change;
mod columns;
mod heartbeat;
mod labels;
mod message;
mod phones;
mod published;
mod reserve;
mod rows;
mod schema;
mod survey;
mod webhooks;
pub mod worker;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

pub use change::{Change, heartbeat};
pub use heartbeat::Heartbeat;
pub use labels::Label;
pub use message::{MessageKind, OutboundMessage, Queued, Subject};
pub use published::{Kind, Published};
pub use webhooks::{DeadMessage, MOST_WAITING, WebhookMessage};

use crate::pipeline::Settings;
use crate::pipeline::event::{Away, Restored};
use crate::pipeline::presence::Survey;
use crate::pipeline::units::WallTime;
use crate::private;
use crate::state_file;
use reserve::Reserve;

/// Its name in the state directory.
const FILE: &str = "grelot.db";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The state directory cannot be created, entered or written.
    #[error("state directory {}: {source}", path.display())]
    Directory {
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("{}: another grelot is using it", .0.display())]
    InUse(PathBuf),
    /// The file was written by a later grelot.
    #[error("{}: schema version {found} is newer than this grelot knows ({known})", path.display())]
    Newer {
        path: PathBuf,
        /// The file's schema version.
        found: u32,
        /// The newest schema version that this program reads.
        known: u32,
    },
    /// No space, no permission or a failing medium.
    #[error("{}: {source}", path.display())]
    Sqlite { path: PathBuf, source: rusqlite::Error },
}

/// The store: one connection, owned by one thread.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    /// Inode of the open file: another one at the path, or none, means that the folder was removed.
    inode: u64,
    /// The folder was removed while grelot ran.
    removed: bool,
    db: Connection,
    audit: Option<audit::Audit>,
    reserve: Reserve,
    /// What is wrong with the file, while `db` cannot be written.
    unwritable: Option<String>,
    /// The journal was emptied to make room on a full disk, and no commit has succeeded since.
    reclaimed: bool,
}

impl Store {
    /// Opens the store in the state directory `dir`, and creates both where they are missing.
    ///
    /// A file that is not readable as a database is moved aside to `grelot.db.corrupt`, and an
    /// empty store takes its place: visits and caps are lost, but alerts work, and the broker still
    /// retains every withdrawal.
    ///
    /// # Errors
    /// The folder or the file cannot be written, another process has it open, or it is newer.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        private::create_folder(dir)
            .map_err(|source| StoreError::Directory { path: dir.to_owned(), source })?;
        let path = dir.join(FILE);
        match Self::open_file(&path) {
            Err(StoreError::Sqlite { source, .. }) if is_corrupt(&source) => {
                let aside = path.with_extension("db.corrupt");
                tracing::error!(
                    path = %path.display(), aside = %aside.display(), %source,
                    "the store cannot be read: it was moved aside, and an empty store takes its place"
                );
                move_aside(&path, &aside)
                    .map_err(|source| StoreError::Directory { path: dir.to_owned(), source })?;
                Self::open_file(&path)
            }
            opened => opened,
        }
    }

    /// As [`Store::open`]; but where the disk cannot be written (full, read-only, not permitted),
    /// the store works in memory, and each commit tries the disk again. The file on the disk is
    /// read, so that withdrawals are known.
    ///
    /// # Errors
    /// Another process or a later grelot has the store, or it exists and cannot be read: then it is
    /// not known who withdrew.
    pub fn open_or_remember(dir: &Path) -> Result<Self, StoreError> {
        let error = match Self::open(dir) {
            Err(error) if error.is_of_disk() => error,
            opened => return opened,
        };
        let path = dir.join(FILE);
        let failed = |source| explain(&path, source);
        let found = fs::metadata(&path).map(|file| file.len());
        if let Err(source) = &found
            && source.kind() == io::ErrorKind::PermissionDenied
        {
            return Err(error);
        }
        let db = if found.is_ok_and(|length| length > 0) {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            let uri = format!("file:{}?immutable=1", path.display());
            Connection::open_with_flags(uri, flags).map_err(failed)?
        } else {
            let mut db = Connection::open_in_memory().map_err(failed)?;
            schema::migrate(&mut db, 0).map_err(failed)?;
            db
        };
        tracing::error!(%error, "the store cannot be written; alerts go out from memory");
        let (reserve, unwritable) = (Reserve::open(dir), Some(error.to_string()));
        let inode = inode(&path);
        Ok(Self {
            path,
            inode,
            removed: false,
            db,
            audit: None,
            reserve,
            unwritable,
            reclaimed: false,
        })
    }

    /// What is wrong with the disk, while the store works in memory.
    pub fn unwritable(&self) -> Option<&str> {
        self.unwritable.as_deref()
    }

    /// Whether there is a store in the state directory `dir`.
    pub fn is_in(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    fn open_file(path: &Path) -> Result<Self, StoreError> {
        let failed = |source| explain(path, source);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // `SQLite` gives its journal the mode of the file.
        private::touch(path).map_err(|source| StoreError::Directory {
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
        if (1..schema::NEWEST).contains(&found) {
            keep_former(&db, path, found);
        }
        schema::migrate(&mut db, found).map_err(failed)?;
        schema::check(&db).map_err(failed)?;
        let reserve = Reserve::open(path.parent().unwrap_or(path));
        let mut store = Self {
            path: path.to_owned(),
            inode: inode(path),
            removed: false,
            db,
            audit: None,
            reserve,
            unwritable: None,
            reclaimed: false,
        };
        if store.reserve.clients().next().is_some()
            && let Err(error) = store.commit(&[])
        {
            tracing::warn!(%error, "withdrawals stay in the reserve");
        }
        Ok(store)
    }

    /// Sets how long the audit is kept; older entries are deleted.
    pub fn keep_audit(&mut self, keep: Duration) {
        self.audit = audit::Audit::open(self.path.parent().unwrap_or(&self.path), keep);
    }

    /// The state that the pipeline begins with. Visits that closed longer than `presence.rejoin`
    /// before `now` are left out.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn restored(&self, settings: &Settings, now: WallTime) -> Result<Restored, StoreError> {
        let mut restored =
            rows::restored(&self.db, settings, now).map_err(|source| self.failed(source))?;
        let withdrew = |client: &str| self.reserve.holds(client);
        restored.last_alerts.retain(|(client, _)| !withdrew(client));
        restored.phones.retain(|phone| !withdrew(&phone.client));
        restored.withdrawn.extend(self.reserve.clients().cloned());
        Ok(restored)
    }

    /// The state that the pipeline begins with at `now`, with all times corrected to the wall
    /// clock's present reading, as far as they can be known.
    ///
    /// # Errors
    /// The file cannot be read, or corrected times cannot be written.
    pub fn resume(&mut self, settings: &Settings, now: &Heartbeat) -> Result<Restored, StoreError> {
        let last = self.last_heartbeat()?;
        if let Some(step) = last.as_ref().and_then(|last| last.step(now)) {
            self.commit(&[Change::ClockSet(step)])?;
        }
        let mut restored = self.restored(settings, now.at)?;
        restored.away = last.map_or(Away::Unknown, |last| last.away(now));
        restored.clock_since = now.since();
        if restored.away == Away::Unknown {
            // No stored time was read from the clock as it runs now.
            let since = now.since().unwrap_or(now.at);
            restored.last_alerts.retain(|(_, at)| now.clock_set || *at < since);
        }
        Ok(restored)
    }

    /// The last sign of life of an earlier start.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn last_heartbeat(&self) -> Result<Option<Heartbeat>, StoreError> {
        rows::last_heartbeat(&self.db).map_err(|source| self.failed(source))
    }

    /// The list of head office whose withdrawals are known, and the last known number.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn withdrawn_up_to(&self) -> Result<Option<(Arc<str>, u64)>, StoreError> {
        rows::withdrawn_up_to(&self.db).map_err(|source| self.failed(source))
    }

    /// The outbox, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn queued(&self) -> Result<Vec<Queued>, StoreError> {
        let mut rows = rows::queued(&self.db).map_err(|source| self.failed(source))?;
        rows.retain(|row| !row.message.client.as_ref().is_some_and(|c| self.reserve.holds(c)));
        Ok(rows)
    }

    /// The messages that wait for webhooks, oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn webhook_messages(&self) -> Result<Vec<WebhookMessage>, StoreError> {
        let mut waiting = webhooks::waiting(&self.db).map_err(|source| self.failed(source))?;
        waiting.retain(|message| !self.reserve.holds(&message.client));
        Ok(waiting)
    }

    /// The messages for webhooks that were given up, the latest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn dead_webhook_messages(&self) -> Result<Vec<DeadMessage>, StoreError> {
        webhooks::given_up(&self.db).map_err(|source| self.failed(source))
    }

    /// The states that the broker retains of this gateway, from all its earlier runs.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn published(&self) -> Result<Vec<Published>, StoreError> {
        published::all(&self.db).map_err(|source| self.failed(source))
    }

    /// What is learned of the shop's radio.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn survey(&self) -> Result<Survey, StoreError> {
        survey::get(&self.db).map_err(|source| self.failed(source))
    }

    /// Staff feedback on visits, oldest visit first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn labels(&self) -> Result<Vec<Label>, StoreError> {
        labels::all(&self.db).map_err(|source| self.failed(source))
    }

    /// Makes all of `changes` durable, or none.
    ///
    /// # Errors
    /// The disk does not take them. Withdrawals among them are kept in the reserve.
    pub fn commit<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change> + Clone,
    ) -> Result<(), StoreError> {
        let reserved = self.reserve.changes();
        let mut all: Vec<&Change> = reserved.iter().collect();
        for change in changes.clone() {
            all.push(change);
        }
        if let Err(error) = self.write(&all) {
            self.reserve.keep(changes);
            return Err(error);
        }
        self.reserve.clear();
        if let Some(audit) = &mut self.audit {
            audit.follow(changes);
        }
        Ok(())
    }

    /// What is wrong although changes are durable, as a sentence for people.
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
        private::create_folder(&dir)
            .map_err(|source| StoreError::Directory { path: dir, source })?;
        private::touch(&self.path)
            .map_err(|source| StoreError::Directory { path: self.path.clone(), source })?;
        let target = self.path.to_string_lossy().into_owned();
        self.db.execute("VACUUM INTO ?1", [target]).map_err(|source| self.failed(source))?;
        let Self { db, inode, reserve, .. } = Self::open_file(&self.path)?;
        (self.db, self.inode, self.reserve) = (db, inode, reserve);
        self.removed = true;
        tracing::error!(path = %self.path.display(), "the store was removed; it is written again");
        Ok(())
    }

    fn write(&mut self, changes: &[&Change]) -> Result<(), StoreError> {
        if self.unwritable.is_some() {
            let Self { db, inode, .. } = Self::open_file(&self.path)?;
            (self.db, self.inode, self.unwritable) = (db, inode, None);
        }
        self.put_back()?;
        let mut written = rows::commit(&mut self.db, changes);
        if written.as_ref().is_err_and(is_full) && !self.reclaimed {
            // The journal may hold megabytes that the file has room for. Tried once until a commit
            // succeeds: a disk that stays full is not written again and again.
            self.reclaimed = true;
            written =
                rows::truncate_journal(&self.db).and_then(|()| rows::commit(&mut self.db, changes));
        }
        self.reclaimed &= written.is_err();
        written.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: rusqlite::Error) -> StoreError {
        explain(&self.path, source)
    }
}

impl StoreError {
    /// Whether the error is the disk's, which may pass.
    fn is_of_disk(&self) -> bool {
        match self {
            Self::Directory { source, .. } => state_file::is_unwritable(source.kind()),
            Self::Sqlite { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(ErrorCode::DiskFull | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure)
            ),
            Self::InUse(_) | Self::Newer { .. } => false,
        }
    }
}

fn explain(path: &Path, source: rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse(path),
        _ => StoreError::Sqlite { path, source },
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Keeps a copy of the file as the former version left it, for a return to that version; one such
/// copy.
fn keep_former(db: &Connection, path: &Path, found: u32) {
    let (former, new) = (path.with_extension("db.former"), path.with_extension("db.former.new"));
    let keep = || -> Result<(), Box<dyn std::error::Error>> {
        private::create(&new)?;
        db.execute("VACUUM INTO ?1", [new.to_string_lossy()])?;
        fs::rename(&new, &former)?;
        Ok(())
    };
    match keep() {
        Ok(()) => tracing::info!(
            version = found, path = %former.display(), "the store's former version is kept"
        ),
        Err(error) => {
            // A full disk must not keep the new version from working.
            let _ = fs::remove_file(&new);
            tracing::warn!(%error, "cannot keep the store's former version");
        }
    }
}

fn inode(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map_or(0, |file| file.ino())
}

/// The journal belongs to this file: `SQLite` would apply it to the next one.
fn move_aside(path: &Path, aside: &Path) -> io::Result<()> {
    fs::rename(path, aside)?;
    match fs::remove_file(path.with_extension("db-wal")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
