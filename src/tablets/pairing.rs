//! Which tablets may see the page: paired once with a short code, known by a cookie thereafter.
//!
//! IT runs `grelot tablets pair` on the gateway, reads a code of six digits and types it into the
//! tablet. There is nothing to guess while no code is waiting. Each paired tablet is one file,
//! named after the hash of its token: pairing creates it, revoking removes it, and neither the
//! server nor a thief who copies the folder can derive a token from it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::pipeline::units::WallTime;

/// Long enough to walk from the gateway to the tablet.
pub const CODE_LIVES: Duration = Duration::from_mins(10);

/// Wrong codes before the waiting one is withdrawn: a guesser's chance is 5 in a million.
const MOST_ATTEMPTS: u8 = 5;

const CODE_FILE: &str = "pairing-code.json";

/// The paired tablets of a gateway, in its state folder.
#[derive(Debug)]
pub struct Pairings {
    folder: PathBuf,
    failures: Mutex<Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    code: String,
    count: u8,
}

/// What a tablet shows to be let in; lives in its cookie alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// A code that waits to be typed into a tablet.
#[derive(Clone, Serialize, Deserialize)]
pub struct Code {
    /// Six digits.
    pub digits: String,
    expires_at_ms: i64,
}

/// One paired tablet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tablet {
    /// The first digits of its token's hash: enough to tell it from others.
    pub id: String,
    /// What whoever paired it called it.
    pub label: String,
    /// When.
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
pub enum Refusal {
    /// Nobody ran `grelot tablets pair`, or too long ago.
    #[error("no pairing code is waiting")]
    NoCode,
    /// Not the code.
    #[error("wrong pairing code")]
    Wrong,
    /// The code was withdrawn after too many wrong ones.
    #[error("too many wrong pairing codes, the waiting one was withdrawn")]
    TooMany,
    /// The state folder does not take it.
    #[error("cannot keep the pairing")]
    Storage(#[from] io::Error),
}

impl Pairings {
    /// The pairings kept under the state folder `state`.
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join("tablets"), failures: Mutex::default() }
    }

    /// Makes a new code wait, instead of any other; done on the gateway itself, by IT.
    pub fn issue(&self, now: WallTime) -> io::Result<Code> {
        let expires_at = now.plus(CODE_LIVES);
        let code = Code { digits: six_digits()?, expires_at_ms: expires_at.unix_millis() };
        self.write(CODE_FILE, &serde_json::to_vec(&code)?)?;
        Ok(code)
    }

    /// Pairs a tablet that shows the waiting code; the code is spent.
    pub fn pair(&self, now: WallTime, digits: &str, label: &str) -> Result<Token, Refusal> {
        let code = self.waiting(now)?;
        if !bool::from(code.digits.as_bytes().ct_eq(digits.as_bytes())) {
            return Err(self.failed(&code)?);
        }
        fs::remove_file(self.folder.join(CODE_FILE))?;
        let token = Token::random()?;
        let tablet = TabletFile { v: 1, label: label.to_owned(), paired_at: now.to_string() };
        let content = serde_json::to_vec(&tablet).map_err(io::Error::from)?;
        self.write(&token.file(), &content)?;
        Ok(token)
    }

    /// Whether a tablet that shows this token was paired and not revoked since.
    ///
    /// One look at a folder that the kernel has in memory; short enough for the event loop.
    pub fn knows(&self, token: &Token) -> bool {
        self.folder.join(token.file()).is_file()
    }

    /// The paired tablets, the oldest first. Files that are no pairing are passed over.
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

    /// Forgets the tablets whose id begins so; says how many there were.
    pub fn revoke(&self, id: &str) -> io::Result<usize> {
        let mut revoked = 0;
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let matches = path.file_name().is_some_and(|name| {
                name.to_string_lossy().starts_with(id) && name != CODE_FILE && !id.is_empty()
            });
            if matches && read_tablet(&path).is_some() {
                fs::remove_file(path)?;
                revoked += 1;
            }
        }
        Ok(revoked)
    }

    fn waiting(&self, now: WallTime) -> Result<Code, Refusal> {
        let content = match fs::read(self.folder.join(CODE_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Refusal::NoCode),
            content => content?,
        };
        let code: Code = serde_json::from_slice(&content).map_err(|_| Refusal::NoCode)?;
        let expires_at = WallTime::from_unix_millis(code.expires_at_ms);
        // A clock that was stepped back must not lengthen a code's life.
        let fresh = now < expires_at && expires_at <= now.plus(CODE_LIVES);
        if fresh { Ok(code) } else { Err(Refusal::NoCode) }
    }

    fn failed(&self, code: &Code) -> Result<Refusal, Refusal> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.code != code.digits {
            *failures = Failures { code: code.digits.clone(), count: 0 };
        }
        failures.count += 1;
        if failures.count < MOST_ATTEMPTS {
            return Ok(Refusal::Wrong);
        }
        fs::remove_file(self.folder.join(CODE_FILE))?;
        Ok(Refusal::TooMany)
    }

    /// Writes a file whole or not at all, for its owner's eyes only. What root writes belongs to
    /// the owner of the state folder, so that the service can read it.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let state = self.folder.parent().unwrap_or(&self.folder);
        let owner = fs::metadata(state)?;
        let ours = |path: &Path| -> io::Result<()> {
            if fs::metadata(path)?.uid() == owner.uid() {
                return Ok(());
            }
            std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid()))
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        ours(&self.folder)?;
        let draft = self.folder.join(format!(".{name}.draft"));
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        ours(&draft)?;
        fs::rename(draft, self.folder.join(name))
    }
}

impl Token {
    /// A token as a cookie carries it.
    pub fn from_cookie(value: &str) -> Self {
        Self(value.to_owned())
    }

    /// For the cookie.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn random() -> io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(hex::encode(bytes)))
    }

    fn file(&self) -> String {
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

fn six_digits() -> io::Result<String> {
    /// The largest multiple of a million that a `u32` holds: above it, digits would be biased.
    const FAIR: u32 = 4_294_000_000;
    loop {
        let number = getrandom::u32()?;
        if number < FAIR {
            return Ok(format!("{:06}", number % 1_000_000));
        }
    }
}

#[cfg(test)]
mod tests;
