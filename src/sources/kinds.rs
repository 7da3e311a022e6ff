//! The one table of live sources. A new kind is a file of its own and a line here.

use super::live::Kind;
use super::{bluez, h4, portable};

/// Every kind; the first is the one that a configuration without `[[source]]` has.
pub const LIVE: [&Kind; 3] = [&bluez::KIND, &portable::KIND, &h4::KIND];

/// The kind that `word` names.
pub fn named(word: &str) -> Option<&'static Kind> {
    LIVE.into_iter().find(|kind| kind.word == word)
}
