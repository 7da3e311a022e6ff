//! One event, one line: client ids, topics, names and error texts come from elsewhere, and none of
//! them may begin a line of its own, or reverse the direction of the terminal's text.

use std::io::{self, Write};

use crate::text::is_displayable_char;

/// Writes each event to standard error with everything escaped that is not plain text.
#[derive(Debug, Clone, Copy)]
pub struct Stderr {
    /// Whether colours are written.
    pub colours: bool,
}

impl Write for Stderr {
    /// `event` is one whole event: `tracing_subscriber` writes it at once.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stderr().lock().write_all(one_line(event, self.colours).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn one_line(event: &[u8], colours: bool) -> String {
    let text = String::from_utf8_lossy(event);
    let (line, end) = match text.strip_suffix('\n') {
        Some(line) => (line, "\n"),
        None => (&*text, ""),
    };
    let mut plain = String::with_capacity(text.len());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some(colour) = colour(rest).filter(|_| colours) {
            plain.push_str(colour);
            rest = rest.strip_prefix(colour).unwrap_or_default();
            continue;
        }
        if is_displayable_char(c) {
            plain.push(c);
        } else {
            plain.extend(c.escape_default());
        }
        rest = rest.strip_prefix(c).unwrap_or_default();
    }
    plain.push_str(end);
    plain
}

/// A colour or style at the beginning of `text`: `ESC [ digits ; digits m`.
fn colour(text: &str) -> Option<&str> {
    let after = text.strip_prefix("\u{1b}[")?;
    let digits = after.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    after.get(digits..)?.strip_prefix('m')?;
    text.get(..digits + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newline_in_a_client_id_forges_no_log_line() {
        let forged = "WARN refused client=x\n2026-01-05T09:00:00Z ERROR all is lost\r\u{202e}\n";
        let line = one_line(forged.as_bytes(), true);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(line.ends_with("lost\\r\\u{202e}\n"), "{line}");
        assert!(line.contains("client=x\\n2026"), "{line}");
    }

    #[test]
    fn colours_stay_on_a_terminal_and_other_sequences_do_not() {
        let coloured = "\u{1b}[33m WARN\u{1b}[0m é \u{1b}[2J\u{1b}]0;title\u{7}\n";
        let line = one_line(coloured.as_bytes(), true);
        assert_eq!(line, "\u{1b}[33m WARN\u{1b}[0m é \\u{1b}[2J\\u{1b}]0;title\\u{7}\n");
        assert!(!one_line(coloured.as_bytes(), false).contains('\u{1b}'));
    }
}
