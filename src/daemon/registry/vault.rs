//! Files of keys at rest: sealed with a key from systemd's credentials where there is one, and in
//! any case for the service alone.
//!
//! A sealed file is a header (magic, salt) and chunks of 64 KiB, each encrypted and authenticated
//! under its number and whether it is the last, so that none can be cut off, moved or replaced
//! (STREAM: Hoang, Reyhanitabar, Rogaway, Vizár 2015). The file's key is derived from the
//! credential and the salt.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use hkdf::Hkdf;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The credential's name: `LoadCredentialEncrypted=registry.key` in the unit.
pub const CREDENTIAL: &str = "registry.key";
/// Minimum length in octets of a secret that cannot be guessed.
const SHORTEST: usize = 16;
const MAGIC: &[u8; 16] = b"grelot sealed 1\n";
const SALT: usize = 16;
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;

/// How files are kept.
#[derive(Clone, Default)]
pub struct Vault {
    secret: Option<Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.secret.is_some() { "Vault(sealed)" } else { "Vault(plain)" })
    }
}

impl Vault {
    /// With the credential that systemd hands to this service, if it does.
    ///
    /// # Errors
    /// Where the credential cannot be read or is too short.
    pub fn from_credentials(folder: Option<&Path>) -> io::Result<Self> {
        let Some(folder) = folder else { return Ok(Self::default()) };
        match std::fs::read(folder.join(CREDENTIAL)) {
            Ok(secret) => Self::with_secret(secret),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// With this secret.
    ///
    /// # Errors
    /// Where the secret is too short.
    pub fn with_secret(secret: Vec<u8>) -> io::Result<Self> {
        let secret = Zeroizing::new(secret);
        if secret.len() < SHORTEST {
            return Err(io::Error::other(format!(
                "{CREDENTIAL} is shorter than {SHORTEST} octets"
            )));
        }
        Ok(Self { secret: Some(secret) })
    }

    /// Whether files are encrypted.
    pub const fn is_sealed(&self) -> bool {
        self.secret.is_some()
    }

    /// Begins a new file.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn create(&self, path: &Path) -> io::Result<Writer> {
        let mut file = crate::private::create(path)?;
        let Some(secret) = &self.secret else { return Ok(Writer { file, sealing: None }) };
        let mut salt = [0; SALT];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        file.write_all(MAGIC)?;
        file.write_all(&salt)?;
        Ok(Writer { file, sealing: Some(Sealing::new(secret, &salt, 0)?) })
    }

    /// Continues a file that was not finished; returns how many octets it has.
    ///
    /// # Errors
    /// Where the file cannot be opened or was not sealed with this secret.
    pub fn resume(&self, path: &Path) -> io::Result<(Writer, u64)> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let Some(secret) = &self.secret else {
            let length = file.seek(SeekFrom::End(0))?;
            return Ok((Writer { file, sealing: None }, length));
        };
        let salt = read_header(&mut file)?;
        let header = (MAGIC.len() + SALT) as u64;
        let whole = (file.metadata()?.len() - header) / (CHUNK + TAG) as u64;
        let number = u32::try_from(whole).map_err(io::Error::other)?;
        let length = header + whole * (CHUNK + TAG) as u64;
        file.set_len(length)?;
        file.seek(SeekFrom::Start(length))?;
        let sealing = Some(Sealing::new(secret, &salt, number)?);
        Ok((Writer { file, sealing }, whole * CHUNK as u64))
    }

    /// Reads a finished file.
    ///
    /// # Errors
    /// Where the file cannot be read or is not sealed; reading fails where it was damaged.
    pub fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        let mut file = File::open(path)?;
        let Some(secret) = &self.secret else { return Ok(Box::new(file)) };
        let salt = read_header(&mut file)?;
        let mut reader = Reader {
            file,
            key: file_key(secret, &salt)?,
            number: 0,
            sealed: Vec::new(),
            plain: Vec::new(),
            taken: 0,
        };
        reader.read_ahead()?;
        Ok(Box::new(reader))
    }
}

fn read_header(file: &mut File) -> io::Result<[u8; SALT]> {
    let (mut magic, mut salt) = ([0; MAGIC.len()], [0; SALT]);
    file.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "is not sealed"));
    }
    file.read_exact(&mut salt)?;
    Ok(salt)
}

fn file_key(secret: &[u8], salt: &[u8; SALT]) -> io::Result<LessSafeKey> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand(b"grelot/1/registry at rest", key.as_mut())
        .map_err(io::Error::other)?;
    let key = UnboundKey::new(&AES_256_GCM, key.as_ref())
        .map_err(|_| io::Error::other("no key of that length"))?;
    Ok(LessSafeKey::new(key))
}

fn nonce(number: u32, last: bool) -> Nonce {
    let [a, b, c, d] = number.to_be_bytes();
    Nonce::assume_unique_for_key([0, 0, 0, 0, 0, 0, 0, a, b, c, d, u8::from(last)])
}

/// Writes a file; [`Writer::finish`] makes it whole.
pub struct Writer {
    file: File,
    sealing: Option<Sealing>,
}

struct Sealing {
    key: LessSafeKey,
    number: u32,
    chunk: Vec<u8>,
}

impl Sealing {
    fn new(secret: &[u8], salt: &[u8; SALT], number: u32) -> io::Result<Self> {
        Ok(Self { key: file_key(secret, salt)?, number, chunk: Vec::with_capacity(CHUNK + TAG) })
    }

    fn seal(&mut self, file: &mut File, last: bool) -> io::Result<()> {
        let nonce = nonce(self.number, last);
        self.key
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut self.chunk)
            .map_err(|_| io::Error::other("too long to be sealed"))?;
        file.write_all(&self.chunk)?;
        self.chunk.clear();
        self.number =
            self.number.checked_add(1).ok_or_else(|| io::Error::other("too long to be sealed"))?;
        Ok(())
    }
}

impl Writer {
    /// Writes what is left, and waits until it is on the disk.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some(sealing) = &mut self.sealing {
            sealing.seal(&mut self.file, true)?;
        }
        self.file.sync_all()
    }
}

impl Write for Writer {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let Some(sealing) = &mut self.sealing else { return self.file.write(octets) };
        // A full chunk waits for more: it may be the last.
        if sealing.chunk.len() == CHUNK {
            sealing.seal(&mut self.file, false)?;
        }
        let taken = octets.len().min(CHUNK - sealing.chunk.len());
        sealing.chunk.extend_from_slice(octets.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

struct Reader {
    file: File,
    key: LessSafeKey,
    number: u32,
    /// The next chunk as it stands in the file: a chunk is the last if none follows it.
    sealed: Vec<u8>,
    plain: Vec<u8>,
    taken: usize,
}

impl Reader {
    fn read_ahead(&mut self) -> io::Result<()> {
        self.sealed.clear();
        (&mut self.file).take((CHUNK + TAG) as u64).read_to_end(&mut self.sealed)?;
        Ok(())
    }

    /// False at the end.
    fn next_chunk(&mut self) -> io::Result<bool> {
        if self.sealed.is_empty() {
            return Ok(false);
        }
        let mut chunk = std::mem::take(&mut self.sealed);
        self.read_ahead()?;
        let nonce = nonce(self.number, self.sealed.is_empty());
        let plain = self.key.open_in_place(nonce, Aad::empty(), &mut chunk).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, "was damaged, or sealed with another key")
        })?;
        let length = plain.len();
        chunk.truncate(length);
        self.plain = chunk;
        self.taken = 0;
        self.number = self.number.wrapping_add(1);
        Ok(true)
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.plain.len() {
            if !self.next_chunk()? {
                return Ok(0);
            }
        }
        let rest = self.plain.get(self.taken..).unwrap_or_default();
        let count = rest.len().min(into.len());
        for (to, from) in into.iter_mut().zip(rest) {
            *to = *from;
        }
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Vault {
        Vault::with_secret(vec![7; 32]).unwrap()
    }

    fn read(vault: &Vault, path: &Path) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        vault.open(path)?.read_to_end(&mut content)?;
        Ok(content)
    }

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251).to_le_bytes()[0]).collect()
    }

    #[test]
    fn what_was_sealed_is_read_again_and_is_not_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            for vault in [Vault::default(), sealed()] {
                let mut writer = vault.create(&path).unwrap();
                writer.write_all(&content(length)).unwrap();
                writer.finish().unwrap();
                assert_eq!(read(&vault, &path).unwrap(), content(length), "{length} {vault:?}");
            }
            let raw = std::fs::read(&path).unwrap();
            assert!(length < 16 || !raw.windows(16).any(|part| part == &content(16)[..]));
        }
    }

    #[test]
    fn nothing_can_be_changed_cut_off_or_read_with_another_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let mut writer = sealed().create(&path).unwrap();
        writer.write_all(&content(2 * CHUNK + 100)).unwrap();
        writer.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        let other = Vault::with_secret(vec![8; 32]).unwrap();
        assert!(read(&other, &path).is_err());
        let header = MAGIC.len() + SALT;
        for length in [whole.len() - 1, header + CHUNK + TAG, header + 2 * (CHUNK + TAG)] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(read(&sealed(), &path).is_err(), "cut off at {length}");
        }
        for at in [0, 20, header, header + CHUNK + TAG, whole.len() - 1] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            assert!(read(&sealed(), &path).is_err(), "octet {at} changed");
        }
    }

    #[test]
    fn an_interrupted_file_goes_on_where_its_last_whole_chunk_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        for vault in [Vault::default(), sealed()] {
            let all = content(5 * CHUNK);
            let mut writer = vault.create(&path).unwrap();
            writer.write_all(&all[..2 * CHUNK + 5000]).unwrap();
            drop(writer);
            let (mut writer, length) = vault.resume(&path).unwrap();
            let length = usize::try_from(length).unwrap();
            assert!((2 * CHUNK..=2 * CHUNK + 5000).contains(&length), "{length} {vault:?}");
            writer.write_all(&all[length..]).unwrap();
            writer.finish().unwrap();
            assert_eq!(read(&vault, &path).unwrap(), all);
        }
    }

    #[test]
    fn a_credential_that_could_be_guessed_is_refused() {
        assert!(Vault::with_secret(b"hunter2".to_vec()).is_err());
    }
}
