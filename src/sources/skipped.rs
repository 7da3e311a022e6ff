//! What a replay source skips without an error, counted by reason.

use std::fmt;

use serde::Serialize;

/// Counts of frames and fragments that gave no advertisement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Frames that hold no advertisement: commands, connections, scan requests.
    pub not_advertising: u64,
    /// Packets with a wrong CRC, or of a length that their type does not have.
    pub damaged: u64,
    /// Frames whose link type or sniffer header this program does not know.
    pub unsupported: u64,
    /// Fragments of extended advertisements that lack another fragment.
    pub incomplete: u64,
}

impl Skipped {
    /// Whether anything was skipped.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Skipped {
    /// The counts above zero, each with its reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            (self.not_advertising, "without an advertisement"),
            (self.damaged, "damaged (wrong CRC or length)"),
            (self.unsupported, "of an unknown link type or sniffer protocol"),
            (self.incomplete, "incomplete (fragments of extended advertising)"),
        ];
        let mut separator = "";
        for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {reason}")?;
            separator = ", ";
        }
        Ok(())
    }
}
