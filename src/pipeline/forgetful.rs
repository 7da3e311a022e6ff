//! Bounded maps: a full one drops the entries that were used longest ago.

use std::collections::BTreeMap;

use super::units::Tick;

/// Makes room in a map of `most` entries: drops the quarter that was used longest ago, except what
/// `stays`. A quarter at a time, so that a crowd of new keys does not cost one search each.
pub fn make_room<K: Ord, V>(
    map: &mut BTreeMap<K, V>,
    most: usize,
    last_used: impl Fn(&V) -> Tick,
    stays: impl Fn(&V) -> bool,
) {
    if map.len() < most.max(1) {
        return;
    }
    let mut used: Vec<Tick> = map.values().map(&last_used).collect();
    let (_, cutoff, _) = used.select_nth_unstable(most / 4);
    let cutoff = *cutoff;
    map.retain(|_, entry| stays(entry) || last_used(entry) > cutoff);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_forgets_its_oldest_quarter_and_keeps_what_stays() {
        let at = |n: u64| Tick::from_micros(n);
        let mut map: BTreeMap<u64, Tick> = (0..100).map(|n| (n, at(n))).collect();
        make_room(&mut map, 101, |used| *used, |_| false);
        assert_eq!(map.len(), 100, "it is not full");
        make_room(&mut map, 100, |used| *used, |used| *used == at(3));
        assert_eq!(map.keys().copied().take(2).collect::<Vec<_>>(), [3, 26]);
    }
}
