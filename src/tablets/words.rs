//! What staff may say about a visit.

use serde::{Deserialize, Serialize};

use crate::text;

/// A first name is called across a shop: nobody's is longer.
const LONGEST_NAME: usize = 40;

/// What a member of staff does with a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Takes care of the customer.
    Claim,
    /// Gives the customer back.
    Release,
    /// Hides the visit.
    Dismiss,
}

/// Whether the customer was really there: a label for tuning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// They were.
    WasHere,
    /// They were not.
    WasNotHere,
}

/// A name as typed, fit to be shown on every tablet.
pub fn first_name(typed: &str) -> Option<String> {
    let name = typed.split_whitespace().collect::<Vec<_>>().join(" ");
    let fit =
        !name.is_empty() && name.chars().count() <= LONGEST_NAME && text::is_displayable(&name);
    fit.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_name_is_what_can_be_called_across_the_shop() {
        assert_eq!(first_name(" Léa  Marie\n").as_deref(), Some("Léa Marie"));
        assert_eq!(first_name("   "), None);
        assert_eq!(first_name("L\u{7}a"), None);
        assert_eq!(first_name("L\u{202e}ae"), None);
        assert_eq!(first_name("Léa\u{200b}"), None);
        assert_eq!(first_name(&"é".repeat(40)).map(|name| name.chars().count()), Some(40));
        assert_eq!(first_name(&"é".repeat(41)), None);
    }
}
