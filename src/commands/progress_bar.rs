//! A bar that fills, by eighths of a cell.

/// `done` of `of`, `width` cells wide.
pub fn progress_bar(done: usize, of: usize, width: usize) -> String {
    let eighths = (done.min(of) * width * 8).checked_div(of).unwrap_or(0);
    let mut bar = "█".repeat(eighths / 8);
    bar.extend(["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"].get(eighths % 8).copied());
    format!("▕{bar:<width$}▏")
}

#[cfg(test)]
mod tests {
    use super::progress_bar;

    #[test]
    fn a_bar_keeps_its_width_and_is_full_at_the_end() {
        for done in 0..=7 {
            assert_eq!(progress_bar(done, 7, 10).chars().count(), 12);
        }
        assert_eq!(progress_bar(7, 7, 3), "▕███▏");
        assert_eq!(progress_bar(0, 0, 3), "▕   ▏");
    }
}
