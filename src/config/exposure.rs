//! What others could read or guess: warnings about connections in clear, weak passwords, and
//! about a gateway that cannot recognise anyone.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::site::Site;
use super::{Broker, BrokerLocation, BrokerUrl, Bundles, Config, Severity, Source};

/// NIST SP 800-63B-4, section 3.1.1.2, asks for 15 characters where a password is all there is.
const SHORTEST_PASSWORD: usize = 15;

/// Fewer different characters are a pattern.
const FEWEST_DIFFERENT: usize = 6;

impl Site<'_> {
    /// Warns of everything in `config` that others could read or guess.
    pub(super) fn exposure(&mut self, config: &Config) {
        self.broker_in_clear(&config.broker);
        let line = config.head_office.as_ref();
        if line.is_some_and(|line| line.urls.iter().any(in_clear)) {
            self.warn(
                "head_office.urls",
                "has no TLS: anyone on the way can read and change what head office says",
                "mqtts:// instead of mqtt://",
            );
        }
        self.weak_password(&config.broker);
        self.page_in_clear(config);
        self.webhooks_in_clear(config);
    }

    /// Warns if no customer will ever be announced.
    pub(super) fn registry_is_missing(&mut self, config: &Config) {
        let Bundles { url, .. } = &config.bundles;
        let simulated = |source: &Source| matches!(source, Source::Simulated { .. });
        if config.registry.is_none() && url.is_none() && !config.sources.iter().all(simulated) {
            self.warn(
                "registry.path",
                "is missing: no customer will ever be announced",
                "name the customers' file, or registry.url and registry.public_keys",
            );
        }
    }

    fn broker_in_clear(&mut self, broker: &Broker) {
        let secret = match broker.password {
            Some(_) => "the password and every customer's visits are sent in clear",
            None => "every customer's visits are sent in clear",
        };
        match &broker.location {
            BrokerLocation::Embedded(listen) if !listen.ip().is_loopback() => self.warn(
                "broker.listen",
                format!("is open to the network without TLS: {secret}"),
                "keep it on 127.0.0.1, or use a broker with TLS: broker.urls = [\"mqtts://…\"]",
            ),
            BrokerLocation::External(urls) if urls.iter().any(in_clear) => {
                self.warn(
                    "broker.urls",
                    format!("has no TLS: {secret}"),
                    "mqtts:// instead of mqtt://",
                );
            }
            _ => {}
        }
    }

    fn weak_password(&mut self, broker: &Broker) {
        let Some(password) = &broker.password else { return };
        let weak = weakness(&password.0, broker.username.as_deref().unwrap_or_default());
        if let Some(what) = weak {
            let file = self.found("broker.password_file").is_some();
            let key = if file { "broker.password_file" } else { "broker.password" };
            self.warn(key, what, "such as the output of: openssl rand -base64 24");
        }
    }

    fn page_in_clear(&mut self, config: &Config) {
        let exposed = |listen: &IpAddr| !listen.is_loopback();
        let listen = config.tablets.as_ref().map(|tablets| tablets.listen.ip());
        if config.tls.certificate.is_none() && listen.as_ref().is_some_and(exposed) {
            self.warn(
                "tablets.listen",
                "is open to the network without TLS: names, pairing codes and tablets' cookies are \
                 sent in clear",
                "`grelot tls init` makes a certificate; or set tls.certificate and tls.key",
            );
        }
    }

    fn webhooks_in_clear(&mut self, config: &Config) {
        for (index, webhook) in config.webhooks.iter().enumerate() {
            let url = &webhook.url;
            if !url.tls && !is_local(&url.host) {
                self.warn(
                    &format!("webhook[{index}].url"),
                    "has no TLS: customers' visits are sent in clear",
                    "https:// instead of http://",
                );
            }
        }
    }

    fn warn(&mut self, path: &str, what: impl Into<String>, hint: &str) {
        let problem = self.problem(path, what);
        problem.suggest(hint);
        problem.severity = Severity::Warning;
    }
}

/// Whether what is sent there can be read on the way.
fn in_clear(url: &BrokerUrl) -> bool {
    !url.tls && !is_local(&url.host)
}

/// Whether a host is this machine.
fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Why a password is easy to guess.
fn weakness(password: &str, username: &str) -> Option<String> {
    let length = password.chars().count();
    let different: BTreeSet<char> = password.chars().collect();
    let plain = password.to_lowercase();
    if length < SHORTEST_PASSWORD {
        return Some(format!("is weak: fewer than {SHORTEST_PASSWORD} characters"));
    }
    if different.len() < FEWEST_DIFFERENT {
        return Some(format!("is weak: fewer than {FEWEST_DIFFERENT} different characters"));
    }
    let user = username.to_lowercase();
    let known = ["grelot", "password", "mosquitto", "12345678", "qwerty", user.as_str()];
    let words = known.into_iter().filter(|word| !word.is_empty());
    let rest = words.fold(plain, |rest, word| rest.replace(word, ""));
    (rest.chars().count() < SHORTEST_PASSWORD / 2)
        .then(|| "is weak: made of words that others try first".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_password_is_short_repetitive_or_a_known_word() {
        for (password, username) in [
            ("", ""),
            ("hunter2", "g"),
            ("aaaaaaaaaaaaaaaaaaaa", "g"),
            ("abcabcabcabcabcabc", "g"),
            ("grelot-grelot-1", "g"),
            ("Password12345678", "g"),
            ("front-door-paris", "front-door"),
        ] {
            assert!(weakness(password, username).is_some(), "{password}");
        }
        for password in ["Yk0mbV4M2Pq8oQk1", "correct horse battery staple", "ünüsüäl wörds"] {
            let long = format!("{password} {password}");
            assert_eq!(weakness(&long, "door"), None, "{long}");
        }
    }

    #[test]
    fn only_loopback_needs_no_tls() {
        let url = |text| crate::config::broker_url::parse(text).unwrap();
        for clear in ["mqtt://broker", "mqtt://192.168.0.2", "mqtt://[fe80::1]"] {
            assert!(in_clear(&url(clear)), "{clear}");
        }
        for safe in ["mqtts://broker", "mqtt://127.0.0.1:1884", "mqtt://[::1]", "mqtt://LocalHost"]
        {
            assert!(!in_clear(&url(safe)), "{safe}");
        }
    }
}
