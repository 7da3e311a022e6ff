//! Which broker to talk to, and as whom.

use std::net::SocketAddr;

use crate::config::{Broker, BrokerLocation, BrokerUrl, Config, Secret};
use crate::mqtt::link::Identity;
use crate::mqtt::tls::{self, TlsError};
use crate::mqtt::topics::{Addressee, Topics};

/// Which broker, and as whom.
#[derive(Clone)]
pub struct Peer {
    /// Tried in turn; at least one.
    pub brokers: Vec<BrokerUrl>,
    /// As whom.
    pub identity: Identity,
    /// Which gateway it is.
    pub here: Addressee,
}

impl Peer {
    /// The brokers that the configuration names, with its TLS files. Where the broker is
    /// embedded, [`Peer::embedded`] says the rest.
    pub fn configured(config: &Config) -> Result<Self, TlsError> {
        let Broker { location, username, password } = &config.broker;
        let brokers = match location {
            BrokerLocation::External(urls) => urls.clone(),
            BrokerLocation::Embedded(address) => vec![plain(*address)],
        };
        let login = username.as_ref().map(|username| {
            (username.clone(), password.clone().unwrap_or_else(|| Secret(String::new())))
        });
        let secure = brokers.iter().any(|broker| broker.tls);
        let tls = if secure { Some(tls::client(&config.tls)?) } else { None };
        let here = Addressee {
            topics: Topics::of(config.store.id),
            gateway: config.gateway.clone(),
            group: config.store.group.clone(),
        };
        let client_id = format!("grelot-{}-{}", config.store.id, config.gateway);
        Ok(Self { brokers, identity: Identity { client_id, login, tls }, here })
    }

    /// The same gateway at the broker in this process.
    #[must_use]
    pub fn embedded(mut self, address: SocketAddr, username: &str, password: &Secret) -> Self {
        self.brokers = vec![plain(address)];
        self.identity.login = Some((username.to_owned(), password.clone()));
        self
    }
}

fn plain(address: SocketAddr) -> BrokerUrl {
    BrokerUrl { tls: false, host: address.ip().to_string(), port: address.port() }
}
