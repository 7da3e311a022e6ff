//! MQTT over WebSocket for paired devices: any MQTT client can be a staff tablet.
//!
//! ```text
//! device ──► WebSocket ──► judge: who, what topics ──► broker (embedded or not)
//!        ◄────────────────────────────────────────────
//! ```
//!
//! The device shows the token of its pairing, as cookie or password; the broker sees the bridge's
//! own login. The bridge lets through what a tablet may do (`Role::Tablet`), claims under the device's
//! own name, and nothing else, so that it does not depend on the rules of the broker; the embedded
//! broker checks the same rights again.

mod judge;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsConnector;

use self::judge::{Judge, Verdict};
use self::websocket::{Received, WebSocket};
use super::api_error::ApiError;
use super::app_state::AppState;
use super::connections::Connection;
use super::pairing::{Pairings, Tablet, Token};
use super::settings::BridgeAccess;
use super::viewers::Viewers;
use crate::clock::Clocks;
use crate::config::{BrokerUrl, Secret};
use crate::mqtt::packet;

/// The sub-protocol that MQTT registers with IANA.
const SUB_PROTOCOL: &str = "mqtt";

/// For CONNECT, the connection to the broker, and a message to a device that reads slowly.
const PATIENCE: Duration = Duration::from_secs(10);

/// Interval of checks whether the device was revoked.
const LOOK_EVERY: Duration = Duration::from_secs(8);

pub fn routes() -> Router<AppState> {
    Router::new().route("/mqtt", get(upgrade))
}

/// What a device's connection needs.
struct Bridge {
    access: BridgeAccess,
    pairings: Arc<Pairings>,
    viewers: Arc<Viewers>,
    clocks: Clocks,
    /// Whether a device needs no pairing.
    open: bool,
}

/// Who a device is.
#[derive(Debug, Clone)]
struct Device {
    tablet: Option<Tablet>,
    token: Option<Token>,
}

/// A connection to a broker.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn upgrade(
    State(app): State<AppState>,
    Extension(connection): Extension<Arc<Connection>>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers();
    let answer = websocket::accept(headers, SUB_PROTOCOL).ok_or(ApiError::BadRequest)?;
    // A page of another site sends this tablet's cookie along: it must bring the token itself.
    let token = app.admission.admits(headers).ok().filter(|_| is_same_origin(headers));
    let by_cookie =
        token.map(|token| Device { tablet: app.admission.tablet(token.as_ref()), token });
    let bridge = Bridge {
        access: app.bridge,
        pairings: app.pairings,
        viewers: app.viewers,
        clocks: app.clocks,
        open: by_cookie.as_ref().is_some_and(|device| device.token.is_none()),
    };
    let (stop, upgrade) = (app.stop, hyper::upgrade::on(&mut request));
    let device = async move {
        let Ok(Ok(upgraded)) = timeout(PATIENCE, upgrade).await else { return };
        tokio::select! {
            () = stop.cancelled() => {}
            () = connection.evicted() => {}
            () = bridge.serve(WebSocket::new(upgraded), by_cookie, &connection) => {}
        }
    };
    app.devices.try_send(Box::pin(device)).map_err(|_| ApiError::Full)?;
    Ok(answer)
}

fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &axum::http::HeaderValue| value.to_str());
    match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => true,
        (Some(Ok(origin)), Some(Ok(host))) => {
            origin.split_once("://").is_some_and(|(_, origin)| origin == host)
        }
        _ => false,
    }
}

impl Bridge {
    async fn serve(self, mut socket: WebSocket, by_cookie: Option<Device>, place: &Connection) {
        let mut received = Vec::new();
        let Ok(Some(octets)) = timeout(PATIENCE, connect(&mut socket, &mut received)).await else {
            return tracing::debug!("a device's connection without a CONNECT is closed");
        };
        let Ok(Some((packet, _))) = packet::first(&octets) else { return };
        let wish = match packet.connect() {
            Ok(wish) => wish,
            Err(error) => return tracing::debug!(%error, "a device's CONNECT is refused"),
        };
        let device = wish.password.and_then(|password| self.by_token(password)).or(by_cookie);
        let Some(device) = device.filter(|_| !wish.has_will) else {
            tracing::warn!("a device that is not paired, or leaves a last will, is refused");
            return say(&mut socket, packet::refuse(wish.version)).await;
        };
        place.prove(device.token.as_ref().map(Token::tablet));
        let now = self.clocks.now().clock.reading();
        let (login, client_id) = self.identity(&device, wish.client_id);
        let tab = client_id.clone();
        let Some(viewer) = self.viewers.open(device.tablet.as_ref(), tab, now) else {
            return say(&mut socket, packet::refuse(wish.version)).await;
        };
        let Some(mut broker) = self.dial().await else {
            return tracing::warn!("a device's connection is closed: no broker can be reached");
        };
        let login = login.as_ref().map(|(name, password)| (name.as_str(), password.0.as_bytes()));
        if broker.write_all(&wish.under(&client_id, login)).await.is_err() {
            return;
        }
        let label = device.tablet.as_ref().map(|tablet| tablet.label.clone());
        let judge = Judge::new(&self.access.topics, label, wish.version);
        tokio::select! {
            () = viewer.taken_over() => {}
            () = self.pass_on(&mut socket, broker, received, &judge, &device) => {}
        }
    }

    fn by_token(&self, password: &[u8]) -> Option<Device> {
        let token = Token::from_cookie(std::str::from_utf8(password).ok()?);
        let tablet = self.pairings.tablet(&token)?;
        Some(Device { tablet: Some(tablet), token: Some(token) })
    }

    /// The login at the broker, and the client id there: no device can take another's, or a
    /// gateway's.
    fn identity(&self, device: &Device, wish: &str) -> (Option<(String, Secret)>, String) {
        let id = device.tablet.as_ref().map_or("open", |tablet| tablet.id.as_str());
        let wish: String = wish.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        let login = self.access.login.clone().map(|(username, password)| {
            let named =
                if self.access.named_devices { format!("{username}{id}") } else { username };
            (named, password)
        });
        (login, format!("tablet-{id}-{wish}"))
    }

    async fn dial(&self) -> Option<Box<dyn Stream>> {
        for broker in &self.access.brokers {
            match timeout(PATIENCE, dial(broker, self.access.tls.clone())).await {
                Ok(Ok(stream)) => return Some(stream),
                Ok(Err(error)) => tracing::debug!(%error, "a device cannot reach the broker"),
                Err(_) => tracing::debug!("a device cannot reach the broker in time"),
            }
        }
        None
    }

    /// Passes packets on in both directions until one side ends or the device is revoked.
    async fn pass_on(
        &self,
        socket: &mut WebSocket,
        broker: Box<dyn Stream>,
        mut received: Vec<u8>,
        judge: &Judge,
        device: &Device,
    ) {
        let (mut from_broker, mut to_broker) = tokio::io::split(broker);
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut octets = vec![0; packet::LONGEST];
        loop {
            while let Some((verdict, length)) = judge.first(&received) {
                let sent = match verdict {
                    Verdict::Pass => {
                        let packet = received.get(..length).unwrap_or_default();
                        to_broker.write_all(packet).await.is_ok()
                    }
                    Verdict::Answer(answer) => send(socket, answer).await,
                    Verdict::Close => false,
                };
                if !sent {
                    return;
                }
                received.drain(..length);
            }
            tokio::select! {
                message = socket.receive() => match message {
                    Ok(Received::Message(more)) => received.extend(more),
                    Ok(Received::Ping(payload)) => {
                        if socket.pong(&payload).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => return tracing::debug!(%error, "a device is gone"),
                },
                read = from_broker.read(&mut octets) => match read {
                    Ok(length) if length > 0 => {
                        let packets = octets.get(..length).unwrap_or_default().to_vec();
                        if !send(socket, packets).await {
                            return;
                        }
                    }
                    _ => return,
                },
                _ = look.tick() => {
                    let revoked = device.token.as_ref().is_some_and(|t| !self.pairings.knows(t));
                    if revoked || (device.token.is_none() && !self.open) {
                        return tracing::info!("a revoked device's connection is closed");
                    }
                }
            }
        }
    }
}

/// The octets of CONNECT; what follows it stays in `received`. `None` where the device sends
/// anything else.
async fn connect(socket: &mut WebSocket, received: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some((packet, length)) = packet::first(received).ok()? {
            let is_connect = packet.kind == packet::kind::CONNECT;
            let octets = received.drain(..length).collect();
            return is_connect.then_some(octets);
        }
        match socket.receive().await.ok()? {
            Received::Message(more) => received.extend(more),
            Received::Ping(payload) => socket.pong(&payload).await.ok()?,
        }
    }
}

async fn dial(
    broker: &BrokerUrl,
    tls: Option<Arc<rustls::ClientConfig>>,
) -> std::io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect((broker.host.as_str(), broker.port)).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = tls.filter(|_| broker.tls) else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(broker.host.clone()).map_err(std::io::Error::other)?;
    Ok(Box::new(TlsConnector::from(tls).connect(name, stream).await?))
}

async fn send(socket: &mut WebSocket, octets: Vec<u8>) -> bool {
    if octets.is_empty() {
        return true;
    }
    matches!(timeout(PATIENCE, socket.send(&octets)).await, Ok(Ok(())))
}

/// Sends a last message.
async fn say(socket: &mut WebSocket, octets: Vec<u8>) {
    if send(socket, octets).await {
        // The device may be gone.
        let _ = timeout(PATIENCE, socket.close()).await;
    }
}
