//! Lines of bounded length: a file without line ends does not fill the memory.

use std::io::{self, BufRead, Read as _};

/// A line is longer than the format allows; the rest of it is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("longer than {0} octets")]
pub struct TooLong(usize);

/// Reads lines one at a time; memory holds one.
#[derive(Debug)]
pub struct Lines<R> {
    from: R,
    longest: usize,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Lines of `from` of up to `longest` octets, without their line ends.
    pub const fn new(from: R, longest: usize) -> Self {
        Self { from, longest, number: 0, line: Vec::new() }
    }

    /// The number of the line that was read last, from 1.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The next line without its line end.
    ///
    /// # Errors
    /// The input cannot be read; inside, the line is too long, and the next one can be read.
    #[expect(clippy::should_implement_trait, reason = "a line borrows the buffer")]
    pub fn next(&mut self) -> io::Result<Option<Result<&[u8], TooLong>>> {
        self.line.clear();
        // One octet more for a line end, and one to detect a line that is too long.
        let room = self.longest as u64 + 2;
        if self.from.by_ref().take(room).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let line = self.line.strip_suffix(b"\n");
        if line.is_none() && self.line.len() > self.longest {
            self.from.skip_until(b'\n')?;
        }
        let line = line.unwrap_or(&self.line);
        Ok(Some(if line.len() > self.longest { Err(TooLong(self.longest)) } else { Ok(line) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_an_error_and_the_next_is_read() {
        for text in ["aaaa\nbb", "aaaaa\nbb", "aaaaaaaaaaaaaaaaaaaa\nbb\n"] {
            let mut lines = Lines::new(text.as_bytes(), 3);
            assert_eq!(lines.next().unwrap(), Some(Err(TooLong(3))), "{text}");
            assert_eq!(lines.next().unwrap(), Some(Ok(&b"bb"[..])), "{text}");
            assert_eq!(lines.next().unwrap(), None, "{text}");
            assert_eq!(lines.number(), 2, "{text}");
        }
    }

    #[test]
    fn every_line_up_to_the_bound_is_read_as_it_is() {
        let mut lines = Lines::new(&b"aaa\n\nbb"[..], 3);
        for expected in [&b"aaa"[..], b"", b"bb"] {
            assert_eq!(lines.next().unwrap(), Some(Ok(expected)));
        }
        assert_eq!(lines.next().unwrap(), None);
    }
}
