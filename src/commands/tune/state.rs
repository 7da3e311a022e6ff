//! What was tried already, on disk: a run that was killed goes on where it was.
//!
//! One JSON object a line, a header first. Invariant: a line counts only if it is whole, and the
//! header names everything that could change a result.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::counts::Counts;
use super::space::Point;
use super::trial::Board;

/// The form of the file.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    grelot: String,
    version: u32,
    key: String,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    point: Vec<u16>,
    tallies: Vec<Counts>,
}

#[derive(Debug)]
pub struct State {
    file: File,
    path: PathBuf,
}

impl State {
    /// Opens the file at `path` and returns its content; starts it again where it is for another
    /// `key`.
    ///
    /// # Errors
    /// The file cannot be opened, or is not one of `grelot tune`.
    pub fn open(path: &Path, key: &str, recordings: usize) -> anyhow::Result<(Self, Board)> {
        let context = || format!("the state file {}", path.display());
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(context)?;
        let (board, whole) = read(&mut file, key, recordings).with_context(context)?;
        // What a killed run left half written would spoil the next line.
        file.set_len(whole).with_context(context)?;
        file.seek(io::SeekFrom::End(0)).with_context(context)?;
        let mut state = Self { file, path: path.to_owned() };
        if whole == 0 {
            let grelot = "tune".to_owned();
            state.write(&Header { grelot, version: VERSION, key: key.to_owned() })?;
        }
        Ok((state, board))
    }

    /// Adds what one point did.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, point: &Point, tallies: &[Counts]) -> anyhow::Result<()> {
        self.write(&Entry { point: point.0.clone(), tallies: tallies.to_vec() })
    }

    fn write(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        // One call a line: killed in between, the file ends with the line before.
        self.file.write_all(&text).with_context(|| format!("writing {}", self.path.display()))
    }
}

/// What the file holds for `key`, and how many of its octets count.
fn read(file: &mut File, key: &str, recordings: usize) -> io::Result<(Board, u64)> {
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    let mut whole = lines.read_until(b'\n', &mut line)? as u64;
    let header = serde_json::from_slice::<Header>(&line).ok().filter(|_| line.ends_with(b"\n"));
    let is_ours = |h: &Header| h.grelot == "tune" && h.version == VERSION && h.key == key;
    let mut board = BTreeMap::new();
    if !header.as_ref().is_some_and(is_ours) {
        let other = whole > 0 && header.is_none_or(|header| header.grelot != "tune");
        if other {
            let what = "is there and is not grelot's: move it away, or name another --out";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
        return Ok((board, 0));
    }
    loop {
        line.clear();
        let length = lines.read_until(b'\n', &mut line)? as u64;
        let entry = serde_json::from_slice::<Entry>(&line).ok().filter(|_| line.ends_with(b"\n"));
        let Some(entry) = entry.filter(|entry| entry.tallies.len() == recordings) else { break };
        board.insert(Point(entry.point), entry.tallies);
        whole += length;
    }
    Ok((board, whole))
}

/// A hash of everything that could change a result, piece by piece.
#[derive(Default)]
pub struct Key(Sha256);

impl Key {
    /// Adds a piece of text.
    pub fn text(&mut self, text: &str) {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
    }

    /// Adds a file's content, and returns its own hash.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn file(&mut self, path: &Path) -> anyhow::Result<[u8; 32]> {
        let digest = digest(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.0.update(digest);
        Ok(digest)
    }

    pub fn done(self) -> String {
        hex::encode(self.0.finalize())
    }
}

fn digest(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let (mut digest, mut part) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut part)?;
        if read == 0 {
            return Ok(digest.finalize().into());
        }
        digest.update(part.get(..read).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at: u16) -> Point {
        Point(vec![at, 2])
    }

    fn counts(visits: u32) -> Vec<Counts> {
        vec![Counts { visits, late_ms: vec![-5, 700], ..Counts::default() }]
    }

    #[test]
    fn what_was_tried_is_known_again_and_a_torn_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (mut state, board) = State::open(&path, "k", 1).unwrap();
        assert!(board.is_empty());
        for at in 0..3 {
            state.add(&point(at), &counts(u32::from(at))).unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..40 {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            let (mut state, board) = State::open(&path, "k", 1).unwrap();
            assert_eq!(board.keys().cloned().collect::<Vec<_>>(), [point(0), point(1)]);
            assert_eq!(board[&point(1)], counts(1));
            state.add(&point(2), &counts(2)).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn other_inputs_start_from_the_beginning_and_a_foreign_file_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let (mut state, _) = State::open(&path, "k", 1).unwrap();
        state.add(&point(0), &counts(0)).unwrap();
        assert!(State::open(&path, "other", 1).unwrap().1.is_empty());
        std::fs::write(&path, "precious\n").unwrap();
        let error = State::open(&path, "k", 1).unwrap_err();
        assert!(format!("{error:#}").contains("not grelot's"), "{error:#}");
        assert_eq!(std::fs::read(&path).unwrap(), b"precious\n");
    }
}
