//! The page's listening socket: every connection bounded in time, all of them in number.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::connections::{Connection, Connections};
use super::settings::TlsFiles;
use crate::files;

/// For a TLS handshake, or a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that acknowledges nothing for this time is closed: the tablet has left the Wi-Fi or
/// stopped reading. Longer than two heartbeats.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(20);

/// For open requests, when the server stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the page cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is in use, not this machine's, or not permitted.
    #[error("cannot listen on {address} for the tablets' page")]
    Bind {
        /// `tablets.listen`
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A PEM file cannot be read.
    #[error("cannot read {path}")]
    Pem {
        /// `tls.certificate` or `tls.key`
        path: String,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// Certificate and key are no pair, or of a kind that is not supported.
    #[error("cannot use {certificate} with {key}")]
    Tls {
        /// `tls.certificate`
        certificate: String,
        /// `tls.key`
        key: String,
        /// Why.
        source: rustls::Error,
    },
}

/// Binds the address.
///
/// # Errors
/// If it is in use, not this machine's, or not permitted.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError::Bind { address, source })
}

/// Reads certificate and key.
///
/// # Errors
/// If one cannot be read, or they do not belong together.
pub fn tls(pair: &TlsFiles) -> Result<TlsAcceptor, ListenError> {
    let pem = |path: &Path, source| ListenError::Pem { path: path.display().to_string(), source };
    let chain = files::pem_certificates(&pair.certificate)
        .map_err(|source| pem(&pair.certificate, source))?;
    let key = files::pem_key(&pair.key).map_err(|source| pem(&pair.key, source))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|source| ListenError::Tls {
        certificate: pair.certificate.display().to_string(),
        key: pair.key.display().to_string(),
        source,
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves `pages` until `stop` is cancelled. One task owns the socket and all connections, so none
/// outlives it.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    pages: Router,
    stop: CancellationToken,
) {
    let limits = Arc::new(Connections::default());
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            // Evicted connections end before the next one is accepted.
            biased;
            () = stop.cancelled() => break,
            Some(()) = connections.next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match limits.open(peer.ip()) {
                    Some(place) => {
                        let served = connection(stream, tls.clone(), place, pages.clone(), stop.clone());
                        connections.push(served);
                    }
                    None => tracing::debug!("refused a connection: tablets hold all places"),
                },
                // Such as too few file descriptors: some may be closed meanwhile.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a tablet's connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    if timeout(SHUTDOWN_TIMEOUT, connections.for_each(std::future::ready)).await.is_err() {
        tracing::debug!("a tablet's request was cut short");
    }
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    place: Arc<Connection>,
    pages: Router,
    stop: CancellationToken,
) {
    let evicted = Arc::clone(&place);
    tokio::select! {
        () = served(stream, tls, place, pages, stop) => {}
        () = evicted.evicted() => tracing::debug!("a connection gave way to another"),
    }
}

async fn served(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    place: Arc<Connection>,
    pages: Router,
    stop: CancellationToken,
) {
    let socket = socket2::SockRef::from(&stream);
    let prepared = socket.set_tcp_nodelay(true);
    #[cfg(target_os = "linux")]
    let prepared =
        prepared.and_then(|()| socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_TIMEOUT)));
    if let Err(error) = prepared {
        return tracing::debug!(%error, "a tablet's connection was gone at once");
    }
    match tls {
        None => requests(stream, place, pages, stop).await,
        Some(tls) => match timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => requests(stream, place, pages, stop).await,
            Ok(Err(error)) => tracing::debug!(%error, "a tablet's TLS handshake failed"),
            Err(_) => tracing::debug!("a tablet's TLS handshake took too long"),
        },
    }
}

/// The pages, on one connection: handlers find it among a request's extensions.
struct OnConnection {
    place: Arc<Connection>,
    pages: TowerToHyperService<Router>,
}

impl Service<Request<Incoming>> for OnConnection {
    type Response = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Response;
    type Error = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Error;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(Arc::clone(&self.place));
        self.pages.call(request)
    }
}

async fn requests<S>(stream: S, place: Arc<Connection>, pages: Router, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let pages = OnConnection { place, pages: TowerToHyperService::new(pages) };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), pages);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a tablet's connection broke");
    }
}
