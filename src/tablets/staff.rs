//! Input of staff: actions, feedback, names.

use serde::{Deserialize, Serialize};

use crate::payload::is_tablet_id;
use crate::text;

/// In characters.
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
    /// Shows a hidden one again.
    Recall,
    /// Takes it from a colleague.
    TakeOver,
    /// Gives it to a colleague: after taking it over by mistake.
    HandOver,
}

/// Whether the customer was really there: a label for tuning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feedback {
    WasHere,
    WasNotHere,
    /// Takes back what was said.
    None,
}

/// A member of staff: a name, and the tablet it was entered on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub by: String,
    /// The id that the tablet made up for itself: two people may have one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tablet: Option<String>,
}

impl Member {
    /// The same with the name tidied up; `None` if name or tablet cannot be one.
    pub fn checked(self) -> Option<Self> {
        let by = first_name(&self.by)?;
        let fits = self.tablet.as_deref().is_none_or(is_tablet_id);
        fits.then_some(Self { by, tablet: self.tablet })
    }
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
