//! Whether a bundle counts: signed by a pinned key, for this store, not expired, never older than
//! the one in force; then it is loaded, and kept for the next start.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use minisign_verify::{PublicKey, Signature};
use thiserror::Error;

use super::vault::Vault;
use crate::clock::{Clocks, WallClock};
use crate::config::registry::line::Header;
use crate::config::registry::{self, Loaded, Reading, signature_of};
use crate::files;
use crate::pipeline::units::{Clock, WallTime};
use crate::private;

/// A signature has four lines.
const LONGEST_SIGNATURE: u64 = 4096;
/// Servers send a hash or a time and a length.
const LONGEST_ETAG: u64 = 1024;
/// Five million customers' bundle.
pub(super) const LONGEST_BUNDLE: u64 = 2 << 30;
/// Clocks of two machines that time servers set differ by less.
const AHEAD: Duration = Duration::from_mins(5);

/// Why a candidate changes nothing.
#[derive(Debug, Error)]
pub enum Refused {
    /// It cannot be read, is another store's, too old, or breaks the false-match rule.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    /// The signature is missing, cut off, another key's or another file's.
    #[error("registry {path}: {because}")]
    Signature { path: PathBuf, because: &'static str },
}

impl Refused {
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}

/// What counts, and where it is kept.
#[derive(Debug, Clone)]
pub struct Rules {
    pub store: u16,
    /// Pinned keys; without any, registries need no signature.
    pub keys: Vec<Pinned>,
    /// Where the bundle in force and the one that comes in are kept.
    pub folder: PathBuf,
    /// How bundles are kept on the disk.
    pub vault: Vault,
    /// Customers who withdrew, even if a registry lists them.
    pub withdrawn: BTreeSet<String>,
    /// The machine's own clocks, also while a recording is played: bundles are made in real time.
    pub machine: Clocks,
}

/// A public key from `registry.public_keys`.
#[derive(Clone)]
pub struct Pinned(PublicKey);

impl std::fmt::Debug for Pinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pinned")
    }
}

impl Rules {
    /// The rules for a gateway of `store`; `keys` were checked with the configuration.
    pub fn new(store: u16, keys: &[String], folder: PathBuf, vault: Vault) -> Self {
        let keys = keys.iter().filter_map(|key| PublicKey::from_base64(key).ok()).map(Pinned);
        let (keys, withdrawn) = (keys.collect(), BTreeSet::new());
        Self { store, keys, folder, vault, withdrawn, machine: Clocks::machine() }
    }

    /// Sets when the machine's wall clock counts.
    #[must_use]
    pub fn by(mut self, wall_clock: WallClock) -> Self {
        self.machine = Clocks::of_gateway(wall_clock, None);
        self
    }

    /// The latest date that a bundle can have; `None` while the machine's clock does not count.
    pub fn latest(&self) -> Option<WallTime> {
        self.machine.now().clock.known().map(|now| now.plus(AHEAD))
    }

    /// Whether `made_at` keeps older bundles out: not where it is in the future.
    fn bars(&self, made_at: WallTime) -> bool {
        self.latest().is_none_or(|latest| made_at <= latest)
    }

    /// Forgets which bundle is in force on this machine: any that is valid counts then.
    ///
    /// # Errors
    /// Where a file cannot be removed.
    pub fn forget_accepted(&self) -> io::Result<()> {
        let accepted = self.accepted();
        for path in [signature_of(&accepted), accepted, self.etag()] {
            fs::remove_file(path).or_else(absent_is_well)?;
        }
        Ok(())
    }

    /// Whether a bundle is kept for the next start.
    pub fn keeps_accepted(&self) -> bool {
        signature_of(&self.accepted()).exists()
    }

    /// Removes what comes in, whole or not, where it is of no use.
    pub fn discard_incoming(&self) {
        // If it cannot be removed, the next bundle overwrites it.
        let _ = fs::remove_file(self.incoming());
    }

    /// The bundle that comes in, before it is checked.
    pub fn incoming(&self) -> PathBuf {
        self.folder.join("incoming")
    }

    /// The bundle in force.
    pub fn accepted(&self) -> PathBuf {
        self.folder.join("accepted")
    }

    /// Whether a file may be newer than what is in force, by its unverified header; registries
    /// without a header always may be.
    pub fn may_be_newer(&self, path: &Path, in_force: Option<WallTime>) -> bool {
        let header = registry::open_regular(path).ok().and_then(registry::peek);
        header.zip(in_force).is_none_or(|(header, in_force)| header.made_at != in_force)
    }

    /// Checks whether a file would be accepted, and keeps nothing.
    ///
    /// # Errors
    /// Where the file would be refused; the error says why.
    pub fn examine(&self, path: &Path, clock: Clock) -> Result<Loaded, Refused> {
        if !self.keys.is_empty() {
            let file = files::open_regular(path).map_err(Refused::file(path))?;
            self.verify(file, &read_signature(&signature_of(path), path)?, path)?;
        }
        let lines = registry::open_regular(path).map_err(Refused::file(path))?;
        let reading = self.reading(clock).made_until(self.latest());
        Ok(reading.load_bundle(lines, path)?)
    }

    /// Accepts a file: checks it, loads it, and keeps it if it is a signed bundle.
    ///
    /// # Errors
    /// Where the file is refused, or cannot be copied to the state folder.
    pub fn take_in(
        &self,
        path: &Path,
        in_force: Option<WallTime>,
        clock: Clock,
    ) -> Result<Loaded, Refused> {
        if self.keys.is_empty() {
            let lines = registry::open_regular(path).map_err(Refused::file(path))?;
            return Ok(self.reading_new(clock, in_force).load_bundle(lines, path)?);
        }
        let signature = read_signature(&signature_of(path), path)?;
        self.copy_to_incoming(path).inspect_err(|_| self.discard_incoming())?;
        self.take_in_incoming(&signature, path, in_force, clock)
    }

    fn copy_to_incoming(&self, path: &Path) -> Result<(), Refused> {
        let incoming = self.incoming();
        let file = files::open_regular(path).map_err(Refused::file(path))?;
        let mut kept = self.vault.create(&incoming).map_err(Refused::file(&incoming))?;
        let mut file = file.take(LONGEST_BUNDLE + 1);
        let length = io::copy(&mut file, &mut kept).map_err(Refused::file(&incoming))?;
        if length > LONGEST_BUNDLE {
            let too_long = io::Error::other("is longer than any registry");
            return Err(Refused::file(path)(too_long));
        }
        kept.finish().map_err(Refused::file(&incoming))
    }

    /// The same for what was put in the place of [`Rules::incoming`] already; `path` is where it
    /// came from, for people.
    ///
    /// # Errors
    /// Where the bundle is refused; it is then removed.
    pub fn take_in_incoming(
        &self,
        signature: &str,
        path: &Path,
        in_force: Option<WallTime>,
        clock: Clock,
    ) -> Result<Loaded, Refused> {
        let incoming = self.incoming();
        let taken = self.verify_kept(&incoming, signature, path).and_then(|()| {
            let reading = self.reading_new(clock, in_force);
            let loaded = self.load(reading, &incoming, path)?;
            self.keep(&incoming, signature).map_err(Refused::file(&incoming))?;
            Ok(loaded)
        });
        if taken.is_err() {
            self.discard_incoming();
        }
        taken
    }

    /// The bundle that was in force when grelot stopped, expired or not.
    pub fn restore(&self, clock: Clock) -> Option<Result<Loaded, Refused>> {
        if self.keys.is_empty() || !signature_of(&self.accepted()).exists() {
            return None;
        }
        let reading = self.reading(clock).even_expired();
        Some(self.kept().and_then(|kept| self.load(reading, &kept, &kept)))
    }

    /// The bundle that the kept signature is of. A power cut between the two renames of
    /// [`Rules::keep`] leaves it in the place of the incoming one.
    fn kept(&self) -> Result<PathBuf, Refused> {
        let (accepted, incoming) = (self.accepted(), self.incoming());
        let signature = read_signature(&signature_of(&accepted), &accepted)?;
        let verified = self.verify_kept(&accepted, &signature, &accepted);
        if verified.is_err() && self.verify_kept(&incoming, &signature, &accepted).is_ok() {
            fs::rename(&incoming, &accepted).map_err(Refused::file(&accepted))?;
            return Ok(accepted);
        }
        verified.map(|()| accepted)
    }

    /// The server's name for the bundle in force, if that came from there.
    pub fn kept_etag(&self) -> Option<String> {
        let mut etag = String::new();
        let file = files::open_regular(&self.etag()).ok()?;
        file.take(LONGEST_ETAG).read_to_string(&mut etag).ok()?;
        Some(etag)
    }

    /// Stores it for the next start. Without it the bundle is fetched once more.
    pub fn keep_etag(&self, etag: Option<&str>) {
        let kept = etag
            .map_or_else(|| fs::remove_file(self.etag()), |etag| write_private(&self.etag(), etag));
        if let Err(error) = kept.or_else(absent_is_well) {
            tracing::debug!(%error, "the registry's ETag is not kept");
        }
    }

    fn etag(&self) -> PathBuf {
        self.folder.join("accepted.etag")
    }

    fn reading(&self, clock: Clock) -> Reading {
        let reading = Reading::new(self.store, clock).without(self.withdrawn.clone());
        if self.keys.is_empty() { reading } else { reading.bundles_only() }
    }

    /// For a bundle that is to replace the one in force.
    fn reading_new(&self, clock: Clock, in_force: Option<WallTime>) -> Reading {
        let in_force = in_force.filter(|made_at| self.bars(*made_at));
        self.reading(clock).not_older_than(in_force).made_until(self.latest())
    }

    fn load(&self, reading: Reading, kept: &Path, path: &Path) -> Result<Loaded, Refused> {
        let packed = self.vault.open(kept).map_err(Refused::file(kept))?;
        let lines = registry::unpack(packed).map_err(Refused::file(path))?;
        Ok(reading.load_bundle(lines, path)?)
    }

    fn verify_kept(&self, kept: &Path, signature: &str, path: &Path) -> Result<(), Refused> {
        let file = self.vault.open(kept).map_err(Refused::file(kept))?;
        self.verify(file, signature, path)
    }

    fn verify(&self, mut file: impl Read, signature: &str, path: &Path) -> Result<(), Refused> {
        let refused = |because| Refused::Signature { path: path.to_owned(), because };
        let signature =
            Signature::decode(signature).map_err(|_| refused("its signature cannot be read"))?;
        let verifier = self.keys.iter().find_map(|key| key.0.verify_stream(&signature).ok());
        let mut verifier =
            verifier.ok_or_else(|| refused("it is signed with a key that is not pinned"))?;
        let mut chunk = vec![0; 1 << 16];
        loop {
            match file.read(&mut chunk).map_err(Refused::file(path))? {
                0 => break,
                count => verifier.update(chunk.get(..count).unwrap_or_default()),
            }
        }
        verifier.finalize().map_err(|_| {
            refused(
                "its signature does not fit: it is cut off, changed, or not written to its end yet",
            )
        })
    }

    /// The signature first, so that a start in between finds both: see [`Rules::kept`].
    fn keep(&self, incoming: &Path, signature: &str) -> io::Result<()> {
        let accepted = self.accepted();
        let path = signature_of(&accepted);
        let new = path.with_extension("new");
        write_private(&new, signature)?;
        fs::rename(new, path)?;
        fs::rename(incoming, accepted)?;
        File::open(&self.folder)?.sync_all()
    }
}

fn read_signature(path: &Path, bundle: &Path) -> Result<String, Refused> {
    let mut text = String::new();
    let read = files::open_regular(path)
        .and_then(|file| file.take(LONGEST_SIGNATURE).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Refused::Signature {
            path: bundle.to_owned(),
            because: "its signature (.minisig) is missing",
        }),
        Err(source) => Err(Refused::File { path: path.to_owned(), source }),
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = private::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn absent_is_well(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// When the bundle was made.
pub fn made_at(header: Option<&Header>) -> Option<WallTime> {
    header.map(|header| header.made_at)
}
