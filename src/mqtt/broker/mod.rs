//! A broker inside this process, for a shop that has none: the only folder that knows mqtt5.
//!
//! mqtt5 routes messages. This folder decides who may connect, for how long, under which login and
//! with which rights, and what is retained on the disk. Sessions and their queues live in memory
//! only: a full disk does not affect them, and no withdrawn customer's name stays on the disk in
//! them. It listens in clear, so by default on the loopback address only.

mod accounts;
mod admission;
mod authoriser;
mod earlier;
pub mod rabbitmq;
mod retained;
mod rights;
pub mod rmqtt;

pub use accounts::Accounts;
pub use rights::Rights;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::auth::AuthProvider;
use mqtt5::broker::client_handler::ClientHandler;
use mqtt5::broker::config::BrokerConfig;
use mqtt5::broker::events::BrokerEventHandler;
use mqtt5::broker::resource_monitor::{ResourceLimits, ResourceMonitor};
use mqtt5::broker::router::MessageRouter;
use mqtt5::broker::storage::{DynamicStorage, MemoryBackend, QueueLimits, StorageBackend as _};
use mqtt5::broker::sys_topics::BrokerStats;
use mqtt5::broker::transport::BrokerTransport;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::admission::{Admission, LOGIN_WITHIN};
use self::authoriser::Authoriser;
use self::retained::{RetainedMessages, Saver};
use super::login::Login;
use crate::tasks::{self, Task};

/// A configuration document of the greatest length, its topic and its properties; a connection that
/// announces a longer packet is closed.
const LARGEST_PACKET: usize = retained::LONGEST_DOCUMENT + 8 * 1024;

/// A tablet that stays away longer begins a new session.
const SESSION_LIFE: Duration = Duration::from_hours(24);

/// For a session that is away, and for a client that reads slowly.
const QUEUE: QueueLimits = QueueLimits { max_messages: 1_000, max_bytes: 1024 * 1024 };

/// Of one client; a gateway publishes four times a second.
const MESSAGES_PER_SECOND: u32 = 500;

/// Filters of one client.
const MAX_SUBSCRIPTIONS: usize = 64;

/// Expired sessions and messages are dropped this often.
const SWEEP: Duration = Duration::from_mins(1);

/// Without a free descriptor `accept` fails at once, and again.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);

/// A stop takes a millisecond; connections that do not end are cut.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Why the broker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Another program listens there.
    #[error(
        "broker.listen = {0}: the port is in use by another program; hint: another broker runs on this machine: name it in broker.urls, or choose another port"
    )]
    PortInUse(SocketAddr),
    /// The system does not let us listen there.
    #[error("broker.listen = {address}: {source}")]
    Listen {
        /// `broker.listen`
        address: SocketAddr,
        source: io::Error,
    },
    /// A state file cannot be read; the error names it.
    #[error("embedded broker: {0}")]
    State(#[from] io::Error),
    /// An error of the crate mqtt5.
    #[error("embedded broker: {0}")]
    Broker(String),
}

pub struct EmbeddedBroker {
    address: SocketAddr,
    internal: Login,
    bridge: Login,
    shared: Login,
    saver: Saver,
    stop: CancellationToken,
    task: Task<()>,
}

impl EmbeddedBroker {
    /// Starts a broker on `listen` (port 0: any) that admits `accounts`.
    ///
    /// # Errors
    /// It cannot listen there, or the state folder cannot be read.
    pub async fn start(listen: SocketAddr, accounts: Accounts) -> Result<Self, BrokerError> {
        let listener = TcpListener::bind(listen).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BrokerError::PortInUse(listen),
            _ => BrokerError::Listen { address: listen, source },
        })?;
        let address = listener.local_addr()?;
        let storage = Arc::new(DynamicStorage::Memory(MemoryBackend::with_queue_limits(QUEUE)));
        let state = accounts.state.clone();
        let (retained, saver) = RetainedMessages::open(&state, Arc::clone(&storage)).await?;
        earlier::take_over(&state, &retained, &saver).await?;
        let handler: Arc<dyn BrokerEventHandler> = Arc::clone(&retained) as _;
        let router = MessageRouter::with_storage(Arc::clone(&storage))
            .with_event_handler(Arc::clone(&handler))
            .with_fallback_queue_limits(QUEUE)
            .with_retained_limits(retained::MAX_TOPICS, retained::LONGEST_DOCUMENT);
        router.initialize().await.map_err(|error| BrokerError::Broker(error.to_string()))?;
        let (internal, shared) = (accounts.internal.clone(), accounts.shared.clone());
        let bridge = accounts.bridge.clone();
        let admission = Arc::new(Admission::default());
        let clients = Clients {
            config: Arc::new(config(handler)),
            router: Arc::new(router),
            storage,
            monitor: Arc::new(ResourceMonitor::new(limits())),
            stats: Arc::new(BrokerStats::new()),
            authoriser: Arc::new(Authoriser {
                accounts,
                admission: Arc::clone(&admission),
                retained,
            }),
            admission,
            shutdown: broadcast::channel(1).0,
        };
        let stop = CancellationToken::new();
        let task = tasks::spawn("broker", serve(listener, clients, stop.clone()));
        Ok(Self { address, internal, bridge, shared, saver, stop, task })
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// This process's own login.
    pub const fn internal(&self) -> &Login {
        &self.internal
    }

    /// What staff devices log in with through this process, as tablets; the device's id is added to
    /// the username.
    pub const fn bridge(&self) -> &Login {
        &self.bridge
    }

    /// The login that IT may use for everything.
    pub const fn shared(&self) -> &Login {
        &self.shared
    }

    /// What keeps it from writing retained messages to the disk, if anything.
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.saver.trouble.clone()
    }

    /// Closes all connections, writes what is retained, and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.ended(STOP_WITHIN).await;
        let thread = self.saver.thread;
        let written = tokio::task::spawn_blocking(move || thread.join());
        if tokio::time::timeout(STOP_WITHIN, written).await.is_err() {
            tracing::warn!("the embedded broker's retained messages were not written in time");
        }
    }
}

/// What every connection needs.
struct Clients {
    config: Arc<BrokerConfig>,
    router: Arc<MessageRouter>,
    storage: Arc<DynamicStorage>,
    monitor: Arc<ResourceMonitor>,
    stats: Arc<BrokerStats>,
    authoriser: Arc<dyn AuthProvider>,
    admission: Arc<Admission>,
    shutdown: broadcast::Sender<()>,
}

impl Clients {
    /// Serves a connection until it ends, or loses its place before it has logged in.
    fn client(&self, stream: TcpStream, address: SocketAddr) -> impl Future<Output = ()> + use<> {
        let place = self.admission.enter(address);
        let handler = ClientHandler::new(
            BrokerTransport::tcp(stream),
            address,
            Arc::clone(&self.config),
            Arc::clone(&self.router),
            Arc::clone(&self.authoriser),
            Some(Arc::clone(&self.storage)),
            Arc::clone(&self.stats),
            Arc::clone(&self.monitor),
            self.shutdown.subscribe(),
        );
        async move {
            tokio::select! {
                ended = handler.run() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a client of the embedded broker is gone");
                    }
                }
                () = place.lost(LOGIN_WITHIN) => {}
            }
        }
    }

    async fn sweep(&self) {
        if let Err(error) = self.storage.cleanup_expired().await {
            tracing::debug!(%error, "the embedded broker cannot drop what has expired");
        }
        self.router.sweep_sessions().await;
        self.monitor.cleanup_expired_windows().await;
    }
}

async fn serve(listener: TcpListener, clients: Clients, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    let mut sweep = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    let _ = stream.set_nodelay(true);
                    connections.spawn(clients.client(stream, address));
                }
                Err(error) => {
                    tracing::warn!(%error, "the embedded broker cannot accept a connection");
                    tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = sweep.tick() => clients.sweep().await,
        }
    }
    drop(listener);
    let _ = clients.shutdown.send(());
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(STOP_WITHIN / 2, all).await;
}

fn config(handler: Arc<dyn BrokerEventHandler>) -> BrokerConfig {
    let mut config = BrokerConfig::new()
        .with_session_expiry(SESSION_LIFE)
        .with_max_packet_size(LARGEST_PACKET)
        .with_client_channel_capacity(1_000)
        .with_sys_topics_enabled(false);
    config.max_subscriptions_per_client = MAX_SUBSCRIPTIONS;
    config.max_message_rate_per_client = MESSAGES_PER_SECOND;
    config.topic_alias_maximum = 16;
    config.event_handler = Some(handler);
    config
}

fn limits() -> ResourceLimits {
    ResourceLimits {
        max_message_rate_per_client: MESSAGES_PER_SECOND,
        max_bandwidth_per_client: 0,
        ..ResourceLimits::default()
    }
}
