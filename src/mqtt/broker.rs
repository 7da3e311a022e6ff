//! A broker inside this process, for a shop that has none: the only file that knows mqtt5.
//!
//! It listens in clear, so by default on the loopback address only.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::auth::{AuthProvider, AuthResult};
use mqtt5::broker::config::{AuthConfig, BrokerConfig, RateLimitConfig, StorageConfig};
use mqtt5::broker::{BrokerShutdownHandle, MqttBroker};
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;

use super::login::{Login, LoginDigest};
use crate::tasks::{self, Task};

/// No honest message comes near.
const LARGEST_PACKET: usize = 1024 * 1024;

/// Tablets of a shop, tools of IT, other gateways.
const MOST_CLIENTS: usize = 256;

/// A tablet that stays away longer starts anew.
const SESSION_LIFE: Duration = Duration::from_hours(24);

/// Open visits, gateways, beacons, withdrawals.
const MOST_RETAINED: usize = 20_000;

/// It takes a millisecond; connections that do not end are cut.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Why the broker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Somebody else listens there.
    #[error(
        "broker.listen = {0}: the port is in use by another program; hint: another broker runs on this machine: name it in broker.urls, or choose another port"
    )]
    PortInUse(SocketAddr),
    /// The system does not let us listen there.
    #[error("broker.listen = {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The broker's own reason.
    #[error("embedded broker: {0}")]
    Broker(String),
}

/// A running broker.
pub struct EmbeddedBroker {
    address: SocketAddr,
    shutdown: BrokerShutdownHandle,
    task: Task<()>,
}

impl EmbeddedBroker {
    /// Starts a broker on `listen` (port 0: any) that admits `login` and keeps retained and
    /// queued messages in `storage`.
    pub async fn start(
        listen: SocketAddr,
        login: &Login,
        storage: &Path,
    ) -> Result<Self, BrokerError> {
        probe(listen)?;
        let broker = MqttBroker::with_config(config(listen, storage))
            .await
            .map_err(|error| BrokerError::Broker(error.to_string()))?;
        let mut broker = broker.with_auth_provider(Arc::new(OneLogin(login.digest())));
        let address = broker
            .local_addr()
            .ok_or_else(|| BrokerError::Broker("it does not listen".to_owned()))?;
        let shutdown = broker.shutdown_handle();
        let mut ready = broker.ready_receiver();
        let task = tasks::spawn("broker", async move {
            if let Err(error) = broker.run().await {
                tracing::error!(%error, "the embedded broker ended");
            }
        });
        if ready.wait_for(|ready| *ready).await.is_err() {
            return Err(BrokerError::Broker("it ended at once".to_owned()));
        }
        Ok(Self { address, shutdown, task })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts all connections and ends.
    pub async fn stop(self) {
        self.shutdown.shutdown();
        self.task.ended(STOP_WITHIN).await;
    }
}

/// mqtt5 tells why it cannot listen in prose only.
fn probe(address: SocketAddr) -> Result<(), BrokerError> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(BrokerError::PortInUse(address))
        }
        Err(source) => Err(BrokerError::Listen { address, source }),
    }
}

fn config(listen: SocketAddr, storage: &Path) -> BrokerConfig {
    let mut config = BrokerConfig::new()
        .with_bind_addresses(vec![listen])
        .with_max_clients(MOST_CLIENTS)
        .with_session_expiry(SESSION_LIFE)
        .with_max_packet_size(LARGEST_PACKET)
        .with_max_retained_messages(MOST_RETAINED)
        .with_client_channel_capacity(1_000)
        .with_sys_topics_enabled(false)
        .with_storage(
            StorageConfig::new()
                .with_base_dir(storage.to_owned())
                .with_max_queued_messages_per_client(1_000)
                .with_max_queued_bytes_per_client(1024 * 1024),
        );
    // Anonymous here only until the provider replaces this; its lock-out counts failures by
    // address, so that one bad tablet would lock out the whole shop behind one router.
    config.auth_config = AuthConfig {
        rate_limit: RateLimitConfig { enabled: false, ..RateLimitConfig::default() },
        ..AuthConfig::default()
    };
    config
}

/// Admits one login, and lets it do everything.
struct OneLogin(LoginDigest);

impl AuthProvider for OneLogin {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        _client: SocketAddr,
    ) -> Answer<'a, mqtt5::Result<AuthResult>> {
        let username = connect.username.as_deref().unwrap_or_default();
        let password = connect.password.as_deref().unwrap_or_default();
        let answer = if self.0.admits(username, password) {
            AuthResult::success_with_user(username)
        } else {
            AuthResult::fail(ReasonCode::BadUsernameOrPassword)
        };
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn authorize_publish<'a>(
        &'a self,
        _client_id: &str,
        _user: Option<&'a str>,
        _topic: &'a str,
    ) -> Answer<'a, bool> {
        Box::pin(std::future::ready(true))
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _client_id: &str,
        _user: Option<&'a str>,
        _filter: &'a str,
    ) -> Answer<'a, bool> {
        Box::pin(std::future::ready(true))
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
