//! Serves the labels over a Unix socket in the state folder: while the daemon runs, no other
//! process can read its store.
//!
//! A client receives one JSON [`LabelLine`] per label.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::socket;
use crate::store::Label;
use crate::store::worker::Request;

/// To read all labels from a slow card, and for a slow reader to take them.
const PATIENCE: Duration = Duration::from_secs(10);

/// One label as `grelot labels` prints it and `grelot tune --labels` reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelLine {
    pub label: LabelVerdict,
    pub visit: String,
    /// The customer's opaque handle.
    pub client: String,
    /// The gateway that opened the visit.
    pub gateway: String,
    /// RFC 3339, UTC.
    pub arrived_at: String,
    /// How sure the pipeline was, 0.5 to 1.
    pub confidence: f64,
    /// RFC 3339, UTC.
    pub said_at: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelVerdict {
    /// The customer was here.
    WasHere,
    /// The alert was false.
    WasNotHere,
}

impl From<&Label> for LabelLine {
    fn from(label: &Label) -> Self {
        Self {
            label: if label.was_here { LabelVerdict::WasHere } else { LabelVerdict::WasNotHere },
            visit: label.visit.to_string(),
            client: label.client.to_string(),
            gateway: label.gateway.clone(),
            arrived_at: label.arrived_at.to_string(),
            confidence: (f64::from(label.confidence) * 1000.0).round() / 1000.0,
            said_at: label.said_at.to_string(),
        }
    }
}

/// Labels as lines of JSON.
pub fn lines(labels: &[Label]) -> String {
    let line = |label| serde_json::to_string(&LabelLine::from(label)).unwrap_or_default() + "\n";
    labels.iter().map(line).collect()
}

/// Where the daemon of a state folder answers.
pub fn socket(state: &Path) -> PathBuf {
    state.join("labels.sock")
}

/// Answers until `stop` is cancelled.
pub async fn serve(
    listener: UnixListener,
    store_requests: mpsc::Sender<Request>,
    stop: CancellationToken,
) {
    let answer = |stream| async {
        let answered = tokio::time::timeout(PATIENCE, answer(stream, &store_requests)).await;
        if !matches!(answered, Ok(Ok(()))) {
            tracing::debug!("labels were not read to the end");
        }
    };
    socket::serve(listener, stop, answer).await;
}

async fn answer(mut stream: UnixStream, store_requests: &mpsc::Sender<Request>) -> io::Result<()> {
    let (question, labels) = oneshot::channel();
    let gone = || io::Error::other("the store has ended");
    store_requests.send(Request::Labels(question)).await.map_err(|_| gone())?;
    let labels = labels.await.map_err(|_| gone())?;
    stream.write_all(lines(&labels).as_bytes()).await?;
    stream.shutdown().await
}
