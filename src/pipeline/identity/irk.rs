//! Scheme `irk`: finds whose resolvable private address it is, by trying every key.
//!
//! An address is tried once and the result cached, misses too: a phone keeps its address for about
//! fifteen minutes. Where there are many keys, addresses wait to be tried several at a time in
//! slices, off the radio's path. Invariant: waiting and cached addresses are bounded in number,
//! live in memory only, and are deleted soon after they were last received.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Block};

use super::key::{Key, put};
use super::rpa_cache::{Resolution, RpaCache};
use super::window_tables::Priority;
use crate::pipeline::address::{Address, AddressKind};
use crate::pipeline::units::Tick;

/// With more keys, one address in 1,000 of strangers would match a customer (24-bit hash).
pub const MOST_KEYS: usize = 16_777;
/// With more keys, one address in 10,000 of strangers would match a customer: worth a warning.
pub const MANY_KEYS: usize = 1_677;

/// With at most this many keys an address is resolved at once: 1 ms on the slowest processor.
const AT_ONCE: usize = 256;
/// Addresses tried together: software AES does four or eight blocks for the price of one.
const BATCH: usize = 8;
/// Keys tried in a slice, for a whole batch.
const SLICE: usize = 200;
/// Addresses that may wait; a further one is tried when it is next received.
const WAITING: usize = 64;

/// `ah` of the Bluetooth Core specification (Vol 3, Part H, 2.2.2).
pub fn hash(irk: &Key, prand: [u8; 3]) -> [u8; 3] {
    let mut block = block(prand).into();
    Aes128Enc::new(&irk.0.into()).encrypt_block(&mut block);
    low(&block.into())
}

fn block([a, b, c]: [u8; 3]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c]
}

const fn low(block: &[u8; 16]) -> [u8; 3] {
    let [.., a, b, c] = *block;
    [a, b, c]
}

/// A value that no [`tail`] has.
const NO_HASH: u32 = u32::MAX;

/// The last three octets as a number.
fn tail(block: &Block) -> u32 {
    block.last_chunk().map_or(NO_HASH, |tail| u32::from_be_bytes(*tail) & 0x00ff_ffff)
}

/// An address that consists of a random part and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolvable {
    prand: [u8; 3],
    hash: [u8; 3],
}

impl Resolvable {
    /// `None` for public, static and non-resolvable addresses.
    pub fn from_address(address: Address) -> Option<Self> {
        let (&[prand, hash], []) = address.octets.as_chunks::<3>() else { return None };
        let [first, ..] = prand;
        (address.kind == AddressKind::Random && first >> 6 == 0b01).then_some(Self { prand, hash })
    }

    /// The random part above the hash: 48 bits.
    fn number(self) -> u64 {
        let mut octets = [0; 8];
        put(&mut octets, &[&[0; 2], &self.prand, &self.hash]);
        u64::from_be_bytes(octets)
    }
}

/// All `irk` credentials of the registry, and the cache of tried addresses.
#[derive(Debug, Default)]
pub struct Irks {
    ciphers: Vec<Aes128Enc>,
    remembered: RpaCache,
    waiting: Vec<Resolvable>,
    trying: Trial,
}

/// A batch of addresses while it is tried against the keys.
#[derive(Debug, Default)]
struct Trial {
    addresses: Vec<Resolvable>,
    answers: [Resolution; BATCH],
    next_key: usize,
}

impl Irks {
    pub fn new(ciphers: Vec<Aes128Enc>) -> Self {
        let remembered =
            if ciphers.is_empty() { RpaCache::default() } else { RpaCache::with_room() };
        Self { ciphers, remembered, ..Self::default() }
    }

    /// The AES key schedule of a key.
    pub fn expanded(key: &Key) -> Aes128Enc {
        Aes128Enc::new(&key.0.into())
    }

    /// The credential that an address belongs to; `None` also while that is not known yet.
    pub fn find(&mut self, address: Address, now: Tick) -> Option<u32> {
        if self.ciphers.is_empty() {
            return None;
        }
        let address = Resolvable::from_address(address)?;
        match self.remembered.recall(address.number(), now) {
            Some(answer) => answer.key(),
            None if self.ciphers.len() <= AT_ONCE => {
                let mut trial = Trial::of(vec![address]);
                trial.go_on(&self.ciphers, usize::MAX);
                trial.conclude(&mut self.remembered, now);
                self.remembered.recall(address.number(), now)?.key()
            }
            None => {
                self.wait(address);
                None
            }
        }
    }

    fn wait(&mut self, address: Resolvable) {
        let known = self.waiting.contains(&address) || self.trying.addresses.contains(&address);
        if !known && self.waiting.len() < WAITING {
            self.waiting.push(address);
        }
    }

    /// Tries waiting addresses against a slice of the keys.
    pub fn work(&mut self, now: Tick) {
        if self.trying.addresses.is_empty() {
            let batch = self.waiting.len().min(BATCH);
            self.trying = Trial::of(self.waiting.drain(..batch).collect());
        }
        self.trying.go_on(&self.ciphers, SLICE);
        if self.trying.next_key >= self.ciphers.len() {
            std::mem::take(&mut self.trying).conclude(&mut self.remembered, now);
        }
    }

    /// `Priority::Now` while addresses wait to be tried.
    pub fn priority(&self) -> Priority {
        if self.waiting.is_empty() && self.trying.addresses.is_empty() {
            Priority::None
        } else {
            Priority::Now
        }
    }

    /// Deletes addresses that were not received for a long time.
    pub fn forget_unheard(&mut self, now: Tick) {
        self.remembered.forget_unheard(now);
    }

    /// How many keys there are.
    pub const fn count(&self) -> usize {
        self.ciphers.len()
    }

    /// Octets on the heap, approximately.
    pub const fn octets(&self) -> usize {
        self.ciphers.capacity() * size_of::<Aes128Enc>() + self.remembered.octets()
    }

    /// Wipes a credential: it becomes an all-zero key, which has no owner.
    pub fn remove(&mut self, at: u32) {
        if let Some(cipher) = self.ciphers.get_mut(at as usize) {
            *cipher = Self::expanded(&Key([0; 16]));
        }
    }

    /// Wipes and frees a slice; true while more is left.
    pub fn zeroize_slice(&mut self) -> bool {
        let left = self.ciphers.len().saturating_sub(64);
        self.ciphers.truncate(left); // each wipes itself
        self.ciphers.shrink_to(left);
        left > 0
    }
}

impl Trial {
    fn of(addresses: Vec<Resolvable>) -> Self {
        Self { addresses, ..Self::default() }
    }

    /// Tries the next `count` keys.
    fn go_on(&mut self, ciphers: &[Aes128Enc], count: usize) {
        let until = self.next_key.saturating_add(count).min(ciphers.len());
        let keys = ciphers.get(self.next_key..until).unwrap_or_default();
        match self.addresses.len() {
            0 => {}
            1 => self.try_on::<1>(keys),
            2..=4 => self.try_on::<4>(keys),
            _ => self.try_on::<BATCH>(keys),
        }
        self.next_key = until;
    }

    /// Tries keys with `N` blocks each: a fixed number is copied and compared without a loop.
    /// Blocks without an address are encrypted too, and not used.
    fn try_on<const N: usize>(&mut self, keys: &[Aes128Enc]) {
        let mut plain = [Block::default(); N];
        let mut wanted = [NO_HASH; N];
        for ((plain, wanted), address) in plain.iter_mut().zip(&mut wanted).zip(&self.addresses) {
            *plain = block(address.prand).into();
            let [a, b, c] = address.hash;
            *wanted = u32::from_be_bytes([0, a, b, c]);
        }
        for (key, cipher) in (self.next_key..).zip(keys) {
            let mut blocks = plain;
            match blocks.as_mut_slice() {
                [only] => cipher.encrypt_block(only),
                blocks => cipher.encrypt_blocks(blocks),
            }
            let fits = || blocks.iter().zip(&wanted).map(|(block, wanted)| tail(block) == *wanted);
            // Rare, so there is no branch for each block.
            if fits().fold(false, |any, fits| any | fits) {
                for (fits, answer) in fits().zip(&mut self.answers) {
                    if fits {
                        answer.add(key);
                    }
                }
            }
        }
    }

    fn conclude(self, remembered: &mut RpaCache, now: Tick) {
        for (address, answer) in self.addresses.iter().zip(self.answers) {
            remembered.remember(address.number(), answer, now);
        }
    }
}
