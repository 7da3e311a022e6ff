//! `https://host[:443]/path` and `http://host[:80]/path`.

use std::fmt;

/// `https://host[:443]/path` or `http://host[:80]/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebUrl {
    /// Whether the scheme is `https`.
    pub tls: bool,
    /// Host name or address.
    pub host: String,
    pub port: u16,
    /// With its leading slash, and a query where there is one.
    pub path: String,
}

impl WebUrl {
    /// Host and port, as the `Host` header has them.
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == usual_port(self.tls) { host } else { format!("{host}:{}", self.port) }
    }

    /// The address without path and query, for people: a query may be a password.
    pub fn place(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

/// The whole address, with path and query.
impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.place(), self.path)
    }
}

const fn usual_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Reads an address.
///
/// # Errors
/// What is wrong with the address, for people.
pub fn parse(text: &str) -> Result<WebUrl, String> {
    let (tls, rest) = match text.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => return Err("must begin with `https://` or `http://`".to_owned()),
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '<' | '>' | '\\');
    if !path.chars().all(fits) {
        return Err("must have no blanks or other characters that addresses have not".to_owned());
    }
    // A broker's address has the same form, and can have the same errors.
    let broker = super::broker_url::parse(&format!("mqtts://{authority}"))?;
    let named_port =
        authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if named_port { broker.port } else { usual_port(tls) };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(WebUrl { tls, host: broker.host, port, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written() {
        for (text, written) in [
            ("https://till.example/hooks?key=1", "https://till.example/hooks?key=1"),
            ("http://[::1]:8080", "http://[::1]:8080/"),
            ("https://a.example:443/x", "https://a.example/x"),
            ("https://a.example?x", "https://a.example/?x"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["javascript:alert(1)", "https://", "https://u@a/c", "https://a/c d", "a/b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
