//! Room on the disk for withdrawals: a small file of a fixed size, written in place, so that a
//! customer who withdraws while the disk is full is not recognised after a restart either.
//!
//! Its entries are withdrawals that the database did not take: each is the length of the handle (0
//! ends the list), the handle, and the time in milliseconds since 1970, little-endian.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use super::Change;
use crate::pipeline::units::WallTime;
use crate::private;

/// Its name in the state directory.
const FILE: &str = "withdrawals.reserve";
/// Room for 224 withdrawals with the longest handles, and for 800 with usual ones.
const SIZE: usize = 16 * 1024;

/// The reserve and its entries.
#[derive(Debug)]
pub(super) struct Reserve {
    /// `None` where there was no room even for it.
    file: Option<File>,
    withdrawn: BTreeMap<Arc<str>, WallTime>,
}

impl Reserve {
    /// The reserve in the state directory `dir`; allocates its room where it has none yet.
    pub(super) fn open(dir: &Path) -> Self {
        let path = dir.join(FILE);
        match Self::open_file(&path) {
            Ok((file, withdrawn)) => Self { file: Some(file), withdrawn },
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot reserve room for withdrawals");
                Self { file: None, withdrawn: BTreeMap::new() }
            }
        }
    }

    fn open_file(path: &Path) -> io::Result<(File, BTreeMap<Arc<str>, WallTime>)> {
        private::touch(path)?;
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let mut content = vec![0; SIZE];
        if length >= SIZE {
            file.read_exact_at(&mut content, 0)?;
        } else {
            file.write_all_at(&content, 0)?;
            file.sync_all()?;
        }
        Ok((file, read(&content)))
    }

    /// Changes that the database has not taken.
    pub(super) fn changes(&self) -> Vec<Change> {
        let both = |(client, at): (&Arc<str>, &WallTime)| {
            let client = Arc::clone(client);
            [Change::Forgotten(Arc::clone(&client)), Change::Withdrawn { client, at: *at }]
        };
        self.withdrawn.iter().flat_map(both).collect()
    }

    /// Whether `client` withdrew and the database does not know it.
    pub(super) fn holds(&self, client: &str) -> bool {
        self.withdrawn.contains_key(client)
    }

    /// The customers whose withdrawal the database has not taken.
    pub(super) fn clients(&self) -> impl Iterator<Item = &Arc<str>> {
        self.withdrawn.keys()
    }

    /// Keeps the withdrawals among `changes`, which the database did not take.
    pub(super) fn keep<'a>(&mut self, changes: impl IntoIterator<Item = &'a Change>) {
        let before = self.withdrawn.len();
        for change in changes {
            if let Change::Withdrawn { client, at } = change {
                self.withdrawn.entry(Arc::clone(client)).or_insert(*at);
            }
        }
        if self.withdrawn.len() > before {
            self.write();
        }
    }

    /// The database has all withdrawals.
    pub(super) fn clear(&mut self) {
        if !self.withdrawn.is_empty() {
            self.withdrawn.clear();
            self.write();
        }
    }

    fn write(&self) {
        let Some(file) = &self.file else { return };
        let content = write(&self.withdrawn);
        if let Err(error) = file.write_all_at(&content, 0).and_then(|()| file.sync_data()) {
            tracing::error!(%error, "withdrawals are kept in memory only");
        }
    }
}

/// Encodes as many as there is room for.
fn write(withdrawn: &BTreeMap<Arc<str>, WallTime>) -> Vec<u8> {
    let mut content = Vec::with_capacity(SIZE);
    for (client, at) in withdrawn {
        let Some(length) = u8::try_from(client.len()).ok().filter(|length| *length > 0) else {
            continue;
        };
        if content.len() + 1 + client.len() + size_of::<i64>() > SIZE {
            break;
        }
        content.push(length);
        content.extend_from_slice(client.as_bytes());
        content.extend_from_slice(&at.unix_millis().to_le_bytes());
    }
    content.resize(SIZE, 0);
    content
}

fn read(mut content: &[u8]) -> BTreeMap<Arc<str>, WallTime> {
    let mut withdrawn = BTreeMap::new();
    while let Some((&length, rest)) = content.split_first().filter(|(length, _)| **length > 0) {
        let Some((client, rest)) = rest.split_at_checked(usize::from(length)) else { break };
        let Some((millis, rest)) = rest.split_first_chunk() else { break };
        let Ok(client) = str::from_utf8(client) else { break };
        let at = WallTime::from_unix_millis(i64::from_le_bytes(*millis));
        withdrawn.insert(client.into(), at);
        content = rest;
    }
    withdrawn
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withdrawn(n: usize) -> Change {
        let client = format!("c-{n:062}").into();
        Change::Withdrawn { client, at: WallTime::from_unix_secs(7) }
    }

    #[test]
    fn withdrawals_are_kept_until_the_database_has_them_and_then_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let mut reserve = Reserve::open(dir.path());
        reserve.keep(&[withdrawn(1), withdrawn(2), withdrawn(1)]);
        let mut again = Reserve::open(dir.path());
        assert_eq!(again.changes(), reserve.changes());
        assert_eq!(again.clients().count(), 2);
        again.clear();
        assert_eq!(Reserve::open(dir.path()).clients().count(), 0);
        assert_eq!(std::fs::read(dir.path().join(FILE)).unwrap(), [0; SIZE]);
    }

    #[test]
    fn a_reserve_never_grows_and_a_damaged_one_is_read_as_far_as_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let all: Vec<_> = (0..500).map(withdrawn).collect();
        Reserve::open(dir.path()).keep(&all);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), SIZE as u64);
        assert_eq!(Reserve::open(dir.path()).clients().count(), 224);
        let mut content = std::fs::read(&path).unwrap();
        content[73] = 255;
        content[74] = 255;
        std::fs::write(&path, content).unwrap();
        assert_eq!(Reserve::open(dir.path()).clients().count(), 1);
        std::fs::write(&path, "").unwrap();
        assert_eq!(Reserve::open(dir.path()).clients().count(), 0);
    }
}
