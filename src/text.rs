//! Text from outside that people read on a page or a terminal.
//!
//! Names come from staff, head office, brokers and the air. A character that changes the direction
//! of writing, or that is invisible, makes a text look like another one.

use std::borrow::Cow;

/// Whether `text` looks like what it is: no control characters, none that change the direction of
/// writing, none that are invisible.
///
/// Joiners and variation selectors are invisible too, but Persian, Indic scripts and emoji need
/// them, so they are accepted within such text.
pub fn is_displayable(text: &str) -> bool {
    let mut before = None;
    text.chars().all(|c| {
        let fits = fits(before, c);
        before = Some(c);
        fits
    })
}

/// `text` without the characters that [`is_displayable`] refuses.
pub fn displayable(text: &str) -> Cow<'_, str> {
    if is_displayable(text) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        if fits(kept.chars().next_back(), c) {
            kept.push(c);
        }
    }
    Cow::Owned(kept)
}

/// Whether a terminal may get this character unchanged.
pub fn is_displayable_char(c: char) -> bool {
    fits(Some(c), c)
}

fn fits(before: Option<char>, c: char) -> bool {
    if joins(c) {
        return before.is_some_and(|before| match before {
            '\u{fe0f}' => c == '\u{200d}',
            before => is_joined_script(before) && !joins(before),
        });
    }
    !c.is_control() && !turns(c) && !is_invisible(c)
}

/// Zero-width (non-)joiner, variation selectors.
fn joins(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// Arabic, Indic and other scripts beyond Latin, Greek and Cyrillic; signs and emoji.
fn is_joined_script(c: char) -> bool {
    c >= '\u{600}' && !c.is_whitespace() && !('\u{2000}'..='\u{206f}').contains(&c)
}

/// `Bidi_Control` of the Unicode Character Database; line and paragraph separators.
fn turns(c: char) -> bool {
    matches!(
        c,
        '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// `Default_Ignorable_Code_Point` of the Unicode Character Database except those above, and two
/// characters that are blank by design.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_scripts_are_displayable() {
        for name in [
            "Léa Marie",
            "O’Neill-Łukasz",
            "שרה",
            "محمد",
            "می\u{200c}خواهم",
            "क\u{94d}\u{200d}ष",
            "王小明",
            "\u{1f469}\u{200d}\u{1f4bb}",
            "❤\u{fe0f}",
            "❤\u{fe0f}\u{200d}\u{1f525}",
        ] {
            assert!(is_displayable(name), "{name:?}");
            assert_eq!(displayable(name), name);
        }
    }

    #[test]
    fn what_turns_or_hides_is_not_displayable() {
        for (text, shown) in [
            ("L\u{202e}ae", "Lae"),
            ("Léa\u{200b}", "Léa"),
            ("Léa\u{200d}", "Léa"),
            ("\u{200c}Léa", "Léa"),
            ("Léa\u{fe0f}", "Léa"),
            ("\u{2067}Léa\u{2069}", "Léa"),
            ("Lé\u{ad}a", "Léa"),
            ("\u{3164}\u{2800}", ""),
            ("a\u{e0041}\u{e007f}", "a"),
            ("a\nb\u{1b}[0m", "ab[0m"),
            ("\u{fe0f}\u{fe0f}", ""),
        ] {
            assert!(!is_displayable(text), "{text:?}");
            assert_eq!(displayable(text), shown);
        }
    }
}
