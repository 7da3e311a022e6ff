//! Which tablets may see the page: paired once with a short code, and known by a cookie from then
//! on.
//!
//! IT runs `grelot tablets pair` on the gateway, reads a code and types it into the tablet. While
//! no code is waiting there is nothing to guess. A code has six digits and allows a few wrong
//! attempts; codes that are made within a day of such guessing have twelve digits and are not
//! withdrawn by guessing. Each paired tablet is one file, named after the hash of its token:
//! pairing creates it, revoking removes it. Neither the server nor a thief who copies the folder
//! can derive a token from it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::pipeline::units::WallTime;

/// Lifetime of a code: enough to walk from the gateway to the tablet.
pub const CODE_LIVES: Duration = Duration::from_mins(10);

/// Wrong attempts that withdraw a short code: a guesser's chance is 5 in a million.
const MOST_ATTEMPTS: u32 = 5;

/// After a code was withdrawn, new ones are long for this time.
const GUARDED: Duration = Duration::from_hours(24);

const SHORT_DIGITS: usize = 6;

/// Ten thousand attempts a second until the code expires find it with the chance of a short one.
/// Wrong attempts do not withdraw it, so that an unpaired client cannot keep tablets out.
const LONG_DIGITS: usize = 12;

const CODE_FILE: &str = "pairing-code.json";

/// The paired tablets and the pairing code of a gateway, in its state folder.
#[derive(Debug)]
pub struct Pairings {
    folder: PathBuf,
}

/// The secret of a paired tablet; only its cookie holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A code that pairs one tablet.
#[derive(Clone, Serialize, Deserialize)]
pub struct Code {
    /// Six digits, or twelve after wrong attempts withdrew a code.
    pub digits: String,
    expires_at_ms: i64,
    wrong_attempts: u32,
}

/// [`CODE_FILE`]: survives restarts, so that a restart grants no further attempts.
#[derive(Default, Serialize, Deserialize)]
struct CodeFile {
    waiting: Option<Code>,
    guarded_until_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tablet {
    /// The first eight digits of its token's hash.
    pub id: String,
    /// The name that was given when it was paired.
    pub label: String,
    /// When it was paired.
    pub paired_at: WallTime,
}

#[derive(Serialize, Deserialize)]
struct TabletFile {
    v: u8,
    label: String,
    paired_at: String,
}

/// Why a tablet was not paired.
#[derive(Debug, thiserror::Error)]
pub enum PairingError {
    /// `grelot tablets pair` was not run, or too long ago.
    #[error("no pairing code is waiting")]
    NoCode,
    /// Another code is waiting.
    #[error("wrong pairing code")]
    Wrong,
    /// The code was withdrawn after too many wrong ones.
    #[error("too many wrong pairing codes: this one is withdrawn, the next one is longer")]
    TooMany,
    /// The state folder cannot be read or written.
    #[error("cannot keep the pairing")]
    Storage(#[from] io::Error),
}

/// Why no tablet was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// No id begins so.
    #[error("no paired tablet's id begins with {0:?}\n  hint: grelot tablets list")]
    Unknown(String),
    /// Several ids begin so.
    #[error(
        "the ids of {1} tablets begin with {0:?}\n  hint: give the whole id of one: grelot tablets list"
    )]
    Ambiguous(String, usize),
    /// The state folder cannot be read or written.
    #[error(transparent)]
    Storage(#[from] io::Error),
}

impl Pairings {
    /// The pairings kept under the state folder `state`.
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("tablets") }
    }

    /// Makes a new code, which replaces any other. Runs on the gateway, by IT.
    ///
    /// # Errors
    /// If the state folder does not exist or cannot be written.
    pub fn issue(&self, now: WallTime) -> io::Result<Code> {
        let _lock = self.lock()?;
        let mut file = self.code_file()?;
        let guarded = now.unix_millis() < file.guarded_until_ms;
        let code = Code {
            digits: random_digits(if guarded { LONG_DIGITS } else { SHORT_DIGITS })?,
            expires_at_ms: now.plus(CODE_LIVES).unix_millis(),
            wrong_attempts: 0,
        };
        file.waiting = Some(code.clone());
        self.write(CODE_FILE, &serde_json::to_vec(&file)?)?;
        Ok(code)
    }

    /// Pairs a tablet that shows the waiting code; the code is spent.
    ///
    /// # Errors
    /// If the code is not the waiting one, or the state folder cannot be written.
    pub fn pair(&self, now: WallTime, digits: &str, label: &str) -> Result<Token, PairingError> {
        if !self.folder.exists() {
            return Err(PairingError::NoCode);
        }
        let _lock = self.lock()?;
        let mut file = self.code_file()?;
        let code =
            file.waiting.take().filter(|code| code.is_fresh(now)).ok_or(PairingError::NoCode)?;
        if !bool::from(code.digits.as_bytes().ct_eq(digits.as_bytes())) {
            return Err(self.wrong_attempt(now, file, code)?);
        }
        self.write(CODE_FILE, &serde_json::to_vec(&file).map_err(io::Error::from)?)?;
        Ok(self.keep(now, label)?)
    }

    /// Pairs a device without a code: IT gives it the token. Runs on the gateway, by IT.
    ///
    /// # Errors
    /// If the state folder does not exist or cannot be written.
    pub fn add(&self, now: WallTime, label: &str) -> io::Result<Token> {
        let _lock = self.lock()?;
        self.keep(now, label)
    }

    fn keep(&self, now: WallTime, label: &str) -> io::Result<Token> {
        let token = Token::random()?;
        let tablet = TabletFile { v: 1, label: label.to_owned(), paired_at: now.to_string() };
        self.write(&token.tablet(), &serde_json::to_vec(&tablet)?)?;
        Ok(token)
    }

    /// Whether a tablet that shows this token was paired and not revoked since.
    ///
    /// One `stat` of a cached folder: short enough for the event loop.
    pub fn knows(&self, token: &Token) -> bool {
        self.folder.join(token.tablet()).is_file()
    }

    /// The paired tablets, the oldest first. Other files are skipped.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn list(&self) -> io::Result<Vec<Tablet>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut tablets = Vec::new();
        for entry in entries {
            tablets.extend(read_tablet(&entry?.path()));
        }
        tablets.sort_by(|a, b| (a.paired_at, &a.id).cmp(&(b.paired_at, &b.id)));
        Ok(tablets)
    }

    /// The paired tablet that holds `token`.
    pub fn tablet(&self, token: &Token) -> Option<Tablet> {
        read_tablet(&self.folder.join(token.tablet()))
    }

    /// Removes the one tablet whose id begins with `id`, and returns it.
    ///
    /// # Errors
    /// If none or several ids begin so, the folder cannot be read, or the file not removed.
    pub fn revoke(&self, id: &str) -> Result<Tablet, RevokeError> {
        let mut found = Vec::new();
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            entries => Some(entries?),
        };
        for entry in entries.into_iter().flatten() {
            let path = entry?.path();
            let matches = path.file_name().is_some_and(|name| {
                name.to_string_lossy().starts_with(id) && name != CODE_FILE && !id.is_empty()
            });
            found.extend(read_tablet(&path).filter(|_| matches).map(|tablet| (path, tablet)));
        }
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(RevokeError::Unknown(id.to_owned())),
            (Some((path, tablet)), true) => {
                fs::remove_file(path)?;
                Ok(tablet)
            }
            (Some(_), false) => Err(RevokeError::Ambiguous(id.to_owned(), found.len() + 1)),
        }
    }

    /// A missing or damaged file holds no code: `issue` writes it again.
    fn code_file(&self) -> io::Result<CodeFile> {
        match fs::read(self.folder.join(CODE_FILE)) {
            Ok(content) => Ok(serde_json::from_slice(&content).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(CodeFile::default()),
            Err(error) => Err(error),
        }
    }

    fn wrong_attempt(
        &self,
        now: WallTime,
        mut file: CodeFile,
        mut code: Code,
    ) -> Result<PairingError, PairingError> {
        if code.digits.len() == LONG_DIGITS {
            return Ok(PairingError::Wrong);
        }
        code.wrong_attempts += 1;
        let withdrawn = code.wrong_attempts >= MOST_ATTEMPTS;
        if withdrawn {
            file.guarded_until_ms = now.plus(GUARDED).unix_millis();
        } else {
            file.waiting = Some(code);
        }
        self.write(CODE_FILE, &serde_json::to_vec(&file).map_err(io::Error::from)?)?;
        Ok(if withdrawn { PairingError::TooMany } else { PairingError::Wrong })
    }

    /// Keeps `grelot tablets pair` and the server from overwriting each other's code file.
    fn lock(&self) -> io::Result<fs::File> {
        self.create_folder()?;
        let folder = fs::File::open(&self.folder)?;
        rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive)?;
        Ok(folder)
    }

    /// Writes a file atomically, readable by its owner only. Files that root writes are given to the
    /// owner of the state folder, so that the service can read them.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.create_folder()?;
        let draft = self.folder.join(format!(".{name}.draft"));
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        self.give_to_service(&draft)?;
        fs::rename(draft, self.folder.join(name))
    }

    fn create_folder(&self) -> io::Result<()> {
        let state = self.folder.parent().unwrap_or(&self.folder);
        fs::metadata(state)?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        self.give_to_service(&self.folder)
    }

    fn give_to_service(&self, path: &Path) -> io::Result<()> {
        let owner = fs::metadata(self.folder.parent().unwrap_or(&self.folder))?;
        if fs::metadata(path)?.uid() == owner.uid() {
            return Ok(());
        }
        std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))
    }
}

impl Code {
    /// A clock that was stepped back does not lengthen a code's life.
    fn is_fresh(&self, now: WallTime) -> bool {
        let expires_at = WallTime::from_unix_millis(self.expires_at_ms);
        now < expires_at && expires_at <= now.plus(CODE_LIVES)
    }
}

impl Token {
    /// The token in a cookie's value.
    pub fn from_cookie(value: &str) -> Self {
        Self(value.to_owned())
    }

    /// The value of the cookie.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn random() -> io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(hex::encode(bytes)))
    }

    /// The id of the tablet that holds it, which says nothing of the token.
    pub fn tablet(&self) -> String {
        hex::encode(Sha256::digest(self.0.as_bytes()))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code")
    }
}

fn read_tablet(path: &Path) -> Option<Tablet> {
    let name = path.file_name()?.to_str()?;
    let file: TabletFile = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let paired_at = WallTime::parse(&file.paired_at)?;
    Some(Tablet { id: name.chars().take(8).collect(), label: file.label, paired_at })
}

fn random_digits(count: usize) -> io::Result<String> {
    /// The largest multiple of ten that an octet holds: above it, digits would be biased.
    const FAIR: u8 = 250;
    let mut digits = String::with_capacity(count);
    while digits.len() < count {
        let mut octets = [0; 16];
        getrandom::fill(&mut octets)?;
        let fair = octets.into_iter().filter(|octet| *octet < FAIR).take(count - digits.len());
        digits.extend(fair.map(|octet| char::from(b'0' + octet % 10)));
    }
    Ok(digits)
}

#[cfg(test)]
mod tests;
