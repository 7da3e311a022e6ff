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
mod api_error;
mod app_state;
mod board;
mod board_state;
mod bridge;
mod certificate;
mod check_in;
mod connections;
pub mod decode;
pub mod desk;
mod listen_error;
mod listener;
mod live;
mod page;
mod page_settings;
pub mod pairing;
mod settings;
mod staff;
mod subscriber;
mod trust;
mod used_links;
mod view;
mod viewers;
mod web;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::admission::Admission;
use self::app_state::AppState;
use self::board::Board;
use self::board_state::BoardState;
use self::certificate::Certificate;
pub use self::listen_error::ListenError;
pub use self::page_settings::PageSettings;
use self::pairing::Pairings;
pub use self::settings::{
    BridgeAccess, BrokerAccess, Pairing, StoreLabel, TabletsConfig, TlsFiles,
};
pub use self::staff::first_name;
use self::subscriber::BrokerSubscriber;
use self::trust::Authority;
pub use self::viewers::{LookingOn, Viewers};
use crate::addresses;
use crate::clock::Clocks;
use crate::config::WebUrl;
use crate::mqtt::topics::Topics;
use crate::tasks::{self, Task};
use crate::telemetry::Timings;

/// For each of the server's tasks to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

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
        timings: Timings,
        clocks: Clocks,
        stop: CancellationToken,
    ) -> Result<Running, ListenError> {
        let certificate = config.tls.clone().map(Certificate::open).transpose()?;
        let listener = listener::bind(config.listen).await?;
        let address = listener
            .local_addr()
            .map_err(|source| ListenError::Bind { address: config.listen, source })?;
        let secure = certificate.is_some();
        let topics = Topics::of(config.store.id);
        let board = Board::new(config.rejoin, config.gateways, clocks.now().clock.reading());
        let board_state =
            Arc::new(BoardState::new(config.store, config.page, config.crm_url, board));
        let viewers = Arc::new(Viewers::default());
        let (subscriber, commands) = BrokerSubscriber::new(
            config.broker,
            topics,
            Arc::clone(&board_state),
            clocks.clone(),
            viewers.count(),
            stop.clone(),
        );
        let pairings = Arc::new(Pairings::new(&config.state));
        let admission = match config.pairing {
            Pairing::NotNeeded => Admission::Everyone,
            Pairing::Required => Admission::Paired { pairings: Arc::clone(&pairings), secure },
        };
        let authority = Authority::at(config.authority);
        let in_clear = web::protected(trust::in_clear(authority.clone()), admission.clone());
        let tls = certificate.map(|certificate| {
            let acceptor = certificate.acceptor()?;
            Ok::<_, ListenError>(listener::Tls { certificate, acceptor, in_clear })
        });
        let tls = tls.transpose()?;
        let (devices, connected) = mpsc::channel(connections::MOST_WAITING_DEVICES);
        let pages = web::pages(AppState {
            board_state,
            viewers: Arc::clone(&viewers),
            commands,
            timings,
            admission,
            pairing_turn: Arc::default(),
            desk: config.desk,
            used_links: Arc::default(),
            bridge: config.bridge,
            devices,
            pairings,
            authority,
            words: config.words.json().into(),
            clocks,
            stop: stop.clone(),
        });
        Ok(Running {
            address,
            viewers,
            urls: page_urls(address, secure, config.address.as_ref()),
            web: tasks::spawn(
                "tablets-web",
                listener::serve(listener, tls, pages, connected, stop),
            ),
            subscriber: tasks::spawn("tablets-subscriber", subscriber.run()),
        })
    }
}

impl Running {
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page's URLs, the best one first.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    pub fn viewers(&self) -> Arc<Viewers> {
        Arc::clone(&self.viewers)
    }

    /// Waits for the server's end, after its stop token was cancelled.
    pub async fn ended(self) {
        self.web.ended(SHUTDOWN_TIMEOUT).await;
        self.subscriber.ended(SHUTDOWN_TIMEOUT).await;
    }
}
