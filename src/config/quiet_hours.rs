//! `"21:00-09:00"`: a daily span in the store's local time.

use crate::pipeline::policy::QuietHours;

/// Reads a span; `none` (or nothing) is no quiet hours at all.
///
/// # Errors
/// What is wrong with the span, for people.
pub fn parse(text: &str) -> Result<Option<QuietHours>, String> {
    if matches!(text, "none" | "") {
        return Ok(None);
    }
    let span = || format!("must be `HH:MM-HH:MM` or `none`, not `{}`", text.escape_debug());
    let (from, until) = text.split_once('-').ok_or_else(span)?;
    let from_minute = minute(from).ok_or_else(span)?;
    let until_minute = minute(until).ok_or_else(span)?;
    if from_minute == until_minute {
        return Err("begins and ends at the same minute: never, or always?".to_owned());
    }
    Ok(Some(QuietHours { from_minute, until_minute }))
}

/// How `parse` would read it.
pub fn format(hours: Option<QuietHours>) -> String {
    let Some(hours) = hours else { return "none".to_owned() };
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    format!("{}-{}", clock(hours.from_minute), clock(hours.until_minute))
}

/// `09:30` as minutes since midnight; `24:00` is midnight.
pub(super) fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let two_digits = |digits: &str| {
        (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()))
            .then(|| digits.parse::<u16>())
    };
    match (two_digits(hour)?.ok()?, two_digits(minute)?.ok()?) {
        (24, 0) => Some(0),
        (hour @ 0..24, minute @ 0..60) => Some(hour * 60 + minute),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_may_wrap_round_midnight() {
        let night = QuietHours { from_minute: 21 * 60, until_minute: 9 * 60 };
        assert_eq!(parse("21:00-09:00"), Ok(Some(night)));
        assert_eq!(format(Some(night)), "21:00-09:00");
        assert_eq!(parse("none"), Ok(None));
        let evening = QuietHours { from_minute: 20 * 60 + 30, until_minute: 0 };
        assert_eq!(parse("20:30 - 24:00"), Ok(Some(evening)));
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in
            ["21-9", "25:00-09:00", "21:60-09:00", "9:00-10:00", "-", "21:00", "08:00-08:00"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
