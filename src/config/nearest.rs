//! The word that was probably meant.

/// Below this likeness a suggestion would puzzle more than it helps.
const LIKE_ENOUGH: f64 = 0.6;

/// The most similar of `known`, if any is similar at all.
pub fn of<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Similarity costs the product of the lengths, and the word may be hostile.
    if word.len() > 100 {
        return None;
    }
    let word = word.to_lowercase();
    known
        .map(|candidate| (likeness(&word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKE_ENOUGH)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Typing errors change few letters; forgetting a unit (`dwell` for `dwell_secs`) or taking
/// another word (`bluetooth` for `bluez`) leaves the beginning as it is.
fn likeness(word: &str, candidate: &str) -> f64 {
    let typed = strsim::normalized_damerau_levenshtein(word, candidate);
    let begun = if word.len() >= 3 && candidate.starts_with(word) { 0.8 } else { 0.0 };
    // Jaro and Winkler rate unrelated words highly too.
    let alike = strsim::jaro_winkler(word, candidate) - 0.2;
    typed.max(begun).max(alike)
}

#[cfg(test)]
mod tests {
    use super::of;

    const KNOWN: [&str; 4] = ["arrive_rssi_dbm", "leave_rssi_dbm", "dwell_secs", "rejoin_secs"];

    #[test]
    fn the_nearest_key_is_the_one_that_was_meant() {
        assert_eq!(of("arive_rssi_dbm", KNOWN.into_iter()), Some("arrive_rssi_dbm"));
        assert_eq!(of("arrive_rssi", KNOWN.into_iter()), Some("arrive_rssi_dbm"));
        assert_eq!(of("dwell", KNOWN.into_iter()), Some("dwell_secs"));
        assert_eq!(of("Leave_RSSI_dbm", KNOWN.into_iter()), Some("leave_rssi_dbm"));
        assert_eq!(of("bluetooth", ["mqtt", "bluez"].into_iter()), Some("bluez"));
        assert_eq!(of("colour", KNOWN.into_iter()), None);
        assert_eq!(of(&"x".repeat(1_000_000), KNOWN.into_iter()), None);
    }
}
