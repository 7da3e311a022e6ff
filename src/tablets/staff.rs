//! Input of staff: actions, feedback, names.

use serde::{Deserialize, Serialize};

use crate::text;

/// Characters.
const LONGEST_NAME: usize = 40;

/// What a member of staff does with a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Takes the visit.
    Claim,
    /// Gives it back.
    Release,
    /// Hides it on all tablets.
    Dismiss,
}

/// Whether the customer was really there: a label for tuning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feedback {
    WasHere,
    WasNotHere,
}

/// A name as typed, with single spaces; `None` if it is empty, too long or not displayable.
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
