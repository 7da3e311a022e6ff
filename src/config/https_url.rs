//! `https://host[:443]/path` of a bundle.

/// `https://host[:443]/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsUrl {
    /// Host name or address.
    pub host: String,
    pub port: u16,
    /// With its leading slash, and a query where there is one.
    pub path: String,
}

/// Without the query, which may be a password.
impl std::fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port, path } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let (path, query) =
            path.split_once('?').map_or((path.as_str(), ""), |(path, _)| (path, "?…"));
        write!(f, "https://{host}:{port}{path}{query}")
    }
}

/// Reads an address; the reason is for people.
///
/// # Errors
/// What is wrong with the address, for people.
pub fn parse(text: &str) -> Result<HttpsUrl, String> {
    let rest = text.strip_prefix("https://").ok_or("must begin with `https://`")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at_checked(at).unwrap_or((rest, "")),
        None => (rest, ""),
    };
    if path.len() < 2 || path.ends_with('/') {
        return Err("must name a file, such as `https://host/42/customers.jsonl.zst`".to_owned());
    }
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '#' | '"' | '<' | '>' | '\\');
    if !path.chars().all(fits) {
        return Err("must have no blanks or other characters that addresses have not".to_owned());
    }
    // A broker's address has the same form, and can have the same errors.
    let broker = super::broker_url::parse(&format!("mqtts://{authority}"))?;
    let named_port =
        authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let port = if named_port { broker.port } else { 443 };
    Ok(HttpsUrl { host: broker.host, port, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written() {
        for (text, written) in [
            ("https://a.example/42/c.zst", "https://a.example:443/42/c.zst"),
            ("https://[::1]:8443/c.zst?key=secret", "https://[::1]:8443/c.zst?…"),
            ("https://[::1]/c", "https://[::1]:443/c"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "http://a/c",
            "https://a",
            "https://a/",
            "https:///c",
            "https://u@a/c",
            "https://a/c d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
