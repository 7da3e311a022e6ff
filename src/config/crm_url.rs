//! `https://crm.example/{client}`: where a customer is in the shop's customer database.

use std::fmt::Write as _;

use super::web_url;

/// Where the handle goes.
const CLIENT: &str = "{client}";

/// An address with `{client}` in its path or query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrmUrl(String);

impl CrmUrl {
    /// The address of one customer.
    pub fn of(&self, client: &str) -> String {
        self.0.replace(CLIENT, &percent_encoded(client))
    }
}

/// Reads an address; the reason is for people.
pub fn parse(text: &str) -> Result<CrmUrl, String> {
    let Some((before, _)) = text.split_once(CLIENT) else {
        return Err("must have `{client}` where the customer's handle goes".to_owned());
    };
    let in_path = before.split_once("://").is_some_and(|(_, rest)| rest.contains(['/', '?']));
    if !in_path {
        return Err("must have `{client}` in its path or query".to_owned());
    }
    let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '#');
    if !fragment.chars().all(fits) {
        return Err("must have no blanks or other characters that addresses have not".to_owned());
    }
    web_url::parse(&address.replace(CLIENT, "c"))?;
    Ok(CrmUrl(text.to_owned()))
}

/// RFC 3986: all but unreserved characters as `%` and two hex digits.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            let _ = write!(encoded, "%{octet:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_becomes_part_of_the_address_and_nothing_else() {
        let of = |url: &str, client: &str| parse(url).unwrap().of(client);
        assert_eq!(of("https://crm.example/{client}", "c-7f3a"), "https://crm.example/c-7f3a");
        assert_eq!(
            of("https://crm.example/?id={client}&x=1", "a/../é?#&"),
            "https://crm.example/?id=a%2F..%2F%C3%A9%3F%23%26&x=1"
        );
        assert_eq!(of("http://crm.local/#/c/{client}", "c"), "http://crm.local/#/c/c");
    }

    #[test]
    fn what_leads_elsewhere_or_runs_a_script_is_refused() {
        for bad in [
            "https://crm.example/",
            "https://{client}.example/",
            "javascript:alert('{client}')",
            "https://crm.example/{client} x",
            "//crm.example/{client}",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
