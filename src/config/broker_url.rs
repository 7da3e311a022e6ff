//! `mqtt://host[:1883]` and `mqtts://host[:8883]`.

use std::fmt;

/// `mqtt://host[:1883]` or `mqtts://host[:8883]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Whether the scheme is `mqtts`.
    pub tls: bool,
    /// Host name or address.
    pub host: String,
    pub port: u16,
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tls, host, port } = self;
        let scheme = if *tls { "mqtts" } else { "mqtt" };
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

/// Reads an address; the reason is for people.
///
/// # Errors
/// What is wrong with the address, for people.
pub fn parse(text: &str) -> Result<BrokerUrl, String> {
    if text.contains('@') {
        return Err("must not contain a user or password: they have keys of their own".to_owned());
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(|| {
        format!("`{}` must begin with `mqtt://` or `mqtts://`", text.escape_debug())
    })?;
    let (tls, usual_port) = match scheme {
        "mqtt" => (false, 1883),
        "mqtts" => (true, 8883),
        other => {
            let other = other.escape_debug();
            return Err(format!("`{other}://` is not spoken here, only `mqtt://` and `mqtts://`"));
        }
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = split_port(rest)?;
    let port = match port {
        None => usual_port,
        Some(port) => port
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("`{}` is not a port", port.escape_debug()))?,
    };
    if host.is_empty() || host.len() > 253 || !host.chars().all(belongs_to_host) {
        return Err(format!("`{}` is not a host", host.escape_debug()));
    }
    Ok(BrokerUrl { tls, host: host.to_owned(), port })
}

/// `[::1]:1883` keeps an IPv6 address and a port apart.
fn split_port(rest: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(bracketed) = rest.strip_prefix('[') {
        let (host, after) =
            bracketed.split_once(']').ok_or("an IPv6 address needs its closing `]`")?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(format!("`{}` after the address", after.escape_debug())),
        };
    }
    Ok(match rest.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    })
}

fn belongs_to_host(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(tls: bool, host: &str, port: u16) -> BrokerUrl {
        BrokerUrl { tls, host: host.to_owned(), port }
    }

    #[test]
    fn scheme_host_and_port_are_read() {
        assert_eq!(parse("mqtt://broker"), Ok(url(false, "broker", 1883)));
        assert_eq!(parse("mqtts://broker-a:8884/"), Ok(url(true, "broker-a", 8884)));
        assert_eq!(parse("mqtt://127.0.0.1:11883"), Ok(url(false, "127.0.0.1", 11883)));
        assert_eq!(parse("mqtts://[::1]"), Ok(url(true, "::1", 8883)));
        assert_eq!(parse("mqtt://[::1]:1884"), Ok(url(false, "::1", 1884)));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "broker",
            "tcp://broker",
            "mqtt://",
            "mqtt://a b",
            "mqtt://a:0",
            "mqtt://a:99999",
            "mqtt://me:secret@a",
            "mqtt://[::1",
            "mqtt://a/topic",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
