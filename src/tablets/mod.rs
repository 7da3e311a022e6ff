//! The staff page and its server.
//!
//! ```text
//! broker ──► feed ──► board (hub) ──► live ──► the page on each tablet
//!    ▲                                              │
//!    └─── feed (mouth) ◄─── web ◄── claim, release, dismiss, feedback
//! ```
//!
//! This room knows MQTT topics only, nothing of the pipeline: so the page shows the visits of all
//! gateways of the store, and whichever gateway serves it may be restarted at any time.

mod admission;
mod board;
mod connections;
mod feed;
pub mod hear;
mod hub;
mod listener;
mod live;
mod page;
pub mod pairing;
mod view;
mod web;
mod words;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::admission::Admission;
use self::board::Board;
use self::feed::Feed;
use self::hub::Hub;
pub use self::listener::ListenError;
use self::live::SseClients;
use self::pairing::Pairings;
use self::web::Shop;
use crate::clock::Clocks;
use crate::config::BrokerUrl;
use crate::mqtt::Identity;
use crate::mqtt::client::Peer;
use crate::mqtt::topics::Topics;
use crate::tasks::{self, Task};

/// How long the server may take to end: open requests, then its connections.
const END: Duration = Duration::from_secs(5);

/// What the server needs to know.
#[derive(Clone)]
pub struct TabletsConfig {
    /// Where the page is served; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Certificate and key; without them the page is served over plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The store.
    pub store: StoreLabel,
    /// The way to the broker.
    pub broker: BrokerAccess,
    /// The state folder: paired tablets are kept there.
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

/// The store, as staff know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreLabel {
    /// Its number.
    pub id: u16,
    /// As staff call it.
    pub name: String,
}

/// The way to the broker.
#[derive(Clone)]
pub struct BrokerAccess {
    /// Tried in turn.
    pub brokers: Vec<BrokerUrl>,
    /// As whom.
    pub identity: Identity,
}

impl BrokerAccess {
    /// A connection of the page's own beside the gateway's: same brokers, same login, another
    /// client id.
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
    /// Whoever reaches the address is let in.
    NotNeeded,
}

impl Pairing {
    /// Pairing is for pages that others than this machine can reach.
    pub fn for_address(listen: SocketAddr) -> Self {
        if listen.ip().is_loopback() { Self::NotNeeded } else { Self::Required }
    }
}

/// The page's server.
#[derive(Debug)]
pub struct Server;

/// A server that runs, until its stop token is cancelled.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    url: String,
    web: Task<()>,
    feed: Task<()>,
}

impl Server {
    /// Takes the address and serves the page; whatever the broker does, it is served.
    pub async fn start(
        config: TabletsConfig,
        clocks: Clocks,
        stop: CancellationToken,
    ) -> Result<Running, ListenError> {
        let tls = config.tls.as_ref().map(listener::tls).transpose()?;
        let listener = listener::bind(config.listen).await?;
        let address = listener
            .local_addr()
            .map_err(|source| ListenError::Bind { address: config.listen, source })?;
        let secure = tls.is_some();
        let topics = Topics::of(config.store.id);
        let board = Board::new(config.rejoin, config.gateways, clocks.now().clock.reading());
        let hub = Arc::new(Hub::new(config.store, board));
        let clients = Arc::new(SseClients::default());
        let (feed, mouth) = Feed::new(
            config.broker,
            topics,
            Arc::clone(&hub),
            clocks.clone(),
            clients.count(),
            stop.clone(),
        );
        let admission = match config.pairing {
            Pairing::NotNeeded => Admission::Everyone,
            Pairing::Required => {
                Admission::Paired { pairings: Arc::new(Pairings::new(&config.state)), secure }
            }
        };
        let pages = web::pages(Shop {
            hub,
            clients,
            mouth,
            admission,
            pairing_turn: Arc::default(),
            clocks,
            stop: stop.clone(),
        });
        Ok(Running {
            address,
            url: format!("{}://{address}/", if secure { "https" } else { "http" }),
            web: tasks::spawn("tablets-web", listener::serve(listener, tls, pages, stop)),
            feed: tasks::spawn("tablets-feed", feed.run()),
        })
    }
}

impl Running {
    /// Where the page is served.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page's address, for people.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits for the server's end, after its stop token was cancelled.
    pub async fn ended(self) {
        self.web.ended(END).await;
        self.feed.ended(END).await;
    }
}
