//! The page's listening socket: every connection bounded in time, all of them in number.

use std::net::SocketAddr;
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
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::certificate::{self, Certificate};
use super::connections::{Connection, Connections, DeviceConnection};
use super::listen_error::ListenError;

/// For a TLS handshake, or a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that acknowledges nothing for this time is closed: the tablet has left the Wi-Fi or
/// stopped reading. Longer than two heartbeats.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(20);

/// For open requests, when the server stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Binds the address.
///
/// # Errors
/// If it is in use, not this machine's, or not permitted.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError::Bind { address, source })
}

/// TLS of the socket.
#[derive(Clone)]
pub struct Tls {
    /// The certificate in force.
    pub certificate: Arc<Certificate>,
    /// Accepts connections with it.
    pub acceptor: TlsAcceptor,
    /// What is answered to a request in clear.
    pub in_clear: Router,
}

/// The first octet of a TLS connection: a handshake record. No HTTP request begins with it.
const HANDSHAKE: u8 = 0x16;

/// Serves `pages` until `stop` is cancelled. One task owns the socket and all connections, so none
/// outlives it.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    pages: Router,
    mut devices: mpsc::Receiver<DeviceConnection>,
    stop: CancellationToken,
) {
    let mut look = tokio::time::interval(certificate::LOOK_EVERY);
    let limits = Arc::new(Connections::default());
    let mut connections: FuturesUnordered<DeviceConnection> = FuturesUnordered::new();
    loop {
        tokio::select! {
            // Evicted connections end before the next one is accepted.
            biased;
            () = stop.cancelled() => break,
            Some(()) = connections.next() => {}
            Some(device) = devices.recv() => connections.push(device),
            _ = look.tick() => tls.iter().for_each(|tls| tls.certificate.look()),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => if let Some(place) = limits.open(peer.ip()) {
                    let served = connection(stream, tls.clone(), place, pages.clone(), stop.clone());
                    connections.push(Box::pin(served));
                } else {
                    tracing::debug!("refused a connection: tablets hold all places");
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
    tls: Option<Tls>,
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
    tls: Option<Tls>,
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
        Some(tls) if is_in_clear(&stream).await => {
            requests(stream, place, tls.in_clear, stop).await;
        }
        Some(tls) => match timeout(HEAD_TIMEOUT, tls.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => requests(stream, place, pages, stop).await,
            Ok(Err(error)) => tracing::debug!(%error, "a tablet's TLS handshake failed"),
            Err(_) => tracing::debug!("a tablet's TLS handshake took too long"),
        },
    }
}

/// Whether a client speaks HTTP on the port of HTTPS: `http://` was typed, or stands in a QR code.
async fn is_in_clear(stream: &TcpStream) -> bool {
    let mut first = [HANDSHAKE];
    let seen = timeout(HEAD_TIMEOUT, stream.peek(&mut first)).await;
    matches!(seen, Ok(Ok(1))) && first != [HANDSHAKE]
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
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pages = OnConnection { place, pages: TowerToHyperService::new(pages) };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), pages)
        .with_upgrades();
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
