//! Open addressing over columns: finds an entry's index by hash, and stores no keys.
//!
//! One bucket is one cache line of sixteen slots. A slot is an index and as many bits of the hash
//! as fit, so that a stranger's key costs one cache line and no look at any column. Invariant:
//! buckets fill from the front and entries are never removed, so a bucket whose last slot is free
//! ends every search.

/// Slots in a bucket: 64 octets, a cache line.
const WIDTH: usize = 16;
/// Filled to 13 of 16 on average: 4.9 octets an entry, and a search seldom reads a second line.
const FILLED: usize = 13;
/// A free slot. No index reaches it: see [`IndexTable::begin`].
const FREE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Bucket([u32; WIDTH]);

impl Bucket {
    const EMPTY: Self = Self([FREE; WIDTH]);

    const fn is_full(&self) -> bool {
        self.0[WIDTH - 1] != FREE
    }

    /// Whether any slot has `tag`: all sixteen are compared without a branch. Written out, because
    /// code that is optimised for size keeps its loops, at twice the time.
    #[expect(clippy::many_single_char_names, reason = "sixteen index that are all alike")]
    const fn has(&self, tag: u32, mask: u32) -> bool {
        const fn fits(slot: u32, tag: u32, mask: u32) -> bool {
            slot & mask == tag
        }
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = self.0;
        fits(a, tag, mask)
            | fits(b, tag, mask)
            | fits(c, tag, mask)
            | fits(d, tag, mask)
            | fits(e, tag, mask)
            | fits(f, tag, mask)
            | fits(g, tag, mask)
            | fits(h, tag, mask)
            | fits(i, tag, mask)
            | fits(j, tag, mask)
            | fits(k, tag, mask)
            | fits(l, tag, mask)
            | fits(m, tag, mask)
            | fits(n, tag, mask)
            | fits(o, tag, mask)
            | fits(p, tag, mask)
    }
}

/// Hash to index, for a number of entries that is known beforehand.
#[derive(Debug, Clone, Default)]
pub struct IndexTable {
    buckets: Vec<Bucket>,
    /// How many buckets there are once all are laid out.
    count: usize,
    /// Low bits of a slot that hold the index; the other bits hold the hash's tag.
    index_bits: u32,
    len: usize,
}

impl IndexTable {
    /// Room for `capacity` entries with indices below it, ready for use.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut index = Self::default();
        index.begin(capacity, capacity);
        index.lay_out(usize::MAX);
        index
    }

    /// Empties the table and reuses its memory: room for `capacity` entries whose indices are below
    /// `indices`. Nothing can be inserted or found before all is laid out.
    pub fn begin(&mut self, capacity: usize, indices: usize) {
        let highest = u32::try_from(indices).unwrap_or(u32::MAX).max(1);
        self.buckets.clear();
        self.count = capacity.div_ceil(FILLED).max(1);
        self.buckets.reserve_exact(self.count);
        // One value more than there are indices, so that none looks like a free slot.
        self.index_bits = u32::BITS - highest.leading_zeros();
        self.len = 0;
    }

    /// Lays out at most `count` buckets; true when all are. Large tables take a while: fresh
    /// memory is mapped page by page.
    pub fn lay_out(&mut self, count: usize) -> bool {
        let until = self.buckets.len().saturating_add(count).min(self.count);
        self.buckets.resize(until, Bucket::EMPTY);
        self.is_laid_out()
    }

    /// Whether entries can be inserted and found.
    pub const fn is_laid_out(&self) -> bool {
        self.buckets.len() == self.count
    }

    /// Frees at most `count` buckets; true while more are left.
    pub fn zeroize_slice(&mut self, count: usize) -> bool {
        self.count = 0;
        let left = self.buckets.len().saturating_sub(count);
        self.buckets.truncate(left);
        self.buckets.shrink_to(left);
        left > 0
    }

    /// Number of entries that there is room for, and the first index that there is none for.
    pub fn room(&self) -> usize {
        (self.buckets.len() * FILLED).min((1 << self.index_bits) - 1)
    }

    /// Octets on the heap.
    pub const fn octets(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }

    /// Adds an entry; false when every slot is taken.
    pub fn insert(&mut self, hash: u64, index: u32) -> bool {
        if !self.is_laid_out() || self.len >= self.buckets.len() * WIDTH {
            return false;
        }
        let slot = self.tag(hash) | index;
        let mut at = self.home(hash);
        loop {
            let Some(bucket) = self.buckets.get_mut(at) else {
                at = 0;
                continue;
            };
            if !bucket.is_full()
                && let Some(free) = bucket.0.iter_mut().find(|slot| **slot == FREE)
            {
                *free = slot;
                self.len += 1;
                return true;
            }
            at += 1;
        }
    }

    /// The first entry of that hash for which `is` holds. `is` must compare whole keys.
    pub fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let (tag, mask) = (self.tag(hash), self.mask());
        let mut at = self.home(hash);
        for _ in 0..self.buckets.len() {
            let bucket = self.buckets.get(at)?;
            if bucket.has(tag, mask) {
                let candidates = bucket.0.iter().filter(|slot| **slot & mask == tag);
                for slot in candidates.filter(|slot| **slot != FREE) {
                    let index = slot & !mask;
                    if is(index) {
                        return Some(index);
                    }
                }
            }
            if !bucket.is_full() {
                return None;
            }
            at = if at + 1 == self.buckets.len() { 0 } else { at + 1 };
        }
        None
    }

    /// A bucket by the hash's upper half, scaled instead of divided.
    const fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.buckets.len() as u64) >> 32) as usize
    }

    const fn mask(&self) -> u32 {
        u32::MAX << self.index_bits
    }

    /// The hash's lower half, shifted above the bits of the index.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    const fn tag(&self, hash: u64) -> u32 {
        (hash as u32) << self.index_bits
    }
}

/// Hash of octets from outside (folded multiplication, as in wyhash).
///
/// Not keyed: head office alone writes registry lines.
pub fn hash(octets: &[u8]) -> u64 {
    const ODD: [u64; 2] = [0xa076_1d64_78bd_642f, 0xe703_7ed1_a0b4_28db];
    let mut state = octets.len() as u64 ^ ODD[0];
    for chunk in octets.chunks(8) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        state = fold(state ^ u64::from_le_bytes(word), ODD[1]);
    }
    fold(state, ODD[0])
}

#[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
const fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128) * (b as u128);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(capacity: usize, indices: usize) -> IndexTable {
        let mut index = IndexTable::default();
        index.begin(capacity, indices);
        index.lay_out(usize::MAX);
        index
    }

    #[test]
    fn every_entry_is_found_and_nothing_else() {
        let keys: Vec<u64> = (0..10_000u64).map(|i| hash(&i.to_be_bytes())).collect();
        let mut index = IndexTable::with_capacity(keys.len());
        for (i, key) in (0u32..).zip(&keys) {
            assert!(index.insert(*key, i));
        }
        for (i, key) in (0u32..).zip(&keys) {
            assert_eq!(index.find(*key, |at| keys[at as usize] == *key), Some(i));
        }
        let strangers = 10_000..110_000u64;
        let mut looked_at = 0;
        for stranger in strangers {
            let found = index.find(hash(&stranger.to_be_bytes()), |_| {
                looked_at += 1;
                false
            });
            assert_eq!(found, None);
        }
        assert!(looked_at < 100, "{looked_at} of 100,000 strangers passed the tag");
    }

    #[test]
    fn a_full_table_refuses_and_still_answers() {
        let mut index = sized(1, 16);
        for i in 0..16 {
            assert!(index.insert(u64::from(i) << 32, i));
        }
        assert!(!index.insert(0, 3));
        assert_eq!(index.find(5 << 32, |i| i == 5), Some(5));
        assert_eq!(index.find(99 << 32, |_| false), None);
    }

    #[test]
    fn the_highest_index_with_all_bits_of_its_tag_set_is_no_free_slot() {
        for indices in [1, 3, 7, 255, 1023] {
            let mut index = sized(16, indices);
            let highest = u32::try_from(indices - 1).unwrap();
            assert!(index.insert(u64::MAX, highest));
            assert_eq!(index.find(u64::MAX, |i| i == highest), Some(highest));
        }
    }

    #[test]
    fn a_table_that_is_begun_again_is_empty_once_it_is_laid_out() {
        let mut index = IndexTable::with_capacity(100);
        for i in 0..100 {
            index.insert(hash(&[i]), u32::from(i));
        }
        index.begin(100, 100);
        assert!(!index.lay_out(2));
        assert_eq!(index.find(hash(&[1]), |_| true), None);
        while !index.lay_out(2) {}
        for i in 0..100u8 {
            assert_eq!(index.find(hash(&[i]), |_| true), None);
        }
    }
}
