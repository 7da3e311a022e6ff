//! How a tablet is paired, for people and their cameras.

use super::qr;
use crate::tablets::pairing::Code;

/// How to pair a tablet, with a QR code that carries address and code.
pub fn invitation(urls: &[String], code: &Code) -> String {
    let mut lines = Vec::new();
    if let Some(url) = urls.first() {
        lines.extend(qr::code(&with_code(url, code)));
        lines.push(
            "Scan it with the tablet's camera, or open one of these on the tablet".to_owned(),
        );
        lines.extend(urls.iter().map(|url| format!("  {url}")));
        lines.push("and type".to_owned());
    }
    lines.push(format!("  {}", in_groups_of_three(&code.digits)));
    lines.push("It pairs one tablet, within ten minutes; a newer code takes its place.".to_owned());
    lines.join("\n")
}

/// The page's address with the code behind `#`: a browser does not send that, so no log holds it.
pub fn with_code(url: &str, code: &Code) -> String {
    format!("{url}#pair={}", code.digits)
}

fn in_groups_of_three(digits: &str) -> String {
    let spaced = digits.chars().enumerate().flat_map(|(index, digit)| {
        (index > 0 && index % 3 == 0).then_some(' ').into_iter().chain([digit])
    });
    spaced.collect()
}
