//! The brokers, and how this gateway presents itself to them.

use std::net::SocketAddr;

use anyhow::Context as _;

use crate::config::{Broker, BrokerLocation, BrokerUrl, Config, Secret};
use crate::mqtt::link::Identity;
use crate::mqtt::login::Login;
use crate::mqtt::tls::{self, TlsError};
use crate::mqtt::topics::{Addressee, Topics};

/// The brokers, and how this gateway presents itself to them.
#[derive(Clone)]
pub struct Peer {
    /// Tried in turn; at least one.
    pub brokers: Vec<BrokerUrl>,
    /// Client id, login and TLS.
    pub identity: Identity,
    /// Which gateway it is.
    pub here: Addressee,
}

impl Peer {
    /// The brokers that the configuration names, with its TLS files. Where the broker is
    /// embedded, [`Peer::embedded`] completes it.
    ///
    /// # Errors
    /// The files of `[tls]` cannot be used.
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
        let client_id = here.topics.client_id(&here.gateway);
        Ok(Self { brokers, identity: Identity { client_id, login, tls }, here })
    }

    /// The broker as a command reaches it: with the gateway's login, under a client id of its own,
    /// because the gateway's would end the gateway's connection.
    ///
    /// # Errors
    ///
    /// TLS files or the embedded broker's login cannot be read, or there is no randomness.
    pub fn of_tool(config: &Config, tool: &str) -> anyhow::Result<Self> {
        let mut peer = Self::configured(config)?;
        if let BrokerLocation::Embedded(address) = config.broker.location
            && peer.identity.login.is_none()
        {
            let login =
                Login::kept_in(&config.state).context("reading the embedded broker's login")?;
            peer = peer.embedded(address, &login.username, &login.password);
        }
        let mut unique = [0; 8];
        getrandom::fill(&mut unique).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        peer.identity.client_id = format!("grelot-{tool}-{}", hex::encode(unique));
        Ok(peer)
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
