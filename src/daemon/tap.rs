//! Received advertisements, as the daemon passes them on to `grelot scan` and its like over a Unix
//! socket beside that of `grelot status`.
//!
//! One scan is enough for all: a controller that reports each device once a scan would otherwise
//! report it to one program alone. A slow reader misses batches; the daemon does not wait.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::status::{Question, Source};
use crate::pipeline::event::{Address, AddressKind};
use crate::pipeline::units::Dbm;
use crate::sources::Advertisement;

/// Batches that wait for a reader.
const BATCHES: usize = 64;
/// Readers at a time.
const MAX_READERS: usize = 8;
/// How often the state of the sources is sent.
const STATUS: Duration = Duration::from_secs(1);

/// One line of the stream.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Advertisements, in the order they were received.
    Advertisements(Vec<Wire>),
    /// The state of the daemon's sources.
    Sources(Vec<Source>),
}

/// One advertisement, as recordings write it.
#[derive(Serialize, Deserialize)]
pub struct Wire {
    addr: [u8; 6],
    random: bool,
    rssi: Option<i16>,
    adv: String,
}

/// It carries personal data of strangers: never logged.
impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Wire({} digits)", self.adv.len())
    }
}

impl From<&Advertisement> for Wire {
    fn from(received: &Advertisement) -> Self {
        Self {
            addr: received.address.octets,
            random: received.address.kind == AddressKind::Random,
            rssi: received.rssi.map(|rssi| rssi.value().into()),
            adv: hex::encode(&received.payload),
        }
    }
}

impl Wire {
    /// What it stands for; `None` where it is not one of this program's lines.
    pub fn advertisement(self) -> Option<Advertisement> {
        let kind = if self.random { AddressKind::Random } else { AddressKind::Public };
        let address = Address { kind, octets: self.addr };
        let rssi = self.rssi.and_then(Dbm::measured);
        Some(Advertisement { gateway: None, address, rssi, payload: hex::decode(self.adv).ok()? })
    }
}

/// Where the event loop puts what its radios receive.
#[derive(Debug, Clone)]
pub struct Tap(broadcast::Sender<Arc<Vec<Advertisement>>>);

impl Default for Tap {
    fn default() -> Self {
        Self(broadcast::Sender::new(BATCHES))
    }
}

impl Tap {
    /// Passes a batch on, if anyone reads.
    pub fn pass(&self, batch: &[Advertisement]) {
        if self.0.receiver_count() > 0 {
            let _ = self.0.send(Arc::new(batch.to_vec()));
        }
    }

    /// Serves readers until stopped. `ask` is for the event loop's own account of its sources.
    pub async fn serve(
        self,
        listener: UnixListener,
        ask: mpsc::Sender<Question>,
        stop: CancellationToken,
    ) {
        let mut readers = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept(), if readers.len() < MAX_READERS => match accepted {
                    Ok((stream, _)) => readers.push(write(stream, self.0.subscribe(), &ask)),
                    // Out of descriptors, most likely.
                    Err(_) => tokio::time::sleep(STATUS).await,
                },
                Some(ended) = readers.next() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a reader of advertisements has gone");
                    }
                }
            }
        }
        if let Some(path) = listener.local_addr().ok().as_ref().and_then(|it| it.as_pathname()) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Where the daemon of a state folder passes advertisements on.
pub fn socket(state: &Path) -> PathBuf {
    state.join("advertisements.sock")
}

async fn write(
    mut stream: UnixStream,
    mut batches: broadcast::Receiver<Arc<Vec<Advertisement>>>,
    ask: &mpsc::Sender<Question>,
) -> io::Result<()> {
    let mut status = tokio::time::interval(STATUS);
    loop {
        let line = tokio::select! {
            batch = batches.recv() => match batch {
                Ok(batch) => Line::Advertisements(batch.iter().map(Wire::from).collect()),
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return Ok(()),
            },
            _ = status.tick() => {
                let (question, snapshot) = oneshot::channel();
                let gone = |()| io::Error::other("the event loop has ended");
                ask.send(question).await.map_err(|_| gone(()))?;
                Line::Sources(snapshot.await.map_err(|_| gone(()))?.sources)
            }
        };
        let mut line = serde_json::to_vec(&line)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
    }
}
