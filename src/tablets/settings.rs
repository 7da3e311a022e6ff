//! Settings of the page's server.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::desk::Desk;
use super::page_settings::PageSettings;
use crate::config::{BrokerUrl, CrmUrl, Secret, WebUrl, Words};
use crate::mqtt::Identity;
use crate::mqtt::client::Peer;
use crate::mqtt::topics::Topics;

/// Settings of the server.
#[derive(Clone)]
pub struct TabletsConfig {
    /// Where the page is served; port 0 takes any free one.
    pub listen: SocketAddr,
    /// How tablets reach it, where that is not one of this machine's addresses.
    pub address: Option<WebUrl>,
    /// Certificate and key; without them the page is served over plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The certificate of the gateway's own authority, for tablets to trust.
    pub authority: Option<PathBuf>,
    pub store: StoreLabel,
    /// Where a customer is in the shop's customer database.
    pub crm_url: Option<CrmUrl>,
    /// The way of check-ins to the pipeline.
    pub desk: Desk,
    /// The broker of the page's messages.
    pub broker: BrokerAccess,
    /// The broker of other staff devices; without brokers none can connect.
    pub bridge: BridgeAccess,
    /// The state folder, which holds the paired tablets.
    pub state: PathBuf,
    /// `presence.rejoin_secs`: arrivals of one customer within it are one stay.
    pub rejoin: Duration,
    /// The keys of `[tablets]` that the page needs.
    pub page: PageSettings,
    /// The page's words in every language.
    pub words: Words,
    /// The gateways that the configuration names: their visits are shown first.
    pub gateways: BTreeSet<String>,
    /// Whether a tablet must be paired before it sees anything.
    pub pairing: Pairing,
}

/// The files of `[tls]`, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
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

/// The brokers, and how the bridge logs in there.
#[derive(Clone)]
pub struct BridgeAccess {
    /// Tried in turn.
    pub brokers: Vec<BrokerUrl>,
    /// Where a broker's address is `mqtts`.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Username and password, if the broker wants any.
    pub login: Option<(String, Secret)>,
    /// The embedded broker knows each device by a name of its own, which begins with the username.
    pub named_devices: bool,
    /// The topics of the store.
    pub topics: Topics,
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
