//! Settings of the page's server.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{BrokerUrl, WebUrl};
use crate::mqtt::Identity;
use crate::mqtt::client::Peer;

/// Settings of the server.
#[derive(Clone)]
pub struct TabletsConfig {
    /// Where the page is served; port 0 takes any free one.
    pub listen: SocketAddr,
    /// How tablets reach it, where that is not one of this machine's addresses.
    pub address: Option<WebUrl>,
    /// Certificate and key; without them the page is served over plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The store.
    pub store: StoreLabel,
    /// The broker of the page's messages.
    pub broker: BrokerAccess,
    /// The state folder, which holds the paired tablets.
    pub state: PathBuf,
    /// `presence.rejoin_secs`: arrivals of one customer within it are one stay.
    pub rejoin: Duration,
    /// The gateways that the configuration names: their visits are shown first.
    pub gateways: BTreeSet<String>,
    /// Whether a tablet must be paired before it sees anything.
    pub pairing: Pairing,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// The store's number and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreLabel {
    /// 1 to 65535.
    pub id: u16,
    /// As staff call it.
    pub name: String,
}

/// Brokers and the login there.
#[derive(Clone)]
pub struct BrokerAccess {
    /// Tried in turn.
    pub brokers: Vec<BrokerUrl>,
    /// Client id, login, TLS.
    pub identity: Identity,
}

impl BrokerAccess {
    /// The page's own connection: the gateway's brokers and login, another client id.
    pub fn beside(peer: &Peer) -> Self {
        let mut identity = peer.identity.clone();
        identity.client_id.push_str("-tablets");
        Self { brokers: peer.brokers.clone(), identity }
    }
}

/// Whether a tablet must be paired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// With a code from `grelot tablets pair`.
    Required,
    /// Everyone who reaches the address is admitted.
    NotNeeded,
}

impl Pairing {
    /// Required unless only this machine can reach the address.
    pub fn for_address(listen: SocketAddr) -> Self {
        if listen.ip().is_loopback() { Self::NotNeeded } else { Self::Required }
    }
}
