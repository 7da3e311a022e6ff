//! A PostgreSQL server's URL, whose password is never shown.
//!
//! The form is libpq's (<https://www.postgresql.org/docs/current/libpq-connect.html>), with a stricter
//! `sslmode`: what is encrypted is also verified, and another machine is reached without TLS only
//! where the URL says `sslmode=disable`.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgres::Config;
use postgres::config::{Host, SslMode};

use super::error::FleetError;
use crate::config::Tls;

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// The library's own words repeat a part of the URL, which may be a part of the password.
const NOT_UNDERSTOOD: &str = "the URL has an unknown parameter, or is not one: in a password, write \
                              % as %25, ? as %3F, # as %23, / as %2F, : as %3A";

/// Debian's, where the URL names no host.
const SOCKET: &str = "/run/postgresql";

/// Limits where the URL has none: a server that does not answer is away.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_secs(20);
const KEEPALIVE: Duration = Duration::from_secs(20);
const PROBE_AGAIN: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;

/// A server's URL.
#[derive(Clone)]
pub struct Url {
    text: String,
    shown: String,
}

/// What a URL says.
pub(super) struct Server {
    pub(super) config: Config,
    /// `None` for a connection without TLS.
    pub(super) tls: Option<Tls>,
    pub(super) passfile: Option<PathBuf>,
}

impl Url {
    /// `None` where the text is a file's name. What may have a password in it is a URL, although it may
    /// not be a valid one: a file's name is shown.
    pub(super) fn of(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let begins = ["postgres:", "postgresql:"].iter().any(|scheme| lower.starts_with(scheme));
        (begins || lower.contains("://") || lower.contains("password=")).then(|| {
            let shown = parse(text).map_or("postgres://…".to_owned(), |one| shown(&one.config));
            Self { text: text.to_owned(), shown }
        })
    }

    pub(super) fn server(&self) -> Result<Server, FleetError> {
        parse(&self.text)
            .map_err(|problem| FleetError::Unusable { database: self.shown.clone(), problem })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn parse(text: &str) -> Result<Server, String> {
    if !SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
        return Err("a URL of a database begins with postgres://".to_owned());
    }
    let (address, parameters) = text.split_once('?').unwrap_or((text, ""));
    let (mut tls, mut mode, mut passfile) = (Tls::default(), None, None);
    let mut others = Vec::new();
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let file = || Some(PathBuf::from(value));
        match key {
            "sslmode" => mode = Some(value),
            "sslrootcert" => tls.ca = file(),
            "sslcert" => tls.certificate = file(),
            "sslkey" => tls.key = file(),
            "passfile" => passfile = file(),
            _ => others.push(parameter),
        }
    }
    let mut config: Config = format!("{address}?{}", others.join("&"))
        .parse()
        .map_err(|_: postgres::Error| NOT_UNDERSTOOD.to_owned())?;
    if config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(name) if name.contains('@'))) {
        return Err("a second @: one in the password is written %40".to_owned());
    }
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        config.host_path(SOCKET);
    }
    let secure = match mode {
        Some("disable") => false,
        Some("require" | "verify-full") => true,
        None => !is_here(&config),
        Some(_) => return Err("sslmode is disable, require or verify-full".to_owned()),
    };
    config.ssl_mode(if secure { SslMode::Require } else { SslMode::Disable });
    limit(&mut config);
    Ok(Server { config, tls: secure.then_some(tls), passfile })
}

fn limit(config: &mut Config) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_WITHIN);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(ACKNOWLEDGE_WITHIN);
    }
    config.keepalives_idle(config.get_keepalives_idle().min(KEEPALIVE));
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(PROBE_AGAIN).keepalives_retries(PROBES);
    }
    if config.get_application_name().is_none() {
        config.application_name("grelot");
    }
}

/// Whether the server is on this machine.
fn is_here(config: &Config) -> bool {
    let here = |host: &Host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
    };
    config.get_hosts().iter().all(here) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

fn shown(config: &Config) -> String {
    let ports = config.get_ports().iter().map(Some).chain(std::iter::repeat(None));
    let hosts = config.get_hosts().iter().zip(ports).map(|(host, port)| match (host, port) {
        (Host::Unix(path), _) => path.display().to_string(),
        (Host::Tcp(name), None | Some(5432)) => name.clone(),
        (Host::Tcp(name), Some(port)) => format!("{name}:{port}"),
    });
    let hosts: Vec<String> = hosts.collect();
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let database = config.get_dbname().map(|name| format!("/{name}")).unwrap_or_default();
    format!("postgres://{user}{}{database}", hosts.join(","))
}

/// Which entry of a password file is meant: host, port, database, user.
pub(super) fn login(config: &Config) -> [String; 4] {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) if path != Path::new(SOCKET) => path.display().to_string(),
        _ => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let user = config.get_user().unwrap_or_default().to_owned();
    let database = config.get_dbname().unwrap_or(&user).to_owned();
    [host, port, database, user]
}

/// An error with its causes: the last one says what happened.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::of(text).unwrap()
    }

    #[test]
    fn a_password_is_shown_nowhere() {
        for (text, shown) in [
            ("postgres://fleet:secret@db.example/grelot", "postgres://fleet@db.example/grelot"),
            ("postgresql://fleet:secret@a:6543,b/", "postgres://fleet@a:6543,b"),
            ("postgres://fleet@a/grelot?password=secret", "postgres://fleet@a/grelot"),
            ("postgres:///grelot", "postgres:///run/postgresql/grelot"),
            ("postgres://fleet:secret@db.example:secret/grelot", "postgres://…"),
            ("postgres://fleet:se@cret@db.example/grelot", "postgres://…"),
            ("postgres://fleet:secret@a?sslmode=secret", "postgres://…"),
            ("postgres://fleet:se?cret=x@a/grelot", "postgres://fleet@a/grelot"),
            ("Postgres://fleet:secret@a/grelot", "postgres://…"),
            ("postgres:/fleet:secret@a", "postgres://…"),
            ("host=a password=secret", "postgres://…"),
        ] {
            let url = url(text);
            let error = url.server().err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(format!("{url} {url:?}"), format!("{shown} {shown}"), "{text}");
            assert!(!error.contains("secret") && !error.contains("cret"), "{error}");
        }
    }

    #[test]
    fn another_machine_is_reached_over_tls_if_the_url_does_not_say_otherwise() {
        for (text, secure) in [
            ("postgres:///grelot", false),
            ("postgres://fleet@localhost/grelot", false),
            ("postgres://fleet@127.0.0.1,[::1]/grelot", false),
            ("postgres://fleet@127.0.0.1/grelot?sslmode=require", true),
            ("postgres://fleet@db.example/grelot", true),
            ("postgres://fleet@127.0.0.1,db.example/grelot", true),
            ("postgres://fleet@db.example/grelot?sslmode=verify-full&sslrootcert=ca.pem", true),
            ("postgres://fleet@db.example/grelot?sslmode=disable", false),
        ] {
            let server = url(text).server().unwrap();
            assert_eq!(server.tls.is_some(), secure, "{text}");
            let mode = if secure { SslMode::Require } else { SslMode::Disable };
            assert_eq!(server.config.get_ssl_mode(), mode, "{text}");
        }
        let prefer = url("postgres://fleet@db.example/grelot?sslmode=prefer").server().err();
        assert!(prefer.unwrap().to_string().contains("disable, require or verify-full"));
    }
}
