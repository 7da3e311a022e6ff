//! QR codes in the terminal.

use std::io::IsTerminal as _;

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// A QR code of `text`, two modules a character; `None` where it is too long for one.
///
/// In a terminal it is black on white in any colours: not every camera reads a code in
/// light on dark.
pub fn code(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, qrcode::EcLevel::L).ok()?;
    let picture = code.render::<Dense1x2>().quiet_zone(true).build();
    if !std::io::stdout().is_terminal() {
        return Some(picture);
    }
    let lines: Vec<String> =
        picture.lines().map(|line| format!("\u{1b}[30;107m{line}\u{1b}[0m")).collect();
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_code_fits_a_terminal() {
        let picture = code("https://192.168.100.200:8443/#pair=123456789012").unwrap();
        assert!(picture.lines().count() <= 24, "{}", picture.lines().count());
        assert!(picture.lines().all(|line| line.chars().count() <= 60));
    }
}
