//! Reports of a bounded size: however much goes wrong, a status is short enough for any broker.

use std::fmt::Display;

/// Lines of one list in a report.
const MOST_LINES: usize = 20;

/// Characters of one line.
const LONGEST_LINE: usize = 300;

/// The first of `lines`, each shortened, and how many more there are.
pub fn lines(lines: impl IntoIterator<Item = impl Display>) -> Vec<String> {
    let mut lines = lines.into_iter();
    let mut brief: Vec<String> = lines.by_ref().take(MOST_LINES).map(|l| line(&l)).collect();
    let more = lines.count();
    if more > 0 {
        brief.push(format!("… and {more} more"));
    }
    brief
}

/// A text, cut after `LONGEST_LINE` characters.
pub fn line(text: &impl Display) -> String {
    let text = text.to_string();
    match text.char_indices().nth(LONGEST_LINE) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_problems_fit_in_a_report() {
        let brief = lines((0..10_919).map(|n| format!("line {n}: {}", "é".repeat(400))));
        assert_eq!(brief.len(), MOST_LINES + 1);
        assert_eq!(brief[MOST_LINES], "… and 10899 more");
        assert!(brief.iter().all(|line| line.chars().count() <= LONGEST_LINE + 1));
        assert_eq!(lines(["short"]), ["short"]);
    }
}
