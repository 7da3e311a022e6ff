//! The staff page and its server.
//!
//! ```text
//! broker ──► subscriber ──► board ──► event streams (live) ──► the page on each tablet
//!    ▲                                                                │
//!    └───── command sender ◄───── web ◄───── claim, release, dismiss, feedback
//! ```
//!
//! The page is fed from MQTT topics, not from the pipeline: it shows the visits of all gateways of
//! the store, and the gateway that serves it can be restarted at any time.

mod admission;
mod board;
mod board_state;
mod connections;
pub mod decode;
mod listener;
mod live;
mod page;
pub mod pairing;
mod staff;
mod subscriber;
mod view;
mod viewers;
mod web;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::admission::Admission;
use self::board::Board;
use self::board_state::BoardState;
pub use self::listener::ListenError;
use self::pairing::Pairings;
use self::subscriber::BrokerSubscriber;
pub use self::viewers::{LookingOn, Viewers};
use self::web::AppState;
use crate::addresses;
use crate::clock::Clocks;
use crate::config::{BrokerUrl, WebUrl};
use crate::mqtt::Identity;
use crate::mqtt::client::Peer;
use crate::mqtt::topics::Topics;
use crate::tasks::{self, Task};

/// For each of the server's tasks to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Where tablets open a page that is served on `listen`: what IT has configured, or all addresses of
/// this machine.
pub fn page_urls(listen: SocketAddr, secure: bool, configured: Option<&WebUrl>) -> Vec<String> {
    if let Some(url) = configured {
        return vec![url.to_string()];
    }
    let scheme = if secure { "https" } else { "http" };
    let reached = addresses::reaching(listen).into_iter();
    reached.map(|address| format!("{scheme}://{address}/")).collect()
}

/// The page's server.
#[derive(Debug)]
pub struct Server;

/// A server that runs until its stop token is cancelled.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    urls: Vec<String>,
    viewers: Arc<Viewers>,
    web: Task<()>,
    subscriber: Task<()>,
}

impl Server {
    /// Binds the address and serves the page, with or without a broker.
    ///
    /// # Errors
    /// If the address cannot be bound, or certificate and key cannot be used.
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
        let board_state = Arc::new(BoardState::new(config.store, board));
        let viewers = Arc::new(Viewers::default());
        let (subscriber, commands) = BrokerSubscriber::new(
            config.broker,
            topics,
            Arc::clone(&board_state),
            clocks.clone(),
            viewers.count(),
            stop.clone(),
        );
        let admission = match config.pairing {
            Pairing::NotNeeded => Admission::Everyone,
            Pairing::Required => {
                Admission::Paired { pairings: Arc::new(Pairings::new(&config.state)), secure }
            }
        };
        let pages = web::pages(AppState {
            board_state,
            viewers: Arc::clone(&viewers),
            commands,
            admission,
            pairing_turn: Arc::default(),
            clocks,
            stop: stop.clone(),
        });
        Ok(Running {
            address,
            viewers,
            urls: page_urls(address, secure, config.address.as_ref()),
            web: tasks::spawn("tablets-web", listener::serve(listener, tls, pages, stop)),
            subscriber: tasks::spawn("tablets-subscriber", subscriber.run()),
        })
    }
}

impl Running {
    /// The bound address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page's URLs, the best one first.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// Who looks on.
    pub fn viewers(&self) -> Arc<Viewers> {
        Arc::clone(&self.viewers)
    }

    /// Waits for the server's end, after its stop token was cancelled.
    pub async fn ended(self) {
        self.web.ended(SHUTDOWN_TIMEOUT).await;
        self.subscriber.ended(SHUTDOWN_TIMEOUT).await;
    }
}
