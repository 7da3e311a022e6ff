//! What staff may see of a customer.

use std::fmt;

/// What staff may see of a customer who consented to be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Card {
    /// How to address the customer.
    pub name: String,
    /// Preferred language, as a BCP 47 tag.
    pub language: Option<String>,
    /// A note for staff: "Order 1182 is ready to collect".
    pub note: Option<String>,
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Card(redacted)")
    }
}
