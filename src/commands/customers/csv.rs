//! CSV as spreadsheets and CRMs write it (RFC 4180, any separator).

use std::io::{BufRead, Read as _};

/// A cell longer than that is a missing quote.
const LONGEST: usize = 64 * 1024;

pub struct Rows<R> {
    from: R,
    separator: u8,
    line: u32,
}

impl<R: BufRead> Rows<R> {
    /// Rows of `from`, whose cells `separator` divides.
    pub const fn new(from: R, separator: u8) -> Self {
        Self { from, separator, line: 0 }
    }

    /// The next row, with the number of its first line.
    ///
    /// # Errors
    /// Where a quoted cell does not end, or the file is not UTF-8.
    pub fn next(&mut self) -> Result<Option<(u32, Vec<String>)>, String> {
        let mut raw = Vec::new();
        let first = self.line + 1;
        loop {
            let before = raw.len();
            let mut bounded = self.from.by_ref().take(LONGEST as u64 + 1);
            let read = bounded.read_until(b'\n', &mut raw).map_err(|error| error.to_string())?;
            if read == 0 && before == 0 {
                return Ok(None);
            }
            self.line += u32::from(read > 0);
            if raw.len() > LONGEST {
                return Err(format!(
                    "line {first}: a row of more than {LONGEST} octets; a quote is missing?"
                ));
            }
            let open = raw.iter().fold(false, |open, octet| open ^ (*octet == b'"'));
            if open && read == 0 {
                return Err(format!("line {first}: a quote is not closed"));
            }
            if !open {
                break;
            }
        }
        let text = str::from_utf8(&raw).map_err(|_| format!("line {first}: not UTF-8"))?;
        let text = text.trim_end_matches(['\n', '\r']);
        let text = if first == 1 { text.trim_start_matches('\u{feff}') } else { text };
        cells(text, self.separator)
            .map(|cells| Some((first, cells)))
            .ok_or_else(|| format!("line {first}: a quote in the middle of a cell"))
    }
}

fn cells(row: &str, separator: u8) -> Option<Vec<String>> {
    let separator = char::from(separator);
    let mut cells = Vec::new();
    let mut rest = row;
    loop {
        let (cell, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_cell(quoted)?
        } else {
            let end = rest.find(separator).unwrap_or(rest.len());
            let (cell, after) = rest.split_at_checked(end)?;
            (cell.to_owned(), after)
        };
        cells.push(cell);
        match after.strip_prefix(separator) {
            Some(next) => rest = next,
            None if after.is_empty() => return Some(cells),
            None => return None,
        }
    }
}

/// The cell up to its closing quote, and what stands behind it.
fn quoted_cell(mut rest: &str) -> Option<(String, &str)> {
    let mut cell = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        cell.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                cell.push('"');
                rest = more;
            }
            None => return Some((cell, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, separator: u8) -> Result<Vec<Vec<String>>, String> {
        let mut rows = Rows::new(text.as_bytes(), separator);
        let mut all = Vec::new();
        while let Some((_, row)) = rows.next()? {
            all.push(row);
        }
        Ok(all)
    }

    #[test]
    fn cells_may_hold_separators_quotes_and_line_ends() {
        let text = "\u{feff}id,name\r\n1,\"Dupont, \"\"Léa\"\"\r\nMme\"\n2,\n";
        let expected = [["id", "name"], ["1", "Dupont, \"Léa\"\r\nMme"], ["2", ""]];
        assert_eq!(rows(text, b',').unwrap(), expected);
        assert_eq!(rows("a;b", b';').unwrap(), [["a", "b"]]);
    }

    #[test]
    fn a_broken_quote_is_reported_with_its_line() {
        assert_eq!(rows("a\n\"b", b',').unwrap_err(), "line 2: a quote is not closed");
        assert_eq!(rows("a\n\"b\"c", b',').unwrap_err(), "line 2: a quote in the middle of a cell");
    }
}
