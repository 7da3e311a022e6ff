//! The one table of live sources. A new kind is a file of its own and a line here.

#[cfg(target_os = "linux")]
use super::bluez;
use super::live::Kind;
use super::{h4, portable};

/// Every kind of live source.
pub const LIVE: &[&Kind] = &[
    #[cfg(target_os = "linux")]
    &bluez::KIND,
    &portable::KIND,
    &h4::KIND,
];

/// The kind that a configuration without `[[source]]` has.
#[cfg(target_os = "linux")]
pub const DEFAULT: &Kind = &bluez::KIND;
/// The kind that a configuration without `[[source]]` has.
#[cfg(not(target_os = "linux"))]
pub const DEFAULT: &Kind = &portable::KIND;

/// The kind that `word` names.
pub fn named(word: &str) -> Option<&'static Kind> {
    LIVE.iter().copied().find(|kind| kind.word == word)
}
