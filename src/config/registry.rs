//! Registry files to registries: streamed, plain or zstd, every bad line refused with its reason.
//!
//! Invariant: a file is hostile. Lines, their number and what a decompressor may hold are
//! bounded, and no message about a file repeats its content.

pub mod line;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::files;
use crate::pipeline::identity::{Enrolment, Loader, Reason, Registry, Report, TooManyIrks};
use crate::pipeline::units::{Clock, WallTime};
use line::{Header, Line};

/// The longest line: a customer's takes 400 octets, a card's with a week of keys 1,000.
const LONGEST_LINE: u64 = 16 * 1024;
/// More customers than any chain has; bounds memory.
const MOST_LINES: u32 = 5_000_000;
/// zstd at its highest level looks back 128 MiB; bundles are made to need 8.
const WINDOW_LOG: u32 = 23;
/// First octets of a zstd frame (RFC 8878, 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What a bundle's file is called.
pub const BUNDLE: &str = "customers.jsonl.zst";
/// Lifetime of a bundle: today and tomorrow.
pub const LIFETIME: Duration = Duration::from_hours(48);

/// Where the signature over `bundle` is.
pub fn signature_of(bundle: &Path) -> PathBuf {
    let mut path = bundle.as_os_str().to_owned();
    path.push(".minisig");
    PathBuf::from(path)
}

/// Why a registry was not loaded at all.
#[derive(Debug, Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read registry {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// More lines than are read.
    #[error("registry {0} has more than {MOST_LINES} lines")]
    TooLong(PathBuf),
    /// It is another store's.
    #[error("registry {path} is for store {found}, this is store {store}")]
    OtherStore {
        path: PathBuf,
        /// The store number in the file's header.
        found: u16,
        /// Whose it should be.
        store: u16,
    },
    /// It is older than the one in force, and may list customers who have withdrawn.
    #[error("registry {path} was made at {made_at}, the one in force at {in_force}")]
    Older {
        path: PathBuf,
        /// When it was made.
        made_at: WallTime,
        /// When the one in force was made.
        in_force: WallTime,
    },
    /// Its date is ahead of a clock that counts: it would keep every later one out.
    #[error(
        "registry {path} was made at {made_at}, which is in the future: see the clock of the machine that made it"
    )]
    Ahead {
        path: PathBuf,
        /// When it was made.
        made_at: WallTime,
    },
    /// It does not say whose it is.
    #[error("registry {0} has no header: only bundles of `grelot customers bundle` count here")]
    NoHeader(PathBuf),
    /// It is too old.
    #[error("registry {path} expired at {at}")]
    Expired { path: PathBuf, at: WallTime },
    /// More IRKs than the rule on false matches allows.
    #[error(transparent)]
    TooManyIrks(#[from] TooManyIrks),
}

/// Reads the registry of `store` from a file, with the tables that `clock` needs built. Takes
/// seconds for a million customers: for a blocking thread.
///
/// # Errors
/// Where the file cannot be read, is another store's, or breaks the rule on false matches.
pub fn load(path: &Path, store: u16, clock: Clock) -> Result<(Registry, Report), Error> {
    Reading::new(store, clock).load(path)
}

/// How a registry is to be read.
#[derive(Debug)]
pub struct Reading {
    store: u16,
    clock: Clock,
    every_day: bool,
    withdrawn: BTreeSet<String>,
    bundles_only: bool,
    even_expired: bool,
    in_force: Option<WallTime>,
    latest: Option<WallTime>,
}

/// A registry that was read.
#[derive(Debug)]
pub struct Loaded {
    pub registry: Registry,
    /// What became of the lines.
    pub report: Report,
    /// The bundle's header.
    pub header: Option<Header>,
}

impl Reading {
    /// For a gateway of `store`.
    pub const fn new(store: u16, clock: Clock) -> Self {
        let withdrawn = BTreeSet::new();
        Self {
            store,
            clock,
            every_day: false,
            withdrawn,
            bundles_only: false,
            even_expired: false,
            in_force: None,
            latest: None,
        }
    }

    /// Keeps every day's keys, not only today's and tomorrow's: for virtual time that runs on for
    /// days.
    #[must_use]
    pub const fn keeping_every_day(mut self) -> Self {
        self.every_day = true;
        self
    }

    /// Leaves out customers who withdrew, even if the registry lists them.
    #[must_use]
    pub fn without(mut self, withdrawn: BTreeSet<String>) -> Self {
        self.withdrawn = withdrawn;
        self
    }

    /// Refuses files without a bundle's header.
    #[must_use]
    pub const fn bundles_only(mut self) -> Self {
        self.bundles_only = true;
        self
    }

    /// Accepts an expired bundle as well: it recognises no one, and keeps older bundles out.
    #[must_use]
    pub const fn even_expired(mut self) -> Self {
        self.even_expired = true;
        self
    }

    /// Takes no bundle that is older than the one in force.
    #[must_use]
    pub const fn not_older_than(mut self, in_force: Option<WallTime>) -> Self {
        self.in_force = in_force;
        self
    }

    /// Takes no bundle that was made after `latest`.
    #[must_use]
    pub const fn made_until(mut self, latest: Option<WallTime>) -> Self {
        self.latest = latest;
        self
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Where the file cannot be read, is another store's, or breaks the rule on false matches.
    pub fn load(self, path: &Path) -> Result<(Registry, Report), Error> {
        let unread = |source| Error::Read { path: path.to_owned(), source };
        let file = open_regular(path).map_err(unread)?;
        self.load_from(file, path)
    }

    /// Reads lines from anywhere; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`Reading::load_bundle`].
    pub fn load_from(self, lines: impl BufRead, path: &Path) -> Result<(Registry, Report), Error> {
        self.load_bundle(lines, path).map(|loaded| (loaded.registry, loaded.report))
    }

    /// The same, with what a bundle says of itself.
    ///
    /// # Errors
    /// Where the lines cannot be read, the bundle does not count here, or there are too many keys.
    pub fn load_bundle(mut self, lines: impl BufRead, path: &Path) -> Result<Loaded, Error> {
        let withdrawn = std::mem::take(&mut self.withdrawn);
        let mut loader = Loader::new(self.store, self.clock).without(withdrawn);
        if self.every_day {
            loader = loader.keeping_every_day();
        }
        let mut bundle = None;
        let mut lines = Lines::new(lines);
        while let Some((number, text)) = lines.next().map_err(|error| error.at(path))? {
            match text.map(line::read) {
                Ok(Ok(Line::Header(header))) if number == 1 => {
                    self.check(&header, path)?;
                    loader = loader.valid_until(header.expires_at).made_at(header.made_at);
                    bundle = Some(header);
                }
                _ if self.bundles_only && bundle.is_none() => {
                    return Err(Error::NoHeader(path.to_owned()));
                }
                Ok(Ok(Line::Customer(enrolment))) => loader.enrol(number, &enrolment),
                Ok(Ok(Line::Header(_))) => {
                    loader.refuse(number, Reason::Unreadable("a second header".to_owned()));
                }
                Ok(Err(reason)) | Err(reason) => loader.refuse(number, Reason::Unreadable(reason)),
            }
        }
        if self.bundles_only && bundle.is_none() {
            return Err(Error::NoHeader(path.to_owned()));
        }
        let (registry, report) = loader.finish()?;
        Ok(Loaded { registry, report, header: bundle })
    }

    fn check(&self, header: &Header, path: &Path) -> Result<(), Error> {
        let path = || path.to_owned();
        let Header { store: found, made_at, expires_at, supersedes } = *header;
        if found != self.store {
            return Err(Error::OtherStore { path: path(), found, store: self.store });
        }
        if self.latest.is_some_and(|latest| made_at > latest) {
            return Err(Error::Ahead { path: path(), made_at });
        }
        let superseded = |in_force| supersedes.is_some_and(|until| in_force <= until);
        let older = |in_force: &WallTime| made_at < *in_force && !superseded(*in_force);
        if let Some(in_force) = self.in_force.filter(older) {
            return Err(Error::Older { path: path(), made_at, in_force });
        }
        if !self.even_expired && expires_at <= self.clock.reading() {
            return Err(Error::Expired { path: path(), at: expires_at });
        }
        Ok(())
    }
}

/// A bundle's header. Do not trust it before its signature is verified.
pub fn peek(lines: impl BufRead) -> Option<Header> {
    let mut lines = Lines::new(lines);
    match lines.next() {
        Ok(Some((1, Ok(text)))) => match line::read(text) {
            Ok(Line::Header(header)) => Some(header),
            _ => None,
        },
        _ => None,
    }
}

/// Looks up one customer's line, without loading the others.
///
/// # Errors
/// Where the file cannot be read.
pub fn find(path: &Path, client: &str) -> Result<Option<Enrolment>, Error> {
    let file =
        open_regular(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let mut lines = Lines::new(file);
    while let Some((_, text)) = lines.next().map_err(|error| error.at(path))? {
        if let Ok(Ok(Line::Customer(enrolment))) = text.map(line::read)
            && enrolment.client == client
        {
            return Ok(Some(*enrolment));
        }
    }
    Ok(None)
}

/// Opens a file, decompressing it if it begins like a zstd frame.
///
/// # Errors
/// If it cannot be read, or is not the zstd frame that it begins like.
pub fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    unpack(File::open(path)?)
}

/// As [`open()`], for a path from a configuration: pipes and devices are errors.
///
/// # Errors
/// As [`open()`], and if it is no regular file.
pub fn open_regular(path: &Path) -> io::Result<Box<dyn BufRead>> {
    unpack(files::open_regular(path)?)
}

/// The lines in `packed`, decompressed if it begins like a zstd frame.
///
/// # Errors
/// Where the first octets cannot be read.
pub fn unpack(packed: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    let mut file = BufReader::with_capacity(1 << 16, packed);
    if file.fill_buf()?.starts_with(&ZSTD) {
        let mut decoder = zstd::Decoder::with_buffer(file)?;
        decoder.window_log_max(WINDOW_LOG)?;
        return Ok(Box::new(BufReader::with_capacity(1 << 16, decoder)));
    }
    Ok(Box::new(file))
}

/// The lines of a file, numbered from 1; blank ones are passed over, overlong ones not kept.
struct Lines<R> {
    from: R,
    number: u32,
    buffer: Vec<u8>,
}

/// A line's number, and its text or why it cannot be taken.
type Numbered<'a> = (u32, Result<&'a [u8], String>);

enum LinesError {
    Io(io::Error),
    TooLong,
}

impl LinesError {
    fn at(self, path: &Path) -> Error {
        let path = path.to_owned();
        match self {
            Self::Io(source) => Error::Read { path, source },
            Self::TooLong => Error::TooLong(path),
        }
    }
}

impl<R: BufRead> Lines<R> {
    const fn new(from: R) -> Self {
        Self { from, number: 0, buffer: Vec::new() }
    }

    /// The next line that is not blank.
    fn next(&mut self) -> Result<Option<Numbered<'_>>, LinesError> {
        loop {
            self.buffer.clear();
            let mut limited = self.from.by_ref().take(LONGEST_LINE);
            if limited.read_until(b'\n', &mut self.buffer).map_err(LinesError::Io)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.number > MOST_LINES {
                return Err(LinesError::TooLong);
            }
            if self.buffer.len() as u64 == LONGEST_LINE && !self.buffer.ends_with(b"\n") {
                self.from.skip_until(b'\n').map_err(LinesError::Io)?;
                let reason = format!("longer than {LONGEST_LINE} octets");
                return Ok(Some((self.number, Err(reason))));
            }
            if !self.buffer.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some((self.number, Ok(self.buffer.trim_ascii()))))
    }
}

#[cfg(test)]
mod tests;
