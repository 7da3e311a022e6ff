//! Tokens to credentials, by compact hashing (Cleary, 1984): hardly more bits than the tokens have.
//!
//! The position of an entry gives the token's first bits, so the entry holds only the other bits,
//! packed with the credential into 96 bits. One octet of each entry, its tag, is stored apart. The
//! tags of a million tokens fit a processor's second-level cache, and a stranger's token costs a
//! look at the tags alone. A customer's token also costs a look at the entry, where all other bits
//! are compared. Invariant: every bucket from a token's home up to its entry has the overflow bit
//! of the token.

use subtle::ConstantTimeEq;

use super::window_tables::zeroize_slice;
use crate::pipeline::advert::token::Token;

/// Entries in a bucket: with the octet of overflow bits, their tags are 16 octets.
const WIDTH: usize = 15;
/// Filled to 25 of 30 on average: 15.7 octets an entry, and one search in ten reads a second
/// bucket.
const FILLED: (usize, usize) = (25, 2);
/// Lowest bits of an entry: the distance and the credential. The bits above them replace those
/// that the home already determines.
const SPARE_BITS: u32 = 15;
/// The first bit, in an entry, of the token's last octets; below are 32 bits of its first ones.
const OTHERS: u32 = SPARE_BITS + 32;

/// 96 bits, the lowest 32 first. From the highest: whether the tag is 0, the token's last octets,
/// the bits of the first ones that the home bucket does not give, the distance from the home
/// bucket, the credential.
type Entry = [u32; 3];

/// A bucket's tags, the first one lowest: 0 where a place is free. The highest octet has a bit for
/// each eighth of all tokens, set if one of them overflowed to the next bucket.
type Head = u128;

/// The first bit of that octet in a head.
const WENT_ON: u32 = 120;
/// The lowest bit of each octet.
const LOWEST: Head = Head::from_ne_bytes([1; 16]);
/// The highest bit of each tag.
const TAGS_HIGHEST: Head = (LOWEST << 7) & (Head::MAX >> 8);

/// Tokens to credentials, for a number of tokens that is known beforehand.
#[derive(Debug, Default)]
pub struct CompactHashTable {
    heads: Vec<Head>,
    entries: Vec<[Entry; WIDTH]>,
    /// How many buckets there are once all are laid out.
    count: usize,
    /// Bits of a token that its home bucket gives, rounded down.
    home_bits: u32,
    /// Lowest bits of an entry, for the credential.
    index_bits: u32,
}

/// The bucket and the bits to look for.
struct Sought {
    home: usize,
    tag: u8,
    /// The overflow bit in a head's highest octet.
    went_on: u8,
    /// The entry in the home bucket, of the first credential.
    entry: u128,
}

impl CompactHashTable {
    /// Empties the table and reuses its memory: room for `len` tokens of credentials below `len`.
    /// Nothing can be inserted or found before all is laid out.
    pub fn begin(&mut self, len: usize) {
        self.count = (len * FILLED.1).div_ceil(FILLED.0).max(1);
        self.heads.clear();
        self.heads.reserve_exact(self.count);
        // Old content of a free place is never read.
        self.entries.truncate(self.count);
        self.entries.reserve_exact(self.count - self.entries.len());
        self.home_bits = self.count.ilog2();
        self.index_bits = usize::BITS - len.leading_zeros();
    }

    /// Lays out at most `count` buckets; true when all are. Large tables take a while: fresh
    /// memory is mapped page by page.
    pub fn lay_out(&mut self, count: usize) -> bool {
        let until = self.heads.len().saturating_add(count).min(self.count);
        self.heads.resize(until, 0);
        self.entries.resize(until.max(self.entries.len()), [[0; 3]; WIDTH]);
        self.is_laid_out()
    }

    /// Whether tokens can be inserted and found.
    pub const fn is_laid_out(&self) -> bool {
        self.heads.len() == self.count
    }

    /// Wipes and frees at most `count` buckets; true while there are more.
    pub fn zeroize_slice(&mut self, count: usize) -> bool {
        self.count = 0;
        zeroize_slice(&mut self.entries, count) | zeroize_slice(&mut self.heads, count)
    }

    /// Octets on the heap.
    pub const fn octets(&self) -> usize {
        self.heads.capacity() * size_of::<Head>()
            + self.entries.capacity() * size_of::<[Entry; WIDTH]>()
    }

    /// Adds a token; false when there is no room.
    pub fn insert(&mut self, token: &Token, credential: u32) -> bool {
        if !self.is_laid_out() {
            return false;
        }
        let sought = self.sought(token);
        let mut at = sought.home;
        for distance in 0..self.count {
            let Some(distance) = self.distance(distance) else { return false };
            let Some(head) = self.heads.get_mut(at) else { return false };
            if let Some(place) = first(having(*head, 0)) {
                let entry = sought.entry | distance | u128::from(credential);
                return self.put(at, place, sought.tag, entry);
            }
            *head |= Head::from(sought.went_on) << WENT_ON;
            at = self.after(at);
        }
        false
    }

    /// The credential whose token this is.
    #[inline]
    pub fn find(&self, token: &Token) -> Option<u32> {
        self.position(token).map(|(_, _, credential)| credential)
    }

    /// Takes a credential's token out and wipes it.
    pub fn remove(&mut self, token: &Token, credential: u32) {
        if let Some((at, place, found)) = self.position(token)
            && found == credential
        {
            self.put(at, place, 0, 0);
        }
    }

    /// A token's bucket, its place there, and the credential.
    #[inline]
    fn position(&self, token: &Token) -> Option<(usize, usize, u32)> {
        if !self.is_laid_out() {
            return None;
        }
        let sought = self.sought(token);
        let mut at = sought.home;
        for distance in 0..self.count {
            let head = *self.heads.get(at)?;
            let fitting = having(head, sought.tag);
            if fitting != 0 {
                let entry = sought.entry | self.distance(distance)?;
                if let Some((place, credential)) = self.compared(at, fitting, entry) {
                    return Some((at, place, credential));
                }
            }
            if (head >> WENT_ON) & Head::from(sought.went_on) == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    /// Which of the places that fit holds that entry, and its credential.
    #[inline]
    fn compared(&self, at: usize, mut fitting: Head, wanted: u128) -> Option<(usize, u32)> {
        let bucket = self.entries.get(at)?;
        let credential = u128::from((1u64 << self.index_bits) - 1);
        while let Some(place) = first(fitting) {
            let entry = unpacked(bucket.get(place)?);
            if (entry & !credential).ct_eq(&wanted).into() {
                let [lowest, ..] = packed(entry & credential);
                return Some((place, lowest));
            }
            fitting &= fitting - 1;
        }
        None
    }

    /// The home bucket is chosen by the first four octets, scaled instead of divided. The rest of
    /// that product, below the home's bits, distinguishes the tokens of one home bucket.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "cut into halves")]
    #[expect(clippy::many_single_char_names, reason = "ten octets that are all alike")]
    fn sought(&self, token: &Token) -> Sought {
        let [a, b, c, d, tag, e, f, g, h, i, j] = *token;
        let scaled = u64::from(u32::from_be_bytes([a, b, c, d])) * self.count as u64;
        let left = scaled as u32 & (u32::MAX << self.home_bits);
        let others = u64::from_be_bytes([0, u8::from(tag == 0), e, f, g, h, i, j]);
        Sought {
            home: (scaled >> 32) as usize,
            tag: tag.max(1),
            went_on: 1 << (j & 7),
            entry: u128::from(others) << OTHERS | u128::from(u64::from(left) << SPARE_BITS),
        }
    }

    /// A distance in buckets, at its place in an entry; `None` where it is too far for one.
    #[inline]
    fn distance(&self, buckets: usize) -> Option<u128> {
        let shifted = (buckets as u64) << self.index_bits;
        (shifted >> (SPARE_BITS + self.home_bits) == 0).then(|| u128::from(shifted))
    }

    fn put(&mut self, at: usize, place: usize, tag: u8, entry: u128) -> bool {
        let bucket = self.entries.get_mut(at).and_then(|bucket| bucket.get_mut(place));
        let (Some(head), Some(own)) = (self.heads.get_mut(at), bucket) else { return false };
        *head = *head & !(0xff << (8 * place)) | Head::from(tag) << (8 * place);
        *own = packed(entry);
        true
    }

    #[inline]
    const fn after(&self, at: usize) -> usize {
        if at + 1 == self.count { 0 } else { at + 1 }
    }
}

/// The highest bit of every tag that equals `tag`, and seldom of another one above such a tag.
#[inline]
const fn having(head: Head, tag: u8) -> Head {
    let differing = head ^ Head::from_ne_bytes([tag; 16]);
    differing.wrapping_sub(LOWEST) & !differing & TAGS_HIGHEST
}

/// The first of the places that [`having`] marks.
#[inline]
fn first(having: Head) -> Option<usize> {
    (having != 0).then(|| having.trailing_zeros() as usize / 8)
}

#[expect(clippy::cast_possible_truncation, reason = "cut into pieces")]
const fn packed(entry: u128) -> Entry {
    [entry as u32, (entry >> 32) as u32, (entry >> 64) as u32]
}

#[inline]
fn unpacked(&[low, middle, high]: &Entry) -> u128 {
    u128::from(high) << 64 | u128::from(middle) << 32 | u128::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::identity::index_table::hash;

    fn token(n: u64) -> Token {
        let [a, b] = [0, 1].map(|half| hash(&[n, half].map(u64::to_le_bytes).concat()));
        let octets = [a.to_le_bytes(), b.to_le_bytes()].concat();
        *octets.first_chunk().unwrap()
    }

    fn sized(len: usize) -> CompactHashTable {
        let mut compact = CompactHashTable::default();
        compact.begin(len);
        compact.lay_out(usize::MAX);
        compact
    }

    fn filled(len: u32) -> CompactHashTable {
        let mut compact = sized(len as usize);
        for n in 0..len {
            assert!(compact.insert(&token(u64::from(n)), n));
        }
        compact
    }

    #[test]
    fn every_token_is_found_and_no_other() {
        for len in [1, 2, 12, 13, 1000, 30_000] {
            let compact = filled(len);
            for n in 0..len {
                assert_eq!(compact.find(&token(u64::from(n))), Some(n), "of {len}");
            }
            for stranger in 1 << 32..(1 << 32) + 10_000 {
                assert_eq!(compact.find(&token(stranger)), None, "of {len}");
            }
        }
    }

    #[test]
    fn a_token_that_differs_in_one_bit_matches_no_customer() {
        for len in [1, 13, 40, 5000] {
            let compact = filled(len);
            for n in (0..len).step_by(len as usize / 100 + 1) {
                for bit in 0..88 {
                    let mut other = token(u64::from(n));
                    other[bit / 8] ^= 1 << (bit % 8);
                    assert_eq!(compact.find(&other), None, "bit {bit} of {n} of {len}");
                }
            }
        }
    }

    #[test]
    fn few_strangers_cost_a_look_at_an_entry_or_a_second_bucket() {
        let compact = filled(50_000);
        let (mut fitting, mut went_on) = (0, 0);
        for stranger in 1 << 32..(1 << 32) + 50_000 {
            let sought = compact.sought(&token(stranger));
            let head = compact.heads[sought.home];
            fitting += u32::from(having(head, sought.tag) != 0);
            went_on += u32::from(head >> WENT_ON & Head::from(sought.went_on) != 0);
        }
        assert!(fitting < 3000, "{fitting} of 50,000 fit a tag");
        assert!(went_on < 6000, "{went_on} of 50,000 went on to a second bucket");
    }

    #[test]
    fn tokens_of_one_home_go_on_to_the_next_bucket_and_round() {
        let alike = |n: u8| [0xff, 0xff, 0xff, 0xff, n % 3, 0, 0, 0, 0, n, n];
        let mut compact = sized(40);
        assert_eq!(compact.count, 4);
        assert!((0..60).all(|n| compact.insert(&alike(n), u32::from(n % 40))));
        assert!(!compact.insert(&alike(60), 0), "there are 60 places");
        for n in 0..60 {
            assert_eq!(compact.find(&alike(n)), Some(u32::from(n % 40)));
        }
        assert_eq!(compact.find(&alike(60)), None);
        compact.remove(&alike(7), 8);
        assert_eq!(compact.find(&alike(7)), Some(7), "another credential's");
        compact.remove(&alike(7), 7);
        for n in 0..60 {
            assert_eq!(compact.find(&alike(n)).is_some(), n != 7);
        }
        assert!(compact.insert(&alike(60), 39), "in the place that got free");
        assert_eq!(compact.find(&alike(60)), Some(39));
    }

    #[test]
    fn the_same_octets_in_another_home_are_another_token() {
        let mut compact = sized(40);
        let at = |home: u8, n: u8| [home, 0, 0, 0, 9, 0, 0, 0, 0, n, 0];
        for n in 0..20 {
            assert!(compact.insert(&at(0, n), u32::from(n)));
        }
        for n in 0..20 {
            assert_eq!(compact.find(&at(0, n)), Some(u32::from(n)));
            assert_eq!(compact.find(&at(0x40, n)), None, "stands in bucket 1, but not at home");
        }
    }

    #[test]
    fn the_highest_credential_differs_from_the_distance() {
        for len in [1, 2, 3, 4, 255, 256, 1023, 1024] {
            let mut compact = sized(len);
            let highest = u32::try_from(len - 1).unwrap();
            for last in 0..16 {
                let token = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
                let room = compact.insert(&token, highest);
                assert_eq!(compact.find(&token), room.then_some(highest));
                assert_eq!(room, last < 15 || compact.count > 1);
            }
        }
    }

    #[test]
    fn a_table_that_is_begun_again_is_empty_once_it_is_laid_out() {
        let mut compact = filled(100);
        let octets = compact.octets();
        compact.begin(100);
        assert!(!compact.lay_out(2));
        assert_eq!(compact.find(&token(1)), None);
        assert!(!compact.insert(&token(1), 1));
        while !compact.lay_out(2) {}
        for n in 0..100 {
            assert_eq!(compact.find(&token(n)), None);
        }
        assert_eq!(compact.octets(), octets);
        while compact.zeroize_slice(2) {}
        assert_eq!(compact.octets(), 0);
    }

    #[test]
    fn a_million_tokens_take_at_most_16_mb() {
        let mut compact = CompactHashTable::default();
        compact.begin(1_000_000);
        assert!(compact.octets() <= 16_000_000, "{}", compact.octets());
    }
}
