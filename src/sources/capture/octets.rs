//! A capture's octets, read in pieces of bounded length.

use std::io::{self, BufRead, ErrorKind, Read};

use crate::sources::ReplayError;

/// No frame with an advertisement comes near this: HCI's longest packet is 64 KiB.
pub(super) const LONGEST_FRAME: usize = 256 * 1024;

/// The content of a file, in order.
pub(super) struct Octets {
    input: Box<dyn BufRead + Send>,
    piece: Vec<u8>,
}

impl Octets {
    pub(super) fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self { input, piece: Vec::new() }
    }

    /// The next `N` octets; `None` where the file ends before the first of them.
    pub(super) fn header<const N: usize>(&mut self) -> Result<Option<[u8; N]>, ReplayError> {
        let mut header = [0; N];
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        self.input.read_exact(&mut header).map_err(cut_short)?;
        Ok(Some(header))
    }

    /// The next `length` octets, in a buffer that the next call uses again.
    pub(super) fn piece(&mut self, length: usize) -> Result<&[u8], ReplayError> {
        self.piece.clear();
        let room = u64::try_from(length).unwrap_or(u64::MAX);
        let read = self.input.by_ref().take(room).read_to_end(&mut self.piece)?;
        if read < length {
            return Err(cut_short(ErrorKind::UnexpectedEof.into()));
        }
        Ok(&self.piece)
    }

    /// The piece that was read last.
    pub(super) fn last_piece(&self) -> &[u8] {
        &self.piece
    }

    /// Skips the next `length` octets.
    pub(super) fn skip(&mut self, length: u64) -> Result<(), ReplayError> {
        let skipped = io::copy(&mut self.input.by_ref().take(length), &mut io::sink())?;
        if skipped < length {
            return Err(cut_short(ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }
}

/// Why reading a capture stops at frame `number`: its lengths are no longer plausible.
pub(super) fn too_long(number: u64, length: usize) -> ReplayError {
    let problem = format!("a frame of {length} octets: the file is damaged from here on");
    ReplayError::Line { line: number, problem }
}

fn cut_short(error: io::Error) -> ReplayError {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            io::Error::new(error.kind(), "the file ends in the middle of a frame").into()
        }
        _ => error.into(),
    }
}
